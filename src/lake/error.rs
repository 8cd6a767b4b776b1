//! What can be wrong with a lake, in words that say what to do.

use std::error::Error;
use std::io::ErrorKind;

use object_store::client::{HttpError, HttpErrorKind};

use crate::retry::Transient;
use crate::route::RouteError;

/// An operation on the lake failed, after the store's own retries.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {problem}{}", request(.source.as_deref()))]
pub struct LakeError {
    /// What was being done, such as `create s3://bucket/orders/…`.
    pub doing: String,
    /// What is wrong and what to do about it.
    pub problem: Problem,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl Transient for LakeError {
    fn is_transient(&self) -> bool {
        self.problem == Problem::Unreachable
    }
}

/// What is wrong, as far as the store says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The store knows the caller and refuses.
    #[error(
        "permission denied: allow reading, listing and writing here (S3: s3:GetObject, s3:ListBucket, s3:PutObject, and the KMS key if one is set)"
    )]
    Denied,
    /// The store does not accept the credentials, or there are none.
    #[error("the credentials are missing, expired or wrong: check AWS_PROFILE, the AWS_* variables or the task's role")]
    Credentials,
    /// There is no such bucket.
    #[error("the bucket does not exist: create it, or correct [lake] url")]
    NoBucket,
    /// The bucket, or its name, belongs to somebody else, as far as the store tells.
    #[error("the bucket is somebody else's, or its policy does not allow s3:ListBucket: allow it, or choose another bucket in [lake] url")]
    NotOurs,
    /// The caller may not create the bucket.
    #[error("permission denied: allow s3:CreateBucket, or let somebody create the bucket who may")]
    MayNotCreate,
    /// The bucket lies in another region.
    #[error("the bucket lies in another region: set AWS_REGION to the bucket's region")]
    WrongRegion,
    /// No region is configured.
    #[error("no AWS region is configured: set AWS_REGION or the profile's region")]
    NoRegion,
    /// The disk or its quota is full.
    #[error("the disk is full: free some space, nothing that was checkpointed is lost")]
    NoSpace,
    /// The folder lies on a read-only file system.
    #[error("the file system is read-only: choose another folder in [lake] url")]
    ReadOnly,
    /// Something that is not a folder stands where a folder should be.
    #[error("a file stands where a folder is needed: choose another folder in [lake] url")]
    NotAFolder,
    /// The endpoint does not answer. The write may have happened all the same.
    #[error("the store does not answer: check the network and AWS_ENDPOINT_URL_S3")]
    Unreachable,
    /// The object is not there.
    #[error("the object is not there any more: was it deleted?")]
    Missing,
    /// The object was not written by this program.
    #[error("the object is not one of headwater's ({0}): move it away, or use another [lake] url")]
    Foreign(String),
    /// A pointer names something else than a claim.
    #[error("'{0}' is not a location below the table's claims/ folder: the pointer was not written by headwater, or is damaged")]
    NotAClaim(String),
    /// The event cannot be encoded.
    #[error("the change does not fit the table's schema: {0}")]
    Event(String),
    /// The settings are wrong.
    #[error("{0}")]
    Settings(String),
    /// Anything else; the cause says more.
    #[error("the store failed: {0}")]
    Other(String),
}

impl LakeError {
    /// What the store's error means.
    pub(crate) fn from_store(doing: impl Into<String>, error: object_store::Error) -> Self {
        Self { doing: doing.into(), problem: diagnose(&error), source: Some(Box::new(error)) }
    }

    /// A failed operation on a local folder.
    pub(super) fn from_io(doing: impl Into<String>, error: std::io::Error) -> Self {
        let problem = from_kind(error.kind()).unwrap_or_else(|| Problem::Other(error.to_string()));
        Self { doing: doing.into(), problem, source: Some(Box::new(error)) }
    }

    /// A problem without a cause of its own.
    pub(crate) fn new(doing: impl Into<String>, problem: Problem) -> Self {
        Self { doing: doing.into(), problem, source: None }
    }
}

impl From<LakeError> for RouteError {
    fn from(error: LakeError) -> Self {
        let may_pass = matches!(error.problem, Problem::Unreachable | Problem::NoSpace | Problem::Other(_));
        Self { doing: error.doing, hint: error.problem.to_string(), may_pass, source: error.source }
    }
}

/// Error codes of S3's XML replies (Amazon S3 API Reference, "Error responses"). The store keeps them in its message only.
const CODES: [(&str, Problem); 11] = [
    ("NoSuchBucket", Problem::NoBucket),
    ("PermanentRedirect", Problem::WrongRegion),
    ("AuthorizationHeaderMalformed", Problem::WrongRegion),
    ("IllegalLocationConstraintException", Problem::WrongRegion),
    ("incorrectly configured region", Problem::WrongRegion),
    ("InvalidAccessKeyId", Problem::Credentials),
    ("SignatureDoesNotMatch", Problem::Credentials),
    ("ExpiredToken", Problem::Credentials),
    ("InvalidToken", Problem::Credentials),
    ("NotSignedUp", Problem::Credentials),
    ("AccessDenied", Problem::Denied),
];

