//! Decisions about snapshots: how many segments, when one may begin, which gaps it closes and which gap asks for one (pure).

use jiff::Timestamp;

use crate::config::SnapshotSettings;
use crate::digest::sha256_hex;
use crate::lease::gap::{Gap, GapKind};
use crate::lease::snapshot::{Cause, Request, Snapshot, Source, State};
use crate::mutant::{self, Mutant};

/// A snapshot starts this many seconds before the time that DynamoDB tells when it begins: the creation time of a change is floored, to a minute by
/// DynamoDB Local, and the clocks of the service's hosts need not agree to the second. What falls into the margin is replayed on top of rows that hold
/// it already, which changes nothing.
pub const START_MARGIN: i64 = 75;
/// A segment is about so many bytes of the table: some minutes of work for one worker.
const SEGMENT_BYTES: u64 = 256 << 20;
/// From this size on a table is worth several readers.
const WORTH_SHARING: u64 = 64 << 20;
const FEWEST_SHARED: u64 = 4;
const MOST_SEGMENTS: u64 = 64;
/// Hexadecimal digits behind the time in a snapshot's id.
const ID_DIGITS: usize = 8;

/// Into how many segments the scan of a table of so many bytes is divided, unless somebody has said it.
pub fn segments(request: &Request, settings: &SnapshotSettings, table_bytes: u64) -> u32 {
    let by_size = table_bytes.div_ceil(SEGMENT_BYTES).clamp(1, MOST_SEGMENTS);
    let by_size = if table_bytes > WORTH_SHARING { by_size.max(FEWEST_SHARED) } else { by_size };
    request.segments.or(settings.segments).unwrap_or_else(|| u32::try_from(by_size).unwrap_or(1)).max(1)
}

/// Whether the rows of a snapshot that reads the table itself are the whole table.
pub fn is_whole(request: &Request) -> bool {
    request.source == Source::Table && request.limit.is_none()
}

/// When a snapshot that begins at `now` starts; none while a gap was found so lately that what was lost may lie above its rows.
pub fn start<'g>(now: i64, mut gaps: impl Iterator<Item = &'g Gap>) -> Option<i64> {
    let start = if mutant::armed(Mutant::StartTooLate) { now + START_MARGIN } else { now - START_MARGIN };
    gaps.all(|gap| !gap.is_open() || gap.found_at < start).then_some(start)
}

/// The complete snapshot that brought back what was lost in a gap, if there is one.
pub fn closes<'s>(gap: &Gap, snapshots: &'s [Snapshot]) -> Option<&'s Snapshot> {
    let open = gap.is_open();
    snapshots.iter().filter(|snapshot| open && snapshot.state == State::Completed && covers(snapshot, gap)).min_by_key(|s| s.ended_at)
}

fn covers(snapshot: &Snapshot, gap: &Gap) -> bool {
    snapshot.whole && snapshot.started_at.is_some_and(|start| start > gap.found_at)
}

/// The gap of the deliver stage, if there is one, in which rows of a snapshot may have been lost on their way into the lake. It was found after
/// the snapshot began; whether another snapshot has closed it meanwhile makes no difference.
pub fn swallowed<'g>(snapshot: &Snapshot, delivered: &'g [Gap]) -> Option<&'g Gap> {
    // The start of an export lies long before anybody sent its rows.
    let sent_from = snapshot.requested_at - START_MARGIN;
    let start = snapshot.started_at.map_or(sent_from, |start| start.max(sent_from));
    delivered.iter().find(|gap| gap.kind != GapKind::OrderBroken && gap.found_at >= start)
}

/// The request that open gaps give rise to, if no snapshot is under way that will close them. Its id follows from the gaps: several workers write one
/// request, and one that failed or was cancelled is not written again.
pub fn request_for<'g>(
    gaps: impl Iterator<Item = &'g Gap>,
    snapshots: &[Snapshot],
    settings: &SnapshotSettings,
    now: i64,
) -> Option<Snapshot> {
    let will_close = |gap: &Gap| {
        snapshots.iter().any(|snapshot| match snapshot.state {
            State::Requested => is_whole(&snapshot.request),
            State::Running | State::Completing | State::Completed => covers(snapshot, gap),
            State::Cancelled | State::Failed => false,
        })
    };
    // The order of numbers across shards concerns the query: nothing was lost.
    let mut open: Vec<&Gap> = gaps.filter(|gap| gap.is_open() && gap.kind != GapKind::OrderBroken && !will_close(gap)).collect();
    open.sort_by(|a, b| (a.found_at, &a.key).cmp(&(b.found_at, &b.key)));
    let latest = open.last()?.found_at;
    let named: Vec<String> = open.iter().map(|gap| format!("{}@{}", gap.key, gap.found_at)).collect();
    let request =
        Request { source: Source::Table, cause: Cause::Gap, consistent: settings.consistent, segments: None, budget: None, limit: None };
    Some(requested(id(latest, &sha256_hex(named.join("\n"))), request, now))
}

/// A snapshot that nobody has begun yet.
pub fn requested(id: String, request: Request, now: i64) -> Snapshot {
    Snapshot {
        id,
        version: 0,
        request,
        state: State::Requested,
        requested_at: now,
        started_at: None,
        whole: false,
        segments: 0,
        rows: 0,
        half_units: 0,
        completed_at: None,
        ended_at: None,
        problem: None,
    }
}

