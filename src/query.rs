//! SQL over the lake: the views `changes`, `snapshots` and `current`, and the proof that `current` equals the table ([`verify`]).
//!
//! - `changes`: every change event that has landed, with the partition columns `dt` and `hr`. Parquet and NDJSON objects are read alike,
//!   so a lake whose format was changed stays one table. A predicate on `dt` or `hr` leaves objects of other hours unopened.
//! - `snapshots`: one row per completed snapshot.
//! - `current`: the table's state as far as the lake knows it: the rows of the latest completed snapshot of the whole table, below all stream changes
//!   since that snapshot's start; of each key the latest `cdc_sequence` wins, and a REMOVE hides the key. A completed snapshot of a part of the table
//!   that started later stands in for the whole one at the keys that it has.
//!
//! A session may define further views for itself, and others in the place of these ([`Session::run`]).
//!
//! A session reads the lake and never writes it. Numbers stay exact: decimals are read with the lake's own types, never as floating
//! point. Memory is bounded by [`MEMORY`]; what does not fit is spilled to the temporary directory.

mod bridge;
pub mod render;
mod script;
mod snapshots;
pub mod verify;
mod views;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aws_config::SdkConfig;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

pub use self::script::Script;
use self::snapshots::Ground;
use crate::contract::TableSchema;
use crate::lake::{LakeError, LakeLocation, LakeStore, Marker};

/// What a session's operators may hold in memory, in bytes, before they spill.
pub const MEMORY: usize = 256 * 1024 * 1024;

/// Each partition of a sort reserves memory of its own, so their number is kept small against [`MEMORY`] on machines with many cores.
const MAX_PARTITIONS: usize = 8;

/// Rows in a batch. DynamoDB items reach 400 KB, so that DataFusion's default of 8,192 rows could exceed [`MEMORY`] in one batch.
const BATCH_ROWS: usize = 2048;

/// Under which name the session's object store is registered. Never leaves the process.
const STORE: &str = "headwater://lake/";

/// The lake cannot be opened, or a query failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The lake's folder does not exist.
    #[error("open lake {}: there is no such folder; give the folder that `headwater run` writes to", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The lake's store cannot be opened.
    #[error(transparent)]
    Open(#[from] LakeError),
    /// The lake has no `schema.json` for the table.
    #[error("the lake has no table '{table}' ({}); a table appears once `headwater run` has landed its first changes", tables(known))]
    NoSuchTable {
        /// The table that was asked for.
        table: String,
        /// The tables that the lake has.
        known: Vec<String>,
    },
    /// The lake's store refused a read.
    #[error("{doing}")]
    Read {
        /// What was being read.
        doing: String,
        /// The store's answer.
        #[source]
        source: object_store::Error,
    },
    /// An object that describes the lake cannot be understood.
    #[error("read {path} of the lake: it is not what this version of headwater writes; restore it from a backup or remove it")]
    Malformed {
        /// The object, relative to the table.
        path: String,
        /// Where it is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The statement is not valid, or it is not a query.
    #[error("plan the query (the views are changes, snapshots and current)")]
    Plan(#[source] DataFusionError),
    /// A statement of a script is not valid, or it is not one that may be run.
    #[error("plan {place} (the views are changes, snapshots and current, and what is defined before it)")]
    Statement {
        /// What the statement is called.
        place: String,
        /// What is wrong with it.
        #[source]
        source: DataFusionError,
    },
    /// A statement that is not the last neither defines a view nor may be run.
    #[error(
        "{place} defines no view: before the query, CREATE VIEW and CREATE OR REPLACE VIEW are allowed, and only one query is printed, the last"
    )]
    NoView {
        /// What the statement is called.
        place: String,
    },
    /// There are views at most, and nothing is asked.
    #[error("there is no query{}: give one as an argument, such as \"SELECT * FROM current LIMIT 10\"", behind(last.as_ref()))]
    NoQuery {
        /// What the last statement is called, if there is one.
        last: Option<String>,
    },
    /// The query failed while it ran.
    #[error("run the query")]
    Run(#[source] DataFusionError),
}

/// The part of [`QueryError::NoSuchTable`] that says what there is instead.
fn tables(known: &[String]) -> String {
    if known.is_empty() { "it has none".to_owned() } else { format!("it has: {}", known.join(", ")) }
}

/// The part of [`QueryError::NoQuery`] that says where one is missed.
fn behind(last: Option<&String>) -> String {
    last.map_or_else(String::new, |last| format!(" behind {last}"))
}

/// An open lake table.
pub struct Session {
    context: SessionContext,
    store: Arc<dyn ObjectStore>,
    schema: TableSchema,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("table", &self.schema.table).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens a table of the lake by its `schema.json`. `aws` is needed for S3 alone.
    pub async fn open(lake: &LakeLocation, table: &str, aws: Option<&SdkConfig>) -> Result<Self, QueryError> {
        if let LakeLocation::Folder(folder) = lake
            && !folder.is_dir()
        {
            // The writer creates the folder, a reader must not.
            return Err(QueryError::NoFolder { folder: folder.clone() });
        }
        let LakeStore { store, prefix, .. } = LakeStore::connect(lake, None, aws)?;
        Self::over(store, &prefix, table).await
    }

    /// Opens a table of the lake that lies under `prefix` of a store.
    pub async fn over(lake: Arc<dyn ObjectStore>, prefix: &Path, table: &str) -> Result<Self, QueryError> {
        let Some(schema) = read_schema(&lake, prefix, table).await? else {
            return Err(QueryError::NoSuchTable { table: table.to_owned(), known: known_tables(&lake, prefix).await? });
        };
        let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(lake, prefix.clone().join(table)));
        let context = context(Arc::clone(&store)).map_err(QueryError::Plan)?;
        let session = Self { context, store, schema };
        session.refresh().await?;
        Ok(session)
    }

    /// Takes notice of snapshots that were completed since the session was opened. New changes need no refresh: every query lists
    /// the lake anew.
    pub async fn refresh(&self) -> Result<(), QueryError> {
        let snapshots = self.snapshots().await?;
        let views = views::build(&self.context, &self.schema, &snapshots).map_err(QueryError::Plan)?;
        for (name, view) in views {
            self.context.deregister_table(name).map_err(QueryError::Plan)?;
            self.context.register_table(name, view).map_err(QueryError::Plan)?;
        }
        Ok(())
    }

    /// The table's columns in the lake.
    pub const fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// Runs a query and hands its rows out as they come. Statements that would write are refused.
    pub async fn query(&self, sql: &str) -> Result<SendableRecordBatchStream, QueryError> {
        let frame = self.context.sql_with_options(sql, script::read_only()).await.map_err(QueryError::Plan)?;
        frame.execute_stream().await.map_err(QueryError::Run)
    }

    /// The markers of completed snapshots, in the order of their starts.
    async fn snapshots(&self) -> Result<Vec<Marker>, QueryError> {
        snapshots::read(&self.store).await
    }

    /// The latest completed snapshot of the whole table.
    pub(crate) async fn latest_whole(&self) -> Result<Option<Marker>, QueryError> {
        Ok(Ground::of(&self.snapshots().await?).whole.cloned())
    }

    /// The latest completed snapshot of the whole table, and the last word on each key that was heard of since its start; none without one.
    pub(crate) async fn since_whole(&self) -> Result<Option<(Marker, DataFrame)>, QueryError> {
        let snapshots = self.snapshots().await?;
        let Some(whole) = Ground::of(&snapshots).whole.cloned() else { return Ok(None) };
        let words = views::since_whole(&self.context, &self.schema, &snapshots).map_err(QueryError::Plan)?;
        Ok(Some((whole, words)))
    }

    /// A view as a data frame, for queries that are built rather than written.
    pub(crate) async fn view(&self, name: &str) -> Result<DataFrame, QueryError> {
        self.context.table(name).await.map_err(QueryError::Plan)
    }
}

