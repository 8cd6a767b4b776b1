//! What is deployed: declarations of the lake's tables for other engines, SQL over them, the CloudFormation template, the image.

mod crawler;
mod day;
mod ddl;
mod environment;
// Its orders come from the generator.
#[cfg(feature = "embedded")]
mod image;
#[cfg(feature = "sql")]
mod shop;
#[cfg(feature = "sql")]
mod snowflake;
#[cfg(feature = "sql")]
mod sql;
#[cfg(all(feature = "embedded", feature = "sql"))]
mod stack;
mod template;
#[cfg(all(feature = "embedded", feature = "sql"))]
mod trino;
