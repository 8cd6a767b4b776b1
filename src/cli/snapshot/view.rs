//! A snapshot for people and for machines. The names of its fields are stable.

use std::fmt::Write as _;

use serde::Serialize;

use crate::clock::rfc3339;
use crate::lease::snapshot::{Cause, ReadBudget, Snapshot, Source, State};
use crate::lease::table::Contents;
use crate::lease::{Checkpoint, Lease};
use crate::snapshot::SnapshotProgress;

/// Where a snapshot stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in crate::cli) struct View {
    pub(super) id: String,
    pub(super) state: State,
    cause: Cause,
    pub(super) source: Source,
    consistent: bool,
    read_budget: Option<ReadBudget>,
    pub(super) limit: Option<u64>,
    /// Whether its rows are the whole table. Not known before it runs.
    whole: Option<bool>,
    requested_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    ended_at: Option<String>,
    pub(in crate::cli) rows: u64,
    pub(super) read_units: f64,
    pub(super) segments: u32,
    pub(super) segments_done: u32,
    problem: Option<String>,
}

/// One segment of a snapshot that runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct SegmentView {
    segment: String,
    state: &'static str,
    owner: Option<String>,
    rows: u64,
    read_units: f64,
}

impl View {
    /// The snapshot, with what its segments tell while it runs.
    pub(in crate::cli) fn of(snapshot: &Snapshot, contents: &Contents) -> Self {
        let request = &snapshot.request;
        let SnapshotProgress { snapshot, segments_done } = SnapshotProgress::of(snapshot, contents);
        Self {
            id: snapshot.id.clone(),
            state: snapshot.state,
            cause: request.cause.clone(),
            source: request.source.clone(),
            consistent: request.consistent,
            read_budget: request.budget,
            limit: request.limit,
            whole: snapshot.started_at.map(|_| snapshot.whole),
            requested_at: rfc3339(snapshot.requested_at),
            started_at: snapshot.started_at.map(rfc3339),
            completed_at: snapshot.completed_at.map(rfc3339),
            ended_at: snapshot.ended_at.map(rfc3339),
            rows: snapshot.rows,
            read_units: units(snapshot.half_units),
            segments: snapshot.segments,
            segments_done,
            problem: snapshot.problem.clone(),
        }
    }

    /// What is worth a place beside the shards: the snapshots that are under way, or the one that was asked for last.
    pub(in crate::cli) fn in_flight_or_last(contents: &Contents) -> Vec<Self> {
        let views = latest_first(contents);
        let in_flight: Vec<Self> = views.iter().filter(|view| !view.state.is_final()).cloned().collect();
        if in_flight.is_empty() { views.into_iter().take(1).collect() } else { in_flight }
    }

    /// With its segments, for machines.
    pub(super) fn with_segments(&self, parts: Vec<SegmentView>) -> impl Serialize {
        #[derive(Serialize)]
        struct Detailed {
            #[serde(flatten)]
            view: View,
            parts: Vec<SegmentView>,
        }
        Detailed { view: self.clone(), parts }
    }

    /// One line.
    pub(in crate::cli) fn line(&self) -> String {
        let mut text = format!("{}  {:<10}  {:>12} rows  {:>10.1} read units", self.id, name(self.state), self.rows, self.read_units);
        if self.state == State::Running {
            let _ = write!(text, "  {} of {} segments", self.segments_done, self.segments);
        }
        let _ = write!(text, "  {}", describe(&self.source));
        text
    }

    /// Everything, in lines.
    pub(super) fn text(&self, segments: &[SegmentView]) -> String {
        let mut out = format!("snapshot {}  {}\n", self.id, name(self.state).to_uppercase());
        let mut line = |name: &str, text: &str| {
            let _ = writeln!(out, "  {name:<10} {text}");
        };
        line("reads", &self.reads());
        line("because", because(&self.cause));
        line("requested", &self.requested_at);
        match &self.started_at {
            Some(at) => line("start", &format!("{at}: later changes of the stream lie above its rows")),
            None if self.state == State::Requested => line("start", "no worker of `headwater run` has begun it yet"),
            None => {}
        }
        if self.started_at.is_some() {
            line(
                "progress",
                &format!("{} rows, {:.1} read units, {} of {} segments", self.rows, self.read_units, self.segments_done, self.segments),
            );
        }
        match (self.state, &self.completed_at, &self.ended_at) {
            (State::Completing, Some(at), _) => {
                line("read", &format!("{at}: every row is in the route; the marker follows when all are in the lake"));
            }
            (State::Completed, Some(read), Some(ended)) => line("completed", &format!("{ended}, rows complete {read}")),
            (_, _, Some(ended)) => line("ended", ended),
            _ => {}
        }
        if let Some(problem) = &self.problem {
            line("problem", problem);
        }
        if !segments.is_empty() {
            let width = segments.iter().map(|segment| segment.segment.len()).max().unwrap_or_default();
            let _ = writeln!(out, "\n{:width$}  {:7}  {:>12}  {:>10}  owner", "segment", "state", "rows", "read units");
            for segment in segments {
                let SegmentView { segment, state, owner, rows, read_units } = segment;
                let owner = owner.as_deref().unwrap_or("-");
                let _ = writeln!(out, "{segment:width$}  {state:7}  {rows:>12}  {read_units:>10.1}  {owner}");
            }
        }
        out
    }

