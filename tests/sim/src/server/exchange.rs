//! One request and its answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::DATE;
use hyper::http::request::Parts;
use hyper::{Request, Response};

use super::answer::{date, json, request_id};
use super::body::AnswerBody;
use super::connection::Broken;
use super::{Shared, request};
use crate::call::{ApiError, Passage};
use crate::faults::{Ending, Instead, Plan, Service, Subject, Turn};
use crate::journal::Event;
use crate::{control, s3};

/// The largest request of a JSON service: DynamoDB takes 16 MB, Kinesis 10 MiB in base64.
const LARGEST_CALL: usize = 32 << 20;
/// The largest object in one request. S3 takes 5 GiB, but objects are kept in memory here.
const LARGEST_OBJECT: usize = 1 << 30;

/// Answers a request, or breaks its connection.
pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<AnswerBody>, Broken> {
    let (head, body) = request.into_parts();
    let most = if request::target(&head).is_some() { LARGEST_CALL } else { LARGEST_OBJECT };
    if body.size_hint().lower() > most as u64 {
        return Ok(too_large(&shared, &head).map(AnswerBody::Whole));
    }
    // What has not arrived whole has no effect.
    let body = match Limited::new(body, most).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Ok(too_large(&shared, &head).map(AnswerBody::Whole)),
        Err(_) => return Err(Broken::Closed),
    };
    if let Some(response) = intercepted(&shared, &head, &body) {
        return Ok(response.map(AnswerBody::Whole));
    }
    if let Some(response) = control::answer(&shared.cloud, &shared.faults, shared.intercept.as_deref(), &head, &body) {
        return Ok(response.map(AnswerBody::Whole));
    }

    take(shared, head, body).await
}

/// Carries a request to its service, with whatever it meets on the way, and brings the answer back.
pub(super) async fn take(shared: Arc<Shared>, head: Parts, body: Bytes) -> Result<Response<AnswerBody>, Broken> {
    let worker = request::worker(&head);
    let operation = operation(&head);
    let now = shared.cloud.clock.now();
    let path = if request::target(&head).is_some() { "" } else { head.uri.path() };
    let service = Service::of(request::target(&head));
    let mut plan = shared.faults.decide(&Subject { service, operation, worker, now, path, body: &body });
    for (_, what) in plan.certain() {
        shared.cloud.journal.record(now, worker, Event::Fault { operation: operation.to_owned(), what: what.to_owned() });
    }
    let ending = plan.ending;
    // A request that is late has not arrived yet, and queues up when it does.
    let turn = if plan.delay.is_zero() { shared.faults.turn(worker, &shared.cloud.clock) } else { None };
    let held_up = turn.is_some() || !plan.delay.is_zero();
    plan.quirks.passage = Passage { held_up, heard_after: plan.heard_after() };
    let response = if held_up {
        // In a task of its own it outlives a connection whose client gives up meanwhile.
        tokio::spawn(late_effect(shared, head, body, plan, turn)).await.unwrap_or(Err(Broken::Closed))
    } else {
        // From here to the effect nothing waits, so nothing can come in between.
        effect(&shared, head, body, &plan).await
    }?;
    finish(response, ending).await
}

/// The answer to a request that is larger than any service takes.
fn too_large(shared: &Shared, head: &Parts) -> Response<Bytes> {
    match request::target(head) {
        None => s3::too_large(),
        Some(target) => {
            let error = ApiError { status: 413, ..ApiError::new("RequestEntityTooLarge", "The request is too large.") };
            json(target, Err(error), shared.number(), shared.cloud.clock.now())
        }
    }
}

/// What is answered in the models' stead.
fn intercepted(shared: &Shared, head: &Parts, body: &Bytes) -> Option<Response<Bytes>> {
    let target = request::target(head)?;
    let result = shared.intercept.as_ref()?.intercept(target, request::worker(head), body)?;
    Some(json(target, result, shared.number(), shared.cloud.clock.now()))
}

fn operation(head: &Parts) -> &str {
    match request::target(head) {
        Some(target) => target.split_once('.').map_or(target, |(_, operation)| operation),
        None => s3::operation(&head.method, &head.uri, &head.headers),
    }
}

