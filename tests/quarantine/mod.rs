//! Quarantine and redrive: what is kept, who waits behind it, and how it goes back once and in order.

mod bench;
mod command;
#[cfg(feature = "embedded")]
mod journey;
mod landing;
mod sending;
#[cfg(feature = "embedded")]
mod waiting;
