//! The HTTP front: AWS's JSON protocol to and from the operations.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::engine::Handle;
use super::wire::Refusal;
use super::{REGION, operations, streams};

/// DynamoDB's limit of a request.
const MAX_REQUEST: usize = 16 * 1024 * 1024;

/// The media type of AWS's JSON protocol, version 1.0.
const AMZ_JSON: &str = "application/x-amz-json-1.0";

/// Serves until `stop`, then lets requests in flight finish.
pub(super) async fn serve(listener: TcpListener, engine: Handle, stop: CancellationToken) -> std::io::Result<()> {
    let app = Router::new().fallback(answer).with_state(engine);
    // Small answers must not wait for the client's acknowledgement of the last one.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "cannot switch off Nagle's algorithm");
        }
    });
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn answer(State(engine): State<Handle>, request: Request) -> Response<Body> {
    if request.method() != Method::POST {
        // What DynamoDB's endpoint says to a health check.
        return respond(StatusCode::OK, "text/plain", format!("healthy: dynamodb.{REGION}.amazonaws.com "));
    }
    match call(&engine, request).await {
        Ok(body) => respond(StatusCode::OK, AMZ_JSON, body),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            respond(status, AMZ_JSON, refusal.body)
        }
    }
}

async fn call(engine: &Handle, request: Request) -> Result<String, Refusal> {
    let (head, body) = request.into_parts();
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let Some((service, operation)) = target.split_once('.') else { return Err(Refusal::unknown_operation()) };
    let body = to_bytes(body, MAX_REQUEST)
        .await
        .map_err(|_too_long_or_cut| Refusal::serialization("The request's body is longer than 16 MB or was cut off"))?;
    let body = std::str::from_utf8(&body).map_err(|_not_text| Refusal::serialization("The request's body is not UTF-8"))?;
    match service {
        "DynamoDB_20120810" => operations::call(engine, operation, body).await,
        "DynamoDBStreams_20120810" => streams::call(engine, operation, body).await,
        _ => Err(Refusal::unknown_operation()),
    }
}

fn respond(status: StatusCode, media_type: &'static str, body: String) -> Response<Body> {
    let mut crc = flate2::Crc::new();
    crc.update(body.as_bytes());
    let request_id = Uuid::now_v7().simple().to_string().to_ascii_uppercase();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert("x-amz-crc32", HeaderValue::from(crc.sum()));
    if let Ok(id) = HeaderValue::try_from(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}
