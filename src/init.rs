//! Provisioning: what a configuration needs on the configured endpoints, and how it comes to be there.
//!
//! Looking ([`Endpoints::look`]) finds what is there, planning ([`plan::plan`], pure) says what is missing, and doing
//! ([`Endpoints::carry_out`]) makes it and waits until it can be used. What is there is never replaced, shrunk or reconfigured, save for
//! the one change that harms nothing: a larger record size. Whatever else is not as it should be is told. Two processes may do this at the
//! same time: whoever comes second finds everything there.
//!
//! Not covered: permissions and roles, which are for whoever owns the account; and the table itself, which is the user's.

mod error;
mod firehose;
mod kinesis;
pub mod plan;
pub mod seen;
mod tables;

use std::time::Duration;

use aws_config::SdkConfig;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use error::InitError;
pub use plan::{Entry, Plan, plan};
pub use seen::Seen;

use crate::config::Settings;
use crate::lake::{LakeBucket, LakeLocation};
use firehose::Firehose;
use kinesis::Kinesis;
use plan::{Resource, Source, State, Step};
use tables::Tables;

/// The pause between two looks at a resource that is being made. Describing calls are limited to a few a second.
const POLL: Duration = Duration::from_secs(1);

/// The services that hold what a configuration needs.
#[derive(Debug)]
pub struct Endpoints {
    tables: Tables,
    kinesis: Kinesis,
    firehose: Firehose,
    bucket: Option<LakeBucket>,
    stop: CancellationToken,
}

impl Endpoints {
    /// The endpoints of the SDK's standard chain. `stop` ends waiting.
    pub fn new(settings: &Settings, sdk: &SdkConfig, stop: CancellationToken) -> Result<Self, InitError> {
        let bucket = match &settings.lake.location {
            LakeLocation::S3 { bucket, .. } => Some(LakeBucket::connect(bucket, sdk)?),
            LakeLocation::Folder(_) => None,
        };
        Ok(Self {
            tables: Tables::new(sdk, stop.clone()),
            kinesis: Kinesis::new(sdk, stop.clone()),
            firehose: Firehose::new(sdk, stop.clone()),
            bucket,
            stop,
        })
    }

    /// Looks for what the configuration needs, and changes nothing.
    pub async fn look(&self, settings: &Settings) -> Result<Seen, InitError> {
        let mut seen = Seen {
            table: self.tables.stream(&settings.table.name).await?,
            leases: self.tables.leases(&settings.lease.application).await?,
            ..Seen::default()
        };
        if let Some(deliver) = &settings.deliver {
            seen.deliver_leases = self.tables.leases(&deliver.application).await?;
        }
        if let Some(kinesis) = &settings.kinesis {
            seen.kinesis = self.kinesis.look(&kinesis.stream).await?;
        }
        if let Some(bucket) = &self.bucket {
            seen.bucket = bucket.exists().await?;
        }
        if let Some(firehose) = &settings.firehose {
            seen.delivery = self.firehose.look(&firehose.delivery_stream).await?;
        }
        Ok(seen)
    }

    /// Does what the plan says about one resource, and returns when it is usable. The entries of a plan that is not blocked are carried out
    /// in their order. What was made stays when this is dropped, and the next plan goes on from there.
    pub async fn carry_out(&self, entry: &Entry) -> Result<(), InitError> {
        match &entry.state {
            State::Exists | State::Differs { .. } | State::Blocked { .. } => Ok(()),
            State::Unready => self.await_ready(entry.resource, &entry.name).await,
            State::Missing { step, .. } | State::Outdated { step, .. } => self.take(step, &entry.name).await,
        }
    }

    async fn take(&self, step: &Step, name: &str) -> Result<(), InitError> {
        match step {
            Step::EnableStream => self.tables.enable_stream(name).await,
            Step::CreateLeaseTable => self.tables.ensure_leases(name).await,
            Step::CreateKinesis(spec) => self.kinesis.create(name, *spec).await,
            Step::RaiseRecordSize(kib) => self.kinesis.raise_record_size(name, *kib).await,
            Step::CreateBucket => match &self.bucket {
                Some(bucket) => Ok(bucket.create(&self.stop).await?),
                None => Ok(()),
            },
            Step::CreateDelivery(spec) => {
                let kinesis = match &spec.source {
                    Source::DirectPut => None,
                    Source::Kinesis(stream) => Some(self.kinesis.arn(stream).await?),
                };
                self.firehose.create(name, spec, kinesis.as_deref()).await
            }
        }
    }

    async fn await_ready(&self, resource: Resource, name: &str) -> Result<(), InitError> {
        match resource {
            Resource::TableStream => self.tables.await_stream(name).await,
            Resource::LeaseTable => self.tables.ensure_leases(name).await,
            Resource::KinesisStream => self.kinesis.await_active(name).await,
            Resource::DeliveryStream => self.firehose.await_active(name).await,
            // S3 has no bucket that is being made.
            Resource::Bucket => Ok(()),
        }
    }
}

/// Looks now and then until the resource is ready, for `patience` at most.
async fn until_ready(
    what: &str,
    patience: Duration,
    stop: &CancellationToken,
    mut ready: impl AsyncFnMut() -> Result<bool, InitError>,
) -> Result<(), InitError> {
    let begun = Instant::now();
    while !ready().await? {
        if begun.elapsed() >= patience {
            return Err(InitError::Slow { what: what.to_owned(), seconds: patience.as_secs() });
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = stop.cancelled() => return Err(InitError::Stopped(what.to_owned())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_the_resource_is_ready() {
        let mut looks = 0;
        let stop = CancellationToken::new();
        let waited = until_ready("x", Duration::from_mins(1), &stop, async || {
            looks += 1;
            Ok(looks == 3)
        });
        waited.await.unwrap();
        assert_eq!(looks, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_at_its_deadline_and_says_so() {
        let waited = until_ready("stream x", Duration::from_mins(1), &CancellationToken::new(), async || Ok(false)).await;
        assert!(waited.unwrap_err().to_string().starts_with("wait for stream x: not usable after 60 s"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_waiting_at_once() {
        let stop = CancellationToken::new();
        stop.cancel();
        let begun = Instant::now();
        let waited = until_ready("x", Duration::from_mins(1), &stop, async || Ok(false)).await;
        assert!(matches!(waited, Err(InitError::Stopped(_))));
        assert!(begun.elapsed() < POLL);
    }
}
