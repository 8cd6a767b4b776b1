//! The reading of a shard: what is taken of each page, what is checkpointed, what is told as lost.

use super::{Flushed, HeldShard, Next};
use crate::aws::{AwsError, Failure};
use crate::consumer::page::{Record, Unreadable};
use crate::consumer::parked::ParkedItems;
use crate::consumer::watermark::Watermark;
use crate::consumer::{ConsumerError, Context, RETENTION_MARGIN, Trimming};
use crate::event::{ChangeEvent, Position, ShardId};
use crate::lake::{Kind, Part, PoisonRecord};
use crate::lease::gap::{Gap, GapKind};
use crate::lease::held::Hold;
use crate::mutant::{self, Mutant};
use crate::route::{Progress, RouteError, ShardWriter};
use crate::stream::IteratorStart;
use crate::stream::reader::{RawPage, ShardReader};
use crate::table::Key;

/// Where the work on a shard stands.
pub(super) struct ShardProgress<'t> {
    pub(super) work: &'t HeldShard,
    pub(super) shard: ShardId,
    pub(super) reader: ShardReader,
    pub(super) writer: Box<dyn ShardWriter>,
    /// The last record that was taken or set aside; anything up to it that comes again is a repetition.
    pub(super) read: Option<Position>,
    /// The last record that is known to be durable.
    pub(super) durable: Option<Position>,
    /// Records made before this time are not wanted.
    pub(super) not_before: Option<i64>,
    pub(super) watermark: Watermark,
    pub(super) order_checked: bool,
    /// While no record has been read: since when there may be some. See [`Origin`].
    pub(super) unread_since: Option<i64>,
    /// Whether the service has said that the shard is not there.
    pub(super) has_vanished: bool,
    /// The items whose changes have to wait.
    pub(super) parked: ParkedItems,
}

