//! What is missing when a history has had time to settle.

use super::consumer::{Consumer, Fate, Record};
use super::{Checker, Invariant};

impl Checker {
    /// What has not come yet, or is lost and not in a ledger: lazily, because it is asked for again and again until there is none.
    pub(super) fn missing(&self) -> impl Iterator<Item = (Invariant, String)> {
        let (arrives, loss) = match &self.kinesis {
            Some(_) => ("is acknowledged by Kinesis", Invariant::KinesisNoLoss),
            None => ("landed", Invariant::Liveness),
        };
        let changes = self.capture.records.iter().zip(&self.changes).filter_map(move |(record, change)| {
            let (invariant, what) = missing(&self.capture, record, arrives, loss)?;
            Some((invariant, format!("{} at {what}", change.change.operation)))
        });
        let unstreamed = self.unstreamed.iter().filter(|(at, stream)| !self.capture.is_replacement_in_ledger(stream, *at));
        let unstreamed = unstreamed.map(|(at, stream)| {
            (Invariant::NoSilentLoss, format!("a change of {at} came into no stream after {stream}, and no gap tells of it"))
        });
        let delivering = self.kinesis.iter().filter(|stored| stored.consumer.table.is_some());
        let delivered = delivering.clone().flat_map(|stored| {
            let consumer = &stored.consumer;
            consumer.records.iter().filter_map(|record| missing(consumer, record, "landed", Invariant::KinesisNoLoss))
        });
        let of_stored = delivering.flat_map(|stored| stored.consumer.stuck_checkpoints(|record| stored.leaves(record)));
        let stuck = self.capture.stuck_checkpoints(|_| true).chain(of_stored);
        let unfinished = self.snapshots.unfinished().map(|snapshot| format!("the snapshot {} is still {:?}", snapshot.id, snapshot.state));
        let open = self.snapshots.open_gaps().filter(|_| self.subject.closes_gaps);
        let open = open.map(|gap| (Invariant::GapCloses, format!("no snapshot closes {gap}")));
        let late = stuck.chain(unfinished).map(|what| (Invariant::Liveness, what));
        // The most work, so only when all the rest is there; and what was found wrong already need not be found once more.
        let is_sound = self.findings.violations.is_empty();
        let current = std::iter::once_with(move || self.current_difference().filter(|_| is_sound))
            .flatten()
            .map(|what| (Invariant::CurrentEqualsTable, what));
        changes.chain(unstreamed).chain(delivered).chain(late).chain(open).chain(current)
    }
}

/// What is missing of a record; `pending`: the invariant that does not hold if it has not come.
fn missing(consumer: &Consumer, record: &Record, arrives: &str, pending: Invariant) -> Option<(Invariant, String)> {
    let described = || format!("{} of {}", record.position, record.shard);
    match record.fate {
        Fate::Pending => Some((pending, format!("{} never {arrives}", described()))),
        Fate::Lost if !consumer.is_in_ledger(record) => {
            Some((Invariant::NoSilentLoss, format!("{} was trimmed unread, and no gap tells of it", described())))
        }
        Fate::Lost | Fate::Durable { .. } | Fate::BeforeTheStart => None,
    }
}
