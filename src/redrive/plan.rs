//! What one redrive into the lake sends, written down before it is sent.

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::{Ready, RedriveError};
use crate::digest::sha256_hex;
use crate::event::{Position, ShardId};
use crate::lake::{Lake, Origin};

/// A batch of records on their way into the lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Unlike every other plan's, so that its objects are unlike every other's.
    pub(super) id: String,
    /// Whose records they are.
    pub(super) origin: Origin,
    /// Stands for everything that the objects' rows follow from besides the records.
    pub(super) conditions: String,
    /// The records, in the order of sending.
    pub(super) records: Vec<Planned>,
}

/// A record of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Planned {
    /// The entry's object.
    pub(super) entry: String,
    /// The id of its change.
    pub(super) event_id: String,
    /// The time of its change, in seconds since the epoch: it tells the hour that the change belongs to.
    pub(super) time: i64,
}

impl Plan {
    /// A new plan for these records.
    pub(super) fn of(origin: Origin, conditions: String, batch: &[Ready]) -> Self {
        let planned =
            |ready: &Ready| Planned { entry: ready.entry.location.to_string(), event_id: ready.event_id.clone(), time: ready.time };
        Self { id: uuid::Uuid::now_v7().to_string(), origin, conditions, records: batch.iter().map(planned).collect() }
    }

    /// Reads the plan of that number.
    pub(super) fn parse(number: u32, body: &[u8]) -> Result<Self, RedriveError> {
        serde_json::from_slice(body).map_err(|error| RedriveError::Plan { number, reason: error.to_string() })
    }

    /// The shard that its objects are named after.
    pub(super) fn shard(&self) -> ShardId {
        ShardId::new(format!("redrive-{}", self.id))
    }
}

impl Planned {
    /// The entry's object.
    pub(super) fn location(&self) -> Option<Path> {
        Path::parse(&self.entry).ok()
    }
}

/// The position of a record by its place in the plan, counted from 0. Before the first record is [`Position::ZERO`].
pub(super) fn at(place: usize) -> Position {
    // A number of 20 digits is always a position.
    Position::new(&(place + 1).to_string(), 0).unwrap_or(Position::ZERO)
}

/// The place behind the record at this position.
pub(super) fn behind(position: Position) -> usize {
    position.sequence().parse().unwrap_or(usize::MAX)
}

/// Stands for what the rows follow from besides the records: the schema, how rows are written, and the program.
pub(super) fn conditions(lake: &Lake) -> String {
    let settings = lake.settings();
    let schema = serde_json::to_string(lake.schema().as_ref()).unwrap_or_default();
    sha256_hex(format!("{}\n{:?}\n{:?}\n{schema}", env!("CARGO_PKG_VERSION"), settings.format, settings.decimals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_and_its_position_are_one() {
        assert!(Position::ZERO < at(0) && at(0) < at(1));
        assert_eq!((behind(Position::ZERO), behind(at(0)), behind(at(41))), (0, 1, 42));
    }

    #[test]
    fn a_plan_is_read_back() {
        let plan = Plan {
            id: "i".into(),
            origin: Origin::Deliver,
            conditions: "c".into(),
            records: vec![Planned { entry: "t/quarantine/dt=2026-11-21/s-1.json".into(), event_id: "e".into(), time: 7 }],
        };
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        assert_eq!(plan.shard().as_str(), "redrive-i");
    }
}
