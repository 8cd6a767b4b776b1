use super::*;
use crate::event::SequenceNumber;

fn entry(shard: &str, position: Option<&str>, name: &str) -> QuarantineEntry {
    QuarantineEntry {
        location: Path::from(name),
        origin: Origin::of(&ShardId::new(shard)),
        shard: ShardId::new(shard),
        position: position.map(|text| text.parse().unwrap()),
        event_id: None,
        key: None,
        kind: Kind::Undecodable,
        reason: String::new(),
        time: 0,
        found_at: None,
        version: None,
        raw: Vec::new(),
    }
}

#[test]
fn records_are_sent_in_the_order_of_their_positions_whatever_their_objects_are_called() {
    let mut entries = [
        entry("b", Some("10"), "1"),
        entry("a", Some("9"), "2"),
        entry("a", None, "4"),
        entry("a", None, "3"),
        entry("a", Some("11"), "0"),
    ];
    in_order(&mut entries);
    let names: Vec<&str> = entries.iter().map(|entry| entry.location.as_ref()).collect();
    assert_eq!(names, ["3", "4", "2", "1", "0"], "by number, not by text, and first what has none");
}

#[test]
fn a_checkpoint_passes_what_nobody_reads_again() {
    let at = |n: u64| Position::from(n.to_string().parse::<SequenceNumber>().unwrap());
    let checkpoints = Checkpoints(Some(
        [
            ("at", Checkpoint::At(at(5))),
            ("new", Checkpoint::TrimHorizon),
            ("late", Checkpoint::AtTimestamp(7)),
            ("ended", Checkpoint::ShardEnd),
        ]
        .map(|(shard, checkpoint)| (ShardId::new(shard), checkpoint))
        .into(),
    ));
    assert!(!Checkpoints::default().have_passed(&ShardId::new("any"), at(1)), "without a lease table everything is read again");
    let passed = |shard: &str, n| checkpoints.have_passed(&ShardId::new(shard), at(n));
    assert!(passed("at", 4) && passed("at", 5) && !passed("at", 6));
    assert!(!passed("new", 1) && !passed("late", 1));
    assert!(passed("ended", 9) && passed("forgotten", 9));
}
