//! One write, repeated while that can help.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use tokio_util::sync::CancellationToken;

use super::GenerateError;
use crate::embedded::orders::{Operation, Write};

/// How often a write is tried, on top of the SDK's own three attempts: together about half a minute.
const ATTEMPTS: u32 = 8;

/// The first wait's upper bound; it doubles up to [`LONGEST_WAIT`], and the wait itself is drawn below it.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How a write ended, when it did not end everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The table has it.
    Done,
    /// The order is gone, or the service stayed too busy.
    GivenUp,
}

/// What an error means for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Busy or unreachable just now.
    Retry,
    /// The condition failed: the order does not exist any more.
    Gone,
    /// No repetition helps.
    Fatal,
}

/// Writes one operation. Updates are conditional on the order's existence: they must not bring a deleted one back in pieces.
pub(super) async fn apply(
    client: &Client,
    table: &str,
    operation: Operation,
    retries: &AtomicU64,
    abort: &CancellationToken,
) -> Result<Outcome, GenerateError> {
    let mut bound = FIRST_WAIT;
    for attempt in 1..=ATTEMPTS {
        let Err((verdict, source)) = send(client, table, &operation).await else { return Ok(Outcome::Done) };
        match verdict {
            Verdict::Gone => return Ok(Outcome::GivenUp),
            Verdict::Retry if attempt < ATTEMPTS && !abort.is_cancelled() => {
                retries.fetch_add(1, Ordering::Relaxed);
                let wait = bound.mul_f64(fastrand::f64());
                bound = (bound * 2).min(LONGEST_WAIT);
                tokio::select! {
                    () = abort.cancelled() => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
            Verdict::Retry if source.code().is_some() => {
                tracing::warn!(order_id = operation.order_id, code = source.code(), attempts = attempt, "gave a write up");
                return Ok(Outcome::GivenUp);
            }
            // Nobody answered, all this time.
            Verdict::Retry | Verdict::Fatal => {
                return Err(GenerateError::Write { table: table.to_owned(), order_id: operation.order_id, source });
            }
        }
    }
    Ok(Outcome::GivenUp)
}

type Failure = (Verdict, Box<aws_sdk_dynamodb::Error>);

async fn send(client: &Client, table: &str, operation: &Operation) -> Result<(), Failure> {
    let order_id = AttributeValue::S(operation.order_id.clone());
    match &operation.write {
        Write::Put(item) => {
            let put = client.put_item().table_name(table).set_item(Some(item.clone()));
            put.send().await.map(drop).map_err(failure)
        }
        Write::Set(set) => {
            let slots = set.iter().enumerate();
            let expression = slots.map(|(at, _)| format!("#{at} = :{at}")).collect::<Vec<_>>().join(", ");
            let names: HashMap<_, _> = set.iter().enumerate().map(|(at, (name, _))| (format!("#{at}"), (*name).to_owned())).collect();
            let values = set.iter().enumerate().map(|(at, (_, value))| (format!(":{at}"), value.clone())).collect();
            let update = client
                .update_item()
                .table_name(table)
                .key("order_id", order_id)
                .update_expression(format!("SET {expression}"))
                .condition_expression("attribute_exists(order_id)")
                .set_expression_attribute_names(Some(names))
                .set_expression_attribute_values(Some(values));
            update.send().await.map(drop).map_err(failure)
        }
        Write::Delete => {
            let delete = client.delete_item().table_name(table).key("order_id", order_id);
            delete.send().await.map(drop).map_err(failure)
        }
    }
}

fn failure<E>(error: SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata,
    aws_sdk_dynamodb::Error: From<SdkError<E>>,
{
    (verdict(&error), Box::new(error.into()))
}

fn verdict<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Verdict {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => Verdict::Retry,
        SdkError::ServiceError(context) => match context.err().code() {
            Some("ConditionalCheckFailedException") => Verdict::Gone,
            Some("ThrottlingException" | "ProvisionedThroughputExceededException" | "RequestLimitExceeded" | "LimitExceededException") => {
                Verdict::Retry
            }
            _ if context.raw().status().is_server_error() => Verdict::Retry,
            _ => Verdict::Fatal,
        },
        // The enum may grow; what it does not have today is not known to pass by itself.
        _ => Verdict::Fatal,
    }
}

/// The endpoint does not serve the operation at all.
pub(super) fn is_unknown_operation<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.code() == Some("UnknownOperationException")
}
