//! Requests as clients send them: which operation, and without signature and transfer coding.

use bytes::{Buf, Bytes, BytesMut};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Method, Request, Uri};
use s3s::Body;

const CONTENT_HASH: &str = "x-amz-content-sha256";
const DECODED_LENGTH: &str = "x-amz-decoded-content-length";

/// The parameters by which a query is signed, in the present way and in the old one that some clients still use for addresses to share.
const SIGNATURE: [&str; 11] = [
    "AWSAccessKeyId",
    "Expires",
    "Signature",
    "X-Amz-Algorithm",
    "X-Amz-Content-Sha256",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// A request that is wrong in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// The chunks of the body are not as announced.
    #[error("You did not provide the number of bytes specified by the Content-Length HTTP header.")]
    Body,
    /// The address.
    #[error("Couldn't parse the specified URI.")]
    Uri,
}

impl Malformed {
    /// S3's code for it.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Body => "IncompleteBody",
            Self::Uri => "InvalidURI",
        }
    }
}

fn parameters(uri: &Uri) -> impl Iterator<Item = (&str, &str)> {
    let parameters = uri.query().unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty());
    parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

/// The operation that a request asks for, told from its method, path and query. Those that the simulator does not have are named by their method.
pub fn operation<'a>(method: &'a Method, uri: &Uri, headers: &HeaderMap) -> &'a str {
    let path = uri.path().trim_start_matches('/');
    let is_object = path.split_once('/').is_some_and(|(_, key)| !key.is_empty());
    let asks = |name: &str| parameters(uri).any(|(parameter, _)| parameter == name);
    let copies = headers.contains_key("x-amz-copy-source");
    match (method.as_str(), is_object) {
        ("GET", false) if path.is_empty() => "ListBuckets",
        ("GET", false) if asks("location") => "GetBucketLocation",
        ("GET", false) if asks("list-type") => "ListObjectsV2",
        ("PUT", false) if uri.query().is_none() => "CreateBucket",
        ("HEAD", false) => "HeadBucket",
        ("POST", false) if asks("delete") => "DeleteObjects",
        ("GET", true) if !asks("uploadId") => "GetObject",
        ("HEAD", true) => "HeadObject",
        ("PUT", true) if asks("partNumber") && !copies => "UploadPart",
        ("PUT", true) if copies => "CopyObject",
        ("PUT", true) => "PutObject",
        ("DELETE", true) if asks("uploadId") => "AbortMultipartUpload",
        ("DELETE", true) => "DeleteObject",
        ("POST", true) if asks("uploads") => "CreateMultipartUpload",
        ("POST", true) if asks("uploadId") => "CompleteMultipartUpload",
        _ => method.as_str(),
    }
}

/// Whether the request's effect depends on what is there.
pub(super) fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key("if-none-match") || headers.contains_key("if-match")
}

