//! Answers of the JSON services, as each service heads and words them.

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use serde_json::Value;

use crate::call::{Answer, ApiError};

const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-crc32");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// DynamoDB and its streams name errors by their model and send a checksum; Kinesis and Firehose do neither.
fn is_dynamodb(target: &str) -> bool {
    target.starts_with("DynamoDB")
}

/// The answer to a call: `target` is the header `X-Amz-Target`, `number` the request's, `now` the service's time in milliseconds.
pub(super) fn json(target: &str, result: Answer, number: u64, now: i64) -> Response<Bytes> {
    let (status, body) = match result {
        Ok(body) => (200, body),
        Err(error) => (error.status, error_json(target, error)),
    };
    let checksum = is_dynamodb(target).then(|| crc32fast::hash(&body));
    let mut response = Response::new(body);
    *response.status_mut() = status.try_into().unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let content_type = if is_dynamodb(target) { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(checksum) = checksum {
        headers.insert(CHECKSUM, checksum.into());
    }
    if let Ok(id) = request_id(number).try_into() {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(date) = date(now) {
        headers.insert(DATE, date);
    }
    response
}

/// A request's id, in the form of a UUID.
pub(super) fn request_id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// The header `Date`: clients learn the service's time from it.
pub(super) fn date(now: i64) -> Option<HeaderValue> {
    let now = jiff::Timestamp::from_millisecond(now).ok()?;
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok()?.try_into().ok()
}

fn error_json(target: &str, error: ApiError) -> Bytes {
    let ApiError { code, message, mut details, .. } = error;
    let namespace = match code {
        _ if !is_dynamodb(target) => "",
        "ValidationException" => "com.amazon.coral.validate#",
        "SerializationException" | "UnknownOperationException" => "com.amazon.coral.service#",
        "ThrottlingException" => "com.amazon.coral.availability#",
        _ => "com.amazonaws.dynamodb.v20120810#",
    };
    details.insert("__type".to_owned(), format!("{namespace}{code}").into());
    details.insert("message".to_owned(), message.into());
    Value::Object(details).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(response: &Response<Bytes>, name: &str) -> String {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    #[test]
    fn each_service_heads_its_answers_in_its_own_way() {
        let answer = |target: &str| json(target, Ok(Bytes::from_static(b"{}")), 0x2A, 1_767_225_599_999);
        let dynamodb = answer("DynamoDBStreams_20120810.ListStreams");
        assert_eq!(header(&dynamodb, "content-type"), "application/x-amz-json-1.0");
        assert_eq!(header(&dynamodb, "x-amz-crc32"), "2745614147");
        assert_eq!(header(&dynamodb, "x-amzn-requestid"), "00000000-0000-4000-8000-00000000002a");
        assert_eq!(header(&dynamodb, "date"), "Wed, 31 Dec 2025 23:59:59 GMT");
        let kinesis = answer("Kinesis_20131202.PutRecords");
        assert_eq!(header(&kinesis, "content-type"), "application/x-amz-json-1.1");
        assert_eq!(header(&kinesis, "x-amz-crc32"), "");
    }

    #[test]
    fn errors_bear_the_names_of_their_services() {
        let error = |target: &str, error: ApiError| {
            let response = json(target, Err(error), 0, 0);
            (response.status().as_u16(), String::from_utf8(response.into_body().to_vec()).unwrap())
        };
        let missing = ApiError::not_found("gone");
        let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"gone"}"#;
        assert_eq!(error("DynamoDB_20120810.GetItem", missing.clone()), (400, body.to_owned()));
        let body = r#"{"__type":"ResourceNotFoundException","message":"gone"}"#;
        assert_eq!(error("Kinesis_20131202.GetRecords", missing), (400, body.to_owned()));
        let (_, body) = error("DynamoDB_20120810.GetItem", ApiError::validation("no"));
        assert_eq!(body, r#"{"__type":"com.amazon.coral.validate#ValidationException","message":"no"}"#);
    }

    #[test]
    fn an_error_carries_its_further_members() {
        let mut error = ApiError::new("ConditionalCheckFailedException", "The conditional request failed");
        error.details.insert("Item".to_owned(), serde_json::json!({"a": {"N": "1"}}));
        let body = json("DynamoDB_20120810.PutItem", Err(error), 0, 0).into_body();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["Item"]["a"]["N"], "1");
    }
}
