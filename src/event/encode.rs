//! Change events into newline-delimited JSON.
