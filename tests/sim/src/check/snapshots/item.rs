//! Snapshots as the lease table and their markers tell of them, read by the checker.

use serde_json::Value;

use crate::item::{AttributeValue, Item};

/// Where a snapshot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the states by their names")]
pub enum State {
    Requested,
    Running,
    Completing,
    Completed,
    Cancelled,
    Failed,
}

impl State {
    /// Whether nothing is left to do.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Failed)
    }

    /// Whether a snapshot may go from this state to another one. What is given up may be given up in any state that is not an end.
    pub(super) fn leads_to(self, next: Self) -> bool {
        match next {
            Self::Requested => false,
            Self::Running => self == Self::Requested,
            Self::Completing => self == Self::Running,
            Self::Completed => self == Self::Completing,
            Self::Cancelled => matches!(self, Self::Requested | Self::Running),
            Self::Failed => !self.is_final(),
        }
    }
}

/// A snapshot's item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub id: String,
    pub(super) version: u64,
    /// Where it stands.
    pub state: State,
    /// Seconds since the epoch.
    pub(super) started_at: Option<i64>,
    pub(super) whole: bool,
    pub(super) segments: u64,
    /// Whether items are read consistently.
    pub(super) consistent: bool,
    /// Whether it is there because changes were lost.
    pub(super) is_for_a_gap: bool,
}

impl Snapshot {
    /// Reads a snapshot; `None` for items of other kinds.
    pub fn read(item: &Item) -> Option<Self> {
        if text(item, "entityType") != Some("SNAPSHOT") {
            return None;
        }
        let Some(AttributeValue::M(request)) = item.get("request") else { return None };
        let number = |name: &str| text(item, name)?.parse::<u64>().ok();
        Some(Self {
            id: text(item, "id")?.to_owned(),
            version: number("version")?,
            state: match text(item, "state")? {
                "requested" => State::Requested,
                "running" => State::Running,
                "completing" => State::Completing,
                "completed" => State::Completed,
                "cancelled" => State::Cancelled,
                "failed" => State::Failed,
                _ => return None,
            },
            started_at: text(item, "startedAt").and_then(|seconds| seconds.parse().ok()),
            whole: is_true(item, "whole"),
            segments: number("segments").unwrap_or_default(),
            consistent: is_true(request, "consistent"),
            is_for_a_gap: text(request, "cause") == Some("gap"),
        })
    }
}

/// A marker in the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::check) struct Marker {
    pub(super) snapshot: String,
    /// Seconds since the epoch.
    pub(super) started_at: i64,
    pub(super) completed_at: i64,
    pub(super) rows: u64,
    pub(super) whole: bool,
}

impl Marker {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let json: Value = serde_json::from_slice(body).ok()?;
        let second = |name: &str| Some(json[name].as_str()?.parse::<jiff::Timestamp>().ok()?.as_second());
        Some(Self {
            snapshot: json["snapshot_id"].as_str()?.to_owned(),
            started_at: second("started_at")?,
            completed_at: second("completed_at")?,
            rows: json["rows"].as_u64()?,
            whole: json.get("whole").is_none_or(|whole| whole == true),
        })
    }
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    match item.get(name)? {
        AttributeValue::S(text) | AttributeValue::N(text) => Some(text),
        _ => None,
    }
}

fn is_true(item: &Item, name: &str) -> bool {
    item.get(name) == Some(&AttributeValue::BOOL(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the service writes is what is read here.
    #[test]
    fn the_service_s_own_item_and_marker_are_read() {
        use headwater::lease::snapshot::{Cause, Request, Snapshot as Written, Source, State as Stands};
        let request = Request { source: Source::Table, cause: Cause::Gap, consistent: true, segments: Some(4), budget: None, limit: None };
        let written = Written {
            id: "20261121T030000Z-3f9a1c2e".to_owned(),
            version: 7,
            request,
            state: Stands::Running,
            requested_at: 1,
            started_at: Some(2),
            whole: true,
            segments: 4,
            rows: 0,
            half_units: 0,
            completed_at: None,
            ended_at: None,
            problem: None,
        };
        let read = Snapshot::read(&crate::runner::snapshot_item(&written).unwrap()).unwrap();
        let expected = Snapshot {
            id: written.id,
            version: 7,
            state: State::Running,
            started_at: Some(2),
            whole: true,
            segments: 4,
            consistent: true,
            is_for_a_gap: true,
        };
        assert_eq!(read, expected);
        let json = br#"{"snapshot_id":"s","table":"t","started_at":"2026-11-21T03:00:00Z","completed_at":"2026-11-21T04:00:00Z","rows":3}"#;
        let marker = Marker::read(json).unwrap();
        assert_eq!((marker.completed_at - marker.started_at, marker.rows, marker.whole), (3_600, 3, true));
    }

    #[test]
    fn a_snapshot_comes_to_one_end() {
        use State::{Cancelled, Completed, Completing, Failed, Requested, Running};
        for (from, to) in [(Requested, Running), (Running, Completing), (Completing, Completed), (Running, Cancelled), (Completing, Failed)]
        {
            assert!(from.leads_to(to), "{from:?} {to:?}");
        }
        for (from, to) in
            [(Requested, Completing), (Running, Completed), (Cancelled, Running), (Completed, Failed), (Completing, Cancelled)]
        {
            assert!(!from.leads_to(to), "{from:?} {to:?}");
        }
    }
}
