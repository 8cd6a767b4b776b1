//! headwater replicates a DynamoDB table into a data lake, change by change, and can prove that the lake equals the table.

#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "sql")]
pub mod query;

pub mod aws;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contract;
pub mod event;
pub mod lake;
pub mod lease;
pub mod pipeline;
pub mod retry;
pub mod route;
pub mod shutdown;
pub mod stream;
