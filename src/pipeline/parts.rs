//! The stages and what they are built from.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;

use tokio_util::sync::CancellationToken;

use crate::aws::{AwsError, Failure};
use crate::capture;
use crate::clock::{ServiceClock, WallClock};
use crate::config::{DeliverSettings, DeliverTarget, FirehoseSettings, KinesisSettings, LaterRecords, RouteKind, Settings, StreamSettings};
use crate::consumer::{Consumer, Context, Source};
use crate::contract::{Contract, TableSchema};
use crate::deliver;
use crate::event::AttributeType;
use crate::lake::Lake;
use crate::lease::Checkpoint;
use crate::lease::table::LeaseTable;
use crate::notify::{self, Notifier, Rhythm, Sink};
use crate::redrive::Checkpoints;
use crate::retry::{RetryPolicy, retry};
use crate::route::Route;
use crate::route::budget::MemoryBudget;
use crate::route::firehose::{FirehoseRoute, LONGEST_DELIVERY};
use crate::route::kinesis::KinesisRoute;
use crate::route::lake::LakeRoute;
use crate::snapshot::{Runner, TableReader, runner};
use crate::stream::dynamodb::TableStreams;
use crate::stream::kinesis::KinesisStream;
use crate::stream::{StreamApi, TableInfo, View};

use super::{Sent, StartError};

/// No attempt of a call to the lease table is given up sooner: one over a slow network would never succeed.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(1);

/// What the stages are built from.
pub(super) struct Parts<'s> {
    settings: &'s Settings,
    sdk: &'s SdkConfig,
    clock: WallClock,
    owner: String,
    pub(super) budget: Arc<MemoryBudget>,
    lake: Arc<Lake>,
    /// Ends waiting between retries of lease tables.
    stop: CancellationToken,
}

impl<'s> Parts<'s> {
    /// What stages are built from, with a memory budget of their own.
    pub(super) fn new(settings: &'s Settings, sdk: &'s SdkConfig, clock: WallClock, lake: Arc<Lake>, stop: CancellationToken) -> Self {
        let (owner, budget) = (owner(settings.lease.worker.as_deref()), MemoryBudget::new(settings.memory_budget));
        Self { settings, sdk, clock, owner, budget, lake, stop }
    }
}

impl Parts<'_> {
    /// The capture stage, and what takes snapshots beside it.
    pub(super) async fn capture(&self, info: &TableInfo) -> Result<(Consumer, Runner, Option<Sent>), StartError> {
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
        let stage = self.stage(source, Arc::clone(&leases), Arc::clone(&route), settings.route == RouteKind::Lake, clock.clone());
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
    pub(super) async fn deliver(
        &self,
        deliver: &DeliverSettings,
        kinesis: &KinesisSettings,
    ) -> Result<(Consumer, Option<Sent>), StartError> {
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
        Ok((self.stage(source, leases, route, deliver.target == DeliverTarget::Lake, clock), sent))
    }

    /// What tells people of what needs them.
    pub(super) fn notifier(&self, stages: &[Consumer], freshness: Option<Duration>) -> Result<Notifier, StartError> {
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
    pub(super) async fn capture_route(&self) -> Result<(Arc<dyn Route>, Option<Sent>), StartError> {
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
    pub(super) async fn deliver_route(&self, deliver: &DeliverSettings) -> Result<(Arc<dyn Route>, Option<Sent>), StartError> {
        Ok(match (deliver.target, &self.settings.firehose) {
            (DeliverTarget::Firehose, Some(firehose)) => self.firehose(firehose).await?,
            (DeliverTarget::Lake | DeliverTarget::Firehose, _) => (self.lake(), None),
        })
    }

    /// How far the shards of an application are checkpointed. One that never ran has no checkpoint.
    pub(super) async fn checkpoints(&self, application: &str) -> Result<Checkpoints, StartError> {
        match LeaseTable::new(self.sdk, application, self.stop.clone()).read().await {
            Ok(contents) => Ok(Checkpoints::of(&contents.leases)),
            Err(error) if error.failure == Failure::NotFound => Ok(Checkpoints::default()),
            Err(error) => Err(of_leases(application, error)),
        }
    }

    /// What becomes of later records where a stage writes the lake itself, or does not. The lake orders changes by their numbers: there nothing needs to
    /// wait.
    pub(super) fn later_records(&self, lands: bool) -> LaterRecords {
        if lands { LaterRecords::Pass } else { self.settings.later_records }
    }

    /// A stage; `lands` when it writes the lake itself.
    pub(super) fn stage(
        &self,
        source: Source,
        leases: Arc<LeaseTable>,
        route: Arc<dyn Route>,
        lands: bool,
        clock: ServiceClock,
    ) -> Consumer {
        let failover = self.settings.lease.failover;
        let mut context = Context::new(source, leases, route, Arc::clone(&self.lake), failover, self.owner.clone(), clock);
        context.later_records = self.later_records(lands);
        Consumer::new(context)
    }

    pub(super) fn lake(&self) -> Arc<dyn Route> {
        Arc::new(LakeRoute::new(Arc::clone(&self.lake), Arc::clone(&self.budget)))
    }

    pub(super) async fn firehose(&self, firehose: &FirehoseSettings) -> Result<(Arc<dyn Route>, Option<Sent>), StartError> {
        let route = FirehoseRoute::connect(self.sdk, firehose, Arc::clone(&self.lake), Arc::clone(&self.budget)).await?;
        let sent = ("firehose", Arc::clone(route.counters()));
        Ok((Arc::new(route), Some(sent)))
    }

    pub(super) async fn leases(&self, application: &str) -> Result<Arc<LeaseTable>, StartError> {
        let limit = (self.settings.lease.failover / 3).max(SHORTEST_ATTEMPT);
        let leases = LeaseTable::new(self.sdk, application, self.stop.clone()).answering_within(limit);
        leases.ensure(self.settings.lease.create_table).await.map_err(|source| of_leases(application, source))?;
        Ok(Arc::new(leases))
    }
}

fn of_leases(application: &str, source: AwsError) -> StartError {
    StartError::Aws { doing: format!("prepare the lease table '{application}'"), source }
}

pub(super) async fn describe_table(settings: &Settings, table: &TableStreams, stop: &CancellationToken) -> Result<TableInfo, StartError> {
    let name = &settings.table.name;
    retry(RetryPolicy::START_UP, stop, || table.table()).await.map_err(|source| match source.failure {
        Failure::NotFound => StartError::MissingTable(name.clone()),
        _ => StartError::Aws { doing: format!("describe table '{name}'"), source },
    })
}

/// The table's columns, from its contract or from its keys alone, and how fresh the contract promises the lake to be.
pub(super) fn schema(settings: &Settings, keys: Option<&[(String, AttributeType)]>) -> Result<(TableSchema, Option<Duration>), StartError> {
    let Some(path) = &settings.table.contract else {
        return Ok((TableSchema::keys_only(&settings.table.name, keys.unwrap_or_default().to_vec()), None));
    };
    let text = std::fs::read_to_string(path).map_err(|source| StartError::ContractFile { path: path.clone(), source })?;
    Contract::parse(&text, &path.display().to_string())
        .and_then(|contract| Ok((contract.table_schema(&settings.table.name, keys)?, contract.freshness(&settings.table.name))))
        .map_err(StartError::Contract)
}

pub(super) fn check_view(table: &str, info: &TableInfo) -> Result<(), StartError> {
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
