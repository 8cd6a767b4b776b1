//! Composition: the only place that builds the components and joins them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;

use crate::aws::{AwsError, Failure};
use crate::capture;
use crate::clock::{ServiceClock, WallClock};
use crate::config::{DeliverSettings, DeliverTarget, FirehoseSettings, KinesisSettings, RouteKind, Settings, StreamSettings};
use crate::consumer::{Consumer, ConsumerError, Context, Source, Totals, WatchedStage};
use crate::contract::{Contract, ContractErrors, TableSchema};
use crate::deliver;
use crate::event::AttributeType;
use crate::lake::{Lake, LakeError, Origin};
use crate::lease::Checkpoint;
use crate::lease::table::LeaseTable;
use crate::notify::{self, InvalidWebhook, Notifier, Rhythm, Sink};
use crate::redrive::{Checkpoints, Redrive, StageRoute};
use crate::retry::{RetryPolicy, retry};
use crate::route::budget::MemoryBudget;
use crate::route::counters::RouteCounters;
use crate::route::firehose::{FirehoseRoute, LONGEST_DELIVERY};
use crate::route::kinesis::KinesisRoute;
use crate::route::lake::LakeRoute;
use crate::route::{Route, RouteError};
use crate::snapshot::{self, Runner, TableReader, runner};
use crate::stream::dynamodb::TableStreams;
use crate::stream::kinesis::KinesisStream;
use crate::stream::{StreamApi, TableInfo, View};

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
    /// The Kinesis stream cannot be read.
    #[error(
        "describe the Kinesis stream '{stream}': create it (`headwater init`), or correct kinesis.stream, AWS_REGION or AWS_ENDPOINT_URL_KINESIS"
    )]
    Kinesis {
        /// The stream.
        stream: String,
        /// What happened.
        #[source]
        source: AwsError,
    },
    /// The leases are of another stream.
    #[error(
        "the lease table '{application}' is about {other}, not the Kinesis stream '{stream}': choose another deliver.application, or delete the \
         table if nothing of the other stream is left to be read"
    )]
    OtherStream {
        /// The lease table.
        application: String,
        /// The stream of the configuration.
        stream: String,
        /// The stream of the leases.
        other: String,
    },
    /// The route cannot be used.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The lake refused or could not be reached.
    #[error("open the lake")]
    Lake(#[source] LakeError),
    /// Nobody could be told of what needs a person.
    #[error(transparent)]
    Webhook(#[from] InvalidWebhook),
}

/// No attempt of a call to the lease table is given up sooner: one over a slow network would never succeed.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(1);

/// What was sent to a service, and its name.
pub type Sent = (&'static str, Arc<RouteCounters>);

/// A service that is ready to run.
pub struct Pipeline {
    stages: Vec<Consumer>,
    snapshots: Option<Runner>,
    notifier: Notifier,
    lake: Arc<Lake>,
    budget: Arc<MemoryBudget>,
    sent: Vec<Sent>,
    deadline: Duration,
    stopping: CancellationToken,
}

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// Everything that was read is durable, checkpoints are written, leases released.
    Clean,
    /// The deadline of the shutdown passed first. What was not durable is read again at the next start.
    Unfinished,
}

/// What a running service has done, for whoever watches it.
#[derive(Clone)]
pub struct Watch {
    /// What each stage has taken and how it is doing.
    pub stages: Vec<WatchedStage>,
    /// What was done for snapshots, where this process captures.
    pub snapshots: Option<Arc<snapshot::Counters>>,
    /// What was sent to each service, by its name.
    pub sent: Vec<Sent>,
    /// The lake, and what has landed in it.
    pub lake: Arc<Lake>,
    /// What is held in memory for the route, and how much may be.
    pub budget: Arc<MemoryBudget>,
}

impl Watch {
    /// What all stages together have taken.
    pub fn taken(&self) -> Totals {
        self.stages.iter().map(|stage| stage.counters.totals()).fold(Totals::default(), Totals::plus)
    }
}

/// What the stages are built from.
struct Parts<'s> {
    settings: &'s Settings,
    sdk: &'s SdkConfig,
    clock: WallClock,
    owner: String,
    budget: Arc<MemoryBudget>,
    lake: Arc<Lake>,
    /// Ends waiting between retries of lease tables.
    stop: CancellationToken,
}

