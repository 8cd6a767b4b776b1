//! `headwater snapshot`, as a person uses it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use headwater::embedded::Options;
use serde_json::{Value, json};

use super::{DEADLINE, Service, s};
use crate::support::process::Headwater;
use crate::support::site::{Settings, Site};

const TABLE: &str = "orders";

/// A table with a few items, and a configuration for it.
async fn site(service: &Service) -> Site {
    service.table(TABLE).await;
    for number in 0..5 {
        service.put(TABLE, &format!("o-{number}"), number).await;
    }
    let settings = Settings { table: TABLE, format: "parquet", max_age: "1s", shutdown_deadline: "10s", contract: None };
    Site::new(&service.embedded.endpoint_url(), &settings)
}

/// Runs `headwater snapshot ARGS` to its end: its exit code and what it printed.
async fn snapshot(site: &Site, args: &[&str]) -> (i32, String) {
    headwater(site, &[&["snapshot"], args].concat()).await
}

/// Runs a command to its end: its exit code and what it printed.
async fn headwater(site: &Site, args: &[&str]) -> (i32, String) {
    let mut process = site.start(args);
    let status = process.exit(DEADLINE).await;
    (status.code().unwrap(), process.log())
}

/// The document that a command printed beside its log lines, which are one line each.
fn document(log: &str) -> Value {
    let start = log.find("{\n").unwrap_or_else(|| panic!("no document: {log}"));
    let mut documents = serde_json::Deserializer::from_str(&log[start..]).into_iter();
    documents.next().unwrap().unwrap_or_else(|error| panic!("{error}: {log}"))
}

/// Starts `headwater run`, and waits until all items have landed.
async fn run(site: &Site) -> Headwater {
    let mut run = site.run();
    run.wait_until(DEADLINE, "the items land", async || site.objects() > 0).await;
    run
}

