//! A topic of SNS.

use aws_config::{Region, SdkConfig};
use aws_sdk_sns::Client;
use aws_sdk_sns::config::retry::RetryConfig;
use aws_sdk_sns::types::MessageAttributeValue;

use super::SinkError;
use crate::aws::{AwsError, Failure};
use crate::digest::sha256_hex;
use crate::notify::message::Message;

/// How the names of topics end that keep an order.
const FIFO: &str = ".fifo";

/// A topic. Messages carry the attributes `kind` and `state`, which subscriptions can filter by.
#[derive(Debug)]
pub(super) struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    pub(super) fn new(sdk: &SdkConfig, arn: &str) -> Self {
        let mut config = aws_sdk_sns::config::Builder::from(sdk).retry_config(RetryConfig::disabled());
        // A topic is published to in its own region, whichever the service runs in.
        if let Some(region) = region(arn) {
            config = config.region(Region::new(region.to_owned()));
        }
        Self { client: Client::from_conf(config.build()), arn: arn.to_owned() }
    }

    pub(super) async fn publish(&self, message: &Message<'_>) -> Result<(), SinkError> {
        let json = message.json();
        let text = |value: &str| {
            let attribute = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            attribute.map_err(|error| SinkError::Refused(error.to_string()))
        };
        let mut publish = self.client.publish().topic_arn(&self.arn).subject(message.headline());
        publish = publish.message_attributes("kind", text(message.kind())?).message_attributes("state", text(message.state())?);
        if self.arn.ends_with(FIFO) {
            publish = publish.message_group_id(message.kind()).message_deduplication_id(sha256_hex(&json));
        }
        match publish.message(json).send().await.map_err(|error| AwsError::new("Publish", &self.arn, &error)) {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.failure {
                Failure::Unavailable => SinkError::Unknown(error.to_string()),
                Failure::Throttled | Failure::Denied | Failure::NotFound => SinkError::Closed(error.to_string()),
                Failure::ConditionFailed | Failure::Trimmed | Failure::ExpiredIterator | Failure::Invalid => {
                    SinkError::Refused(error.to_string())
                }
            }),
        }
    }
}

/// The region in a topic's ARN, `arn:aws:sns:<region>:<account>:<name>`.
fn region(arn: &str) -> Option<&str> {
    arn.split(':').nth(3).filter(|region| !region.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_tells_its_region() {
        assert_eq!(region("arn:aws:sns:eu-central-1:111122223333:headwater"), Some("eu-central-1"));
        assert_eq!(region("arn:aws:sns::111122223333:headwater"), None);
    }
}
