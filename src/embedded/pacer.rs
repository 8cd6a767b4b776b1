//! Keeps a rate, without a clock of its own.

use std::time::Duration;

/// Says how many operations are due. What was missed (the service was slow, the machine slept) is caught up for one second's worth
/// at most, so that a pause does not end in a flood.
#[derive(Debug)]
pub(super) struct Pacer {
    per_second: u64,
    /// Operations that were due until now, given out or given up.
    accounted: u64,
}

impl Pacer {
    /// A pacer of so many operations a second.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: u64::from(per_second), accounted: 0 }
    }

    /// How many operations are due at this time since the start. They count as given out.
    pub(super) fn due(&mut self, elapsed: Duration) -> u64 {
        let total = u128::from(self.per_second) * elapsed.as_micros() / 1_000_000;
        let total = u64::try_from(total).unwrap_or(u64::MAX);
        let due = total.saturating_sub(self.accounted).min(self.per_second);
        self.accounted = self.accounted.max(total);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_however_the_calls_fall() {
        let mut pacer = Pacer::new(200);
        let given: u64 = (1..=1000).map(|step| pacer.due(Duration::from_millis(step * 7))).sum();
        assert_eq!(given, 1400, "7 s at 200/s");
    }

    #[test]
    fn a_pause_is_caught_up_for_one_second_only() {
        let mut pacer = Pacer::new(50);
        assert_eq!(pacer.due(Duration::from_secs(1)), 50);
        assert_eq!(pacer.due(Duration::from_mins(1)), 50, "59 s were missed");
        assert_eq!(pacer.due(Duration::from_millis(60_100)), 5, "and then the rate holds again");
    }

    #[test]
    fn less_than_one_a_tick_is_not_lost() {
        let mut pacer = Pacer::new(3);
        let given: u64 = (1..=1000).map(|step| pacer.due(Duration::from_millis(step * 10))).sum();
        assert_eq!(given, 30);
    }
}