    pub(super) fn reads(&self) -> String {
        let mut text = describe(&self.source);
        if !matches!(self.source, Source::Export { .. }) {
            text.push_str(if self.consistent { ", consistently" } else { ", eventually consistent" });
        }
        match self.read_budget {
            Some(ReadBudget::Units(units)) => drop(write!(text, ", at most {units} read units a second")),
            Some(ReadBudget::Share(share)) => drop(write!(text, ", at most {share}% of the provisioned read capacity")),
            None => {}
        }
        if let Some(limit) = self.limit {
            let _ = write!(text, ", at most {limit} rows of each segment");
        }
        text
    }
}

/// Snapshots of the table, the one that was asked for last first.
pub(super) fn latest_first(contents: &Contents) -> Vec<View> {
    let mut views: Vec<View> = contents.snapshots.iter().map(|snapshot| View::of(snapshot, contents)).collect();
    views.sort_by(|a, b| (&b.requested_at, &b.id).cmp(&(&a.requested_at, &a.id)));
    views
}

/// The segments of a snapshot that are still in the lease table.
pub(super) fn segments(id: &str, contents: &Contents) -> Vec<SegmentView> {
    let mut segments: Vec<_> = segments_of(id, contents).collect();
    segments.sort_by(|a, b| a.shard.cmp(&b.shard));
    let view = |lease: &Lease| {
        let done = lease.checkpoint == Checkpoint::ShardEnd;
        SegmentView {
            segment: lease.shard.to_string(),
            state: match (done, &lease.owner) {
                (true, _) => "done",
                (false, Some(_)) => "reading",
                (false, None) => "waiting",
            },
            owner: lease.owner.clone().filter(|_| !done),
            rows: lease.segment.as_ref().map_or(0, |progress| progress.rows),
            read_units: units(lease.segment.as_ref().map_or(0, |progress| progress.half_units)),
        }
    };
    segments.into_iter().map(view).collect()
}

fn segments_of<'c>(id: &'c str, contents: &'c Contents) -> impl Iterator<Item = &'c Lease> {
    contents.segments.iter().filter(move |lease| lease.segment.as_ref().is_some_and(|progress| progress.snapshot == id))
}

/// The sum stays far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "a table of a petabyte is 2^39 half units")]
fn units(half_units: u64) -> f64 {
    half_units as f64 / 2.0
}

/// The state in a word, as JSON spells it too.
pub(super) const fn name(state: State) -> &'static str {
    match state {
        State::Requested => "requested",
        State::Running => "running",
        State::Completing => "completing",
        State::Completed => "completed",
        State::Cancelled => "cancelled",
        State::Failed => "failed",
    }
}

const fn because(cause: &Cause) -> &'static str {
    match cause {
        Cause::Request => "it was asked for",
        Cause::Gap => "changes were lost (on_gap = \"snapshot\")",
        Cause::Repair => "a verification found keys that differ",
    }
}

