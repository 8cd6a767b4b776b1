//! The run image without a container engine: `deploy/rootfs.sh` makes its root file system, and a program in it is started as the image
//! declares, as an engine would start it with a read-only root.

mod contained;
mod declared;
mod front;
mod journey;
mod root;
