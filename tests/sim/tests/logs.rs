//! What the service logs in drawn histories: nothing of what it carries, and each error once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use headwater_sim::journal::{Event, Journal};
use headwater_sim::runner::coverage::Coverage;
use headwater_sim::runner::scenario::{Route, Scenario, Step};
use headwater_sim::runner::{marks, play, poison};
use tracing::Level;

/// Enough for every kind of fault that is asked for below.
const SEEDS: u64 = 16;
/// With every event of the service's own, and what the crates that it uses tell of their work: ten times as much.
const SEEDS_TRACED: u64 = 1;
/// What stands before the id of a request in the text of an AWS error.
const REQUEST: &str = ", request ";

/// The logs of many histories.
struct Logs {
    /// Of each history, what it was and its lines.
    histories: Vec<(String, Vec<String>)>,
    coverage: Coverage,
}

static LOGS: LazyLock<Logs> = LazyLock::new(|| {
    let mut logs = Logs { histories: Vec::new(), coverage: Coverage::default() };
    let traced = (0..SEEDS_TRACED).map(|seed| (seed, Level::TRACE));
    // Few have one.
    let large = (SEEDS..SEEDS + 1_000)
        .find(|seed| Scenario::draw(*seed, Route::Kinesis).steps.iter().any(|(_, step)| matches!(step, Step::WriteLarge)));
    let seeds = (0..SEEDS).chain(large).map(|seed| (seed, Level::DEBUG));
    for (seed, level) in seeds.chain(traced) {
        for route in [Route::Lake, Route::Kinesis] {
            let report = play(&Scenario::draw(seed, route), Some(level)).unwrap();
            logs.coverage.add(&report.coverage);
            logs.histories.push((format!("seed {seed}, route {}, {level}", route.name()), lines(&report.journal)));
        }
    }
    logs
});

/// The lines that were logged.
fn lines(journal: &Journal) -> Vec<String> {
    let logged = journal.since(0).into_iter().filter(|entry| entry.worker == "log");
    let line = |event| match event {
        Event::Note(line) => line,
        other => panic!("{other:?} is no line of a log"),
    };
    logged.map(|entry| line(entry.event)).collect()
}

/// The lines that hold what an item holds.
fn leaks(lines: &[String]) -> Vec<String> {
    let leak = |line: &String| {
        let mark = marks::SPELLINGS.into_iter().find(|mark| line.contains(mark))?;
        Some(format!("'{mark}' in: {}", line.chars().take(600).collect::<String>()))
    };
    lines.iter().filter_map(leak).take(5).collect()
}

/// The ids of the failed requests that a line tells of.
fn requests(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices(REQUEST).map(|(at, _)| {
        let id = &line[at + REQUEST.len()..];
        &id[..id.find(|letter: char| !letter.is_ascii_hexdigit() && letter != '-').unwrap_or(id.len())]
    })
}

#[test]
fn no_line_of_chaotic_runs_logs_holds_a_value_or_a_key_of_an_item() {
    let mut told = BTreeMap::<&str, usize>::new();
    for (history, lines) in &LOGS.histories {
        let leaks = leaks(lines);
        assert!(leaks.is_empty(), "{history}: payloads are in the log:\n{}", leaks.join("\n"));
        for level in ["ERROR", "WARN", "INFO", "DEBUG"] {
            *told.entry(level).or_default() += lines.iter().filter(|line| line.starts_with(level)).count();
        }
    }
    // A clean result counts only for what was logged.
    assert!(told.values().all(|lines| *lines > 10), "{told:?}");
    for name in [
        "fault: throttle",
        "fault: server_error",
        "fault: truncate",
        "fault: fail_records",
        "large items",
        "gaps in the ledger",
        "snapshots completed",
        "crashes",
        "leases taken over",
    ] {
        assert!(LOGS.coverage.get(name) > 0, "no history exercised: {name}\n{}", LOGS.coverage);
    }
}

#[test]
fn what_is_said_of_poison_holds_nothing_of_it() {
    for seed in 0..2 {
        let lines = lines(&poison::play(seed, Level::DEBUG).unwrap());
        let leaks = leaks(&lines);
        assert!(leaks.is_empty(), "seed {seed}: payloads are in the log:\n{}", leaks.join("\n"));
        let quarantined: Vec<&String> = lines.iter().filter(|line| line.contains("put into quarantine")).collect();
        assert!(quarantined.len() > 10, "{quarantined:?}");
        for part in ["shard=", "kind="] {
            assert!(quarantined.iter().all(|line| line.contains(part)), "{part} is missing: {quarantined:?}");
        }
    }
}

#[test]
fn a_failed_request_is_told_of_in_one_line_with_its_id() {
    let mut told = 0;
    for (history, lines) in &LOGS.histories {
        let mut by_request: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in lines.iter().filter(|line| line.contains(" headwater::")) {
            for request in requests(line) {
                by_request.entry(request).or_default().push(line);
            }
            assert!(!line.contains(", HTTP ") || requests(line).next().is_some(), "{history}: a failed request without its id: {line}");
        }
        told += by_request.len();
        for (request, lines) in by_request {
            assert!(lines.len() == 1, "{history}: request {request} is told of in several lines:\n{}", lines.join("\n"));
        }
    }
    assert!(told > 100, "{told} failed requests were told of");
}
