//! The shapes of AWS's JSON protocol that both services share: ARNs, errors, requests.

use dynoxide::DynoxideError;
use dynoxide::streams::{LOCAL_ACCOUNT, LOCAL_REGION};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::REGION;
use super::engine::Stopped;

/// An error response: AWS's code and message, or a body that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: u16,
    /// The JSON body, with `__type`.
    pub(super) body: String,
}

impl Refusal {
    /// A modelled error of DynamoDB or DynamoDB Streams.
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self::typed(400, &format!("com.amazonaws.dynamodb.v20120810#{code}"), &message.into())
    }

    /// A request that breaks a rule.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::typed(400, "com.amazon.coral.validate#ValidationException", &message.into())
    }

    /// An operation that is not served.
    pub(super) fn unknown_operation() -> Self {
        Self { status: 400, body: r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#.to_owned() }
    }

    /// A body that is not the operation's JSON.
    pub(super) fn serialization(message: impl Into<String>) -> Self {
        Self::typed(400, "com.amazon.coral.service#SerializationException", &message.into())
    }

    /// A stream, shard or table that does not exist.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new("ResourceNotFoundException", format!("Requested resource not found: {what}"))
    }

    fn typed(status: u16, code: &str, message: &str) -> Self {
        Self { status, body: json!({ "__type": code, "message": message }).to_string() }
    }
}

impl From<DynoxideError> for Refusal {
    fn from(error: DynoxideError) -> Self {
        Self { status: error.status_code(), body: error.to_json() }
    }
}

impl From<Stopped> for Refusal {
    fn from(_: Stopped) -> Self {
        Self::typed(500, "com.amazonaws.dynamodb.v20120810#InternalServerError", "The embedded DynamoDB is shutting down")
    }
}

/// What every ARN of this service begins with.
pub(super) fn arn_prefix() -> String {
    format!("arn:aws:dynamodb:{REGION}:{LOCAL_ACCOUNT}:")
}

/// Puts this service's Region into the ARNs of a body that dynoxide made.
pub(super) fn outward(body: &str) -> String {
    body.replace(&format!("arn:aws:dynamodb:{LOCAL_REGION}:"), &format!("arn:aws:dynamodb:{REGION}:"))
}

/// Puts dynoxide's Region into the ARNs of a request body.
pub(super) fn inward(body: &str) -> String {
    body.replace(&format!("arn:aws:dynamodb:{REGION}:"), &format!("arn:aws:dynamodb:{LOCAL_REGION}:"))
}

/// Reads a request. dynoxide's readers say by a marker which of AWS's errors a refusal is.
pub(super) fn read<Q: DeserializeOwned>(body: &str) -> Result<Q, Refusal> {
    serde_json::from_str(body).map_err(|error| {
        let message = error.to_string();
        let bare = |text: &str| text.rsplit_once(" at line ").map_or(text, |(words, _position)| words).to_owned();
        if let Some(rest) = message.strip_prefix("VALIDATION_REQUEST:").or_else(|| message.strip_prefix("VALIDATION:")) {
            Refusal::validation(bare(rest))
        } else if let Some(rest) = message.strip_prefix("VALIDATION_AS_READ:") {
            Refusal::validation(rest)
        } else if let Some(rest) = message.strip_prefix("SERIALIZATION_AS_READ:") {
            Refusal::serialization(rest)
        } else if let Some(rest) = message.strip_prefix("SERIALIZATION:") {
            Refusal::serialization(bare(rest))
        } else if error.is_data() {
            Refusal::validation(bare(&message))
        } else {
            Refusal::serialization(message)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Request {
        #[serde(rename = "Value")]
        _value: dynoxide::AttributeValue,
    }

    #[test]
    fn a_value_that_breaks_a_rule_is_a_validation_error_without_markers() {
        let refused = read::<Request>(r#"{"Value": {"NULL": false}}"#).unwrap_err();
        assert_eq!(refused.status, 400);
        assert!(refused.body.contains("#ValidationException"), "{}", refused.body);
        assert!(!refused.body.contains("VALIDATION") && !refused.body.contains("at line"), "{}", refused.body);
    }

    #[test]
    fn a_body_that_is_no_json_is_a_serialization_error() {
        let refused = read::<Request>("{").unwrap_err();
        assert!(refused.body.contains("#SerializationException"), "{}", refused.body);
    }

    #[test]
    fn arns_change_their_region_there_and_back() {
        let inner = format!("{{\"TableArn\":\"arn:aws:dynamodb:{LOCAL_REGION}:{LOCAL_ACCOUNT}:table/orders\"}}");
        let outer = outward(&inner);
        assert!(outer.contains(&arn_prefix()), "{outer}");
        assert_eq!(inward(&outer), inner);
    }
}
