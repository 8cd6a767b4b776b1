//! AWS: the SDK's standard configuration chain, and its errors brought into one form.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::retry::{Cause, Transient};

/// A GetRecords page of 1 MB arrives in well under a second; half a minute means that the connection is dead.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The configuration of `AWS_PROFILE`, `AWS_REGION`, `AWS_ENDPOINT_URL_…` and the rest of the SDK's standard chain.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
        .load()
        .await
}

/// What kind of failure a call met. Decides what is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The service asks for fewer calls.
    Throttled,
    /// The service failed, or could not be reached, or answered nonsense: it may work later.
    Unavailable,
    /// The credentials are missing, wrong, or may not do this.
    Denied,
    /// The resource is not there.
    NotFound,
    /// A condition of the write did not hold.
    ConditionFailed,
    /// The stream position is older than what the stream keeps.
    Trimmed,
    /// The shard iterator is too old.
    ExpiredIterator,
    /// The request is wrong in itself.
    Invalid,
}

/// An AWS call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation}{on}: {message}{details}")]
pub struct AwsError {
    /// The API's name of the call.
    pub operation: &'static str,
    on: Box<str>,
    /// The service's code; empty when it gave none.
    pub code: Box<str>,
    /// What kind of failure it was.
    pub failure: Failure,
    message: Box<str>,
    details: Box<str>,
}

impl Transient for AwsError {
    fn is_transient(&self) -> bool {
        match self.failure {
            Failure::Throttled | Failure::Unavailable => true,
            Failure::Denied
            | Failure::NotFound
            | Failure::ConditionFailed
            | Failure::Trimmed
            | Failure::ExpiredIterator
            | Failure::Invalid => false,
        }
    }

    fn cause(&self) -> Cause {
        match self.failure {
            Failure::Throttled => Cause::Throttled,
            // What was trimmed and is read again is the horizon, which moved between two calls.
            Failure::ExpiredIterator | Failure::Trimmed => Cause::Expired,
            Failure::Unavailable | Failure::Denied | Failure::NotFound | Failure::ConditionFailed | Failure::Invalid => Cause::Unavailable,
        }
    }
}

/// What a record counts as that was refused with this code by an answer that is no error itself, and that is sent again.
pub(crate) fn refused_record(code: &str) -> Cause {
    if classify(code, 400) == Failure::Throttled { Cause::Throttled } else { Cause::Unavailable }
}

impl AwsError {
    /// Takes what matters from an SDK error while it is typed. `on` names the resource.
    pub fn new<E>(operation: &'static str, on: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let on = if on.is_empty() { String::new() } else { format!(" on {on}") };
        let service_code = match error {
            SdkError::ServiceError(context) => context.err().code().unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        let (failure, message, details) = match error {
            SdkError::ServiceError(context) => {
                let status = context.raw().status().as_u16();
                let code = if service_code.is_empty() { "no error code" } else { &service_code };
                let message = context.err().message().unwrap_or("the service gave no message").to_owned();
                let request = context.raw().headers().get("x-amzn-requestid").map(|id| format!(", request {id}")).unwrap_or_default();
                (classify(code, status), message, format!(" ({code}, HTTP {status}{request})"))
            }
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) | SdkError::ResponseError(_) => {
                (Failure::Unavailable, describe(error), String::new())
            }
            SdkError::ConstructionFailure(_) => (Failure::Invalid, describe(error), String::new()),
            other => (Failure::Unavailable, describe(other), String::new()),
        };
        // No credentials at all is for a person to mend; a provider that failed to refresh them may work the next time.
        let missing =
            message.contains("credential provider was not enabled") || message.contains("no providers in chain provided credentials");
        let failure = if missing && failure == Failure::Unavailable { Failure::Denied } else { failure };
        Self { operation, on: on.into(), code: service_code.into(), failure, message: message.into(), details: details.into() }
    }

    /// A failure that no SDK error stands for, such as a body that ends early or a response without what the service promises.
    pub fn of(operation: &'static str, failure: Failure, message: impl Into<String>) -> Self {
        Self { operation, on: Box::default(), code: Box::default(), failure, message: message.into().into(), details: Box::default() }
    }
}

/// An error with its causes in one line: a dispatch failure says what happened only at its end.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let level = error.to_string();
        if !text.ends_with(&level) {
            text.push_str(": ");
            text.push_str(&level);
        }
        cause = error.source();
    }
    text
}

/// One table for all services: the codes do not clash.
fn classify(code: &str, status: u16) -> Failure {
    match code {
        "LimitExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "KMSThrottlingException"
        | "TooManyRequestsException"
        | "ThrottledException"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete"
        | "SlowDown" => Failure::Throttled,
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "NotAuthorized"
        | "OptInRequired"
        // The key of an encrypted stream: for a person to mend, like a permission.
        | "KMSAccessDeniedException"
        | "KMSDisabledException"
        | "KMSInvalidStateException"
        | "KMSNotFoundException"
        | "KMSOptInRequired" => Failure::Denied,
        "ResourceNotFoundException" | "TableNotFoundException" => Failure::NotFound,
        "ConditionalCheckFailedException" => Failure::ConditionFailed,
        "TrimmedDataAccessException" => Failure::Trimmed,
        "ExpiredIteratorException" => Failure::ExpiredIterator,
        // A create that races another one, a table that is still being made, a service that stumbles: all settle by themselves.
        "ResourceInUseException"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "InternalFailure"
        | "InternalFailureException"
        | "RequestTimeout"
        | "RequestTimeoutException"
        // The next call may be signed with fresh credentials.
        | "ExpiredToken"
        | "ExpiredTokenException" => Failure::Unavailable,
        _ if status == 429 => Failure::Throttled,
        _ if status >= 500 || status == 408 => Failure::Unavailable,
        _ if status == 401 || status == 403 => Failure::Denied,
        _ => Failure::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_throttling_is_throttling() {
        for code in ["LimitExceededException", "ThrottlingException", "ProvisionedThroughputExceededException", "SlowDown"] {
            assert_eq!(classify(code, 400), Failure::Throttled, "{code}");
        }
        assert_eq!(classify("SomethingNew", 429), Failure::Throttled);
    }

    #[test]
    fn what_ails_the_key_of_an_encrypted_stream_is_for_a_person_to_mend_unless_it_is_busy() {
        for code in
            ["KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException", "KMSNotFoundException", "KMSOptInRequired"]
        {
            assert_eq!(classify(code, 400), Failure::Denied, "{code}");
        }
        assert_eq!(classify("KMSThrottlingException", 400), Failure::Throttled);
    }

    #[test]
    fn an_unknown_code_is_judged_by_its_status() {
        assert_eq!(classify("SomethingNew", 503), Failure::Unavailable);
        assert_eq!(classify("SomethingNew", 403), Failure::Denied);
        assert_eq!(classify("ValidationException", 400), Failure::Invalid);
    }
}
