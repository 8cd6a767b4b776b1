//! What is deployed: declarations of the lake's tables for other engines, SQL over them, the CloudFormation template, the image.

mod environment;
// Its orders come from the generator.
#[cfg(feature = "embedded")]
mod image;
