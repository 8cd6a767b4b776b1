//! What is deployed: declarations of the lake's tables for other engines, SQL over them, the CloudFormation template, the image.

mod crawler;
mod day;
mod ddl;
#[cfg(feature = "sql")]
mod shop;
#[cfg(feature = "sql")]
mod snowflake;
#[cfg(feature = "sql")]
mod sql;
mod environment;
#[cfg(all(feature = "embedded", feature = "sql"))]
mod stack;
mod template;
// Its orders come from the generator.
#[cfg(feature = "embedded")]
mod image;
