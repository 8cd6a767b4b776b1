//! One script of operations, asked of the simulator and of DynamoDB Local, Amazon's own emulator, compared answer by answer.
//!
//! Where the two differ, DynamoDB Local is taken to be right unless it departs from what AWS documents. Such a step states the reason and
//! what each of the two says; a stated difference that is none fails the test like one that is not stated.

mod normal;
mod run;
mod step;
mod wire;

mod batches;
mod conditions;
mod items;
mod leases;
mod legacy;
mod placeholders;
mod queries;
mod streams;
mod tables;
mod updates;

use std::fs;
use std::path::Path;

use run::{Report, compare};
use wire::Endpoint;

use crate::dynamodb_local::DynamoDbLocal;
use crate::simulator;

#[tokio::test]
async fn the_simulator_answers_as_dynamodb_local_does() {
    let process = DynamoDbLocal::start().await;
    let server = simulator::start().await;
    let (local, simulator) = (Endpoint::new(process.endpoint_url()), Endpoint::new(&simulator::url(&server)));
    let mut report = Report::default();
    let themes = [
        ("tables", tables::steps()),
        ("items", items::steps()),
        ("conditions", conditions::steps()),
        ("placeholders", placeholders::steps()),
        ("updates", updates::steps()),
        ("queries", queries::steps()),
        ("batches", batches::steps()),
        ("legacy", legacy::steps()),
        ("leases", leases::steps()),
        ("streams", streams::steps()),
    ];
    for (theme, steps) in themes {
        compare(theme, steps, &local, &simulator, &mut report).await;
    }
    let transcript = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance.txt");
    fs::write(&transcript, &report.transcript).unwrap();
    println!("{} steps; every answer is in {}\n\nThe differences:\n{}", report.steps, transcript.display(), report.differences());
    assert!(report.mismatches.is_empty(), "{} steps fail:\n\n{}", report.mismatches.len(), report.mismatches.join("\n\n"));
}
