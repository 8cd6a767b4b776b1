//! A short history through Kinesis, without faults and without judgement.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tracing::Level;

use super::history::History;
use super::scenario::{Route, Scenario};
use super::worker::Fleet;
use super::{KINESIS, logs, marks};
use crate::call::{Intercept, Quirks};
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::faults::Faults;
use crate::journal::Journal;
use crate::server::{Options, Server};

/// By then everything is where it belongs.
const SETTLED_WITHIN: Duration = Duration::from_mins(2);

/// Makes what answers some of the calls of a history, in the cloud of that history.
pub(super) type Tamper = fn(&Cloud) -> Arc<dyn Intercept>;

/// Plays the history of a seed, and gives the cloud as it is then. With `level`, what the service logs is in its journal. With `tamper`, somebody
/// answers some calls in the services' stead, and writes what is no change into the Kinesis stream.
pub(super) fn play(seed: u64, level: Option<Level>, tamper: Option<Tamper>) -> anyhow::Result<Cloud> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().context("start a runtime")?;
    let cloud = runtime.block_on(run(seed, level, tamper));
    runtime.shutdown_background();
    cloud
}

async fn run(seed: u64, level: Option<Level>, tamper: Option<Tamper>) -> anyhow::Result<Cloud> {
    let scenario = Scenario::draw(seed, Route::Kinesis);
    let cloud = Cloud::new(Clock::starting_at(scenario.begins_at), Journal::keeping());
    let _logging = level.map(|level| logs::into_journal(&cloud, level));
    let faults = Faults::new(seed);
    let options = Options { intercept: tamper.map(|tamper| tamper(&cloud)), ..Options::default() };
    let server = Server::start(cloud.clone(), faults.clone(), options).await.context("start the simulator")?;
    let mut history = History::new(cloud.clone(), &scenario);
    history.begin()?;
    let mut fleet = Fleet::new(cloud.clone(), faults, server.address(), &scenario)?;
    fleet.start_all();
    for number in 0..4 {
        history.write(20)?;
        if tamper.is_some() {
            write_foreign_record(&cloud, number)?;
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    history.expire();
    history.write_large()?;
    tokio::time::sleep(SETTLED_WITHIN).await;
    fleet.stop_all().await;
    server.stop().await;
    Ok(cloud)
}

/// Something else than headwater writes to the stream.
fn write_foreign_record(cloud: &Cloud, number: usize) -> anyhow::Result<()> {
    let texts = [
        format!("{} is no line", marks::TEXT),
        format!(r#"{{"cdc_event_id":"{}","cdc_op":7}}"#, marks::TEXT),
        format!(r#"{{"cdc_event_id":{{"{0}":"{0}"}}}}"#, marks::TEXT),
        format!(r#"["{}"#, marks::TEXT),
    ];
    let data = base64_simd::STANDARD.encode_to_string(&texts[number % texts.len()]);
    let input = json!({"StreamName": KINESIS, "PartitionKey": marks::TEXT, "Data": data});
    let answer = cloud.call("Kinesis_20131202.PutRecord", "", input.to_string().as_bytes(), &Quirks::default());
    answer.map(|_| ()).map_err(|error| anyhow::anyhow!("PutRecord: {error}"))
}
