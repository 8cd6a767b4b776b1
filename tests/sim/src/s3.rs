//! S3 on the wire: the crate `s3s` reads requests and writes answers, the buckets are ours.
//!
//! Neither signatures nor checksums of uploads are verified. The signature is taken off before a request reaches `s3s`, which would otherwise want to
//! know the caller's secret and compare the request's date with this machine's; the transfer coding `aws-chunked` is undone on the way.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use s3s::service::{S3Service, S3ServiceBuilder};

mod convert;
mod operations;
mod request;

pub use request::operation;

use crate::call::Quirks;
use crate::cloud::Cloud;
use crate::faults::ServerError;

/// The S3 of one account.
#[derive(Debug, Clone)]
pub struct Service(S3Service);

/// Who calls; it travels with the request through `s3s`.
#[derive(Debug, Clone)]
struct Caller(String);

impl Service {
    /// S3 over an account's buckets.
    pub fn new(cloud: Cloud) -> Self {
        Self(S3ServiceBuilder::new(operations::Account(cloud)).build())
    }

    /// Answers a request. It waits for nothing, so its effect is atomic.
    pub async fn answer(&self, head: Parts, body: Bytes, quirks: &Quirks) -> Response<Bytes> {
        if quirks.condition_fails && request::is_conditional(&head.headers) {
            quirks.bite("condition_fails");
            let message = "The conditional request cannot succeed due to a conflicting operation against this resource.";
            return refusal(409, "ConditionalRequestConflict", message);
        }
        let caller = Caller(crate::server::request::worker(&head).to_owned());
        let mut request = match request::bare(head, body) {
            Ok(request) => request,
            Err(malformed) => return refusal(400, malformed.code(), &malformed.to_string()),
        };
        request.extensions_mut().insert(caller);
        match self.0.call(request).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                match body.collect().await {
                    Ok(body) => Response::from_parts(head, body.to_bytes()),
                    Err(error) => refusal(500, "InternalError", &error.to_string()),
                }
            }
            Err(error) => refusal(500, "InternalError", &format!("{error:?}")),
        }
    }
}

/// S3's way to say "too fast".
pub fn slow_down() -> Response<Bytes> {
    refusal(503, "SlowDown", "Please reduce your request rate.")
}

/// S3's way to say "too large".
pub fn too_large() -> Response<Bytes> {
    refusal(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")
}

/// S3's ways to be broken.
pub fn server_error(error: ServerError) -> Response<Bytes> {
    match error {
        ServerError::Internal => refusal(500, "InternalError", "We encountered an internal error. Please try again."),
        ServerError::Unavailable => refusal(503, "ServiceUnavailable", "Service is unable to handle request."),
    }
}

fn refusal(status: u16, code: &str, message: &str) -> Response<Bytes> {
    let message = message.replace('&', "&amp;").replace('<', "&lt;");
    let body = format!(r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"#);
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status.try_into().unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}
