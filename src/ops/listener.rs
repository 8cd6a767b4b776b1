//! The HTTP listener. It answers from memory, without locks that anybody holds for long, and never waits for a service.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;

use super::Health;
use super::exposition;
use super::status::Status;
use crate::config::Listen;

/// A body that lists every shard of a thousand helps nobody; `/status` has all of them.
const MOST_REASONS: usize = 20;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address} for health checks: choose another address for health.listen, or \"off\"")]
pub struct ListenError {
    /// The address of the configuration.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

/// Takes the address of the configuration; none where nobody is to be answered, or somebody else answers there.
pub async fn bind(listen: Listen) -> Result<Option<TcpListener>, ListenError> {
    let address = match listen {
        Listen::Off => return Ok(None),
        Listen::IfFree(address) | Listen::At(address) => address,
    };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) if matches!(listen, Listen::IfFree(_)) && source.kind() == ErrorKind::AddrInUse => {
            tracing::warn!(%address, "another process listens there: this one answers no health checks; set health.listen to an address of its own");
            Ok(None)
        }
        Err(source) => Err(ListenError { address, source }),
    }
}

/// Answers until the future is dropped.
pub async fn serve(listener: TcpListener, health: Arc<Health>) {
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .with_state(health);
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(%error, "health checks are not answered any more");
    }
}

async fn livez() -> Response<String> {
    respond(StatusCode::OK, TEXT, "alive\n".to_owned())
}

async fn readyz(State(health): State<Arc<Health>>) -> Response<String> {
    let reasons = health.reading().reasons;
    if reasons.is_empty() {
        return respond(StatusCode::OK, TEXT, "ready\n".to_owned());
    }
    let mut body = String::new();
    for reason in reasons.iter().take(MOST_REASONS) {
        // A reason with lines of its own, such as a service's words, stays one line.
        let _ = writeln!(body, "{}", reason.to_string().replace(['\r', '\n'], " "));
    }
    if reasons.len() > MOST_REASONS {
        let _ = writeln!(body, "and {} more: see /status", reasons.len() - MOST_REASONS);
    }
    respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, body)
}

async fn metrics(State(health): State<Arc<Health>>) -> Response<String> {
    match exposition::expose(health.reading()) {
        Ok(body) => respond(StatusCode::OK, exposition::MEDIA_TYPE, body),
        Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("encode the metrics: {error}\n")),
    }
}

async fn status(State(health): State<Arc<Health>>) -> Response<String> {
    match serde_json::to_string_pretty(&Status::from(&health.reading())) {
        Ok(body) => respond(StatusCode::OK, JSON, format!("{body}\n")),
        Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("encode the status: {error}\n")),
    }
}

fn respond(status: StatusCode, media_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    // What was true a minute ago is no answer.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn the_default_address_gives_way_to_another_process_and_a_chosen_one_does_not() {
        let (_other, address) = taken().await;
        assert!(bind(Listen::IfFree(address)).await.unwrap().is_none());
        let error = bind(Listen::At(address)).await.unwrap_err();
        assert!(error.to_string().contains(&address.to_string()) && error.to_string().contains("health.listen"), "{error}");
        assert!(bind(Listen::Off).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_address_that_is_not_this_machine_s_is_an_error_whoever_chose_it() {
        // A documentation address (RFC 5737): nobody has it.
        let address = "192.0.2.1:9464".parse().unwrap();
        assert!(bind(Listen::IfFree(address)).await.is_err());
    }
}
