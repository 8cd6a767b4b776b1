//! Composition: the only place that builds the components and joins them.

mod error;
mod parts;

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;

use crate::capture;
use crate::clock::{ServiceClock, WallClock};
use crate::config::{DeliverTarget, RouteKind, Settings};
use crate::consumer::{Consumer, ConsumerError, Totals, WatchedStage};
use crate::deliver;
use crate::lake::{Lake, Origin};
use crate::notify::Notifier;
use crate::redrive::{Redrive, StageRoute};
use crate::route::budget::MemoryBudget;
use crate::route::counters::RouteCounters;
use crate::snapshot::{self, Runner};
use crate::stream::dynamodb::TableStreams;

pub use error::StartError;
use parts::{Parts, check_view, describe_table, schema};

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
        let parts = Parts::new(settings, sdk, clock, Arc::clone(&lake), stop);
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
    let schema = Arc::new(schema(settings, keys.as_deref())?.0);
    let lake = Arc::new(Lake::open(&settings.lake, Arc::clone(&schema), Some(sdk)).await.map_err(StartError::Lake)?);
    let parts = Parts::new(settings, sdk, clock, Arc::clone(&lake), stop);
    let mut stages = Vec::new();
    if settings.stages.capture {
        stages.push(StageRoute {
            origin: Origin::Capture,
            decode: capture::decoder(&schema),
            route: parts.capture_route().await?.0,
            lands: settings.route == RouteKind::Lake,
            checkpoints: parts.checkpoints(&settings.lease.application).await?,
            later_records: parts.later_records(settings.route == RouteKind::Lake),
        });
    }
    if let (Some(deliver), true) = (&settings.deliver, settings.stages.deliver) {
        stages.push(StageRoute {
            origin: Origin::Deliver,
            decode: deliver::decoder(schema, Arc::clone(&lake)),
            route: parts.deliver_route(deliver).await?.0,
            lands: deliver.target == DeliverTarget::Lake,
            checkpoints: parts.checkpoints(&deliver.application).await?,
            later_records: parts.later_records(deliver.target == DeliverTarget::Lake),
        });
    }
    Ok(Redrive::new(lake, stages))
}
