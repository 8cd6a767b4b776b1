//! Positions in a stream: decimal digits of any length up to 40, ordered as numbers.

use std::cmp::Ordering;
use std::fmt;

use serde::Serialize;

/// A sequence number as the service spells it: 21 to 40 digits without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Sequence(String);

impl Sequence {
    /// Takes digits; leading zeros are dropped. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_start_matches('0');
        (!text.is_empty() && digits.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| Self(digits.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for Sequence {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Sequence {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_numeric_whatever_the_length() {
        let [short, long] = ["999999999999999999999", "1000000000000000000000"].map(|text| Sequence::parse(text).unwrap());
        assert!(short < long);
        assert_eq!(Sequence::parse("000000000000000000000999999999999999999999"), Some(short));
        assert_eq!(Sequence::parse("12a"), None);
    }
}