/// The id of a request that S3 refused, which AWS asks for whenever it is asked for help. The store keeps the reply in its message only.
fn request(source: Option<&(dyn Error + Send + Sync + 'static)>) -> String {
    let mut cause: Option<&(dyn Error + 'static)> = source.map(|source| source as _);
    while let Some(error) = cause {
        let text = error.to_string();
        if let Some((id, _)) = text.split_once("<RequestId>").and_then(|(_, rest)| rest.split_once("</RequestId>")) {
            return format!(" (request {id})");
        }
        cause = error.source();
    }
    String::new()
}

fn diagnose(error: &object_store::Error) -> Problem {
    let text = error.to_string();
    if let Some((_, problem)) = CODES.iter().find(|(code, _)| text.contains(code)) {
        return problem.clone();
    }
    match error {
        object_store::Error::PermissionDenied { .. } => return Problem::Denied,
        object_store::Error::Unauthenticated { .. } => return Problem::Credentials,
        object_store::Error::NotFound { .. } => return Problem::Missing,
        _ => {}
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<super::s3::NoCredentials>() {
            return Problem::Credentials;
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && let Some(problem) = from_kind(io.kind())
        {
            return problem;
        }
        if let Some(http) = error.downcast_ref::<HttpError>()
            && matches!(http.kind(), HttpErrorKind::Connect | HttpErrorKind::Timeout | HttpErrorKind::Request | HttpErrorKind::Interrupted)
        {
            return Problem::Unreachable;
        }
        cause = error.source();
    }
    Problem::Other(text)
}

fn from_kind(kind: ErrorKind) -> Option<Problem> {
    match kind {
        ErrorKind::PermissionDenied => Some(Problem::Denied),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(Problem::NoSpace),
        ErrorKind::ReadOnlyFilesystem => Some(Problem::ReadOnly),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Some(Problem::NotAFolder),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::TimedOut | ErrorKind::HostUnreachable => {
            Some(Problem::Unreachable)
        }
        // Kinds are added with new versions of Rust; one without advice keeps its own text.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: impl Error + Send + Sync + 'static) -> object_store::Error {
        object_store::Error::Generic { store: "test", source: Box::new(source) }
    }

    #[test]
    fn a_full_disk_is_found_behind_the_stores_own_error() {
        let error = LakeError::from_store("create x", generic(std::io::Error::from(ErrorKind::StorageFull)));
        assert_eq!(error.problem, Problem::NoSpace);
        assert!(error.to_string().starts_with("create x: the disk is full"), "{error}");
    }

    #[test]
    fn a_timeout_means_that_the_store_does_not_answer() {
        let timeout = HttpError::new(HttpErrorKind::Timeout, std::io::Error::other("late"));
        assert_eq!(diagnose(&generic(timeout)), Problem::Unreachable);
    }

    #[test]
    fn codes_of_s3_say_more_than_the_status() {
        let reply = |code: &str| std::io::Error::other(format!("<Error><Code>{code}</Code></Error>"));
        let not_found = object_store::Error::NotFound { path: "k".into(), source: Box::new(reply("NoSuchBucket")) };
        assert_eq!(diagnose(&not_found), Problem::NoBucket);
        let missing = object_store::Error::NotFound { path: "k".into(), source: Box::new(reply("NoSuchKey")) };
        assert_eq!(diagnose(&missing), Problem::Missing);
        let denied = object_store::Error::PermissionDenied { path: "k".into(), source: Box::new(reply("ExpiredToken")) };
        assert_eq!(diagnose(&denied), Problem::Credentials);
    }

    #[test]
    fn a_refused_request_is_told_by_its_id() {
        let reply =
            "Server returned non-2xx status code: 403: <Error><Code>AccessDenied</Code><RequestId>4442587FB7D0A2F9</RequestId></Error>";
        let denied = object_store::Error::PermissionDenied { path: "k".into(), source: Box::new(std::io::Error::other(reply)) };
        let error = LakeError::from_store("create x", denied).to_string();
        assert!(error.starts_with("create x: permission denied") && error.ends_with(" (request 4442587FB7D0A2F9)"), "{error}");
    }

    #[test]
    fn an_unknown_failure_keeps_its_text() {
        let Problem::Other(text) = diagnose(&generic(std::io::Error::other("odd"))) else { panic!("not recognised") };
        assert!(text.contains("odd"));
    }
}
