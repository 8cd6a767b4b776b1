//! What a seed draws about many workers, and about services that are out of order for minutes (pure). It is drawn apart from everything else, so that
//! the rest of a seed's history is the same with them and without.

use std::time::Duration;

use fastrand::Rng;

use super::step::{Failing, Step};
use super::{WorkerMakeUp, moment};

/// Tells the draws of this module from others of the same seed.
const CONTENTS: u64 = 0x4F75_7461_6765_7321;

/// What is drawn.
pub(super) struct Drawn {
    pub(super) crowd: Option<Crowd>,
    pub(super) steps: Vec<(Duration, Step)>,
}

/// More workers than other histories have, and so many shards that they have something to share out.
pub(super) struct Crowd {
    pub(super) partitions: usize,
    /// What the workers do that come on top, where the stages are shared out.
    pub(super) more: Vec<WorkerMakeUp>,
}

/// Draws for a history of that length and so many workers.
pub(super) fn draw(seed: u64, length: Duration, workers: usize, is_delivered: bool) -> Drawn {
    let mut rng = Rng::with_seed(seed ^ CONTENTS);
    let rng = &mut rng;
    let crowd = (rng.u8(0..6) == 0).then(|| {
        let more = rng.usize(4..=5).saturating_sub(workers);
        let worker = |does: u8| WorkerMakeUp { captures: does != 1 || !is_delivered, delivers: does != 0 && is_delivered };
        Crowd { partitions: rng.usize(4..=8), more: (0..more).map(|_| worker(rng.u8(0..3))).collect() }
    });
    let workers = workers + crowd.as_ref().map_or(0, |crowd| crowd.more.len());
    let mut steps = Vec::new();
    if rng.u8(0..8) == 0 {
        // Every other time one worker alone is cut off, which goes on reading and sending.
        let worker = rng.bool().then(|| rng.usize(0..workers));
        outage(rng, length, &mut steps, |length, how| Step::LeaseTableOutage { worker, length, how });
    }
    if rng.u8(0..8) == 0 {
        let is_lake = rng.bool();
        outage(rng, length, &mut steps, |length, how| Step::TargetOutage { is_lake, length, how });
    }
    Drawn { crowd, steps }
}

/// Something is out of order for up to two minutes, with traffic meanwhile and behind it.
fn outage(rng: &mut Rng, length: Duration, steps: &mut Vec<(Duration, Step)>, step: impl FnOnce(Duration, Failing) -> Step) {
    let (begins, lasts) = (moment(rng, length), Duration::from_secs(rng.u64(10..=120)));
    let how = *rng.choice(&Failing::ALL).unwrap_or(&Failing::Refused);
    steps.push((begins, step(lasts, how)));
    for _ in 0..rng.usize(1..=4) {
        steps.push((begins + moment(rng, lasts), Step::Write { changes: rng.usize(1..=10) }));
    }
    steps.push((begins + lasts + Duration::from_millis(rng.u64(0..10_000)), Step::Write { changes: rng.usize(1..=5) }));
}
