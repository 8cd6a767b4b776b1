//! What needs a person goes out once, and once more when it is over, whatever becomes of workers and receivers.

mod conditions;
mod crash;
mod receiver;
mod service;
mod sns;
mod webhook;
mod world;
