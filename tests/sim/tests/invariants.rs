//! The invariants, over drawn histories.

use headwater_sim::runner::scenario::{Route, Scenario};
use headwater_sim::runner::soak::soak;

/// Enough for every kind of fault to strike several times, and few enough for every change of the code; `headwater-sim soak` plays as many as one likes.
const SEEDS: u64 = 120;

#[test]
fn a_hundred_and_twenty_histories_break_no_invariant() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let soak = soak(0..SEEDS, None, threads, true, &|_| {}).unwrap();
    for (seed, violations) in &soak.failed {
        eprintln!("{}", Scenario::draw(*seed, Route::drawn(*seed)));
        for violation in violations {
            eprintln!("  {violation}");
        }
        eprintln!("  replay: cargo run -p headwater-sim -- replay --seed {seed} --route drawn");
    }
    assert!(soak.failed.is_empty(), "{} of {} seeds broke an invariant", soak.failed.len(), soak.played);
    assert_eq!(soak.played, SEEDS);
    eprintln!("{}", soak.coverage);
    // A clean result counts only for what was exercised.
    for name in [
        "changes by TTL",
        "changes trimmed unread",
        "changes while no stream was enabled",
        "splits",
        "leases taken over",
        "hand-overs asked",
        "leases handed over",
        "hand-overs that timed out",
        "lease table outages",
        "split brains",
        "target outages",
        "gaps in the ledger",
        "refused lease writes",
        "crashes",
        "stops",
        "pauses",
        "outages",
        "lost lease tables",
        "wrong clocks",
        "early trims",
        "streams replaced",
        "clock jumps",
        "fault: throttle",
        "fault: server_error",
        "fault: reset",
        "fault: lose_answer",
        "fault: hang",
        "fault: delay",
        "fault: slow",
        "fault: truncate",
        "fault: empty_page",
        "fault: short_page",
        "fault: repeat_page",
        "fault: late_listing",
        "fault: parents_look_open",
        "fault: condition_fails",
        "aggregated records in Kinesis",
        "changes packed for another shard",
        "changes stored again",
        "merges of Kinesis",
        "records of Kinesis landed",
        "splits of Kinesis",
        "throttled shards of Kinesis",
        "trims of Kinesis",
        "fault: fail_records",
        "fault: split_before",
        "snapshots requested",
        "snapshots begun",
        "snapshots completed",
        "snapshots cancelled",
        "snapshot rows landed",
        "snapshot rows in Kinesis, copies included",
        "announcements of snapshots",
        "parts of snapshots noted",
        "segments taken over",
        "gaps closed",
        "objects deleted by hand",
        "fault: stale_read",
    ] {
        assert!(soak.coverage.get(name) > 0, "no history exercised: {name}\n{}", soak.coverage);
    }
}