/// The effect of a request that is late, or that has its turn in the queue of its paused worker; none if the server ends before.
async fn late_effect(shared: Arc<Shared>, head: Parts, body: Bytes, plan: Plan, mut turn: Option<Turn>) -> Result<Response<Bytes>, Broken> {
    let mut end = shared.open.clone();
    let turn = async {
        if !plan.delay.is_zero() {
            tokio::time::sleep(plan.delay).await;
            turn = shared.faults.turn(request::worker(&head), &shared.cloud.clock);
        }
        match turn {
            Some(turn) => Some(turn.come(&shared.cloud.clock).await),
            None => None,
        }
    };
    let _held = tokio::select! {
        queued = turn => queued,
        Err(_) = end.changed() => return Err(Broken::Closed),
    };
    effect(&shared, head, body, &plan).await
}

/// What a request does, and its answer.
async fn effect(shared: &Shared, head: Parts, body: Bytes, plan: &Plan) -> Result<Response<Bytes>, Broken> {
    let (number, now) = (shared.number(), shared.cloud.clock.now());
    let Some(target) = request::target(&head) else {
        let (worker, operation) = (request::worker(&head).to_owned(), operation(&head).to_owned());
        let mut response = match plan.instead {
            Some(Instead::Reset) => return Err(Broken::Reset),
            Some(Instead::Throttle(_)) => s3::slow_down(),
            Some(Instead::ServerError(error)) => s3::server_error(error),
            None => shared.s3.answer(head, body, &plan.quirks).await,
        };
        shared.tell_quirks(&worker, &operation, now, plan);
        let headers = response.headers_mut();
        if let Ok(id) = request_id(number).try_into() {
            headers.insert("x-amz-request-id", id);
        }
        if let Some(date) = date(now) {
            headers.insert(DATE, date);
        }
        return Ok(response);
    };
    let service = target.split_once('.').map_or(target, |(service, _)| service);
    let result = match plan.instead {
        Some(Instead::Reset) => return Err(Broken::Reset),
        Some(Instead::Throttle(throttle)) => Err(throttle.error()),
        Some(Instead::ServerError(error)) => Err(error.error(service)),
        None if is_binary(&head) => {
            Err(ApiError::new("SerializationException", "the simulator speaks JSON; tell the client not to use CBOR (CBOR_ENABLED=false)"))
        }
        None => shared.cloud.call(target, request::worker(&head), &body, &plan.quirks),
    };
    shared.tell_quirks(request::worker(&head), operation(&head), now, plan);
    Ok(json(target, result, number, now))
}

/// Whether a client of Kinesis speaks CBOR, as some do unless they are told otherwise.
fn is_binary(head: &Parts) -> bool {
    head.headers.get("content-type").is_some_and(|value| value.as_bytes().starts_with(b"application/x-amz-cbor"))
}

/// What becomes of an answer.
async fn finish(response: Response<Bytes>, ending: Option<Ending>) -> Result<Response<AnswerBody>, Broken> {
    let empty = response.body().is_empty();
    match ending {
        None => {}
        // There is nothing to cut an empty body in two.
        Some(Ending::Truncated) if empty => return Err(Broken::Closed),
        Some(Ending::Lost) => return Err(Broken::Closed),
        Some(Ending::Late(Some(by))) => tokio::time::sleep(by).await,
        Some(Ending::Late(None)) => std::future::pending().await,
        Some(Ending::Slow(pieces, gap)) => return Ok(response.map(|body| AnswerBody::slow(&body, pieces, gap))),
        Some(Ending::Truncated) => return Ok(response.map(|body| AnswerBody::truncated(&body))),
    }
    Ok(response.map(AnswerBody::Whole))
}

impl Shared {
    /// Counts and writes down what went wrong inside the service.
    fn tell_quirks(&self, worker: &str, operation: &str, now: i64, plan: &Plan) {
        self.faults.count_shown(plan);
        for (_, what) in plan.shown() {
            self.cloud.journal.record(now, worker, Event::Fault { operation: operation.to_owned(), what: what.to_owned() });
        }
    }

    /// The number of a request.
    fn number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }
}
