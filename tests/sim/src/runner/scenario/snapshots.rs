//! What a seed draws about snapshots (pure). It is drawn apart from everything else, so that a seed's table, workers and faults are the same with
//! them and without.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use super::{Step, moment};
use crate::faults::{Chance, Fault, Rule, Throttle};

/// Tells the draws of this module from others of the same seed.
const CONTENTS: u64 = 0x536E_6170_7368_6F74;

/// A snapshot that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotStep {
    /// One of so many parts of the table, in place of the whole.
    pub part: Option<(u32, u32)>,
    /// Into how many segments the scan is divided; the service decides when it is none.
    pub segments: Option<u32>,
    /// Whether items are read consistently.
    pub consistent: bool,
    /// Read capacity units a second.
    pub budget: Option<u32>,
}

/// How the service takes snapshots in a history that has some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotMakeUp {
    /// `on_gap` is `snapshot`, in place of `continue`.
    pub closes_gaps: bool,
}

/// What is drawn beside the make-up.
pub(super) struct Drawn {
    pub(super) make_up: SnapshotMakeUp,
    pub(super) steps: Vec<(Duration, Step)>,
    pub(super) rules: Vec<Rule>,
}

/// What is to be drawn for.
pub(super) struct Setting {
    pub(super) length: Duration,
    /// Nothing is to go wrong with calls.
    pub(super) is_calm: bool,
    /// Objects may be deleted from the lake: each change is in one of them, and none is read again from the beginning.
    pub(super) may_delete: bool,
}

/// Draws snapshots, in every other history.
pub(super) fn draw(seed: u64, setting: &Setting) -> Option<Drawn> {
    let mut rng = Rng::with_seed(seed ^ CONTENTS);
    let rng = &mut rng;
    if rng.bool() {
        return None;
    }
    let length = setting.length;
    let mut steps = Vec::new();
    for _ in 0..rng.usize(1..=3) {
        let at = moment(rng, length);
        steps.push((at, Step::Snapshot(asked(rng))));
        // Traffic just before the scan begins, which is some time after it is asked for, and while it goes on.
        for _ in 0..rng.usize(0..=8) {
            steps.push((at + Duration::from_millis(rng.u64(0..20_000)), Step::Write { changes: rng.usize(1..=5) }));
        }
        if rng.u8(0..5) == 0 {
            steps.push((at + Duration::from_millis(rng.u64(0..6_000)), Step::CancelSnapshot { pick: rng.usize(..1000) }));
        }
    }
    if setting.may_delete && rng.u8(0..4) == 0 {
        for _ in 0..rng.usize(1..=2) {
            steps.push((moment(rng, length), Step::DeleteObject { pick: rng.usize(..1000) }));
        }
    }
    // One at the end makes up for whatever was lost, so that the lake can be compared with the table.
    if rng.bool() {
        let whole = SnapshotStep { part: None, ..asked(rng) };
        steps.push((length + Duration::from_millis(rng.u64(0..5_000)), Step::Snapshot(whole)));
    }
    let make_up = SnapshotMakeUp { closes_gaps: rng.bool() };
    let rules = if setting.is_calm { Vec::new() } else { faults(rng) };
    Some(Drawn { make_up, steps, rules })
}

fn asked(rng: &mut Rng) -> SnapshotStep {
    let part = (rng.u8(0..6) == 0).then(|| {
        let of = rng.u32(1..=3);
        (rng.u32(0..of), of)
    });
    SnapshotStep {
        part,
        segments: (part.is_none() && rng.u8(0..4) > 0).then(|| rng.u32(1..=8)),
        consistent: rng.bool(),
        budget: (rng.u8(0..3) == 0).then(|| rng.u32(1..=8)),
    }
}

/// What may go wrong with scans beside what may go wrong with all calls. Tables are small, so pages have to be short for a segment to have several.
fn faults(rng: &mut Rng) -> Vec<Rule> {
    let mut rules = Vec::new();
    if rng.u8(0..4) > 0 {
        let chance = Chance::Probability(*rng.choice(&[0.5, 0.9, 1.0]).unwrap_or(&1.0));
        rules.push(Rule::new("Scan", Fault::ShortPage(rng.usize(1..=4)), chance));
    }
    if rng.u8(0..3) > 0 {
        rules.push(Rule::new("Scan", Fault::StaleRead { ms: rng.i64(200..=1_000) }, Chance::Probability(rng.f64())));
    }
    if rng.u8(0..3) == 0 {
        let throttle = Fault::Throttle(Throttle::ProvisionedThroughputExceededException);
        rules.push(Rule::new("Scan", throttle, Chance::Probability(rng.f64() * 0.3)));
    }
    rules
}

impl fmt::Display for SnapshotStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            None => f.write_str("a snapshot")?,
            Some((number, of)) => write!(f, "a snapshot of part {number} of {of}")?,
        }
        if let Some(segments) = self.segments {
            write!(f, " in {segments} segments")?;
        }
        f.write_str(if self.consistent { ", consistent" } else { ", not consistent" })?;
        if let Some(units) = self.budget {
            write!(f, ", {units} read units a second")?;
        }
        Ok(())
    }
}

impl fmt::Display for SnapshotMakeUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "with snapshots, {}", if self.closes_gaps { "which close gaps" } else { "gaps stay open unless one closes them" })
    }
}
