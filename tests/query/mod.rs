//! SQL over the lake, and its comparison with the table.

mod command;
mod handmade;
mod histories;
mod model;
#[cfg(feature = "embedded")]
mod verify;
#[cfg(feature = "embedded")]
mod verify_part;
mod views;
mod written;