impl Pipeline {
    /// Checks everything that can be checked before the first record is read, and joins the components. `clock` serves until the first answer of
    /// a service tells its time.
    pub async fn build(settings: &Settings, sdk: &SdkConfig, clock: WallClock) -> Result<Self, StartError> {
        let stop = CancellationToken::new();
        let table = TableStreams::new(sdk, settings.table.name.as_str(), ServiceClock::new(clock.clone()));
        // Deliver alone needs the table for its key only, and not even that where a contract names it: it may run where the table cannot be seen.
        let info = if settings.stages.capture || settings.table.contract.is_none() {
            Some(describe_table(settings, &table, &stop).await?)
        } else {
            None
        };
        let (schema, freshness) = schema(settings, info.as_ref().map(|info| info.keys.as_slice()))?;
        let schema = Arc::new(schema);
        if let (Some(info), true) = (&info, settings.stages.capture) {
            check_view(&settings.table.name, info)?;
        }
        let lake = Arc::new(Lake::open(&settings.lake, schema, Some(sdk)).await.map_err(StartError::Lake)?);
        if settings.stages.capture && settings.stages.deliver && settings.route != RouteKind::Kinesis {
            tracing::warn!("route.kind is not \"kinesis\": what deliver reads is written by somebody else");
        }
        let parts = Parts {
            settings,
            sdk,
            clock,
            owner: owner(settings.lease.worker.as_deref()),
            budget: MemoryBudget::new(settings.memory_budget),
            lake: Arc::clone(&lake),
            stop,
        };
        let (mut stages, mut sent, mut snapshots) = (Vec::new(), Vec::new(), None);
        if let (Some(info), true) = (&info, settings.stages.capture) {
            let (stage, runner, counters) = parts.capture(info).await?;
            stages.push(stage);
            snapshots = Some(runner);
            sent.extend(counters);
        }
        if let (Some(deliver), Some(kinesis), true) = (&settings.deliver, &settings.kinesis, settings.stages.deliver) {
            let (stage, counters) = parts.deliver(deliver, kinesis).await?;
            stages.push(stage);
            sent.extend(counters);
        }
        let notifier = parts.notifier(&stages, freshness)?;
        Ok(Self {
            stages,
            snapshots,
            notifier,
            lake,
            budget: parts.budget,
            sent,
            deadline: settings.shutdown_deadline,
            stopping: CancellationToken::new(),
        })
    }

    /// What the service has done so far, now and later.
    pub fn watch(&self) -> Watch {
        Watch {
            stages: self.stages.iter().map(Consumer::watch).collect(),
            snapshots: self.snapshots.as_ref().map(Runner::counters),
            sent: self.sent.clone(),
            lake: Arc::clone(&self.lake),
            budget: Arc::clone(&self.budget),
        }
    }

    /// Cancelled when the shutdown begins, whoever began it.
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Runs until `stop` is cancelled, then finishes what was begun within the deadline. When one stage fails, all stop.
    pub async fn run(self, stop: CancellationToken) -> Result<Ended, ConsumerError> {
        // A stage cancels it too when it fails: the deadline holds for that shutdown as well.
        let stop = stop.child_token();
        let late = async {
            stop.cancelled().await;
            self.stopping.cancel();
            tokio::time::sleep(self.deadline).await;
        };
        tokio::pin!(late);
        let mut stages: FuturesUnordered<_> = self.stages.into_iter().map(|stage| stage.run(stop.clone()).boxed()).collect();
        if let Some(snapshots) = self.snapshots {
            stages.push(snapshots.run(stop.clone()).map(Ok).boxed());
        }
        stages.push(self.notifier.run(stop.clone()).map(Ok).boxed());
        let mut failed = None;
        let ended = loop {
            let done = tokio::select! {
                done = stages.next() => done,
                () = &mut late => break Ended::Unfinished,
            };
            match done {
                Some(Ok(())) => {}
                Some(Err(error)) if failed.is_none() => failed = Some(error),
                Some(Err(error)) => tracing::error!(%error, "while shutting down"),
                None => break Ended::Clean,
            }
        };
        // What made the stages stop says more than that one of them was not done in time.
        failed.map_or(Ok(ended), Err)
    }
}

/// What sends records back from quarantine through the routes of the configuration. The service need not run, and may.
pub async fn redrive(settings: &Settings, sdk: &SdkConfig, clock: WallClock) -> Result<Redrive, StartError> {
    let stop = CancellationToken::new();
    let table = TableStreams::new(sdk, settings.table.name.as_str(), ServiceClock::new(clock.clone()));
    // With a contract the table need not be there any more.
    let keys = if settings.table.contract.is_none() { Some(describe_table(settings, &table, &stop).await?.keys) } else { None };
    let schema = Arc::new(schema(settings, keys.as_deref())?);
    let lake = Arc::new(Lake::open(&settings.lake, Arc::clone(&schema), Some(sdk)).await.map_err(StartError::Lake)?);
    let parts = Parts {
        settings,
        sdk,
        clock,
        owner: owner(settings.lease.worker.as_deref()),
        budget: MemoryBudget::new(settings.memory_budget),
        lake: Arc::clone(&lake),
        stop,
    };
    let mut stages = Vec::new();
    if settings.stages.capture {
        stages.push(StageRoute {
            origin: Origin::Capture,
            decode: capture::decoder(&schema),
            route: parts.capture_route().await?.0,
            lands: settings.route == RouteKind::Lake,
            checkpoints: parts.checkpoints(&settings.lease.application).await?,
        });
    }
    if let (Some(deliver), true) = (&settings.deliver, settings.stages.deliver) {
        stages.push(StageRoute {
            origin: Origin::Deliver,
            decode: deliver::decoder(schema, Arc::clone(&lake)),
            route: parts.deliver_route(deliver).await?.0,
            lands: deliver.target == DeliverTarget::Lake,
            checkpoints: parts.checkpoints(&deliver.application).await?,
        });
    }
    Ok(Redrive::new(lake, stages, settings.later_records))
}

