//! Where messages go: the log, always; a topic of SNS and a webhook, where they are configured.
//!
//! Each gets each message by itself. Sending is one attempt, bounded in time; the caller tries again later.

mod sns;
mod webhook;

use std::time::Duration;

use aws_config::SdkConfig;

use self::sns::Topic;
use self::webhook::Webhook;
use super::message::Message;
use crate::config::NotifySettings;

/// How long a receiver may take. One that needs longer is not at its best, and the other notices wait behind it.
const LIMIT: Duration = Duration::from_secs(10);

/// A message was not taken, or nobody knows whether it was.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// This message was not taken, and sending it again will hardly help. Others may be taken.
    #[error("{0}")]
    Refused(String),
    /// This message was not taken, and no other one will be for now.
    #[error("{0}")]
    Closed(String),
    /// It may have been taken.
    #[error("{0}")]
    Unknown(String),
}

/// A webhook cannot be prepared.
#[derive(Debug, thiserror::Error)]
#[error("prepare notify.webhook: {0}")]
pub struct InvalidWebhook(String);

/// A receiver of messages.
#[derive(Debug)]
pub struct Sink(Receiver);

#[derive(Debug)]
enum Receiver {
    Log,
    Topic(Topic),
    Webhook(Webhook),
}

impl Sink {
    /// Those that the settings name, and the log.
    pub fn all(settings: &NotifySettings, sdk: &SdkConfig) -> Result<Vec<Self>, InvalidWebhook> {
        let mut sinks = vec![Self(Receiver::Log)];
        sinks.extend(settings.sns_topic_arn.as_deref().map(|arn| Self(Receiver::Topic(Topic::new(sdk, arn)))));
        if let Some(url) = &settings.webhook {
            sinks.push(Self(Receiver::Webhook(Webhook::new(url.clone())?)));
        }
        Ok(sinks)
    }

    /// Its name in notices. A receiver under a new address is taken for the old one: it is not told again of what lasts.
    pub(super) const fn name(&self) -> &'static str {
        match self.0 {
            Receiver::Log => "log",
            Receiver::Topic(_) => "sns",
            Receiver::Webhook(_) => "webhook",
        }
    }

    /// Sends a message once.
    pub(super) async fn send(&self, message: &Message<'_>) -> Result<(), SinkError> {
        let sending = async {
            match &self.0 {
                Receiver::Log => {
                    message.log();
                    Ok(())
                }
                Receiver::Topic(topic) => topic.publish(message).await,
                Receiver::Webhook(webhook) => webhook.post(message).await,
            }
        };
        let late = |_| Err(SinkError::Unknown(format!("no answer within {}", humantime::format_duration(LIMIT))));
        tokio::time::timeout(LIMIT, sending).await.unwrap_or_else(late)
    }
}
