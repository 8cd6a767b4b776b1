//! What a stream hands out: sequence numbers, event ids, the ends of shard ids. All of it follows from a seed.

use fastrand::Rng;
use md5::{Digest, Md5};

use crate::sequence::{HALF, HALF_RANGE, Sequence};

/// The fewest and the most digits of a sequence number.
const DIGITS: std::ops::RangeInclusive<u32> = 21..=40;

/// Consecutive sequence numbers are up to this far apart.
const WIDEST_GAP: u64 = 1_000;

/// The numbers of one stream. They rise, with gaps, and begin just below a power of ten, so that they gain a digit on the way: within the
/// first records of some streams, after thousands in others. Numbers of 40 digits, the most there may be, keep their length.
#[derive(Debug)]
pub(super) struct Numbers {
    high: u128,
    low: u128,
    last: Sequence,
    rng: Rng,
}

impl Numbers {
    /// The numbers of the stream of that name. `digits` is how many the first ones have; drawn from the seed if not given.
    pub(super) fn of(stream: &str, seed: u64, digits: Option<u32>) -> Self {
        let mut state = Md5::new();
        state.update(seed.to_le_bytes());
        state.update(stream);
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&state.finalize()[..8]);
        let mut rng = Rng::with_seed(u64::from_le_bytes(bytes));
        let digits = digits.unwrap_or_else(|| rng.u32(DIGITS)).clamp(*DIGITS.start(), *DIGITS.end());
        let furthest = 1_000 * 10_u128.pow(rng.u32(0..5));
        let distance = rng.u128(1..=furthest);
        let power = 10_u128.pow(digits - HALF - 1);
        let (high, low) = if digits == *DIGITS.end() { (power, distance) } else { (power * 10 - 1, HALF_RANGE - distance) };
        Self { high, low, last: Sequence::of_halves(high, low), rng }
    }

    /// The next number.
    pub(super) fn next(&mut self) -> Sequence {
        self.low += u128::from(self.rng.u64(1..=WIDEST_GAP));
        if self.low >= HALF_RANGE {
            self.low -= HALF_RANGE;
            self.high += 1;
        }
        self.last = Sequence::of_halves(self.high, self.low);
        self.last.clone()
    }

    /// The last number that was given out.
    pub(super) fn last(&self) -> &Sequence {
        &self.last
    }

    /// An eventID.
    pub(super) fn event_id(&mut self) -> String {
        format!("{:032x}", self.rng.u128(..))
    }

    /// The end of a shard id.
    pub(super) fn suffix(&mut self) -> String {
        format!("{:08x}", self.rng.u32(..))
    }

    /// One of `choices`.
    pub(super) fn choose<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        choices[self.rng.usize(..N)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(numbers: &mut Numbers, count: usize) -> Vec<Sequence> {
        (0..count).map(|_| numbers.next()).collect()
    }

    #[test]
    fn numbers_rise_with_gaps_and_gain_a_digit() {
        for digits in 21..=39 {
            let mut numbers = Numbers::of("a", 1, Some(digits));
            assert_eq!(numbers.last().as_str().len(), digits as usize);
            let drawn = first(&mut numbers, 40_000);
            assert!(drawn.is_sorted_by(|a, b| a < b), "{digits} digits");
            assert_eq!(drawn[39_999].as_str().len(), digits as usize + 1);
        }
    }

    #[test]
    fn the_longest_numbers_keep_their_length() {
        let mut numbers = Numbers::of("a", 1, Some(40));
        assert!(first(&mut numbers, 1_000).iter().all(|number| number.as_str().len() == 40));
    }

    #[test]
    fn numbers_have_21_to_40_digits_whatever_is_asked_for() {
        for (asked, given) in [(1, 21), (21, 21), (40, 40), (99, 40)] {
            assert_eq!(Numbers::of("a", 7, Some(asked)).last().as_str().len(), given);
        }
        let lengths: std::collections::BTreeSet<usize> = (0..500).map(|seed| Numbers::of("a", seed, None).last().as_str().len()).collect();
        assert!(lengths.into_iter().eq(21..=40), "every length is drawn");
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = |stream, seed| {
            let mut numbers = Numbers::of(stream, seed, None);
            (numbers.next(), numbers.event_id(), numbers.suffix())
        };
        assert_eq!(draw("a", 1), draw("a", 1));
        assert_ne!(draw("a", 1), draw("a", 2));
        assert_ne!(draw("a", 1), draw("b", 1));
    }
}
