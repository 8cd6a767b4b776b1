//! How a scenario's processes of the service are set up: what `headwater.toml` says, and how AWS is called.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use headwater::config::Settings;

use super::scenario::{KinesisMakeUp, Scenario};
use super::{BUCKET, DELIVER_LEASES, KINESIS, LEASES, PREFIX, TABLE};

/// How the service calls AWS outside the simulator.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// The settings of one of the scenario's workers.
pub(super) fn settings(scenario: &Scenario, worker: usize) -> anyhow::Result<Settings> {
    headwater::config::parse(&configuration(scenario, worker), Path::new("/")).map_err(|error| anyhow::anyhow!("{error}"))
}

fn configuration(scenario: &Scenario, worker: usize) -> String {
    let service = scenario.service;
    let mut text = format!(
        r#"
        [table]
        name = "{TABLE}"
        [stream]
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
        idle_poll = service.idle_poll.as_millis(),
        failover = service.failover.as_millis(),
        format = if service.parquet { "parquet" } else { "ndjson" },
        max_size = service.max_size,
        max_age = service.max_age.as_millis(),
    );
    if let Some(KinesisMakeUp { aggregation, aggregation_max_size, batch_size, batching_window, delivers, .. }) = &scenario.kinesis {
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
        if delivers.get(worker) == Some(&true) {
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

pub(super) fn sdk_config(address: SocketAddr, worker: &str) -> SdkConfig {
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
    fn every_scenario_of_the_lake_has_settings() {
        for seed in 0..50 {
            settings(&Scenario::draw(seed, Route::Lake), 0).unwrap();
        }
    }

    #[test]
    fn only_the_workers_that_deliver_are_told_to() {
        let mut scenario = Scenario::draw(1, Route::Kinesis);
        let Some(kinesis) = &mut scenario.kinesis else { panic!("Kinesis is in the path") };
        kinesis.delivers = vec![true, false];
        let [first, second] = [0, 1].map(|worker| configuration(&scenario, worker));
        assert!(first.contains("[deliver]") && first.contains("application = \"headwater-orders-deliver\""));
        assert!(!second.contains("[deliver]") && second.contains("kind = \"kinesis\""));
    }
}
