//! Requests and answers as they travel: no SDK stands in between.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

const JSON: &str = "application/x-amz-json-1.0";
/// Nobody verifies signatures here; DynamoDB Local wants a key of letters and digits.
const AUTHORIZATION: &str =
    "AWS4-HMAC-SHA256 Credential=conformance/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0";

/// A service that speaks DynamoDB's protocol.
pub(super) struct Endpoint {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer.
pub(super) struct Reply {
    /// HTTP's status.
    pub(super) status: u16,
    /// The body's JSON.
    pub(super) body: Value,
}

impl Endpoint {
    /// The service at an URL without a path.
    pub(super) fn new(url: &str) -> Self {
        Self { url: format!("{url}/"), client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Sends a request of DynamoDB or of DynamoDB Streams, whichever the operation is of. `Err` says what the answer lacks that every
    /// answer has.
    pub(super) async fn post(&self, operation: &str, body: &Value) -> Result<Reply, String> {
        let service = match operation {
            "ListStreams" | "DescribeStream" | "GetShardIterator" | "GetRecords" => "DynamoDBStreams_20120810",
            _ => "DynamoDB_20120810",
        };
        let request = Request::post(&self.url)
            .header("X-Amz-Target", format!("{service}.{operation}"))
            .header(CONTENT_TYPE, JSON)
            .header("Authorization", AUTHORIZATION)
            .body(Full::from(body.to_string()))
            .unwrap();
        let reply = self.client.request(request).await.map_err(|error| format!("no answer: {error:?}"))?;
        let status = reply.status().as_u16();
        let headers = reply.headers().clone();
        let body = reply.into_body().collect().await.map_err(|error| format!("half an answer: {error:?}"))?.to_bytes();
        if headers.get(CONTENT_TYPE).is_none_or(|kind| kind != JSON) {
            return Err(format!("the content type is {:?}", headers.get(CONTENT_TYPE)));
        }
        if !headers.contains_key("x-amzn-requestid") {
            return Err("there is no request id".to_owned());
        }
        let body = serde_json::from_slice(&body).map_err(|error| format!("{error} in {}", String::from_utf8_lossy(&body)))?;
        Ok(Reply { status, body })
    }
}