/// A DataFusion session over one table's directory, with bounded memory.
fn context(store: Arc<dyn ObjectStore>) -> Result<SessionContext, DataFusionError> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(MEMORY)))
        // A kept listing would hide the objects that land while a session is open.
        .with_cache_manager(CacheManagerConfig::default().with_list_files_cache_limit(0))
        .build_arc()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut config =
        SessionConfig::new().with_target_partitions(cores.min(MAX_PARTITIONS)).with_batch_size(BATCH_ROWS).with_information_schema(true);
    // `price > 10.1` compares decimals: a literal must not become a float.
    config.options_mut().sql_parser.parse_float_as_decimal = true;
    let context = SessionContext::new_with_config_rt(config, runtime);
    let url = Url::parse(STORE).map_err(|error| DataFusionError::External(Box::new(error)))?;
    context.register_object_store(&url, Arc::new(bridge::Bridge::over(store)));
    Ok(context)
}

/// `schema.json` of a table, if the lake has it.
async fn read_schema(lake: &Arc<dyn ObjectStore>, prefix: &Path, table: &str) -> Result<Option<TableSchema>, QueryError> {
    let path = prefix.clone().join(table).join("schema.json");
    let read = |source| QueryError::Read { doing: format!("read {path} of the lake"), source };
    let body = match lake.get(&path).await {
        Ok(object) => object.bytes().await.map_err(read)?,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(read(error)),
    };
    serde_json::from_slice(&body).map(Some).map_err(|source| QueryError::Malformed { path: path.to_string(), source })
}

/// The directories of the lake that hold a `schema.json`.
async fn known_tables(lake: &Arc<dyn ObjectStore>, prefix: &Path) -> Result<Vec<String>, QueryError> {
    let listed = lake.list_with_delimiter(Some(prefix)).await;
    let directories =
        listed.map_err(|source| QueryError::Read { doing: "list the tables of the lake".to_owned(), source })?.common_prefixes;
    let mut known = Vec::new();
    for directory in directories {
        if lake.head(&directory.clone().join("schema.json")).await.is_ok() {
            known.extend(directory.filename().map(str::to_owned));
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_missing_table_is_reported_with_the_tables_that_exist() {
        let lake: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let orders = TableSchema::keys_only("orders", vec![("id".to_owned(), crate::event::AttributeType::S)]);
        let body = serde_json::to_vec(&orders).unwrap();
        lake.put(&Path::from("base/orders/schema.json"), body.into()).await.unwrap();
        lake.put(&Path::from("base/stray/readme.txt"), "no table".into()).await.unwrap();

        let error = Session::over(lake, &Path::from("base"), "order").await.unwrap_err();

        assert!(error.to_string().starts_with("the lake has no table 'order' (it has: orders)"), "{error}");
    }

    #[tokio::test]
    async fn a_session_does_not_write() {
        let lake: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let orders = TableSchema::keys_only("orders", vec![("id".to_owned(), crate::event::AttributeType::S)]);
        lake.put(&Path::from("orders/schema.json"), serde_json::to_vec(&orders).unwrap().into()).await.unwrap();
        let session = Session::over(lake, &Path::default(), "orders").await.unwrap();

        for statement in ["CREATE TABLE t AS SELECT 1", "INSERT INTO changes SELECT * FROM changes", "COPY (SELECT 1) TO 'x.csv'"] {
            assert!(session.query(statement).await.is_err(), "{statement}");
        }
        assert!(session.query("SELECT count(*) FROM current").await.is_ok());
    }
}
