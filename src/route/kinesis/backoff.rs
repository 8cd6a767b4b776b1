//! Who has to wait before the next attempt: one lane after its record failed, all of them after a whole call failed.

use std::collections::HashMap;

use tokio::time::Instant;

use super::plan::Lane;
use crate::retry::RetryPolicy;
use crate::route::outbox::EntryId;
use crate::route::wait::{GaveUp, Wait};

/// The waits of one writer. A series of failures begins with the first one after a success and ends when the policy gives up.
#[derive(Debug)]
pub(super) struct Backoffs {
    policy: RetryPolicy,
    lanes: HashMap<Lane, (EntryId, Wait)>,
    calls: Option<Wait>,
}

impl Backoffs {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self { policy, lanes: HashMap::new(), calls: None }
    }

    /// The record of a lane failed; `through` is its last entry.
    pub(super) fn lane_failed(&mut self, lane: Lane, through: EntryId) -> Result<(), GaveUp> {
        let wait = Wait::next(self.lanes.remove(&lane).map(|(_, wait)| wait), self.policy)?;
        self.lanes.insert(lane, (through, wait));
        Ok(())
    }

    /// The record of a lane was delivered.
    pub(super) fn lane_succeeded(&mut self, lane: &Lane) {
        self.lanes.remove(lane);
    }

    /// A whole call failed.
    pub(super) fn call_failed(&mut self) -> Result<(), GaveUp> {
        self.calls = Some(Wait::next(self.calls.take(), self.policy)?);
        Ok(())
    }

    /// A call was answered.
    pub(super) fn call_succeeded(&mut self) {
        self.calls = None;
    }

    /// Whether no call may be made at `now`.
    pub(super) fn is_paused(&self, now: Instant) -> bool {
        self.calls.as_ref().is_some_and(|wait| wait.until > now)
    }

    /// The last entry of the lane's failed record, if the lane must still wait at `now`.
    pub(super) fn held(&self, lane: &Lane, now: Instant) -> Option<EntryId> {
        self.lanes.get(lane).and_then(|(through, wait)| (wait.until > now).then_some(*through))
    }

    /// At `now` there was nothing to send. Forgets what could have been tried again and was not: the lanes whose events a reshard has moved to
    /// others, and that calls had failed.
    pub(super) fn nothing_to_send(&mut self, now: Instant) {
        self.lanes.retain(|_, (_, wait)| wait.until > now);
        self.calls.take_if(|wait| wait.until <= now);
    }

    /// When something may be tried again.
    pub(super) fn next_attempt(&self) -> Option<Instant> {
        let lanes = || self.lanes.values().map(|(_, wait)| wait.until).min();
        self.calls.as_ref().map_or_else(lanes, |wait| Some(wait.until))
    }
}
