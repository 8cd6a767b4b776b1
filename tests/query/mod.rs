//! SQL over the lake, and its comparison with the table.

mod command;
mod handmade;
mod histories;
mod model;
#[cfg(feature = "embedded")]
mod verify;
mod views;
mod written;