/// What is read, in words. Keys are not told: they may be personal data.
pub(super) fn describe(source: &Source) -> String {
    match source {
        Source::Table => "the whole table".to_owned(),
        Source::Segment { number, of } => format!("part {number}/{of} of the table"),
        Source::Partition { from: None, to: None, .. } => "the items of one partition key".to_owned(),
        Source::Partition { .. } => "items of one partition key in a range of sort keys".to_owned(),
        Source::Keys { count: 1 } => "the item of one key".to_owned(),
        Source::Keys { count } => format!("the items of {count} keys"),
        Source::Export { location } => format!("the export {location}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::ShardId;
    use crate::lease::snapshot::{Request, SegmentProgress};
    use crate::stream::StreamArn;

    pub(in crate::cli::snapshot) fn snapshot(id: &str, state: State) -> Snapshot {
        Snapshot {
            id: id.to_owned(),
            version: 3,
            request: Request { source: Source::Table, cause: Cause::Request, consistent: true, segments: None, budget: None, limit: None },
            state,
            requested_at: 1_795_230_000,
            started_at: (state != State::Requested).then_some(1_795_229_926),
            whole: true,
            segments: 2,
            rows: 0,
            half_units: 0,
            completed_at: None,
            ended_at: None,
            problem: None,
        }
    }

    fn segment(snapshot: &Snapshot, number: u32, checkpoint: Checkpoint, rows: u64) -> Lease {
        let shard = ShardId::new(format!("{}-{number:05}", Snapshot::key(&snapshot.id)));
        Lease {
            owner: Some("worker/1".to_owned()),
            counter: 1,
            segment: Some(SegmentProgress { snapshot: snapshot.id.clone(), cursor: None, rows, half_units: rows / 10 + 1 }),
            ..Lease::new(shard, StreamArn::new("arn"), checkpoint)
        }
    }

    pub(in crate::cli::snapshot) fn contents(snapshot: Snapshot) -> Contents {
        let other = self::snapshot("other", State::Running);
        let segments = vec![
            segment(&snapshot, 1, Checkpoint::TrimHorizon, 50),
            segment(&other, 0, Checkpoint::TrimHorizon, 7_000),
            segment(&snapshot, 0, Checkpoint::ShardEnd, 100),
        ];
        Contents { segments, snapshots: vec![snapshot], ..Contents::default() }
    }

    #[test]
    fn a_running_snapshot_is_as_far_as_its_segments_are() {
        let contents = contents(snapshot("20261121T030000Z-3f9a1c2e", State::Running));
        let view = View::of(&contents.snapshots[0], &contents);
        assert_eq!((view.rows, view.segments_done), (150, 1));
        insta::assert_snapshot!(view.text(&segments(&view.id, &contents)), @r"
        snapshot 20261121T030000Z-3f9a1c2e  RUNNING
          reads      the whole table, consistently
          because    it was asked for
          requested  2026-11-21T03:00:00Z
          start      2026-11-21T02:58:46Z: later changes of the stream lie above its rows
          progress   150 rows, 8.5 read units, 1 of 2 segments

        segment                                   state            rows  read units  owner
        snapshot-20261121T030000Z-3f9a1c2e-00000  done              100         5.5  -
        snapshot-20261121T030000Z-3f9a1c2e-00001  reading            50         3.0  worker/1
        ");
    }

    #[test]
    fn a_machine_reads_the_same_names_whatever_the_state() {
        let contents = contents(snapshot("20261121T030000Z-3f9a1c2e", State::Running));
        let view = View::of(&contents.snapshots[0], &contents);
        let expected = serde_json::json!({
            "id": "20261121T030000Z-3f9a1c2e", "state": "running", "cause": "request", "source": {"kind": "table"}, "consistent": true,
            "read_budget": null, "limit": null, "whole": true, "requested_at": "2026-11-21T03:00:00Z",
            "started_at": "2026-11-21T02:58:46Z", "completed_at": null, "ended_at": null, "rows": 150, "read_units": 8.5,
            "segments": 2, "segments_done": 1, "problem": null,
        });
        assert_eq!(serde_json::to_value(&view).unwrap(), expected);
        let names = |view: &View| serde_json::to_value(view).unwrap().as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let requested = View::of(&snapshot("r", State::Requested), &Contents::default());
        assert_eq!(names(&requested), names(&view));
        assert_eq!(requested.whole, None, "not known before it runs");
    }

    #[test]
    fn a_snapshot_that_ended_tells_of_itself() {
        let mut done = snapshot("20261121T030000Z-3f9a1c2e", State::Completed);
        (done.rows, done.half_units, done.completed_at, done.ended_at) = (1_000, 21, Some(1_795_230_060), Some(1_795_230_061));
        let mut failed = snapshot("20261121T040000Z-00000000", State::Failed);
        (failed.problem, failed.ended_at) = (Some("scan table orders: no permission".to_owned()), Some(1_795_233_600));
        failed.request.budget = Some(ReadBudget::Share(25));
        let contents = Contents { snapshots: vec![done, failed], ..Contents::default() };
        let texts: Vec<String> = latest_first(&contents).iter().map(|view| view.text(&[])).collect();
        insta::assert_snapshot!(texts.join("\n"), @r"
        snapshot 20261121T040000Z-00000000  FAILED
          reads      the whole table, consistently, at most 25% of the provisioned read capacity
          because    it was asked for
          requested  2026-11-21T03:00:00Z
          start      2026-11-21T02:58:46Z: later changes of the stream lie above its rows
          progress   0 rows, 0.0 read units, 0 of 2 segments
          ended      2026-11-21T04:00:00Z
          problem    scan table orders: no permission

        snapshot 20261121T030000Z-3f9a1c2e  COMPLETED
          reads      the whole table, consistently
          because    it was asked for
          requested  2026-11-21T03:00:00Z
          start      2026-11-21T02:58:46Z: later changes of the stream lie above its rows
          progress   1000 rows, 10.5 read units, 2 of 2 segments
          completed  2026-11-21T03:01:01Z, rows complete 2026-11-21T03:01:00Z
        ");
    }

    #[test]
    fn beside_the_shards_stand_the_snapshots_under_way_or_else_the_last() {
        let of = |snapshots: &[(&str, State)]| {
            let snapshots = snapshots.iter().map(|(id, state)| snapshot(id, *state)).collect();
            let views = View::in_flight_or_last(&Contents { snapshots, ..Contents::default() });
            views.into_iter().map(|view| view.id).collect::<Vec<_>>()
        };
        assert!(of(&[]).is_empty());
        assert_eq!(of(&[("1", State::Completed), ("3", State::Failed), ("2", State::Completed)]), ["3"]);
        assert_eq!(of(&[("1", State::Running), ("3", State::Completed), ("2", State::Requested)]), ["2", "1"]);
    }

    #[test]
    fn keys_are_not_told() {
        let partition = Source::Partition { partition: "alice@example.com".into(), from: None, to: Some("z".into()) };
        assert_eq!(describe(&partition), "items of one partition key in a range of sort keys");
    }
}
