//! Firehose reads the Kinesis stream by itself, as it does on AWS: no deliver stage stands between.

use std::fs;

use super::{CONTRACT, DONE, FAILED, Landed, PATIENCE, SOMETHING_LEFT, TABLE, changes, create_table, init, outcome, stop};
use crate::support::lake::{assert_every_change, not_landed};
use crate::support::stand_ins::StandIns;

const STREAM: &str = "orders-native";
const BUCKET: &str = "native-lake";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_lands_where_firehose_reads_the_kinesis_stream_itself() {
    let stack = StandIns::start().await;
    create_table(&stack).await;
    let config = write_config(&stack, "kinesis");
    let (code, words) = init(&stack, &config, &[]).await;
    assert_eq!(code, DONE, "{words}");
    assert!(words.contains(&format!("with Kinesis stream {STREAM} as its source")), "{words}");
    let (code, words) = init(&stack, &config, &[]).await;
    assert_eq!(code, DONE, "{words}");
    assert!(words.ends_with("everything is there\n"), "{words}");

    let mut run = stack.headwater(&["run", "--config", &config]);
    stack.headwater(&["generate", "--table", TABLE, "--count", "400", "--rate", "200"]).succeeds(PATIENCE).await;
    let stream = changes(&stack).await;
    let landed = Landed::in_bucket(&stack, BUCKET);
    run.wait_until(PATIENCE, "Firehose has delivered every change", async || not_landed(&landed.firehose().await, &stream).is_empty())
        .await;
    let sent_twice = stop(run).await;
    let copies = assert_every_change(&landed.firehose().await, &stream);
    assert!(copies == 0 || sent_twice, "{copies} changes were delivered more than once");

    nothing_is_put_beside_the_kinesis_stream(&stack).await;
    stack.stop().await;
}

/// A delivery stream that reads Kinesis takes records from nobody else.
async fn nothing_is_put_beside_the_kinesis_stream(stack: &StandIns) {
    let config = write_config(stack, "firehose");
    let (code, words) = outcome(stack.headwater(&["run", "--config", &config])).await;
    assert_eq!(code, FAILED, "{words}");
    assert!(words.contains(&format!("check delivery stream '{STREAM}': it reads a Kinesis stream")), "{words}");
    let (code, words) = init(stack, &config, &[]).await;
    assert_eq!(code, SOMETHING_LEFT, "{words}");
    assert!(words.contains(&format!("reads Kinesis stream {STREAM}, so that nothing can be put into it")), "{words}");
}

/// The stand-in's Firehose takes no aggregated record apart, so there is none.
fn write_config(stack: &StandIns, route: &str) -> String {
    let contract = toml::Value::from(CONTRACT);
    let config = format!(
        r#"
        [table]
        name = "{TABLE}"
        contract = {contract}
        [route]
        kind = "{route}"
        [kinesis]
        stream = "{STREAM}"
        aggregation = false
        shards = 2
        [firehose]
        delivery_stream = "{STREAM}"
        role_arn = "arn:aws:iam::000000000000:role/headwater-firehose"
        [lake]
        url = "s3://{BUCKET}"
        "#
    );
    let path = stack.folder().join(format!("{route}.toml"));
    fs::write(&path, config).unwrap();
    path.to_str().unwrap().to_owned()
}
