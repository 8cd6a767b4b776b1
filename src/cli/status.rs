//! `headwater status`.

mod stage;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::stage::Stage;
use super::source::ConfigArgs;
use super::{Exit, Globals, Output};
use crate::aws;
use crate::clock::{ServiceClock, WallClock};
use crate::lake::LakeStore;
use crate::lake::inventory::inventory;
use crate::retry::{RetryPolicy, retry};
use crate::stream::StreamApi;
use crate::stream::dynamodb::TableStreams;
use crate::stream::kinesis::KinesisStream;

/// Arguments of `headwater status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    table: String,
    stages: Vec<Stage>,
    objects: u64,
    object_bytes: u64,
    quarantined: u64,
}

/// Shows where replication stands.
pub async fn run(args: Args, globals: &Globals) -> anyhow::Result<Exit> {
    let settings = match args.config.load() {
        Ok(settings) => settings,
        Err(error) => return super::usage(&error),
    };
    let stop = CancellationToken::new();
    let sdk = aws::sdk_config().await;
    let clock = ServiceClock::new(WallClock::system());
    let api = TableStreams::new(&sdk, settings.table.name.as_str(), clock.clone());
    let captured = async {
        let info = retry(RetryPolicy::START_UP, &stop, || api.table()).await?;
        Stage::look("capture", &api, info.stream, &clock, &sdk, &settings.lease.application).await
    };
    let mut stages = vec![captured.await.unwrap_or_else(|error| Stage::unknown("capture", &error))];
    if let (Some(deliver), Some(kinesis)) = (&settings.deliver, &settings.kinesis) {
        let clock = ServiceClock::new(WallClock::system());
        let api = KinesisStream::new(&sdk, kinesis.stream.as_str(), clock.clone());
        let delivered = async {
            let stream = retry(RetryPolicy::START_UP, &stop, || api.current()).await?;
            Stage::look("deliver", &api, Some(stream), &clock, &sdk, &deliver.application).await
        };
        stages.push(delivered.await.unwrap_or_else(|error| Stage::unknown("deliver", &error)));
    }
    let store = LakeStore::connect(&settings.lake.location, None, Some(&sdk))?;
    let stored = inventory(&store, &settings.table.name).await?;
    let report = Report {
        table: settings.table.name.clone(),
        stages,
        objects: stored.objects,
        object_bytes: stored.bytes,
        quarantined: stored.quarantined,
    };
    if globals.output == Output::Json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(if report.stages.iter().any(Stage::is_unknown) { Exit::Failed } else { Exit::Success })
}

fn print(report: &Report) {
    println!("table    {}", report.table);
    println!("lake     {} objects, {} bytes; {} records in quarantine", report.objects, report.object_bytes, report.quarantined);
    for stage in &report.stages {
        println!();
        stage.print();
    }
}
