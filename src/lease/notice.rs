//! Notices: what a person is told of, and who was told.
//!
//! A notice is an item of the lease table (`entityType` NOTICE), one for each thing that needs a person, so that all workers together tell
//! of it once. It says what is true, [`Notice::open`], and what each receiver is known to believe, [`Belief`]; whoever is owed a message is
//! told until the two agree. Before a message is sent the receiver is noted as [`Belief::Unsure`]: a crash on the way leads to the message
//! once more, never to silence. An item that is not open and that nobody believes in any more is deleted.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What needs a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// Changes were lost, and nothing has brought them back.
    Gap,
    /// The stream was replaced by another one; what was changed in between is in neither.
    StreamReplaced,
    /// Records are in quarantine.
    Quarantine,
    /// The stream will soon drop what is not durable.
    TimeToTrim,
    /// The lake is further behind than the contract allows.
    Freshness,
}

impl NoticeKind {
    /// The kind as messages and keys spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::StreamReplaced => "stream-replaced",
            Self::Quarantine => "quarantine",
            Self::TimeToTrim => "time-to-trim",
            Self::Freshness => "freshness",
        }
    }

    /// The key, in the lease table, of a notice of this kind.
    pub fn key(self, subject: &str) -> String {
        format!("notice/{self}/{subject}")
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a receiver is known to believe; one of which nothing is noted believes that nothing is the matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Belief {
    /// It has taken the message that this needs a person.
    Raised,
    /// A message was on its way, and nobody knows whether it arrived.
    Unsure,
}

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// Grows with every write: what conditions are made of.
    pub version: u64,
    /// What needs a person.
    pub kind: NoticeKind,
    /// Which one of that kind it is. Stays the same while it lasts.
    pub subject: String,
    /// The stage whose matter it is.
    pub stage: String,
    /// Since when it lasts, in seconds since the epoch.
    pub since: i64,
    /// Whether it lasts.
    pub open: bool,
    /// What receivers believe, by their names.
    #[serde(default)]
    pub beliefs: BTreeMap<String, Belief>,
    /// The worker that is telling receivers, while one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teller: Option<String>,
    /// What is the matter, in a sentence.
    pub summary: String,
    /// What to do, in a sentence.
    pub action: String,
    /// What is known beside that. Never values of items.
    #[serde(default)]
    pub details: Map<String, Value>,
}

impl Notice {
    /// Its key in the lease table.
    pub fn key(&self) -> String {
        self.kind.key(&self.subject)
    }

    /// Whether the receiver of that name does not believe what is true.
    pub fn is_owed(&self, receiver: &str) -> bool {
        match self.beliefs.get(receiver) {
            Some(Belief::Raised) => !self.open,
            Some(Belief::Unsure) => true,
            None => self.open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(open: bool, belief: Option<Belief>) -> Notice {
        Notice {
            version: 1,
            kind: NoticeKind::StreamReplaced,
            subject: "a/b".to_owned(),
            stage: "capture".to_owned(),
            since: 7,
            open,
            beliefs: belief.map(|belief| ("log".to_owned(), belief)).into_iter().collect(),
            teller: None,
            summary: "s".to_owned(),
            action: "a".to_owned(),
            details: Map::new(),
        }
    }

    #[test]
    fn a_receiver_is_told_until_it_believes_what_is_true() {
        let owed = |open, belief| notice(open, belief).is_owed("log");
        let raised = [None, Some(Belief::Unsure), Some(Belief::Raised)].map(|belief| owed(true, belief));
        assert_eq!(raised, [true, true, false]);
        let cleared = [None, Some(Belief::Unsure), Some(Belief::Raised)].map(|belief| owed(false, belief));
        assert_eq!(cleared, [false, true, true], "who was never told of it is not told that it is over");
    }

    #[test]
    fn a_notice_is_named_after_what_it_tells() {
        assert_eq!(notice(true, None).key(), "notice/stream-replaced/a/b");
    }
}
