//! `headwater redrive`, as a person uses it, as far as no service is needed.

use std::time::Duration;

use headwater::config;
use headwater::lake::{Kind, Lake, PoisonRecord};
use headwater::table::Key;

use super::bench::{THREE_O_CLOCK, at, record, schema, shard};
use crate::support::process::Headwater;

const SOON: Duration = Duration::from_secs(30);

/// A folder with a configuration and two records in quarantine.
async fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "[table]\nname = \"orders\"\n[lake]\nurl = \"./lake\"\n";
    std::fs::write(folder.path().join("headwater.toml"), text).unwrap();
    let settings = config::parse(text, folder.path()).unwrap();
    let lake = Lake::open(&settings.lake, schema(), None).await.unwrap();
    for (number, item, kind) in [(1, "a", Kind::Undecodable), (2, "b", Kind::Behind)] {
        let (key, raw) = (Key::of_texts(vec![item.to_owned()]), record(number, item, kind == Kind::Behind));
        let poison = PoisonRecord {
            shard: &shard(),
            position: Some(at(number)),
            event_id: None,
            key: Some(&key),
            raw: raw.as_bytes(),
            kind,
            reason: "for a reason",
            time: THREE_O_CLOCK,
        };
        lake.quarantine(&poison).await.unwrap();
    }
    folder
}

fn start(folder: &tempfile::TempDir, args: &[&str]) -> Headwater {
    let args: Vec<&str> = ["redrive"].iter().chain(args).copied().collect();
    Headwater::start(folder.path(), folder.path().join("log"), &[], &args)
}

#[tokio::test]
async fn the_quarantine_is_listed_without_its_records_unless_they_are_asked_for() {
    let folder = folder().await;
    let listed = start(&folder, &["--list"]).succeeds(SOON).await;
    assert!(listed.contains("undecodable") && listed.contains("behind") && listed.contains("for a reason"), "{listed}");
    assert!(!listed.contains("secret"), "{listed}");
    let listed = start(&folder, &["--list", "--kind", "undecodable", "--show-record", "--output", "json"]).succeeds(SOON).await;
    // What is logged lies before it.
    let document: serde_json::Value = serde_json::from_str(&listed[listed.find("{\n").unwrap()..]).unwrap();
    assert_eq!((&document["count"], &document["entries"][0]["key"][0]), (&1.into(), &"a".into()));
    assert!(document["entries"][0]["record"].as_str().unwrap().contains("secret"));
}

#[tokio::test]
async fn everything_is_set_aside_only_when_that_is_said() {
    let folder = folder().await;
    let mut refused = start(&folder, &["--discard"]);
    assert_eq!(refused.exit(SOON).await.code(), Some(2));
    assert!(refused.log().contains("--yes"), "{}", refused.log());
    let told = start(&folder, &["--discard", "--key", "a"]).succeeds(SOON).await;
    assert!(told.contains("1 record set aside"), "{told}");
    assert!(start(&folder, &["--discard", "--yes"]).succeeds(SOON).await.contains("1 record set aside"));
    assert!(start(&folder, &["--list"]).succeeds(SOON).await.contains("nothing of the selection"));
}