/// The id of a snapshot: a time, and what tells it from others of the same second.
pub fn id(seconds: i64, hex: &str) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{}-{}", time.strftime("%Y%m%dT%H%M%SZ"), hex.get(..ID_DIGITS).unwrap_or(hex))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ShardId;

    const SETTINGS: SnapshotSettings = SnapshotSettings { segments: None, at_once: 4, consistent: true, budget: None };
    const NOW: i64 = 1_795_230_000;

    fn request(source: Source) -> Request {
        Request { source, cause: Cause::Request, consistent: true, segments: None, budget: None, limit: None }
    }

    fn gap(found_at: i64) -> Gap {
        Gap::of_shard(GapKind::Trimmed, &ShardId::new("s"), None, None, found_at)
    }

    fn snapshot(state: State, started_at: Option<i64>) -> Snapshot {
        let whole = started_at.is_some();
        Snapshot { state, started_at, whole, ..requested("s".to_owned(), request(Source::Table), NOW) }
    }

    fn asked(gaps: &[Gap], snapshots: &[Snapshot]) -> Option<Snapshot> {
        request_for(gaps.iter(), snapshots, &SETTINGS, NOW)
    }

    #[test]
    fn a_small_table_is_one_segment_and_a_large_one_many() {
        let of = |bytes| segments(&request(Source::Table), &SETTINGS, bytes);
        assert_eq!(of(0), 1);
        assert_eq!(of(WORTH_SHARING), 1);
        assert_eq!(of(WORTH_SHARING + 1), 4);
        assert_eq!(of(10 * SEGMENT_BYTES), 10);
        assert_eq!(of(u64::MAX), 64);
    }

    #[test]
    fn what_was_asked_for_counts_before_what_is_configured() {
        let settings = SnapshotSettings { segments: Some(7), ..SETTINGS };
        assert_eq!(segments(&request(Source::Table), &settings, 0), 7);
        assert_eq!(segments(&Request { segments: Some(3), ..request(Source::Table) }, &settings, 0), 3);
    }

    #[test]
    fn only_a_scan_without_a_limit_is_the_whole_table() {
        assert!(is_whole(&request(Source::Table)));
        assert!(!is_whole(&Request { limit: Some(10), ..request(Source::Table) }));
        assert!(!is_whole(&request(Source::Segment { number: 0, of: 2 })));
        assert!(!is_whole(&request(Source::Keys { count: 1 })));
    }

    #[test]
    fn a_snapshot_starts_above_every_open_gap_or_waits() {
        assert_eq!(start(NOW, [].iter()), Some(NOW - START_MARGIN));
        assert_eq!(start(NOW, [gap(NOW - START_MARGIN)].iter()), None);
        assert_eq!(start(NOW, [gap(NOW - START_MARGIN - 1)].iter()), Some(NOW - START_MARGIN));
        assert_eq!(start(NOW, [Gap { closed_at: Some(NOW), ..gap(NOW) }].iter()), Some(NOW - START_MARGIN));
    }

    #[test]
    fn a_gap_is_closed_by_a_whole_complete_snapshot_that_started_after_it_was_found() {
        let complete = |started_at| [snapshot(State::Completed, Some(started_at))];
        assert!(closes(&gap(NOW), &complete(NOW + 1)).is_some());
        assert!(closes(&gap(NOW), &complete(NOW)).is_none(), "what was lost may lie above its rows");
        assert!(closes(&gap(NOW), &[snapshot(State::Completing, Some(NOW + 1))]).is_none());
        assert!(closes(&gap(NOW), &[Snapshot { whole: false, ..snapshot(State::Completed, Some(NOW + 1)) }]).is_none());
        assert!(closes(&Gap { closed_at: Some(NOW), ..gap(NOW) }, &complete(NOW + 1)).is_none());
    }

    #[test]
    fn what_deliver_lost_since_the_start_may_be_rows() {
        let running = snapshot(State::Completing, Some(NOW));
        assert!(swallowed(&running, &[gap(NOW - 1)]).is_none());
        assert!(swallowed(&running, &[gap(NOW - 1), gap(NOW)]).is_some());
        assert!(swallowed(&running, &[Gap { closed_at: Some(NOW + 9), ..gap(NOW + 5) }]).is_some(), "by a later one");
        let of_an_export = snapshot(State::Completing, Some(NOW - 86_400));
        assert!(swallowed(&of_an_export, &[gap(NOW - 3_600)]).is_none(), "before its rows were sent");
        assert!(swallowed(&of_an_export, &[gap(NOW + 1)]).is_some());
    }

    #[test]
    fn an_open_gap_asks_for_one_snapshot_however_many_workers_see_it() {
        let first = asked(&[gap(NOW)], &[]).unwrap();
        assert_eq!((first.request.source.clone(), first.request.cause.clone()), (Source::Table, Cause::Gap));
        assert!(first.id.starts_with("20261121T030000Z-"), "{}", first.id);
        assert_eq!(first.id, request_for([gap(NOW)].iter(), &[], &SETTINGS, NOW + 9).unwrap().id);
        assert_ne!(first.id, asked(&[gap(NOW + 1)], &[]).unwrap().id, "the same gap, found once more");
        assert!(asked(&[gap(NOW)], &[first]).is_none());
    }

    #[test]
    fn a_gap_asks_for_nothing_while_a_snapshot_that_will_close_it_is_under_way() {
        for state in [State::Running, State::Completing, State::Completed] {
            assert!(asked(&[gap(NOW)], &[snapshot(state, Some(NOW + 1))]).is_none(), "{state:?}");
            assert!(asked(&[gap(NOW)], &[snapshot(state, Some(NOW))]).is_some(), "{state:?} from before the gap");
        }
        let part = Snapshot { request: request(Source::Segment { number: 0, of: 2 }), ..snapshot(State::Requested, None) };
        assert!(asked(&[gap(NOW)], &[part]).is_some());
        assert!(asked(&[Gap { closed_at: Some(NOW), ..gap(NOW) }], &[]).is_none());
        assert!(asked(&[Gap { kind: GapKind::OrderBroken, ..gap(NOW) }], &[]).is_none());
    }
}