/// The request as somebody without a name would send it, in one piece.
pub(super) fn bare(mut head: Parts, body: Bytes) -> Result<Request<Body>, Malformed> {
    let headers = &mut head.headers;
    let is_streaming = headers.get(CONTENT_HASH).is_some_and(|hash| hash.as_bytes().starts_with(b"STREAMING-"));
    let codings = headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let is_chunked = codings.iter().flat_map(|codings| codings.split(',')).any(|coding| coding.trim() == "aws-chunked");
    let announced = headers.get(DECODED_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let body = if is_streaming || is_chunked { unchunk(body).ok_or(Malformed::Body)? } else { body };
    if announced.is_some_and(|announced| announced != body.len()) {
        return Err(Malformed::Body);
    }
    for name in [CONTENT_HASH, DECODED_LENGTH, "x-amz-date", "x-amz-trailer", "x-amz-security-token"] {
        headers.remove(name);
    }
    headers.remove(AUTHORIZATION);
    headers.remove(TRANSFER_ENCODING);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(codings) = codings.filter(|_| is_chunked) {
        let others: Vec<_> = codings.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked").collect();
        headers.remove(CONTENT_ENCODING);
        if let Some(others) = HeaderValue::try_from(others.join(",")).ok().filter(|others| !others.is_empty()) {
            headers.insert(CONTENT_ENCODING, others);
        }
    }
    head.uri = unsigned(&head.uri).ok_or(Malformed::Uri)?;
    Ok(Request::from_parts(head, Body::from(body)))
}

/// The address without the parameters of a signature.
fn unsigned(uri: &Uri) -> Option<Uri> {
    if !parameters(uri).any(|(name, _)| SIGNATURE.contains(&name)) {
        return Some(uri.clone());
    }
    let query = uri.query().unwrap_or_default().split('&');
    let kept: Vec<_> =
        query.filter(|parameter| !SIGNATURE.contains(&parameter.split_once('=').map_or(*parameter, |(name, _)| name))).collect();
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    format!("{}{query}", uri.path()).parse().ok()
}

/// Undoes the coding `aws-chunked`: chunks headed by their length in hex and perhaps a signature, an empty one last, then perhaps trailers.
fn unchunk(mut coded: Bytes) -> Option<Bytes> {
    let mut chunks = Vec::new();
    loop {
        let line = coded.split_to(coded.windows(2).position(|end| end == b"\r\n")?);
        coded.advance(2);
        let length = line.split(|byte| *byte == b';').next()?;
        let length = usize::from_str_radix(std::str::from_utf8(length).ok()?.trim(), 16).ok()?;
        if length == 0 {
            break;
        }
        if coded.get(length..length.checked_add(2)?)? != b"\r\n" {
            return None;
        }
        chunks.push(coded.split_to(length));
        coded.advance(2);
    }
    // Small bodies come in one chunk, which needs no copy.
    match chunks.as_slice() {
        [] => Some(Bytes::new()),
        [chunk] => Some(chunk.clone()),
        chunks => {
            let mut body = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
            for chunk in chunks {
                body.extend_from_slice(chunk);
            }
            Some(body.freeze())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_told_by_method_path_and_query() {
        let named = |method: &str, uri: &str| operation(&method.parse().unwrap(), &uri.parse().unwrap(), &HeaderMap::new()).to_owned();
        for (method, uri, name) in [
            ("GET", "/", "ListBuckets"),
            ("GET", "/b?list-type=2&prefix=x", "ListObjectsV2"),
            ("GET", "/b/?location", "GetBucketLocation"),
            ("PUT", "/b", "CreateBucket"),
            ("HEAD", "/b/", "HeadBucket"),
            ("POST", "/b?delete", "DeleteObjects"),
            ("PUT", "/b/k", "PutObject"),
            ("PUT", "/b/a/k?partNumber=1&uploadId=u", "UploadPart"),
            ("GET", "/b/a/k", "GetObject"),
            ("HEAD", "/b/k", "HeadObject"),
            ("DELETE", "/b/k?x-id=DeleteObject", "DeleteObject"),
            ("DELETE", "/b/k?uploadId=u", "AbortMultipartUpload"),
            ("POST", "/b/k?uploads", "CreateMultipartUpload"),
            ("POST", "/b/k?uploadId=u", "CompleteMultipartUpload"),
            ("DELETE", "/b", "DELETE"),
        ] {
            assert_eq!(named(method, uri), name, "{method} {uri}");
        }
        let copy = HeaderMap::from_iter([("x-amz-copy-source".parse().unwrap(), HeaderValue::from_static("b/k"))]);
        assert_eq!(operation(&Method::PUT, &Uri::from_static("/b/k"), &copy), "CopyObject");
    }

    #[test]
    fn chunks_are_joined_and_their_signatures_and_trailers_dropped() {
        let unchunk = |text: &'static str| unchunk(Bytes::from_static(text.as_bytes()));
        let signed = "5;chunk-signature=ab\r\nhello\r\n1;chunk-signature=cd\r\n!\r\n0;chunk-signature=ef\r\n\r\n";
        assert_eq!(unchunk(signed).unwrap(), "hello!");
        assert_eq!(unchunk("A\r\n01234\r\n789\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n").unwrap(), "01234\r\n789");
        assert_eq!(unchunk("0\r\n\r\n").unwrap(), "");
        for broken in ["5\r\nhell", "5\r\nhello", "5\r\nhello!\r\n0\r\n\r\n", "x\r\n", "ffffffffffffffff\r\nhello\r\n", ""] {
            assert_eq!(unchunk(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn nothing_of_a_signature_is_left() {
        let uri = "/b/k?x-id=GetObject&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=w%2F1&X-Amz-Signature=0&versions";
        let request = Request::builder()
            .uri(uri)
            .header("authorization", "AWS4-HMAC-SHA256 Credential=w/1")
            .header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .header("x-amz-decoded-content-length", "2")
            .header("content-encoding", "aws-chunked,gzip")
            .body(())
            .unwrap();
        let head = request.into_parts().0;
        let bare = bare(head.clone(), Bytes::from_static(b"2\r\nhi\r\n0\r\n\r\n")).unwrap();
        assert_eq!(bare.uri(), "/b/k?x-id=GetObject&versions");
        let headers: Vec<_> = bare.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        assert_eq!(headers, ["content-length: 2", "content-encoding: gzip"]);
        let short = super::bare(head, Bytes::from_static(b"1\r\nh\r\n0\r\n\r\n"));
        assert_eq!(short.err(), Some(Malformed::Body), "a body shorter than announced");
    }
}
