//! The bucket of a lake, before there is a lake in it.

use std::time::Duration;

use aws_config::SdkConfig;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::aws::AmazonS3;
use object_store::client::{HttpClient, HttpConnector as _, HttpRequest, HttpRequestBody, ReqwestConnector};
use object_store::path::Path;
use object_store::signer::{Method, Signer as _};
use tokio_util::sync::CancellationToken;

use super::error::{LakeError, Problem};
use super::s3;
use crate::retry::{RetryPolicy, retry};

/// How long the signature of one request holds: longer than its time limit.
const SIGNATURE: Duration = Duration::from_mins(5);
/// The region that a bucket lies in when its creation names none, and that cannot be named (Amazon S3 API Reference, CreateBucket).
const UNNAMED_REGION: &str = "us-east-1";

/// A bucket that may or may not exist.
#[derive(Debug)]
pub struct LakeBucket {
    name: String,
    region: String,
    store: AmazonS3,
    http: HttpClient,
}

/// What S3 made of a request to create a bucket.
#[derive(Debug, thiserror::Error)]
#[error("HTTP {status}: {body}")]
struct Refused {
    status: u16,
    body: String,
}

impl LakeBucket {
    /// The bucket of that name on the configured endpoint. Nothing is sent yet.
    pub fn connect(name: &str, aws: &SdkConfig) -> Result<Self, LakeError> {
        let doing = || format!("open bucket {name}");
        let store = s3::connect(name, None, aws)?;
        let region = s3::region(aws).ok_or_else(|| LakeError::new(doing(), Problem::NoRegion))?;
        let http = ReqwestConnector::default().connect(&s3::client_options(aws));
        let http = http.map_err(|error| LakeError::from_store(doing(), error))?;
        Ok(Self { name: name.to_owned(), region, store, http })
    }

    /// The bucket's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is there, and lets itself be listed.
    pub async fn exists(&self) -> Result<bool, LakeError> {
        let listed = self.store.list(None).try_next().await;
        match listed.map_err(|error| LakeError::from_store(format!("look for bucket {}", self.name), error)) {
            Ok(_) => Ok(true),
            Err(LakeError { problem: Problem::NoBucket | Problem::Missing, .. }) => Ok(false),
            Err(LakeError { doing, problem: Problem::Denied, source }) => Err(LakeError { doing, problem: Problem::NotOurs, source }),
            Err(error) => Err(error),
        }
    }

    /// Creates it in the configured region, with the account's defaults: encrypted by S3, not public. One that is ours already is left as
    /// it is.
    pub async fn create(&self, stop: &CancellationToken) -> Result<(), LakeError> {
        retry(RetryPolicy::START_UP, stop, || self.put()).await
    }

    async fn put(&self) -> Result<(), LakeError> {
        let doing = || format!("create bucket {} in {}", self.name, self.region);
        let failed = |error| LakeError::from_store(doing(), error);
        let unsent = |source: Box<dyn std::error::Error + Send + Sync>| failed(object_store::Error::Generic { store: "S3", source });
        // The object without a name is the bucket itself.
        let url = self.store.signed_url(Method::PUT, &Path::default(), SIGNATURE).await.map_err(failed)?;
        let mut request = HttpRequest::new(HttpRequestBody::from(configuration(&self.region)));
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = url.as_str().parse().map_err(|error| unsent(Box::new(error)))?;
        let response = self.http.execute(request).await.map_err(|error| unsent(Box::new(error)))?;
        let status = response.status().as_u16();
        let body = response.into_body().bytes().await.map_err(|error| unsent(Box::new(error)))?;
        outcome(Refused { status, body: String::from_utf8_lossy(&body).into_owned() }, doing())
    }
}

/// The body of CreateBucket.
fn configuration(region: &str) -> String {
    if region == UNNAMED_REGION {
        return String::new();
    }
    format!(
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}</LocationConstraint>\
         </CreateBucketConfiguration>"
    )
}

/// What an answer to CreateBucket means (Amazon S3 API Reference, "Error responses").
fn outcome(answer: Refused, doing: String) -> Result<(), LakeError> {
    let says = |code: &str| answer.body.contains(code);
    if (200..300).contains(&answer.status) || says("BucketAlreadyOwnedByYou") {
        return Ok(());
    }
    let problem = if says("BucketAlreadyExists") {
        Some(Problem::NotOurs)
    } else if says("AccessDenied") {
        Some(Problem::MayNotCreate)
    } else if answer.status >= 500 || says("SlowDown") || says("OperationAborted") {
        // Too many requests, or another one for the same bucket: the retry will tell.
        Some(Problem::Unreachable)
    } else {
        None
    };
    Err(match problem {
        Some(problem) => LakeError { doing, problem, source: Some(Box::new(answer)) },
        None => LakeError::from_store(doing, object_store::Error::Generic { store: "S3", source: Box::new(answer) }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str) -> Result<(), Problem> {
        let body = format!("<Error><Code>{code}</Code></Error>");
        outcome(Refused { status, body }, "create bucket b".to_owned()).map_err(|error| error.problem)
    }

    #[test]
    fn a_bucket_that_is_ours_already_is_no_failure() {
        assert_eq!(answer(409, "BucketAlreadyOwnedByYou"), Ok(()));
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        assert_eq!(answer(409, "BucketAlreadyExists"), Err(Problem::NotOurs));
        assert_eq!(answer(403, "AccessDenied"), Err(Problem::MayNotCreate));
        assert_eq!(answer(403, "InvalidAccessKeyId"), Err(Problem::Credentials));
        assert_eq!(answer(400, "IllegalLocationConstraintException"), Err(Problem::WrongRegion));
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for (status, code) in [(503, "SlowDown"), (409, "OperationAborted"), (500, "InternalError")] {
            assert_eq!(answer(status, code), Err(Problem::Unreachable), "{code}");
        }
    }

    #[test]
    fn an_unknown_refusal_keeps_the_answer() {
        let Err(Problem::Other(text)) = answer(400, "InvalidBucketName") else { panic!("not recognised") };
        assert!(text.contains("InvalidBucketName"), "{text}");
    }

    #[test]
    fn the_first_region_is_never_named() {
        assert_eq!(configuration("us-east-1"), "");
        assert!(configuration("eu-central-1").contains("<LocationConstraint>eu-central-1</LocationConstraint>"));
    }
}
