//! Between the types of `s3s` and the buckets' own.

use std::time::{Duration, UNIX_EPOCH};

use base64_simd::URL_SAFE_NO_PAD;
use http_body_util::BodyExt;
use hyper::header::HeaderMap;
use s3s::dto::{ETag, ETagCondition, Metadata, StreamingBlob, Timestamp};
use s3s::{Body, S3Error, S3ErrorCode, S3Result, s3_error};

use crate::buckets::listing::After;
use crate::buckets::{Condition, Headers, Object, Refusal};

/// A refusal in S3's terms.
pub(super) fn refuse(refusal: Refusal) -> S3Error {
    let code = match refusal {
        Refusal::NoSuchBucket => S3ErrorCode::NoSuchBucket,
        Refusal::NoSuchKey => S3ErrorCode::NoSuchKey,
        Refusal::PreconditionFailed => S3ErrorCode::PreconditionFailed,
        Refusal::NoSuchUpload => S3ErrorCode::NoSuchUpload,
        Refusal::InvalidPart => S3ErrorCode::InvalidPart,
        Refusal::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
        Refusal::EntityTooSmall => S3ErrorCode::EntityTooSmall,
    };
    S3Error::with_message(code, refusal.to_string())
}

pub(super) fn timestamp(at: i64) -> Timestamp {
    Timestamp::from(UNIX_EPOCH + Duration::from_millis(u64::try_from(at).unwrap_or_default()))
}

pub(super) fn etag(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

/// The body of a request, which is in memory already.
pub(super) async fn content(body: Option<StreamingBlob>) -> S3Result<bytes::Bytes> {
    let Some(body) = body else { return Ok(bytes::Bytes::new()) };
    let body = Body::from(body).collect().await.map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?;
    Ok(body.to_bytes())
}

/// What a writer says about an object.
pub(super) fn headers(content_type: Option<String>, content_encoding: Option<String>, metadata: Option<Metadata>) -> Headers {
    Headers { content_type, content_encoding, metadata: metadata.unwrap_or_default().into_iter().collect() }
}

/// What the last writer said, for `Content-Type` as S3 fills it in.
pub(super) fn content_type(headers: &Headers) -> String {
    headers.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned())
}

/// The condition of a write.
pub(super) fn condition(headers: &HeaderMap) -> S3Result<Condition> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (header("if-none-match"), header("if-match")) {
        (None, None) => Ok(Condition::None),
        (Some("*"), None) => Ok(Condition::Absent),
        (None, Some("*")) => Ok(Condition::Present),
        (None, Some(etag)) => Ok(Condition::Matches(etag.trim_matches('"').to_owned())),
        _ => Err(s3_error!(NotImplemented, "A header you provided implies functionality that is not implemented")),
    }
}

/// Whether a read's conditions hold.
pub(super) fn readable(object: &Object, matches: Option<&ETagCondition>, differs: Option<&ETagCondition>) -> S3Result<()> {
    let is = |condition: &ETagCondition| condition.as_etag().is_none_or(|etag| etag.value() == object.etag);
    if matches.is_some_and(|condition| !is(condition)) {
        return Err(refuse(Refusal::PreconditionFailed));
    }
    if differs.is_some_and(is) {
        return Err(S3Error::new(S3ErrorCode::NotModified));
    }
    Ok(())
}

/// Where a listing goes on, as clients send it back.
pub(super) fn token(after: After<'_>) -> Option<String> {
    let (kind, text) = match after {
        After::Nothing => return None,
        After::Key(key) => ("k", key),
        After::Prefix(prefix) => ("p", prefix),
    };
    Some(URL_SAFE_NO_PAD.encode_to_string(format!("{kind}{text}")))
}

/// The text of a continuation token; [`after`] reads it.
pub(super) fn token_text(token: &str) -> S3Result<String> {
    let text = URL_SAFE_NO_PAD.decode_to_vec(token).ok().and_then(|text| String::from_utf8(text).ok());
    text.filter(|text| text.starts_with(['k', 'p']))
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

pub(super) fn after(token_text: &str) -> After<'_> {
    match token_text.strip_prefix('p') {
        Some(prefix) => After::Prefix(prefix),
        None => After::Key(token_text.strip_prefix('k').unwrap_or(token_text)),
    }
}

/// A key as a listing with `encoding-type=url` spells it.
pub(super) fn url_encoded(key: &str) -> String {
    use std::fmt::Write;
    key.bytes().fold(String::with_capacity(key.len()), |mut text, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => text.push(byte.into()),
            // Writing into a String cannot fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_brings_a_listing_back_to_its_place() {
        for place in [After::Key("a/b"), After::Prefix("p/"), After::Key("")] {
            assert_eq!(after(&token_text(&token(place).unwrap()).unwrap()), place);
        }
        assert_eq!(token(After::Nothing), None);
        assert!(token_text("made up").is_err());
    }

    #[test]
    fn keys_survive_the_url_encoding_of_listings() {
        assert_eq!(url_encoded("orders/dt=2026-01-01/ä b.gz"), "orders/dt%3D2026-01-01/%C3%A4%20b.gz");
    }
}
