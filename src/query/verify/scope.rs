//! What a verification compares.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Which keys are compared: all, unless one of the two says otherwise. Both together compare the keys of either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Scope {
    /// The keys that the lake heard of since the start of its latest complete snapshot of the whole table.
    pub since_snapshot: bool,
    /// Keys drawn by lot, from the table and from the lake.
    pub sample: Option<SampleSize>,
}

impl Scope {
    /// Whether all keys are compared.
    pub const fn is_everything(&self) -> bool {
        !self.since_snapshot && self.sample.is_none()
    }
}

/// How many keys are drawn from each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleSize {
    /// So many, at most [`MOST_SAMPLED`].
    Keys(u32),
    /// So many of a million, at most [`MOST_SAMPLED`] in all.
    OfAMillion(u32),
}

/// Keys of a sample, whose digests are kept in memory: some 150 bytes each, on either side.
pub const MOST_SAMPLED: u32 = 1_000_000;

const MILLION: u32 = 1_000_000;
/// Ten thousand of a million are one per cent.
const PER_CENT: f64 = 10_000.0;

/// The text is no size of a sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no size of a sample: give a number of keys from 1 to {MOST_SAMPLED}, or a part of the table such as 1% or 0.05%")]
pub struct InvalidSample(String);

impl FromStr for SampleSize {
    type Err = InvalidSample;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSample(text.to_owned());
        let Some(per_cent) = text.strip_suffix('%') else {
            let keys = text.parse().ok().filter(|keys| (1..=MOST_SAMPLED).contains(keys));
            return keys.map(Self::Keys).ok_or_else(invalid);
        };
        let of_a_million = per_cent.trim().parse::<f64>().map_err(|_| invalid())? * PER_CENT;
        if !(1.0..=f64::from(MILLION)).contains(&of_a_million) {
            return Err(invalid());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between one and a million")]
        Ok(Self::OfAMillion(of_a_million.round() as u32))
    }
}

impl fmt::Display for SampleSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(keys) => write!(f, "{keys}"),
            Self::OfAMillion(parts) => write!(f, "{}%", f64::from(*parts) / PER_CENT),
        }
    }
}

impl Serialize for SampleSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_number_of_keys_or_a_part_of_the_table() {
        assert_eq!("1000".parse(), Ok(SampleSize::Keys(1000)));
        assert_eq!("1%".parse(), Ok(SampleSize::OfAMillion(10_000)));
        assert_eq!("0.05%".parse(), Ok(SampleSize::OfAMillion(500)));
        assert_eq!("100 %".parse(), Ok(SampleSize::OfAMillion(1_000_000)));
        for text in ["0", "-1", "1000001", "0%", "101%", "0.00001%", "NaN%", "%", "some", ""] {
            let error = text.parse::<SampleSize>().unwrap_err();
            assert!(error.to_string().contains("such as 1%"), "{text}: {error}");
        }
        for text in ["1000", "1%", "0.05%"] {
            assert_eq!(text.parse::<SampleSize>().unwrap().to_string(), text);
        }
    }
}
