//! End to end beside DynamoDB Local, the reference for what DynamoDB and its streams do.

mod init;
mod replicate;
#[cfg(feature = "embedded")]
mod workers;
