//! Chances by hashing, so that a draw depends on what is hashed and on nothing else.

/// FNV-1a over the bytes of what is fed to it, mixed at the end because neighbouring inputs must not give neighbouring draws.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(0xCBF2_9CE4_8422_2325).number(seed)
    }

    pub(super) fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    /// A text and its end, so that "ab", "c" and "a", "bc" differ.
    pub(super) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes()).bytes(&[0xFF])
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)))
    }

    /// What was fed so far, as one number.
    pub(super) fn hash(self) -> u64 {
        self.0
    }

    /// Whether something of this probability happens.
    pub(super) fn hits(self, probability: f64) -> bool {
        // The finalizer of SplitMix64.
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let high = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(u32::MAX);
        f64::from(high) / (f64::from(u32::MAX) + 1.0) < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_as_frequent_as_they_should_be() {
        for probability in [0.0, 0.01, 0.3, 1.0] {
            let hits = (0..100_000).filter(|number| Draw::new(7).text("GetRecords").number(*number).hits(probability)).count();
            let expected = probability * 100_000.0;
            let off = (f64::from(u32::try_from(hits).unwrap()) - expected).abs();
            assert!(off <= 0.01 * expected + 100.0, "{hits} hits of {expected}");
        }
    }

    #[test]
    fn every_part_of_the_input_counts() {
        let pattern = |draw: Draw| (0..64).map(|number| draw.number(number).hits(0.5)).collect::<Vec<_>>();
        let base = pattern(Draw::new(1).text("ab").text("c"));
        assert_eq!(base, pattern(Draw::new(1).text("ab").text("c")));
        for other in [Draw::new(2).text("ab").text("c"), Draw::new(1).text("a").text("bc"), Draw::new(1).text("abc")] {
            assert_ne!(base, pattern(other));
        }
    }
}
