//! `headwater run` and `headwater health` as processes.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{DEADLINE, ask};
use crate::support::aws;
use crate::support::dynamodb_local::free_port;
use crate::support::process::Headwater;

/// A folder with headwater.toml, whose service is to answer at `listen`.
fn configured(listen: &str, more: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("[table]\nname = \"orders\"\n[lake]\nurl = \"./lake\"\n[health]\nlisten = \"{listen}\"\n{more}\n");
    fs::write(folder.path().join("headwater.toml"), text).unwrap();
    folder
}

fn start(folder: &Path, endpoint: &str, args: &[&str]) -> Headwater {
    Headwater::start(folder, folder.join("log"), &aws::environment(endpoint), args)
}

/// `headwater health ARGS` in a folder.
async fn health(folder: &Path, args: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_headwater"));
    // A proxy that is not there: what is asked is on this machine.
    command.arg("health").args(args).current_dir(folder).env_clear().env("HTTP_PROXY", "http://127.0.0.1:1");
    tokio::time::timeout(DEADLINE, command.output()).await.unwrap().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stdout.clone()).unwrap())
}

#[tokio::test]
async fn the_check_of_a_container_says_what_the_service_says() {
    let port = free_port();
    // Everywhere, as in a container.
    let folder = configured(&format!("0.0.0.0:{port}"), "");
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    let output = health(folder.path(), &[]).await;
    assert_eq!(said(&output), (Some(3), String::new()), "nobody answers");
    assert!(String::from_utf8_lossy(&output.stderr).contains("headwater run"), "{output:?}");

    // It takes calls and answers none, so that the service goes on starting.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut service = start(folder.path(), &format!("http://{}", mute.local_addr().unwrap()), &["run"]);
    service.wait_until(DEADLINE, "it answers", async || ask(address, "/livez").await.is_ok()).await;
    assert_eq!(said(&health(folder.path(), &[]).await), (Some(1), "starting\n".to_owned()));
    assert_eq!(said(&health(folder.path(), &["--live"]).await), (Some(0), "alive\n".to_owned()));

    service.kill().await;
    assert_eq!(said(&health(folder.path(), &["--live"]).await).0, Some(3), "it is gone");
}

#[tokio::test]
async fn the_check_gives_up_on_a_service_that_does_not_answer() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = configured(&mute.local_addr().unwrap().to_string(), "");
    let begun = Instant::now();
    assert_eq!(said(&health(folder.path(), &["--live"]).await).0, Some(3));
    // Three seconds, and what a busy machine needs to start a process.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_check_knows_when_there_is_nobody_to_ask() {
    let output = health(configured("off", "").path(), &[]).await;
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("health.listen"), "{output:?}");
}

#[tokio::test]
async fn a_chosen_address_that_is_taken_keeps_the_service_from_starting() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = configured(&other.local_addr().unwrap().to_string(), "");
    let mut refused = start(folder.path(), "http://127.0.0.1:1", &["run"]);
    assert_eq!(refused.exit(DEADLINE).await.code(), Some(3), "{}", refused.log());
    assert!(refused.log().contains("health.listen"), "{}", refused.log());
}

#[tokio::test]
async fn metrics_and_a_result_do_not_share_standard_output() {
    let folder = configured("off", "emf_namespace = \"headwater\"");
    let mut refused = start(folder.path(), "http://127.0.0.1:1", &["run", "--output", "json"]);
    assert_eq!(refused.exit(DEADLINE).await.code(), Some(2), "{}", refused.log());
    assert!(refused.log().contains("emf_namespace"), "{}", refused.log());
}

/// A whole service on the embedded DynamoDB.
#[cfg(feature = "embedded")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_tells_of_what_it_does_until_it_has_stopped() {
    use aws_sdk_dynamodb::types::AttributeValue;
    use headwater::embedded::{Embedded, Options};
    use reqwest::StatusCode;
    use serde_json::Value;

    use super::{parse, value};
    use crate::support::table;

    const CHANGES: u32 = 5;

    let database = Embedded::start(Options::default()).await.unwrap();
    let client = aws_sdk_dynamodb::Client::new(&database.sdk_config());
    table::create(&client, "orders", "id").await;
    for n in 0..CHANGES {
        client.put_item().table_name("orders").item("id", AttributeValue::S(format!("secret-{n}"))).send().await.unwrap();
    }
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let more = "emf_namespace = \"Cdc\"\n[stream]\nstart = \"trim-horizon\"\n[lease]\nfailover = \"1s\"";
    let folder = configured(&address.to_string(), more);
    let mut service = start(folder.path(), &database.endpoint_url(), &["run"]);
    let metric = async |name: &str, label: &str| match ask(address, "/metrics").await {
        Ok((StatusCode::OK, _, text)) => value(&parse(&text), name, label),
        _ => None,
    };
    service
        .wait_until(DEADLINE, "it has taken every change", async || {
            metric("headwater_changes_total", "capture").await == Some(f64::from(CHANGES))
        })
        .await;
    assert!(metric("headwater_newest_change_timestamp_seconds", "capture").await.is_some_and(|newest| newest > 1.7e9));
    assert!(metric("headwater_read_bytes_total", "capture").await.is_some_and(|bytes| bytes > 0.0));
    assert!(metric("headwater_memory_held_bytes", "orders").await.is_some_and(|held| held > 0.0), "nothing has come of age");
    let status: Value = serde_json::from_str(&ask(address, "/status").await.unwrap().2).unwrap();
    assert_eq!((&status["state"], &status["stages"][0]["changes"]), (&"running".into(), &CHANGES.into()), "{status}");
    // Not at once: it may get ready between the two questions.
    let agree = async || {
        let (status, _, body) = ask(address, "/readyz").await.unwrap();
        said(&health(folder.path(), &[]).await) == (Some(i32::from(status != StatusCode::OK)), body)
    };
    service.wait_until(DEADLINE, "the check says what the listener says", agree).await;

    service.signal("TERM");
    assert!(service.exit(DEADLINE).await.success(), "{}", service.log());
    let log = service.log();
    // Log lines and metrics are each a JSON object on a line; the last metrics come with the end.
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let metrics: Vec<&Value> = lines.iter().filter(|line| line.get("_aws").is_some()).collect();
    let total = |name: &str| metrics.iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
    assert_eq!((total("headwater_changes"), total("headwater_lake_rows")), (CHANGES.into(), CHANGES.into()), "{log}");
    assert!(metrics.iter().all(|line| line["Table"] == "orders"), "{log}");
    assert!(!log.contains("secret-"), "{log}");
    database.shutdown().await.unwrap();
}
