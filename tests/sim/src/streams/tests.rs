//! The life of a stream: enabled, resharded, trimmed, disabled, gone.

use super::testing::{BEGINNING, DAY, Service, ids};
use crate::journal::Event;
use serde_json::json;

#[test]
fn a_stream_begins_with_shards_that_partition_the_hashes() {
    let service = Service::with_partitions(3);
    let shards = service.shards();
    assert_eq!(shards.len(), 3);
    assert!(shards.iter().map(|id| service.shard(id)).all(|shard| shard.parent.is_none() && shard.end.is_none()));
    let mut next = Some(0);
    for id in service.streams.open_shards(&service.stream) {
        let range = &service.shard(&id).range;
        assert_eq!(Some(*range.start()), next);
        next = range.end().checked_add(1);
    }
    assert_eq!(next, None);
}

#[test]
fn shard_ids_have_the_form_that_clients_parse() {
    let id = Service::new().shards()[0].clone();
    let parts: Vec<&str> = id.split('-').collect();
    assert_eq!(parts[..2], ["shardId", "00000001795242815160"]);
    assert!(parts[2].len() == 8 && parts[2].bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[test]
fn streams_of_one_table_have_labels_of_their_own() {
    let mut service = Service::new();
    let first = service.stream.clone();
    service.disable();
    let second = service.enable(Service::TABLE, 1);
    assert!(second.ends_with("/stream/2026-11-21T06:33:35.161"));
    assert_eq!(service.streams.latest(Service::TABLE), Some(second.as_str()));
    assert_ne!(first, second);
    assert_eq!(service.streams.latest("order"), None, "the beginning of another table's name");
    assert!(
        service.streams.by_arn[&second].shards.values().all(|shard| shard.parent.is_none()),
        "a new stream has no lineage to the old one"
    );
}

#[test]
fn a_change_goes_to_the_open_shard_of_its_hash() {
    let mut service = Service::with_partitions(2);
    let [low, high] = [0, u64::MAX].map(|hash| service.put(hash));
    assert_ne!(low.shard, high.shard);
    let border = *service.shard(&high.shard).range.start();
    assert_eq!([border - 1, border].map(|hash| service.put(hash).shard), [low.shard.clone(), high.shard.clone()]);
    service.wait(1);
    let children = service.reshard(&high.shard, 2);
    let later = [0, u64::MAX / 4 * 3 - 10, u64::MAX].map(|hash| service.put(hash).shard);
    assert_eq!(later, [low.shard, children[0].clone(), children[1].clone()]);
}

#[test]
fn numbers_rise_over_the_whole_stream() {
    let mut service = Service::with_partitions(2);
    let mut last = service.put(0).sequence;
    for round in 0..20 {
        service.wait(1);
        let shard = service.streams.open_shards(&service.stream)[round % 2].clone();
        service.reshard(&shard, 1 + round % 2);
        for hash in [0, u64::MAX] {
            let next = service.put(hash).sequence;
            assert!(next > last);
            last = next;
        }
    }
}

#[test]
fn a_shard_is_split_into_several_or_continued_by_one() {
    let mut service = Service::new();
    let root = service.shards()[0].clone();
    let children = service.reshard(&root, 3);
    let rotated = service.reshard(&children[1], 1);
    assert_eq!(service.streams.open_shards(&service.stream), [&children[0], &rotated[0], &children[2]].map(Clone::clone));
    let range = |id: &str| service.shard(id).range.clone();
    assert_eq!(range(&children[1]), range(&rotated[0]));
    let resharded = service.events().into_iter().filter_map(|event| match event {
        Event::Resharded { parent, children, .. } => Some((parent, children)),
        _ => None,
    });
    assert!(resharded.eq([(None, vec![root.clone()]), (Some(root), children.clone()), (Some(children[1].clone()), rotated)]));
}

#[test]
fn only_open_shards_split() {
    let mut service = Service::new();
    let root = service.shards()[0].clone();
    service.reshard(&root, 1);
    let arn = service.stream.clone();
    let mut refused =
        |stream: &str, shard: &str, into| service.streams.reshard(stream, shard, into, BEGINNING, &service.journal).unwrap_err().code;
    assert_eq!(refused(&arn, &root, 1), "ValidationException");
    assert_eq!(refused(&arn, "shardId-0", 1), "ResourceNotFoundException");
    assert_eq!(refused("arn", &root, 1), "ResourceNotFoundException");
    let open = service.streams.open_shards(&arn)[0].clone();
    for into in [0, 1_001, 1_000_000_000] {
        assert_eq!(service.streams.reshard(&arn, &open, into, BEGINNING, &service.journal).unwrap_err().code, "ValidationException");
    }
}

#[test]
fn records_are_trimmed_when_they_are_older_than_a_day() {
    let mut service = Service::new();
    let shard = service.shards()[0].clone();
    let first = service.put(1).sequence;
    service.wait(1);
    service.put(2);
    service.wait(DAY - 1);
    service.describe(&json!({}));
    assert_eq!(service.shard(&shard).records().len(), 2, "a day old is not older than a day");
    service.wait(1);
    service.describe(&json!({}));
    assert_eq!(service.shard(&shard).records().len(), 1);
    let trimmed: Vec<_> = service.events().into_iter().filter(|event| matches!(event, Event::Trimmed { .. })).collect();
    assert!(matches!(&trimmed[..], [Event::Trimmed { shard: of, through, .. }] if *of == shard && *through == first));
    assert_eq!(ids(&service.describe(&json!({}))), [shard], "an open shard stays, however empty");
}

#[test]
fn a_stream_that_nobody_reads_does_not_grow_for_ever() {
    let mut service = Service::new();
    let shard = service.shards()[0].clone();
    for hash in 0..10 {
        service.put(hash);
        service.wait(DAY / 4);
    }
    assert_eq!(service.shard(&shard).records().len(), 5, "those of the last day, and the newest");
}

#[test]
fn a_closed_shard_is_listed_until_it_is_a_day_old_and_empty() {
    let mut service = Service::new();
    let root = service.shards()[0].clone();
    service.put(1);
    service.wait(1000);
    let child = service.reshard(&root, 1);
    service.wait(DAY);
    assert_eq!(ids(&service.describe(&json!({}))).len(), 2, "its record is trimmed, but it was closed a day ago only");
    assert_eq!(service.shard(&root).records().len(), 0);
    service.wait(1);
    assert_eq!(ids(&service.describe(&json!({}))), child);
    assert!(service.events().iter().any(|event| matches!(event, Event::Forgotten { shard, .. } if *shard == root)));
    let orphan = service.shard(&child[0]);
    assert_eq!(orphan.parent.as_deref(), Some(root.as_str()), "it still names the parent that is gone");
}

#[test]
fn the_service_may_trim_at_any_moment() {
    let mut service = Service::new();
    let shard = service.shards()[0].clone();
    let sequences = service.put_many(5);
    assert_eq!(service.trim_through(&shard, 2), 3);
    assert_eq!(service.trim_through(&shard, 2), 0);
    let left: Vec<_> = service.shard(&shard).records().iter().map(|record| record.sequence.clone()).collect();
    assert_eq!(left, sequences[3..]);
    let trims = service.events().iter().filter(|event| matches!(event, Event::Trimmed { through, .. } if *through == sequences[2])).count();
    assert_eq!(trims, 1);
}

#[test]
fn a_disabled_stream_takes_nothing_and_is_readable_for_a_day() {
    let mut service = Service::with_partitions(2);
    let written = service.put(1);
    service.wait(1000);
    service.disable();
    service.wait(1000);
    service.disable();
    assert_eq!(service.try_put(1), None);
    assert!(service.streams.open_shards(&service.stream).is_empty());
    let closed =
        service.events().iter().filter(|event| matches!(event, Event::Closed { .. } | Event::Stream { enabled: false, .. })).count();
    assert_eq!(closed, 2 + 1, "disabling it again changes nothing");

    let description = service.describe(&json!({}));
    assert_eq!(description["StreamStatus"], "DISABLED");
    for shard in description["Shards"].as_array().unwrap() {
        assert!(shard["SequenceNumberRange"].get("EndingSequenceNumber").is_some());
    }
    let iterator = service.iterator(&written.shard, "TRIM_HORIZON");
    let read = service.read(&iterator);
    assert_eq!((read.sequences(), read.next), (vec![written.sequence], None));

    service.wait(DAY - 1000);
    assert_eq!(service.describe(&json!({}))["Shards"].as_array().unwrap().len(), 2);
    service.wait(1);
    let arn = service.stream.clone();
    assert_eq!(service.call("DescribeStream", &json!({"StreamArn": arn})).unwrap_err().code, "ResourceNotFoundException");
    assert_eq!(service.call("ListStreams", &json!({})).unwrap(), json!({"Streams": []}));
    assert_eq!(service.streams.latest(Service::TABLE), None);
}

#[test]
fn the_journal_tells_the_life_of_a_stream_in_order() {
    let mut service = Service::new();
    let root = service.shards()[0].clone();
    service.put(1);
    let child = service.reshard(&root, 1)[0].clone();
    service.disable();
    service.wait(DAY + 1);
    service.streams.trim(service.now, &service.journal);
    let told: Vec<String> = service.events().iter().map(ToString::to_string).collect();
    let ends = [
        "is enabled".to_owned(),
        format!("shards {root} begin"),
        format!("shard {root} continues in {child}"),
        format!("shard {child} is closed"),
        "is disabled".to_owned(),
        format!("shard {root} is trimmed through"),
    ];
    assert!(told.iter().zip(&ends).all(|(told, end)| told.contains(end.as_str())), "{told:#?}");
    let mut gone = told[ends.len()..].to_vec();
    gone.sort_unstable();
    let mut expected = [root, child].map(|shard| format!("shard {shard} is gone"));
    expected.sort_unstable();
    assert_eq!(gone, expected);
}

#[test]
fn the_same_calls_give_the_same_streams() {
    let history = || {
        let mut service = Service::with_partitions(2);
        service.put_many(10);
        let shard = service.streams.open_shards(&service.stream)[0].clone();
        service.reshard(&shard, 2);
        service.put_many(10);
        let shards = service.shards();
        let records = shards.iter().flat_map(|shard| service.shard(shard).records());
        (records.map(|record| record.json.clone()).collect::<Vec<_>>(), service.describe(&json!({})))
    };
    assert_eq!(history(), history());
}

#[test]
fn event_ids_are_unique() {
    let mut service = Service::new();
    let ids: std::collections::BTreeSet<String> = (0..5_000).map(|hash| service.put(hash).event_id).collect();
    assert_eq!(ids.len(), 5_000);
}