async fn stop(mut run: Headwater) {
    run.signal("TERM");
    assert!(run.exit(DEADLINE).await.success(), "{}", run.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_worker_no_snapshot_is_asked_for() {
    let service = Service::start().await;
    let site = site(&service).await;
    let (code, words) = snapshot(&site, &["start"]).await;
    assert_eq!(code, 3, "{words}");
    assert!(words.contains("Start `headwater run` first"), "{words}");
    let (code, words) = snapshot(&site, &["list", "--output", "json"]).await;
    assert_eq!((code, document(&words)), (0, json!({"table": TABLE, "snapshots": []})));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_nobody_knows_is_a_usage_error() {
    let service = Service::start().await;
    let site = site(&service).await;
    for action in ["status", "cancel"] {
        let (code, words) = snapshot(&site, &[action, "20261121T030000Z-00000000"]).await;
        assert_eq!(code, 2, "{words}");
        assert!(words.contains("knows no snapshot '20261121T030000Z-00000000'"), "{words}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_keys_is_checked_before_anything_is_written() {
    let service = Service::start().await;
    let site = site(&service).await;
    let run = run(&site).await;
    let list = tempfile::NamedTempFile::new().unwrap();
    fs::write(list.path(), "{\"id\":\"o-1\"}\n{\"order\":\"o-2\"}\n").unwrap();
    let (code, words) = snapshot(&site, &["start", "--keys", list.path().to_str().unwrap()]).await;
    assert_eq!(code, 2, "{words}");
    assert!(words.contains(" line 2: 'order' is not part of the table's key"), "{words}");
    let (_, words) = snapshot(&site, &["list", "--output", "json"]).await;
    assert_eq!(document(&words)["snapshots"], json!([]));
    stop(run).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_waited_for_and_then_there_is_nothing_to_cancel() {
    let service = Service::start().await;
    let site = site(&service).await;
    let run = run(&site).await;
    let (code, words) = snapshot(&site, &["start", "--wait", "--output", "json"]).await;
    assert_eq!(code, 0, "{words}");
    let done = document(&words);
    assert_eq!(
        (done["state"].as_str(), done["rows"].as_u64(), done["whole"].as_bool()),
        (Some("completed"), Some(5), Some(true)),
        "{done}"
    );
    let id = done["id"].as_str().unwrap();
    let rows = site.rows().await;
    let landed: BTreeSet<&str> = rows.iter().filter(|row| row.text("cdc_op") == "SNAPSHOT").map(|row| row.text("id")).collect();
    assert_eq!(landed, BTreeSet::from(["o-0", "o-1", "o-2", "o-3", "o-4"]));

    let (code, words) = snapshot(&site, &["cancel", id]).await;
    assert_eq!(code, 1, "{words}");
    assert!(words.contains(&format!("snapshot {id} is completed: there is nothing to cancel")), "{words}");
    stop(run).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_listed_keys_removes_what_is_gone() {
    let service = Service::start().await;
    let site = site(&service).await;
    let run = run(&site).await;
    let list = tempfile::NamedTempFile::new().unwrap();
    fs::write(list.path(), "{\"id\":\"o-1\"}\n{\"id\":{\"S\":\"never-there\"}}\n").unwrap();
    let (code, words) = snapshot(&site, &["start", "--keys", list.path().to_str().unwrap(), "--wait", "--output", "json"]).await;
    assert_eq!(code, 0, "{words}");
    let done = document(&words);
    assert_eq!((&done["source"], &done["whole"]), (&json!({"kind": "keys", "count": 2}), &json!(false)));
    let rows = site.rows().await;
    let of = |id: &str| -> Vec<&str> { rows.iter().filter(|row| row.text("id") == id).map(|row| row.text("cdc_op")).collect() };
    assert_eq!(of("never-there"), ["REMOVE"]);
    assert!(of("o-1").contains(&"SNAPSHOT") && !of("o-2").contains(&"SNAPSHOT"));
    stop(run).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_no_worker_has_begun_can_be_cancelled_twice() {
    let service = Service::start().await;
    let site = site(&service).await;
    stop(run(&site).await).await;
    let (code, words) = snapshot(&site, &["start", "--segments", "2", "--output", "json"]).await;
    assert_eq!(code, 0, "{words}");
    let asked = document(&words);
    assert_eq!((asked["state"].as_str(), &asked["whole"]), (Some("requested"), &Value::Null));
    let id = asked["id"].as_str().unwrap();
    for _ in 0..2 {
        let (code, words) = snapshot(&site, &["cancel", id, "--output", "json"]).await;
        assert_eq!((code, document(&words)["state"].as_str()), (0, Some("cancelled")), "{words}");
    }
    let (_, words) = snapshot(&site, &["status"]).await;
    assert!(words.starts_with(&format!("snapshot {id}  CANCELLED\n")), "{words}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_verify_finds_to_differ_is_repaired_by_a_snapshot_of_its_keys() {
    let service = Service::start().await;
    let site = site(&service).await;
    let repair = ["verify", "--repair", "--deadline", "0s", "--output", "json"];
    stop(run(&site).await).await;
    fs::remove_dir_all(site.lake().join(TABLE).join("changes")).unwrap();

    let mut worker = site.run();
    let (code, words) = headwater(&site, &repair).await;
    assert_eq!(code, 1, "{words}");
    let report = document(&words);
    assert_eq!((report["missing"].as_u64(), report["differing"].as_array().unwrap().len()), (Some(5), 5), "{report}");
    let id = report["repair"].as_str().unwrap();
    worker
        .wait_until(DEADLINE, "the snapshot is complete", async || {
            let (_, words) = snapshot(&site, &["status", id, "--output", "json"]).await;
            document(&words)["state"] == "completed"
        })
        .await;
    let (_, words) = snapshot(&site, &["status", id, "--output", "json"]).await;
    let done = document(&words);
    assert_eq!((&done["source"], done["cause"].as_str()), (&json!({"kind": "keys", "count": 5}), Some("repair")));
    let (code, words) = headwater(&site, &repair).await;
    assert_eq!((code, &document(&words)["repair"]), (0, &Value::Null), "nothing is left to repair: {words}");
    stop(worker).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_were_trimmed_while_the_service_was_down_are_brought_back_and_the_gap_is_closed() {
    const RETENTION: Duration = Duration::from_secs(10);
    // The snapshot begins when its start, 75 seconds back, lies behind the finding of the gap.
    const BEGINS_WITHIN: Duration = Duration::from_secs(150);
    let service = Service::with(Options { retention: RETENTION, ..Options::default() }).await;
    let site = site(&service).await;
    site.configure("[stream]", "on_gap = \"snapshot\"");
    stop(run(&site).await).await;
    // A change of each kind, whose records are gone when the service comes back.
    service.put(TABLE, "o-1", 100).await;
    service.put(TABLE, "new", 101).await;
    service.tables.delete_item().table_name(TABLE).key("id", s("o-2")).send().await.unwrap();
    tokio::time::sleep(RETENTION * 2).await;

    let mut worker = site.run();
    let healed = async || headwater(&site, &["verify", "--deadline", "0s"]).await;
    worker
        .wait_until(DEADLINE, "the gap is in the ledger", async || {
            headwater(&site, &["status", "--output", "json"]).await.1.contains("\"state\": \"open\"")
        })
        .await;
    let (code, words) = healed().await;
    assert!(code == 1 && words.contains("lake differs from table"), "{words}");
    worker
        .wait_until(BEGINS_WITHIN, "the gap is closed", async || {
            headwater(&site, &["status", "--output", "json"]).await.1.contains("\"state\": \"closed\"")
        })
        .await;
    let (code, words) = healed().await;
    assert!(code == 0 && words.ends_with("lake equals table\n"), "{words}");
    let (_, words) = snapshot(&site, &["list", "--output", "json"]).await;
    let list = document(&words);
    let [snapshot] = list["snapshots"].as_array().unwrap().as_slice() else { panic!("one snapshot for one gap: {list}") };
    assert_eq!((snapshot["cause"].as_str(), snapshot["state"].as_str()), (Some("gap"), Some("completed")));
    stop(worker).await;
    service.stop().await;
}
