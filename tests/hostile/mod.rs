//! Hostile input: what anybody may have written into a stream, an export, a contract or a configuration breaks no promise, and no name leads out of
//! the lake.

mod paths;
mod sizes;
mod targets;

use std::fs;
use std::path::Path;

/// A target: whatever it is given, its checks hold.
type Target = fn(&[u8]);

/// Every target by the name of its folder, which is that of its fuzz program as well.
const TARGETS: [(&str, Target); 7] = [
    ("get_records", targets::get_records),
    ("line", targets::line),
    ("contract", targets::contract),
    ("aggregated", targets::aggregated),
    ("export", targets::export),
    ("configuration", targets::configuration),
    ("kinesis_page", targets::kinesis_page),
];

/// Runs a target over all files of its folder, and gives how many there are. A file that breaks a promise is named.
fn run(kind: &str, target: &str, check: Target) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile").join(kind).join(target);
    let Ok(files) = fs::read_dir(&folder) else { return 0 };
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        let data = fs::read(&path).unwrap();
        assert!(std::panic::catch_unwind(|| check(&data)).is_ok(), "{} breaks a promise; what it is stands above", path.display());
        count += 1;
    }
    count
}

#[test]
fn the_corpus_breaks_no_promise() {
    for (target, check) in TARGETS {
        assert!(run("corpus", target, check) > 0, "{target} has no corpus");
    }
}

#[test]
fn what_once_broke_a_promise_breaks_none_any_more() {
    let found: usize = TARGETS.iter().map(|(target, check)| run("findings", target, *check)).sum();
    assert!(found > 0, "the findings are gone");
}
