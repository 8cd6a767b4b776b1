//! How the services say that they are busy or broken.

use serde::{Deserialize, Serialize};

use crate::call::ApiError;

/// The ways to say "too fast". S3 has its own, 503 SlowDown, and says that whatever is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants are the protocol's error codes")]
pub enum Throttle {
    LimitExceededException,
    ProvisionedThroughputExceededException,
    ThrottlingException,
    RequestLimitExceeded,
    /// Firehose's way, with status 503.
    ServiceUnavailableException,
}

impl Throttle {
    /// The error.
    pub fn error(self) -> ApiError {
        match self {
            Self::LimitExceededException => ApiError::new("LimitExceededException", "Rate exceeded"),
            Self::ProvisionedThroughputExceededException => ApiError::new(
                "ProvisionedThroughputExceededException",
                "The level of configured provisioned throughput was exceeded. Consider increasing your provisioning level.",
            ),
            Self::ThrottlingException => ApiError::new("ThrottlingException", "Rate exceeded"),
            Self::RequestLimitExceeded => {
                ApiError::new("RequestLimitExceeded", "Throughput exceeds the current throughput limit for your account.")
            }
            Self::ServiceUnavailableException => ApiError { status: 503, ..ApiError::new("ServiceUnavailableException", "Slow down.") },
        }
    }
}

/// The ways to be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerError {
    /// Status 500: `InternalServerError` of DynamoDB and its streams, `InternalFailure` of Kinesis and Firehose, `InternalError` of S3.
    #[serde(rename = "500")]
    Internal,
    /// Status 503: `ServiceUnavailable`.
    #[serde(rename = "503")]
    Unavailable,
}

impl ServerError {
    /// The error of a service, which is named as in the header `X-Amz-Target`.
    pub fn error(self, service: &str) -> ApiError {
        let (status, code, message) = match self {
            Self::Internal if service.starts_with("DynamoDB") => (500, "InternalServerError", "Internal server error"),
            Self::Internal => (500, "InternalFailure", "Internal service failure."),
            Self::Unavailable => (503, "ServiceUnavailable", "The service is temporarily unavailable."),
        };
        ApiError { status, ..ApiError::new(code, message) }
    }
}
