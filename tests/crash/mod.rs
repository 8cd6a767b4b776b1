//! `headwater run` killed and stopped under load, and what is in the lake afterwards.

mod kill;
mod load;
mod shutdown;
mod state;
