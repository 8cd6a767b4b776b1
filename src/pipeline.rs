//! Composition: the only place that builds the components and joins them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use tokio_util::sync::CancellationToken;

use crate::aws::{AwsError, Failure};
use crate::capture;
use crate::clock::{ServiceClock, WallClock};
use crate::config::Settings;
use crate::consumer::{Consumer, ConsumerError, Context, Counters};
use crate::contract::{Contract, ContractErrors, TableSchema};
use crate::event::AttributeType;
use crate::lake::{Lake, LakeError};
use crate::lease::Checkpoint;
use crate::lease::table::LeaseTable;
use crate::retry::{RetryPolicy, retry};
use crate::route::budget::MemoryBudget;
use crate::route::lake::LakeRoute;
use crate::stream::dynamodb::TableStreams;
use crate::stream::{TableInfo, View};

/// The service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such table.
    #[error("table '{0}' does not exist: create it, or correct table.name, AWS_REGION or AWS_ENDPOINT_URL_DYNAMODB")]
    MissingTable(String),
    /// The table has no stream.
    #[error("table '{0}' has no stream: enable one with the view type NEW_AND_OLD_IMAGES")]
    NoStream(String),
    /// The stream is disabled and everything it held has landed, or nothing is known of what it held.
    #[error("the stream of table '{0}' is disabled: enable it with the view type NEW_AND_OLD_IMAGES, then start again")]
    StreamDisabled(String),
    /// The stream does not carry what replication needs.
    #[error(
        "the stream of table '{table}' carries {view}, which is not enough to replicate the table: disable it and enable it again with the \
         view type NEW_AND_OLD_IMAGES (a stream's view type cannot be changed)"
    )]
    WrongView {
        /// The table.
        table: String,
        /// The view type, as the API spells it.
        view: &'static str,
    },
    /// The contract cannot be read.
    #[error("read the contract {path}")]
    ContractFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The contract has errors, or does not describe this table.
    #[error("{0}")]
    Contract(ContractErrors),
    /// DynamoDB refused or could not be reached.
    #[error(
        "{doing}: check AWS_REGION, the credentials and, for an endpoint that is not AWS's, AWS_ENDPOINT_URL_DYNAMODB and AWS_ENDPOINT_URL_DYNAMODB_STREAMS"
    )]
    Aws {
        /// What was being done.
        doing: String,
        /// What happened.
        #[source]
        source: AwsError,
    },
    /// The lake refused or could not be reached.
    #[error("open the lake")]
    Lake(#[source] LakeError),
}

/// A service that is ready to run.
pub struct Pipeline {
    capture: Consumer,
    lake: Arc<Lake>,
    deadline: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// Everything that was read is durable, checkpoints are written, leases released.
    Clean,
    /// The deadline of the shutdown passed first. What was not durable is read again at the next start.
    Unfinished,
}

impl Pipeline {
    /// Checks everything that can be checked before the first record is read, and joins the components. `clock` serves until the first answer of
    /// DynamoDB tells its time.
    pub async fn build(settings: &Settings, sdk: &SdkConfig, clock: WallClock) -> Result<Self, StartError> {
        let stop = CancellationToken::new();
        let name = &settings.table.name;
        let clock = ServiceClock::new(clock);
        let api = Arc::new(TableStreams::new(sdk, name.as_str(), clock.clone()));
        let info = retry(RetryPolicy::START_UP, &stop, || api.table()).await.map_err(|source| match source.failure {
            Failure::NotFound => StartError::MissingTable(name.clone()),
            _ => StartError::Aws { doing: format!("describe table '{name}'"), source },
        })?;
        let schema = Arc::new(schema(settings, &info.keys)?);
        check_view(name, &info)?;
        let leases = Arc::new(LeaseTable::new(sdk, &settings.lease.application, stop));
        let lake = Lake::open(&settings.lake, Arc::clone(&schema), Some(sdk)).await.map_err(StartError::Lake)?;
        let lake = Arc::new(lake);
        let of_leases = |source| StartError::Aws { doing: format!("prepare the lease table '{}'", settings.lease.application), source };
        leases.ensure(settings.lease.create_table).await.map_err(of_leases)?;
        if info.stream.is_some_and(|stream| !stream.enabled) {
            let (held, _) = leases.read().await.map_err(of_leases)?;
            // What is left of a disabled stream is still worth reading; without leases, or with everything landed, there is nothing to do.
            if held.iter().all(|lease| lease.checkpoint == Checkpoint::ShardEnd) {
                return Err(StartError::StreamDisabled(name.clone()));
            }
        }
        let route = Arc::new(LakeRoute::new(Arc::clone(&lake), MemoryBudget::new(settings.memory_budget)));
        let context = Context::new(
            capture::source(api, &schema, settings.stream.clone()),
            leases,
            route,
            Arc::clone(&lake),
            settings.lease.failover,
            owner(settings.lease.worker.as_deref()),
            clock,
        );
        Ok(Self { capture: Consumer::new(context), lake, deadline: settings.shutdown_deadline })
    }

    /// What capture has done so far.
    pub fn counters(&self) -> Arc<Counters> {
        self.capture.counters()
    }

    /// The lake, and what has landed in it so far.
    pub fn lake(&self) -> Arc<Lake> {
        Arc::clone(&self.lake)
    }

    /// Runs until `stop` is cancelled, then finishes what was begun within the deadline.
    pub async fn run(self, stop: CancellationToken) -> Result<Ended, ConsumerError> {
        // Capture cancels it too when it fails: the deadline holds for that shutdown as well.
        let stop = stop.child_token();
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(self.deadline).await;
        };
        tokio::select! {
            ended = self.capture.run(stop.clone()) => ended.map(|()| Ended::Clean),
            () = late => Ok(Ended::Unfinished),
        }
    }
}

/// The table's columns, from its contract or from its keys alone.
fn schema(settings: &Settings, keys: &[(String, AttributeType)]) -> Result<TableSchema, StartError> {
    let Some(path) = &settings.table.contract else {
        return Ok(TableSchema::keys_only(&settings.table.name, keys.to_vec()));
    };
    let text = std::fs::read_to_string(path).map_err(|source| StartError::ContractFile { path: path.clone(), source })?;
    Contract::parse(&text, &path.display().to_string())
        .and_then(|contract| contract.table_schema(&settings.table.name, Some(keys)))
        .map_err(StartError::Contract)
}

fn check_view(table: &str, info: &TableInfo) -> Result<(), StartError> {
    if info.stream.is_none() {
        return Err(StartError::NoStream(table.to_owned()));
    }
    let view = match info.view {
        // The specification is gone once a stream is disabled; then its records tell.
        View::NewAndOldImages | View::Unknown => return Ok(()),
        View::NewImage => {
            tracing::warn!(table, "the stream carries new images only: no old_ columns, and REMOVE events hold the key alone");
            return Ok(());
        }
        View::OldImage => "OLD_IMAGE",
        View::KeysOnly => "KEYS_ONLY",
    };
    Err(StartError::WrongView { table: table.to_owned(), view })
}

/// The name in the lease table: readable, and different at each start, so that a restarted worker is never taken for its predecessor.
fn owner(worker: Option<&str>) -> String {
    let host = || {
        let name = std::env::var("HOSTNAME").or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname"));
        name.map_or_else(|_| "worker".to_owned(), |name| name.trim().to_owned())
    };
    format!("{}/{}", worker.map_or_else(host, str::to_owned), uuid::Uuid::now_v7())
}
