//! What stops `init`, in words that say what to do.

use crate::aws::{AwsError, Failure};
use crate::lake::LakeError;

/// A service refused, failed or took too long.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// An AWS call failed.
    #[error("{doing}: {advice}")]
    Aws {
        /// What was being done.
        doing: String,
        /// What to do about it.
        advice: String,
        /// What happened.
        #[source]
        source: AwsError,
    },
    /// The lake's bucket refused or could not be reached.
    #[error(transparent)]
    Bucket(#[from] LakeError),
    /// A resource was asked for and did not become usable in time.
    #[error("wait for {what}: not usable after {seconds} s; run `headwater init` again to go on waiting")]
    Slow {
        /// The resource.
        what: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Firehose gave a delivery stream up.
    #[error("create delivery stream {name}: Firehose gave up ({reason}): mend that, delete the delivery stream, then run this again")]
    DeliveryFailed {
        /// The delivery stream.
        name: String,
        /// Firehose's words.
        reason: String,
    },
    /// The process is being stopped.
    #[error("wait for {0}: stopped; run `headwater init` again to go on")]
    Stopped(String),
}

/// An AWS service, as IAM and the endpoint variables call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    DynamoDb,
    Kinesis,
    Firehose,
}

impl InitError {
    /// `doing` with the advice that suits the failure.
    pub(super) fn of(service: Service, doing: impl Into<String>) -> impl FnOnce(AwsError) -> Self {
        let doing = doing.into();
        move |source| Self::Aws { doing, advice: advice(service, &source), source }
    }
}

fn advice(service: Service, error: &AwsError) -> String {
    let (prefix, endpoint) = match service {
        Service::DynamoDb => ("dynamodb", "AWS_ENDPOINT_URL_DYNAMODB and AWS_ENDPOINT_URL_DYNAMODB_STREAMS"),
        Service::Kinesis => ("kinesis", "AWS_ENDPOINT_URL_KINESIS"),
        Service::Firehose => ("firehose", "AWS_ENDPOINT_URL_FIREHOSE"),
    };
    match error.failure {
        Failure::Denied => {
            let role = if error.operation == "CreateDeliveryStream" { " and iam:PassRole on firehose.role_arn" } else { "" };
            format!("the credentials are missing, wrong, or may not do it: allow {prefix}:{}{role}", error.operation)
        }
        Failure::Throttled => "the service refuses more, for now or by a quota: try again later, or ask for a higher quota".to_owned(),
        Failure::Unavailable => {
            format!("the service did not do it in time: check AWS_REGION, the network and, for an endpoint that is not AWS's, {endpoint}")
        }
        Failure::NotFound | Failure::ConditionFailed | Failure::Trimmed | Failure::ExpiredIterator | Failure::Invalid => {
            "the service does not accept it: correct what it names".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(operation: &'static str, service: Service, failure: Failure) -> String {
        InitError::of(service, "create x")(AwsError::of(operation, failure, "no")).to_string()
    }

    #[test]
    fn a_missing_permission_is_named() {
        let said = |operation, service| said(operation, service, Failure::Denied);
        assert!(said("CreateStream", Service::Kinesis).ends_with("allow kinesis:CreateStream"));
        assert!(said("UpdateTable", Service::DynamoDb).ends_with("allow dynamodb:UpdateTable"));
        assert!(said("CreateDeliveryStream", Service::Firehose).contains("firehose:CreateDeliveryStream and iam:PassRole"));
    }

    #[test]
    fn a_service_that_does_not_answer_may_be_the_wrong_endpoint() {
        assert!(said("CreateStream", Service::Kinesis, Failure::Unavailable).contains("AWS_ENDPOINT_URL_KINESIS"));
    }
}