impl Parts<'_> {
    /// The capture stage, and what takes snapshots beside it.
    async fn capture(&self, info: &TableInfo) -> Result<(Consumer, Runner, Option<Sent>), StartError> {
        let (settings, clock) = (self.settings, ServiceClock::new(self.clock.clone()));
        let leases = self.leases(&settings.lease.application).await?;
        if info.stream.as_ref().is_some_and(|stream| !stream.enabled) {
            let held = leases.read().await.map_err(|source| of_leases(&settings.lease.application, source))?.leases;
            // What is left of a disabled stream is still worth reading; without leases, or with everything landed, there is nothing to do.
            if held.iter().all(|lease| lease.checkpoint == Checkpoint::ShardEnd) {
                return Err(StartError::StreamDisabled(settings.table.name.clone()));
            }
        }
        let (route, sent) = self.capture_route().await?;
        let api = Arc::new(TableStreams::new(self.sdk, settings.table.name.as_str(), clock.clone()));
        let source = capture::source(Arc::clone(&api) as Arc<dyn StreamApi>, self.lake.schema(), settings.stream.clone());
        let stage = self.stage(source, Arc::clone(&leases), Arc::clone(&route), clock.clone());
        let delivered = settings.deliver.as_ref().map(|deliver| LeaseTable::new(self.sdk, &deliver.application, self.stop.clone()));
        // Firehose tells nobody what it has delivered.
        let to_firehose = settings.deliver.as_ref().is_some_and(|deliver| deliver.target == DeliverTarget::Firehose);
        let after_delivery = if to_firehose { LONGEST_DELIVERY } else { Duration::ZERO };
        let snapshots = Runner::new(runner::Context {
            sdk: self.sdk.clone(),
            leases,
            delivered,
            after_delivery,
            stream: api,
            table: TableReader::new(self.sdk, settings.table.name.as_str(), clock.clone()),
            lake: Arc::clone(&self.lake),
            route,
            settings: settings.snapshot.clone(),
            on_gap: settings.stream.on_gap,
            failover: settings.lease.failover,
            owner: self.owner.clone(),
            clock,
            capture: stage.counters(),
        });
        Ok((stage, snapshots, sent))
    }

    /// The deliver stage.
    async fn deliver(&self, deliver: &DeliverSettings, kinesis: &KinesisSettings) -> Result<(Consumer, Option<Sent>), StartError> {
        let clock = ServiceClock::new(self.clock.clone());
        let leases = self.leases(&deliver.application).await?;
        let (route, sent) = self.deliver_route(deliver).await?;
        let api = Arc::new(KinesisStream::new(self.sdk, kinesis.stream.as_str(), clock.clone()));
        let stream = retry(RetryPolicy::START_UP, &self.stop, || api.current()).await;
        let stream = stream.map_err(|source| StartError::Kinesis { stream: kinesis.stream.clone(), source })?;
        let held = leases.read().await.map_err(|source| of_leases(&deliver.application, source))?.leases;
        if let Some(other) = held.iter().find(|lease| lease.stream.without_creation() != stream.arn.without_creation()) {
            let (application, other) = (deliver.application.clone(), other.stream.without_creation().to_owned());
            return Err(StartError::OtherStream { application, stream: kinesis.stream.clone(), other });
        }
        let reading = StreamSettings { start: deliver.start, ..self.settings.stream.clone() };
        let source = deliver::source(api, Arc::clone(self.lake.schema()), Arc::clone(&self.lake), reading);
        Ok((self.stage(source, leases, route, clock), sent))
    }

    /// What tells people of what needs them.
    fn notifier(&self, stages: &[Consumer], freshness: Option<Duration>) -> Result<Notifier, StartError> {
        let settings = self.settings;
        Ok(Notifier::new(notify::Context {
            stages: stages.iter().map(Consumer::watch).collect(),
            lake: Arc::clone(&self.lake),
            last_stage: if settings.deliver.is_some() { "deliver" } else { "capture" },
            freshness,
            trim_warning: settings.notify.trim_warning,
            sinks: Sink::all(&settings.notify, self.sdk)?,
            owner: self.owner.clone(),
            rhythm: Rhythm::SERVICE,
        }))
    }

    /// Where capture sends changes.
    async fn capture_route(&self) -> Result<(Arc<dyn Route>, Option<Sent>), StartError> {
        let settings = self.settings;
        Ok(match (settings.route, &settings.kinesis, &settings.firehose) {
            (RouteKind::Kinesis, Some(kinesis), _) => {
                let route =
                    KinesisRoute::connect(self.sdk, kinesis, Arc::clone(&self.lake), settings.lake.decimals, Arc::clone(&self.budget))
                        .await?;
                let sent = ("kinesis", route.counters());
                (Arc::new(route), Some(sent))
            }
            (RouteKind::Firehose, _, Some(firehose)) => self.firehose(firehose).await?,
            // The settings are validated: a route has its part.
            (RouteKind::Lake | RouteKind::Kinesis | RouteKind::Firehose, _, _) => (self.lake(), None),
        })
    }

    /// Where deliver sends changes.
    async fn deliver_route(&self, deliver: &DeliverSettings) -> Result<(Arc<dyn Route>, Option<Sent>), StartError> {
        Ok(match (deliver.target, &self.settings.firehose) {
            (DeliverTarget::Firehose, Some(firehose)) => self.firehose(firehose).await?,
            (DeliverTarget::Lake | DeliverTarget::Firehose, _) => (self.lake(), None),
        })
    }

    /// How far the shards of an application are checkpointed. One that never ran has no checkpoint.
    async fn checkpoints(&self, application: &str) -> Result<Checkpoints, StartError> {
        match LeaseTable::new(self.sdk, application, self.stop.clone()).read().await {
            Ok(contents) => Ok(Checkpoints::of(&contents.leases)),
            Err(error) if error.failure == Failure::NotFound => Ok(Checkpoints::default()),
            Err(error) => Err(of_leases(application, error)),
        }
    }

    fn stage(&self, source: Source, leases: Arc<LeaseTable>, route: Arc<dyn Route>, clock: ServiceClock) -> Consumer {
        let failover = self.settings.lease.failover;
        let mut context = Context::new(source, leases, route, Arc::clone(&self.lake), failover, self.owner.clone(), clock);
        context.later_records = self.settings.later_records;
        Consumer::new(context)
    }

    fn lake(&self) -> Arc<dyn Route> {
        Arc::new(LakeRoute::new(Arc::clone(&self.lake), Arc::clone(&self.budget)))
    }

    async fn firehose(&self, firehose: &FirehoseSettings) -> Result<(Arc<dyn Route>, Option<Sent>), StartError> {
        let route = FirehoseRoute::connect(self.sdk, firehose, Arc::clone(&self.lake), Arc::clone(&self.budget)).await?;
        let sent = ("firehose", Arc::clone(route.counters()));
        Ok((Arc::new(route), Some(sent)))
    }

    async fn leases(&self, application: &str) -> Result<Arc<LeaseTable>, StartError> {
        let limit = (self.settings.lease.failover / 3).max(SHORTEST_ATTEMPT);
        let leases = LeaseTable::new(self.sdk, application, self.stop.clone()).answering_within(limit);
        leases.ensure(self.settings.lease.create_table).await.map_err(|source| of_leases(application, source))?;
        Ok(Arc::new(leases))
    }
}

