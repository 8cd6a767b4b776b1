//! Snapshots: requests, segments, crashes, cancellations and gaps, with leases and table in the embedded DynamoDB and a real lake in a folder.

mod crash;
mod delivered;
mod export;
mod gaps;
mod parts;
mod run;
mod world;
