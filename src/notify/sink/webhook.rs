//! An address that takes JSON by POST. It is a secret: whoever knows it can post, so it is in no log line and no error.

use std::fmt;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use url::Url;

use super::{InvalidWebhook, SinkError};
use crate::aws::describe;
use crate::notify::message::Message;

/// A webhook. Anything of 200 to 299 means that a message was taken. Redirects are not followed: the message, and what is secret in the
/// address, go nowhere else.
pub(super) struct Webhook {
    client: Client,
    url: Url,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Webhook")
    }
}

impl Webhook {
    pub(super) fn new(url: Url) -> Result<Self, InvalidWebhook> {
        let client = Client::builder().redirect(Policy::none()).user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION")));
        let client = client.build().map_err(|error| InvalidWebhook(words(error)))?;
        Ok(Self { client, url })
    }

    pub(super) async fn post(&self, message: &Message<'_>) -> Result<(), SinkError> {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(message.json());
        match request.send().await {
            Ok(response) => judge(response.status()),
            Err(error) if error.is_builder() => Err(SinkError::Refused(words(error))),
            Err(error) if error.is_connect() => Err(SinkError::Closed(words(error))),
            Err(error) => Err(SinkError::Unknown(words(error))),
        }
    }
}

/// What an answer means.
fn judge(status: StatusCode) -> Result<(), SinkError> {
    if status.is_success() {
        return Ok(());
    }
    Err(if status.is_redirection() {
        SinkError::Closed(format!("the webhook answered {status}, and redirects are not followed: set notify.webhook to where it leads"))
    } else if status == StatusCode::TOO_MANY_REQUESTS {
        SinkError::Closed(format!("the webhook answered {status}"))
    } else if status.is_client_error() {
        SinkError::Refused(format!("the webhook answered {status}: check that notify.webhook is right and takes POST with JSON"))
    } else {
        SinkError::Unknown(format!("the webhook answered {status}"))
    })
}

/// An error with its causes, without the address.
fn words(error: reqwest::Error) -> String {
    describe(&error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_success_means_that_a_message_was_taken() {
        let of = |code: u16| judge(StatusCode::from_u16(code).unwrap());
        assert!([200, 201, 202, 204].into_iter().all(|code| of(code).is_ok()));
        assert!([301, 302, 307, 429].into_iter().all(|code| matches!(of(code), Err(SinkError::Closed(_)))));
        assert!([400, 401, 404, 405].into_iter().all(|code| matches!(of(code), Err(SinkError::Refused(_)))));
        assert!([500, 502, 503].into_iter().all(|code| matches!(of(code), Err(SinkError::Unknown(_)))), "it may have been taken");
    }

    #[test]
    fn a_webhook_does_not_show_its_address() {
        let webhook = Webhook::new("https://hooks.example.org/T0/secret".parse().unwrap()).unwrap();
        assert!(!format!("{webhook:?}").contains("secret"));
    }
}