fn of_leases(application: &str, source: AwsError) -> StartError {
    StartError::Aws { doing: format!("prepare the lease table '{application}'"), source }
}

async fn describe_table(settings: &Settings, table: &TableStreams, stop: &CancellationToken) -> Result<TableInfo, StartError> {
    let name = &settings.table.name;
    retry(RetryPolicy::START_UP, stop, || table.table()).await.map_err(|source| match source.failure {
        Failure::NotFound => StartError::MissingTable(name.clone()),
        _ => StartError::Aws { doing: format!("describe table '{name}'"), source },
    })
}

/// The table's columns, from its contract or from its keys alone, and how fresh the contract promises the lake to be.
fn schema(settings: &Settings, keys: Option<&[(String, AttributeType)]>) -> Result<(TableSchema, Option<Duration>), StartError> {
    let Some(path) = &settings.table.contract else {
        return Ok((TableSchema::keys_only(&settings.table.name, keys.unwrap_or_default().to_vec()), None));
    };
    let text = std::fs::read_to_string(path).map_err(|source| StartError::ContractFile { path: path.clone(), source })?;
    Contract::parse(&text, &path.display().to_string())
        .and_then(|contract| Ok((contract.table_schema(&settings.table.name, keys)?, contract.freshness(&settings.table.name))))
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