impl<'t> ShardProgress<'t> {
    fn context(&self) -> &'t Context {
        &self.work.task.context
    }

    /// Takes a page: all of it, unless another process turns out to be ahead.
    pub(super) async fn take(&mut self, raw: &RawPage) -> Result<Next, ConsumerError> {
        let shard = self.shard.clone();
        let page = match self.context().source.decode.page(&shard, &raw.body).await {
            Ok(page) => page,
            Err(Unreadable(problem)) => {
                self.reader.refuse_page(problem)?;
                return Ok(Next::Page);
            }
        };
        self.context().counters.page(raw.body.len());
        self.check_horizon().await?;
        if let (Some(resumed), Some(first)) = (raw.resumed_at, page.records.first()) {
            self.check_resumption(resumed, first.position()).await?;
        }
        let records = page.records.len();
        for record in page.records {
            if self.writer.is_stuck() {
                // The page is given back, and read again when there is room.
                return Ok(Next::Page);
            }
            if self.work.task.stopping.is_cancelled() {
                // The page does not count as read. What is left of it is read again by whoever has the lease next.
                return Ok(Next::Page);
            }
            let position = record.position();
            if position.is_some_and(|position| self.read.is_some_and(|read| position <= read)) {
                continue;
            }
            let record = match record {
                Record::Elsewhere { fetch, .. } => match fetch.await {
                    Ok(record) => record,
                    Err(Unreadable(problem)) => {
                        self.reader.refuse_page(problem)?;
                        return Ok(Next::Page);
                    }
                },
                here => here,
            };
            if let Record::Marker { position, snapshot, part } = record {
                match self.announced(position, &snapshot, part).await? {
                    Flushed::Whole => continue,
                    Flushed::Rewound => return Ok(Next::Page),
                    Flushed::Lost => return Ok(Next::Lost),
                }
            }
            let written = self.record(record).await?;
            let rewound = matches!(written, Progress::Rewind(_));
            if self.apply(written).await? == Hold::Lost {
                return Ok(Next::Lost);
            }
            if rewound {
                return Ok(Next::Page);
            }
        }
        if mutant::armed(Mutant::CheckpointOnRead)
            && let Some(read) = self.read
            && self.work.held.checkpoint(read).await? == Hold::Lost
        {
            return Ok(Next::Lost);
        }
        // Where no record comes at all, that of the position does not either.
        let nothing_left = raw.resumed_at.filter(|_| records == 0);
        let Some(next) = page.next else {
            if let Some(resumed) = nothing_left {
                self.check_resumption(resumed, None).await?;
            }
            return Ok(Next::End(page.children));
        };
        self.reader.accept(self.read, next.into_owned(), records, raw.body.len(), page.more);
        if self.reader.is_drained() && self.watermark.is_clear() {
            if let Some(resumed) = nothing_left {
                self.check_resumption(resumed, None).await?;
            }
            self.work.held.note_durable_through(raw.asked_at).await;
            self.work.task.place.progressed(Some(raw.asked_at));
            self.unread_since = Some(raw.asked_at);
        }
        Ok(Next::Page)
    }

    async fn record(&mut self, record: Record<'_>) -> Result<Progress, ConsumerError> {
        match record {
            Record::Change { position, time, event } => self.change(position, time, &event).await,
            // What is elsewhere was fetched before, and markers are dealt with by `announced`.
            Record::Elsewhere { position, .. } | Record::Marker { position, .. } => {
                let problem = format!("the claim of the change at {position} holds no change");
                Err(AwsError::of("GetRecords", Failure::Invalid, problem).into())
            }
            Record::Void { position } => {
                self.pass(position);
                Ok(Progress::Unchanged)
            }
            Record::Poison { position: Some(position), time: Some(time), .. } if self.not_before.is_some_and(|wanted| time < wanted) => {
                self.pass(position);
                Ok(Progress::Unchanged)
            }
            Record::Poison { position, time, event_id, key, raw, kind, reason } => {
                // A record without a time of its own is filed under the day it was found.
                let time = time.unwrap_or_else(|| self.context().clock.unix_seconds());
                let shard = self.shard.clone();
                let (event_id, key) = (event_id.as_deref(), key.as_ref());
                let record = PoisonRecord { shard: &shard, position, event_id, key, raw: &raw, kind, reason: &reason, time };
                self.quarantine(&record).await?;
                if let Some(position) = position {
                    self.pass(position);
                }
                Ok(Progress::Unchanged)
            }
        }
    }

    /// A record that has no row here is dealt with.
    fn pass(&mut self, position: Position) {
        self.read = Some(position);
        self.writer.skip(position);
    }

    /// A part of a snapshot stands before this record: once it is durable, that is noted where the snapshot is completed. A record that is read
    /// again is noted again, which changes nothing.
    ///
    /// No row was sent before this stage had secured its position, so none stands before where it began to read.
    async fn announced(&mut self, position: Position, snapshot: &str, part: Part) -> Result<Flushed, ConsumerError> {
        let flushed = self.flush().await?;
        if flushed != Flushed::Whole {
            return Ok(flushed);
        }
        self.context().quarantine.note_part(snapshot, part).await.map_err(RouteError::from)?;
        tracing::info!(shard = %self.shard, snapshot, "every row of the snapshot that belongs to this shard is durable");
        self.pass(position);
        Ok(Flushed::Whole)
    }

    async fn change(&mut self, position: Position, time: i64, event: &ChangeEvent<'_>) -> Result<Progress, ConsumerError> {
        if self.not_before.is_some_and(|wanted| time < wanted) {
            self.pass(position);
            return Ok(Progress::Unchanged);
        }
        self.check_order(position).await?;
        let key = self.parked.is_on().then(|| Key::of_texts(event.keys.iter().map(|text| text.clone().into_owned()).collect()));
        if let Some(key) = &key
            && self.has_to_wait(key).await?
        {
            return self.park(position, time, event, key).await;
        }
        let written = self.writer.append(position, event).await?;
        if !matches!(written, Progress::Rewind(_)) {
            if let Some(key) = key.as_ref().filter(|_| self.writer.set_aside()) {
                self.parked.park(key);
            }
            let misfits = [&event.new, &event.old].into_iter().flatten().map(|side| side.misfits).sum();
            self.read = Some(position);
            self.watermark.read(position, time);
            self.context().counters.record(event.time, misfits);
        }
        Ok(written)
    }

    /// *Latest sequence wins* needs a shard's numbers to lie above those of the shards that it continues.
    async fn check_order(&mut self, first: Position) -> Result<(), ConsumerError> {
        if std::mem::replace(&mut self.order_checked, true) || !self.context().source.ordered_across_shards {
            return Ok(());
        }
        if self.work.task.origin.ends.iter().any(|end| first <= *end) {
            self.context()
                .record_gap(Gap::of_shard(GapKind::OrderBroken, &self.shard, None, None, self.context().clock.unix_seconds()))
                .await?;
        }
        Ok(())
    }

    /// Whether an earlier record of this item is in quarantine, and later ones wait.
    async fn has_to_wait(&mut self, key: &Key) -> Result<bool, ConsumerError> {
        let holds = self.parked.holds(&self.context().quarantine, key).await;
        holds.map_err(|source| ConsumerError::Quarantine { shard: self.shard.clone(), source })
    }

    /// Puts a change into quarantine, behind an earlier record of its item.
    async fn park(&mut self, position: Position, time: i64, event: &ChangeEvent<'_>, key: &Key) -> Result<Progress, ConsumerError> {
        let raw = self.context().source.decode.record_of(event);
        let shard = self.shard.clone();
        let record = PoisonRecord {
            shard: &shard,
            position: Some(position),
            event_id: Some(&event.event_id),
            key: Some(key),
            raw: &raw,
            kind: Kind::Behind,
            reason: "an earlier record of its item is in quarantine",
            time,
        };
        self.quarantine(&record).await?;
        self.pass(position);
        Ok(Progress::Unchanged)
    }

    /// Stores a record that cannot go on now, whole. After an error nothing has moved: the record is read again, and stored under the same name.
    async fn quarantine(&mut self, record: &PoisonRecord<'_>) -> Result<(), ConsumerError> {
        let stored = self.context().quarantine.quarantine(record).await;
        stored.map_err(|source| ConsumerError::Quarantine { shard: self.shard.clone(), source })?;
        // Neither the record nor the reason, which may show a part of it.
        let (shard, position, kind) = (&self.shard, record.position.map(tracing::field::display), record.kind);
        if kind == Kind::Behind {
            tracing::debug!(%shard, position, %kind, "record put into quarantine");
        } else {
            tracing::error!(%shard, position, %kind, "record put into quarantine: see headwater redrive --list");
        }
        if let Some(key) = record.key {
            self.parked.park(key);
        }
        self.context().counters.quarantined();
        Ok(())
    }

    pub(super) async fn keep_going(&mut self, written: Progress) -> Result<Next, ConsumerError> {
        Ok(match self.apply(written).await? {
            Hold::Kept => Next::Page,
            Hold::Lost => Next::Lost,
        })
    }

    /// Makes everything durable that was taken. Each step is checkpointed: it may take long, and the process may have to go before the end.
    pub(super) async fn flush(&mut self) -> Result<Flushed, ConsumerError> {
        loop {
            let written = self.writer.flush().await?;
            if self.apply(written).await? == Hold::Lost {
                return Ok(Flushed::Lost);
            }
            if matches!(written, Progress::Rewind(_)) {
                return Ok(Flushed::Rewound);
            }
            if self.writer.is_flushed() {
                return Ok(Flushed::Whole);
            }
        }
    }

    /// After an error: what became durable before it is checkpointed, so that it is not sent again.
    pub(super) async fn settle(&mut self) {
        let written = self.writer.settled();
        if let Err(error) = self.apply(written).await {
            tracing::warn!(shard = %self.shard, %error, "what became durable before an error could not be checkpointed");
        }
    }

    /// Checkpoints what became durable, and nothing else (*durable-before-checkpoint*).
    async fn apply(&mut self, written: Progress) -> Result<Hold, ConsumerError> {
        let sequence = match written {
            Progress::Unchanged => return Ok(Hold::Kept),
            Progress::Durable(sequence) => {
                if let Some(time) = self.watermark.durable(sequence) {
                    self.work.held.note_durable_through(time).await;
                }
                sequence
            }
            Progress::Rewind(sequence) => {
                tracing::info!(shard = %self.shard, %sequence, "another process landed these changes already; reading on behind them");
                self.reader.rewind(IteratorStart::After(sequence));
                self.read = Some(sequence);
                self.watermark.reset();
                sequence
            }
        };
        self.durable = Some(sequence);
        let hold = self.work.held.checkpoint(sequence).await?;
        if hold == Hold::Kept {
            self.work.task.place.progressed(self.work.held.current().await.durable_through);
        }
        Ok(hold)
    }

    /// A shard of which no record was read has no position that could be trimmed: an iterator just starts with what is left. That something is
    /// missing shows in how long nobody has looked, and each page tells that anew: the horizon moves on while pages are held up.
    async fn check_horizon(&mut self) -> Result<(), ConsumerError> {
        let oldest_kept = self.context().clock.unix_seconds() - self.work.task.retention + RETENTION_MARGIN;
        if self.read.is_none() && self.unread_since.take_if(|since| *since < oldest_kept).is_some() {
            self.record_gap(GapKind::Trimmed).await?;
        }
        Ok(())
    }

    /// Some services skip a trimmed position in silence. Reading resumes at the record of the position, not behind it: where that is the first to
    /// come, nothing was trimmed. Where it is not, it may just have been the last one for long, unless nobody has looked for long either.
    async fn check_resumption(&mut self, resumed: Position, first: Option<Position>) -> Result<(), ConsumerError> {
        let Trimming::Silent { kept_at_least } = self.context().source.trimming else { return Ok(()) };
        if first.is_some_and(|first| first.sequence() == resumed.sequence()) {
            return Ok(());
        }
        let oldest_kept = self.context().clock.unix_seconds() - kept_at_least + RETENTION_MARGIN;
        if self.work.held.current().await.durable_through.or(self.work.task.origin.unread_since).is_none_or(|through| through < oldest_kept)
        {
            self.record_gap(GapKind::Trimmed).await?;
        }
        Ok(())
    }

    /// The position, or the shard, is gone: what was read of it is landed before the loss is recorded, since it cannot be read again. A shard that is
    /// still listed has lost the position only.
    pub(super) async fn vanished(&mut self) -> Result<Next, ConsumerError> {
        if self.flush().await? == Flushed::Lost {
            return Ok(Next::Lost);
        }
        if std::mem::replace(&mut self.has_vanished, true) {
            return Ok(Next::End(Vec::new()));
        }
        self.record_gap(GapKind::Vanished).await?;
        if self.reader.is_at_horizon() || !self.work.is_listed(&self.shard).await? {
            return Ok(Next::End(Vec::new()));
        }
        self.begin_anew().await
    }

    /// The position is gone from the stream: what was read before is landed, the loss is recorded, and reading goes on with what there is.
    pub(super) async fn trimmed(&mut self) -> Result<Next, ConsumerError> {
        match self.flush().await? {
            Flushed::Whole => {}
            Flushed::Rewound => return Ok(Next::Page),
            Flushed::Lost => return Ok(Next::Lost),
        }
        self.record_gap(GapKind::Trimmed).await?;
        self.begin_anew().await
    }

    /// Goes on with the oldest record that the shard has.
    async fn begin_anew(&mut self) -> Result<Next, ConsumerError> {
        self.reader.rewind(IteratorStart::TrimHorizon);
        // A fresh writer looks whether the record that it begins with has landed already.
        self.writer = self.context().route.open(&self.shard, self.durable.unwrap_or(Position::ZERO)).await?;
        Ok(Next::Page)
    }

    async fn record_gap(&mut self, kind: GapKind) -> Result<(), ConsumerError> {
        let lost_from = self.work.held.current().await.durable_through;
        let now = self.context().clock.unix_seconds();
        self.context().record_gap(Gap::of_shard(kind, &self.shard, self.durable, lost_from, now)).await
    }
}
