//! The operations of DynamoDB: dynoxide's, with what it lacks.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use dynoxide::actions::{self, TableDescription, vector_lifecycle::VectorIndexLifecycle};
use dynoxide::storage::Storage;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::engine::{Engine, Handle, now};
use super::wire::{Refusal, inward, outward, read};
use super::{registry, streams};

/// How long DynamoDB remembers a client request token.
const TOKEN_LIFE: Duration = Duration::from_mins(10);

/// Answers of transactions by operation and client request token, so that a retried transaction is not done twice.
#[derive(Debug, Default)]
pub(super) struct Replays(HashMap<(&'static str, String), Replay>);

#[derive(Debug)]
struct Replay {
    at: Instant,
    request: u64,
    answer: String,
}

/// Answers a request of the target `DynamoDB_20120810.<operation>`.
pub(super) async fn call(engine: &Handle, operation: &str, body: &str) -> Result<String, Refusal> {
    match operation {
        "PutItem" => run(engine, body, |s, q| now(actions::put_item::execute(s, q))).await,
        "GetItem" => run(engine, body, |s, q| now(actions::get_item::execute(s, q))).await,
        "UpdateItem" => run(engine, body, |s, q| now(actions::update_item::execute(s, q))).await,
        "DeleteItem" => run(engine, body, |s, q| now(actions::delete_item::execute(s, q))).await,
        "Query" => run(engine, body, |s, q| now(actions::query::execute(s, q))).await,
        "Scan" => run(engine, body, |s, q| now(actions::scan::execute(s, q))).await,
        "BatchGetItem" => run(engine, body, |s, q| now(actions::batch_get_item::execute(s, q))).await,
        "BatchWriteItem" => run(engine, body, |s, q| now(actions::batch_write_item::execute(s, q))).await,
        "TransactGetItems" => run(engine, body, |s, q| now(actions::transact_get_items::execute(s, q))).await,
        "TransactWriteItems" => once(engine, "TransactWriteItems", body, |s, q| now(actions::transact_write_items::execute(s, q))).await,
        "ExecuteStatement" => run(engine, body, |s, q| now(actions::execute_statement::execute(s, q))).await,
        "BatchExecuteStatement" => run(engine, body, |s, q| now(actions::batch_execute_statement::execute(s, q))).await,
        "ExecuteTransaction" => once(engine, "ExecuteTransaction", body, |s, q| now(actions::execute_transaction::execute(s, q))).await,
        "ListTables" => run(engine, body, |s, q| now(actions::list_tables::execute(s, q))).await,
        "DescribeTimeToLive" => run(engine, body, |s, q| now(actions::describe_time_to_live::execute(s, q))).await,
        "UpdateTimeToLive" => settings(engine, body, |s, q, _| now(actions::update_time_to_live::execute(s, q)), |_, _| Ok(())).await,
        "TagResource" => settings(engine, body, |s, q, _| now(actions::tag_resource::execute(s, q)), |_, _| Ok(())).await,
        "UntagResource" => settings(engine, body, |s, q, _| now(actions::untag_resource::execute(s, q)), |_, _| Ok(())).await,
        "ListTagsOfResource" => settings(engine, body, |s, q, _| now(actions::list_tags_of_resource::execute(s, q)), |_, _| Ok(())).await,
        "CreateTable" => {
            let create = |s: &Storage, q, _: &VectorIndexLifecycle| now(actions::create_table::execute(s, q));
            settings(engine, body, create, |s, answer| name_stream(s, &mut answer.table_description)).await
        }
        "DescribeTable" => {
            let describe = |s: &Storage, q, life: &VectorIndexLifecycle| now(actions::describe_table::execute(s, q, life));
            settings(engine, body, describe, |s, answer| name_stream(s, &mut answer.table)).await
        }
        "UpdateTable" => {
            streams::check_update(engine, read(body)?).await?;
            let update = |s: &Storage, q, life: &VectorIndexLifecycle| now(actions::update_table::execute(s, q, life));
            settings(engine, body, update, |s, answer| name_stream(s, &mut answer.table_description)).await
        }
        "DeleteTable" => {
            let delete = |s: &Storage, q, life: &VectorIndexLifecycle| now(actions::delete_table::execute(s, q, life));
            settings(engine, body, delete, |s, answer| name_stream(s, &mut answer.table_description)).await
        }
        _ => Err(Refusal::unknown_operation()),
    }
}

/// Reads the request here, acts on the engine's thread, writes the answer here.
async fn run<Q, A>(
    engine: &Handle,
    body: &str,
    act: impl FnOnce(&Storage, Q) -> dynoxide::Result<A> + Send + 'static,
) -> Result<String, Refusal>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
{
    let request = read(body)?;
    let answer = engine.with(move |engine| act(&engine.storage, request)).await??;
    write(&answer)
}

/// As [`run`], for what speaks of tables: ARNs carry this service's Region, and streams and expiry follow the tables' settings.
async fn settings<Q, A>(
    engine: &Handle,
    body: &str,
    act: impl FnOnce(&Storage, Q, &VectorIndexLifecycle) -> dynoxide::Result<A> + Send + 'static,
    complete: impl FnOnce(&Storage, &mut A) -> dynoxide::Result<()> + Send + 'static,
) -> Result<String, Refusal>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
{
    let request = read(&inward(body))?;
    let answer = engine
        .with(move |engine| {
            let mut answer = act(&engine.storage, request, &VectorIndexLifecycle::new())?;
            engine.tables_changed()?;
            complete(&engine.storage, &mut answer)?;
            dynoxide::Result::Ok(answer)
        })
        .await??;
    Ok(outward(&write(&answer)?))
}

/// As [`run`], but a repeated client request token gets the first answer again.
async fn once<Q, A>(
    engine: &Handle,
    operation: &'static str,
    body: &str,
    act: impl FnOnce(&Storage, Q) -> dynoxide::Result<A> + Send + 'static,
) -> Result<String, Refusal>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
{
    #[derive(Deserialize)]
    struct Token {
        #[serde(rename = "ClientRequestToken")]
        token: Option<String>,
    }
    let Some(token) = read::<Token>(body)?.token else { return run(engine, body, act).await };
    let request = read(body)?;
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let hash = hasher.finish();
    let replayed = move |engine: &mut Engine| {
        engine.replays.0.retain(|_, replay| replay.at.elapsed() < TOKEN_LIFE);
        let key = (operation, token);
        match engine.replays.0.get(&key) {
            Some(replay) if replay.request == hash => Ok(replay.answer.clone()),
            Some(_) => {
                Err(Refusal::new("IdempotentParameterMismatchException", "The client request token was used before with other parameters"))
            }
            None => {
                let answer = write(&act(&engine.storage, request)?)?;
                engine.replays.0.insert(key, Replay { at: Instant::now(), request: hash, answer: answer.clone() });
                Ok(answer)
            }
        }
    };
    engine.with(replayed).await?
}

fn write<A: Serialize>(answer: &A) -> Result<String, Refusal> {
    serde_json::to_string(answer).map_err(|error| dynoxide::DynoxideError::InternalServerError(error.to_string()).into())
}

/// Names the table's newest stream, also when it is disabled, as DescribeTable does.
fn name_stream(storage: &Storage, table: &mut TableDescription) -> dynoxide::Result<()> {
    let newest = registry::streams(storage, Some(&table.table_name))?.pop();
    (table.latest_stream_arn, table.latest_stream_label) = newest.map(|stream| (stream.arn, stream.label)).unzip();
    Ok(())
}
