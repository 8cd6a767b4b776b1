//! The part `[snapshot]` of `headwater.toml`.

use serde::Deserialize;

use super::SnapshotSettings;
use crate::lease::snapshot::ReadBudget;

/// Segments that a process reads at once. More readers than cores gain little: what a scan waits for is mostly its own decoding.
const AT_ONCE: usize = 4;
/// Each segment has a lease that every worker reads in every round. DynamoDB's own limit is a million.
pub(crate) const MOST_SEGMENTS: u32 = 10_000;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSnapshot {
    segments: Option<u32>,
    at_once: Option<usize>,
    consistent: Option<bool>,
    read_units: Option<u32>,
    read_share: Option<String>,
}

impl RawSnapshot {
    pub(super) fn validate(self) -> Result<SnapshotSettings, String> {
        if let Some(segments) = self.segments.filter(|segments| !(1..=MOST_SEGMENTS).contains(segments)) {
            return Err(format!("snapshot.segments is {segments}: 1 to {MOST_SEGMENTS} are possible"));
        }
        if self.at_once == Some(0) {
            return Err("snapshot.at_once is 0: no segment would ever be read".to_owned());
        }
        let budget = match (self.read_units, self.read_share) {
            (None, None) => None,
            (Some(0), None) => return Err("snapshot.read_units is 0: nothing would ever be read".to_owned()),
            (Some(units), None) => Some(ReadBudget::Units(units)),
            (None, Some(text)) => Some(ReadBudget::Share(share("snapshot.read_share", &text)?)),
            (Some(_), Some(_)) => return Err("snapshot.read_units and snapshot.read_share exclude each other: give one".to_owned()),
        };
        Ok(SnapshotSettings {
            segments: self.segments,
            at_once: self.at_once.unwrap_or(AT_ONCE),
            consistent: self.consistent.unwrap_or(true),
            budget,
        })
    }
}

/// Per cent, such as `25%`.
pub(crate) fn share(key: &str, text: &str) -> Result<u8, String> {
    let share = text.strip_suffix('%').and_then(|digits| digits.trim().parse().ok());
    share.filter(|share| (1..=100).contains(share)).ok_or_else(|| format!("{key} '{text}' is not a share such as \"25%\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(text: &str) -> Result<SnapshotSettings, String> {
        toml::from_str::<RawSnapshot>(text).unwrap().validate()
    }

    #[test]
    fn nothing_need_be_said() {
        let usual = SnapshotSettings { segments: None, at_once: AT_ONCE, consistent: true, budget: None };
        assert_eq!(validate(""), Ok(usual));
    }

    #[test]
    fn a_budget_is_in_units_or_a_share() {
        assert_eq!(validate("read_units = 50").unwrap().budget, Some(ReadBudget::Units(50)));
        assert_eq!(validate("read_share = \"25%\"").unwrap().budget, Some(ReadBudget::Share(25)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("read_share = \"half\"", "snapshot.read_share"),
            ("read_share = \"0%\"", "snapshot.read_share"),
            ("read_units = 0", "snapshot.read_units"),
            ("read_units = 1\nread_share = \"1%\"", "exclude each other"),
            ("at_once = 0", "snapshot.at_once"),
            ("segments = 0", "snapshot.segments"),
        ] {
            let error = validate(text).unwrap_err();
            assert!(error.contains(expected), "{text:?} gave {error:?}");
        }
    }
}
