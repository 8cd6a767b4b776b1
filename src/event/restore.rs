//! Change events back into the images they came from.
