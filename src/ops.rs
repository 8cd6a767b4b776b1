//! What the service tells of itself: health, readiness, metrics and its status, over HTTP and in the log.
//!
//! Everything is told from one [`reading`]: plain values, taken from memory at one moment. No answer waits for a service, so a service that does not
//! answer is told of and not waited for. [`verdict`] says what is wrong; [`metrics`] declares each metric once, and [`exposition`] (Prometheus), [`emf`]
//! (CloudWatch) and the table in the documentation are made from that. [`listener`] answers:
//!
//! - `/livez`: 200 while the process turns. A supervisor that restarts by it does not restart a service for what ails another one.
//! - `/readyz`: 200 when data moves; 503 and the reasons, a line each, when it does not (*honest-lag*).
//! - `/metrics`: Prometheus's text format.
//! - `/status`: JSON for people and scripts: every shard that this process holds, and where it stands.

pub mod emf;
pub mod exposition;
pub mod listener;
pub mod metrics;
pub mod reading;
mod status;
pub mod verdict;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Settings;
use crate::pipeline::Watch;
use reading::{Phase, Reading};
use verdict::Limits;

/// How the service is, for whoever asks: from before the pipeline is built until its shutdown is over.
pub struct Health {
    table: String,
    limits: Limits,
    begun: Instant,
    seen: RwLock<(Phase, Option<Watch>)>,
}

/// So many fail-over times without a look are no coincidence.
const LOOKS_MISSED: u32 = 3;
/// A minute of a service's own trouble passes by itself more often than not.
const SHORTEST_LOOK: Duration = Duration::from_mins(1);

impl Health {
    /// A service that is starting.
    pub fn starting(settings: &Settings) -> Arc<Self> {
        // A stage looks twice within the fail-over time. Its leases last for one, and after that nobody may read for it.
        let look = (settings.lease.failover * LOOKS_MISSED).max(SHORTEST_LOOK);
        Arc::new(Self {
            table: settings.table.name.clone(),
            limits: Limits { progress: settings.health.stalled_after, look },
            begun: Instant::now(),
            seen: RwLock::new((Phase::Starting, None)),
        })
    }

    /// The pipeline is built and runs.
    pub fn running(&self, watch: Watch) {
        self.set(Phase::Running, Some(watch));
    }

    /// The shutdown has begun.
    pub fn stopping(&self) {
        self.set(Phase::Stopping, None);
    }

    /// What is known now.
    pub fn reading(&self) -> Reading {
        let (phase, watch) = self.seen.read().unwrap_or_else(PoisonError::into_inner).clone();
        Reading::take(self.table.clone(), phase, self.begun.elapsed(), self.limits, watch.as_ref())
    }

    /// What was watched goes on being watched. A service that stops does not start again.
    fn set(&self, phase: Phase, watch: Option<Watch>) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        seen.0 = seen.0.max(phase);
        seen.1 = watch.or_else(|| seen.1.take());
    }
}
