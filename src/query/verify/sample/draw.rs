//! Drawing by lot.

use fastrand::Rng;

use crate::query::verify::scope::{MOST_SAMPLED, SampleSize};

const MILLION: u32 = 1_000_000;

/// Takes things one after another and keeps a random few of them, each with the same chance, without knowing how many will come (Vitter's algorithm R).
pub(super) struct Reservoir<T> {
    kept: Vec<T>,
    /// How many are kept at most.
    room: usize,
    /// Which part of the things is taken at all, of a million.
    taken_of_a_million: u32,
    taken: u64,
    offered: u64,
}

impl<T> Reservoir<T> {
    /// A reservoir for a sample of that size.
    pub(super) fn of(size: SampleSize) -> Self {
        let (room, taken_of_a_million) = match size {
            SampleSize::Keys(keys) => (keys.min(MOST_SAMPLED), MILLION),
            SampleSize::OfAMillion(parts) => (MOST_SAMPLED, parts),
        };
        Self { kept: Vec::new(), room: room as usize, taken_of_a_million, taken: 0, offered: 0 }
    }

    /// Offers a thing.
    pub(super) fn offer(&mut self, lot: &mut Rng, thing: T) {
        self.offered += 1;
        if lot.u32(..MILLION) >= self.taken_of_a_million {
            return;
        }
        self.taken += 1;
        if self.kept.len() < self.room {
            self.kept.push(thing);
        } else if let Some(place) = usize::try_from(lot.u64(..self.taken)).ok().and_then(|place| self.kept.get_mut(place)) {
            *place = thing;
        }
    }

    /// Whether everything that was offered is kept.
    pub(super) fn has_all(&self) -> bool {
        self.kept.len() as u64 == self.offered
    }

    /// What is kept.
    pub(super) fn into_kept(self) -> Vec<T> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_the_same_chance_wherever_it_stands() {
        let mut lot = Rng::with_seed(7);
        let mut drawn = [0_u32; 20];
        for _ in 0..4000 {
            let mut reservoir = Reservoir::of(SampleSize::Keys(5));
            for thing in 0..20_usize {
                reservoir.offer(&mut lot, thing);
            }
            assert!(!reservoir.has_all());
            let kept = reservoir.into_kept();
            assert_eq!(kept.len(), 5);
            for thing in kept {
                drawn[thing] += 1;
            }
        }
        // A quarter of 4,000, with a standard deviation of 27.
        assert!(drawn.iter().all(|times| (880..1120).contains(times)), "{drawn:?}");
    }

    #[test]
    fn a_part_is_that_part() {
        let mut lot = Rng::with_seed(7);
        let mut reservoir = Reservoir::of(SampleSize::OfAMillion(100_000));
        (0..10_000).for_each(|thing| reservoir.offer(&mut lot, thing));
        assert!((850..1150).contains(&reservoir.into_kept().len()));
    }

    #[test]
    fn all_is_all() {
        for size in [SampleSize::Keys(3), SampleSize::OfAMillion(1_000_000)] {
            let mut reservoir = Reservoir::of(size);
            (0..3).for_each(|thing| reservoir.offer(&mut Rng::with_seed(7), thing));
            assert!(reservoir.has_all());
            assert_eq!(reservoir.into_kept(), [0, 1, 2]);
        }
    }
}
