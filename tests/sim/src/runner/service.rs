//! How a scenario's processes of the service are set up: what `headwater.toml` says, and how AWS is called.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use headwater::config::{Settings, Stages};

use super::scenario::{KinesisMakeUp, Scenario, WorkerMakeUp};
use super::{BUCKET, DELIVER_LEASES, KINESIS, LEASES, PREFIX, TABLE};

/// How the service calls AWS outside the simulator.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// The settings of one of the scenario's workers.
pub(super) fn settings(scenario: &Scenario, worker: usize) -> anyhow::Result<Settings> {
    let mut settings = headwater::config::parse(&configuration(scenario), Path::new("/")).map_err(|error| anyhow::anyhow!("{error}"))?;
    if let Some(WorkerMakeUp { captures, delivers }) = scenario.kinesis.as_ref().and_then(|kinesis| kinesis.workers.get(worker)) {
        settings.stages = Stages { capture: *captures, deliver: *delivers };
    }
    Ok(settings)
}

fn configuration(scenario: &Scenario) -> String {
    let service = scenario.service;
    let mut text = format!(
        r#"
        [table]
        name = "{TABLE}"
        [stream]
        on_gap = "{on_gap}"
        idle_poll = "{idle_poll}ms"
        [lease]
        application = "{LEASES}"
        failover = "{failover}ms"
        [lake]
        url = "s3://{BUCKET}/{PREFIX}"
        format = "{format}"
        max_size = "{max_size}"
        max_age = "{max_age}ms"
        "#,
        on_gap = if scenario.snapshots.is_some_and(|snapshots| snapshots.closes_gaps) { "snapshot" } else { "continue" },
        idle_poll = service.idle_poll.as_millis(),
        failover = service.failover.as_millis(),
        format = if service.parquet { "parquet" } else { "ndjson" },
        max_size = service.max_size,
        max_age = service.max_age.as_millis(),
    );
    if let Some(kinesis) = &scenario.kinesis {
        let KinesisMakeUp { aggregation, aggregation_max_size, batch_size, batching_window, .. } = kinesis;
        let window = batching_window.as_millis();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"
        [route]
        kind = "kinesis"
        [kinesis]
        stream = "{KINESIS}"
        aggregation = {aggregation}
        aggregation_max_size = "{aggregation_max_size}"
        batch_size = {batch_size}
        maximum_batching_window = "{window}ms"
        "#
        );
        if kinesis.is_delivered() {
            let _ = write!(
                text,
                r#"
        [deliver]
        target = "lake"
        application = "{DELIVER_LEASES}"
        "#
            );
        }
    }
    text
}

/// AWS as a worker of the service sees it that is pointed at a simulator: no TLS, and the worker's name as its access key.
pub fn sdk_config(address: SocketAddr, worker: &str) -> SdkConfig {
    let credentials = Credentials::new(worker, "secret", None, None, "headwater-sim");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(format!("http://{address}"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .timeout_config(TimeoutConfig::builder().connect_timeout(Duration::from_secs(3)).operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::scenario::Route;

    #[test]
    fn every_scenario_has_settings() {
        for seed in 0..50 {
            settings(&Scenario::draw(seed, Route::Lake), 0).unwrap();
            settings(&Scenario::draw(seed, Route::Kinesis), 0).unwrap();
        }
    }

    #[test]
    fn a_worker_does_what_its_scenario_says() {
        let mut scenario = Scenario::draw(1, Route::Kinesis);
        let Some(kinesis) = &mut scenario.kinesis else { panic!("Kinesis is in the path") };
        kinesis.workers =
            [(true, true), (false, true), (true, false)].map(|(captures, delivers)| WorkerMakeUp { captures, delivers }).to_vec();
        for (number, stages) in [(true, true), (false, true), (true, false)].into_iter().enumerate() {
            let settings = settings(&scenario, number).unwrap();
            assert_eq!((settings.stages.capture, settings.stages.deliver), stages);
            assert_eq!(settings.deliver.unwrap().application, "headwater-orders-deliver");
        }
    }
}
