//! Names of tables, shards, snapshots, records and claims, however hostile: none leads out of the lake's prefix, and no two meet.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater::contract::TableSchema;
use headwater::event::{AttributeType, ShardId};
use headwater::lake::{ChangeKey, Decimals, Format, HourPartition, Lake, LakeLocation, LakeSettings, LakeStore, Layout, Problem};
use object_store::path::Path as Location;
use object_store::{ObjectStoreExt as _, PutPayload};
use proptest::collection::vec;
use proptest::prelude::*;

/// Names that lead elsewhere in some store, shell or browser, and those that differ in next to nothing.
fn name() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(".."),
        Just("."),
        Just("/"),
        Just("\\"),
        Just("%2e%2e"),
        Just("%2F"),
        Just("%"),
        Just("%25"),
        Just("\0"),
        Just("\n"),
        Just(" "),
        Just("~"),
        Just("Orders"),
        Just("orders"),
        Just("shardId-1"),
        Just("é"),
        Just("e\u{301}"),
        Just("\u{202e}"),
        Just("C:"),
        Just("s3://bucket/"),
        Just("file:///etc/passwd"),
        Just("?versionId=1"),
        Just("#"),
        Just("-"),
        Just(":"),
    ];
    prop_oneof![
        8 => vec(piece, 0..5).prop_map(|pieces| pieces.concat()),
        2 => any::<String>(),
        1 => (1_usize..2000).prop_map(|length| "x".repeat(length)),
    ]
}

fn hour() -> HourPartition {
    HourPartition::containing(1_795_230_000).unwrap()
}

fn change(shard: &str) -> ChangeKey {
    ChangeKey { partition: hour(), shard: ShardId::new(shard), after: "17".parse().unwrap(), format: Format::Ndjson }
}

/// Every kind of object that is named after something, with how many folders below the table's it lies.
fn locations(layout: &Layout, name: &str) -> [(Location, usize); 7] {
    let shard = ShardId::new(name);
    [
        (layout.change(&change(name)), 4),
        (layout.snapshot(name), 2),
        (layout.part(name, "0-f"), 3),
        (layout.part("s", name), 3),
        (layout.wanted_keys(name), 3),
        (layout.quarantined(hour(), &shard, "17", None), 3),
        (layout.claim(hour(), &shard, "17"), 3),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_name_leads_out_of_its_folder(table in name(), names in vec(name(), 1..4), prefix in "[a-z]{0,3}(/[a-z]{1,3}){0,2}") {
        let prefix = Location::parse(prefix).unwrap();
        let layout = Layout::new(&prefix, &table);
        prop_assert!(layout.root().prefix_matches(&prefix));
        prop_assert_eq!(layout.root().parts_count(), prefix.parts_count() + 1);
        for name in &names {
            for (location, depth) in locations(&layout, name) {
                prop_assert!(location.prefix_matches(layout.root()), "{:?} leads to {}", name, location);
                prop_assert_eq!(location.parts_count(), layout.root().parts_count() + depth, "{:?} leads to {}", name, location);
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.%=".contains(&byte);
                prop_assert!(location.as_ref().bytes().all(plain), "{}", location);
                prop_assert!(location.parts().all(|part| !matches!(part.as_ref(), "" | "." | "..")), "{}", location);
            }
        }
    }

    #[test]
    fn two_names_lead_to_two_places(tables in vec(name(), 2..4), names in vec(name(), 2..6)) {
        let mut owners: HashMap<String, (&str, &str, usize)> = HashMap::new();
        for table in &tables {
            for name in &names {
                for (kind, (location, _)) in locations(&Layout::new(&Location::default(), table), name).into_iter().enumerate() {
                    let (owner, at) = ((table.as_str(), name.as_str(), kind), location.to_string());
                    let known = owners.insert(at, owner);
                    prop_assert!(known.is_none_or(|known| known == owner), "{:?} and {:?} are both at {}", known, owner, location);
                }
            }
        }
    }

    #[test]
    fn a_name_in_the_lake_is_a_run_s_or_nobody_s(table in name(), shard in name(), stem in "[%A-Za-z0-9.:/ -]{0,12}") {
        let layout = Layout::new(&Location::default(), &table);
        let key = change(&shard);
        prop_assert_eq!(layout.parse_change(&layout.change(&key)), Some(key));
        // Of a name that somebody else has put there, either nothing is made, or it is the very name that the layout gives.
        let foreign = format!("{}/changes/dt=2026-11-21/hr=03/{stem}-{}.json.gz", layout.root(), "0".repeat(40));
        if let Ok(foreign) = Location::parse(&foreign)
            && let Some(key) = layout.parse_change(&foreign)
        {
            prop_assert_eq!(layout.change(&key), foreign);
        }
    }
}

fn settings(folder: &Path) -> LakeSettings {
    LakeSettings {
        location: LakeLocation::Folder(folder.to_owned()),
        format: Format::Ndjson,
        max_size: 1 << 20,
        max_age: Duration::from_mins(1),
        decimals: Decimals::Number,
        kms_key: None,
    }
}

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path.display().to_string()) }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_is_written_outside_of_a_local_lake(table in name(), names in vec(name(), 1..4)) {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("lake");
        let store = LakeStore::connect(&LakeLocation::Folder(folder.clone()), None, None).unwrap();
        let layout = Layout::new(&store.prefix, &table);
        let mut written = 0;
        runtime().block_on(async {
            for name in &names {
                for (location, _) in locations(&layout, name) {
                    // A name may be longer than the file system has room for.
                    written += usize::from(store.store.put(&location, PutPayload::from_static(b"x")).await.is_ok());
                }
            }
        });
        let (mut all, mut inside) = (Vec::new(), Vec::new());
        files(outside.path(), &mut all);
        files(&folder, &mut inside);
        prop_assert_eq!(all.len(), inside.len());
        prop_assert!(inside.len() <= written);
    }

    #[test]
    fn nothing_but_claims_is_read_for_a_pointer(location in name(), day in prop_oneof![Just("dt=2026-11-21/"), Just(""), Just("../")]) {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("lake");
        let secrets = [outside.path().join("secret.json"), folder.join("secret.json"), folder.join("orders/secret.json")];
        let schema = Arc::new(TableSchema::keys_only("orders", vec![("id".to_owned(), AttributeType::S)]));
        runtime().block_on(async {
            let lake = Lake::open(&settings(&folder), schema, None).await.unwrap();
            for secret in &secrets {
                fs::write(secret, "secret").unwrap();
            }
            let beside: [&str; 4] = ["", "../secret.json", "../../secret.json", "../../../secret.json"];
            for location in beside.map(|secret| format!("claims/{day}{location}{secret}")).iter().chain([&location]) {
                let refused = lake.read_claim(location).await.unwrap_err();
                prop_assert!(matches!(refused.problem, Problem::NotAClaim(_) | Problem::Missing), "{:?}: {}", location, refused);
            }
            Ok(())
        })?;
    }
}

#[test]
fn a_lake_s_prefix_is_taken_as_it_is_or_refused() {
    for address in ["s3://bucket/../other", "s3://bucket/a/../../b", "s3://bucket/./a", "s3://bucket/a//b"] {
        assert!(address.parse::<LakeLocation>().is_err(), "{address}");
    }
}
