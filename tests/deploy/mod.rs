//! What is deployed: declarations of the lake's tables for other engines, SQL over them, the CloudFormation template, the image.

mod crawler;
mod day;
mod ddl;
mod environment;
#[cfg(feature = "sql")]
mod shop;
#[cfg(feature = "sql")]
mod sql;
#[cfg(all(feature = "embedded", feature = "sql"))]
mod stack;
mod template;
