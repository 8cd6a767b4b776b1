//! A run: consecutive changes of one shard within one hour, on its way to becoming one object.

use bytes::Bytes;

use super::error::{LakeError, Problem};
use super::layout::{ChangeKey, Format};
use super::ndjson::NdjsonRun;
use super::parquet::ParquetRun;
use super::{Lake, rows::RowError};
use crate::event::{ChangeEvent, Position};

/// A run that still takes changes.
pub struct OpenRun {
    key: ChangeKey,
    last: Position,
    rows: u64,
    writer: Writer,
}

enum Writer {
    Parquet(Box<ParquetRun>),
    Ndjson(Box<NdjsonRun>),
}

/// A run whose bytes are complete.
#[derive(Debug, Clone)]
pub struct ClosedRun {
    /// The object's identity.
    pub key: ChangeKey,
    /// The position of its last row.
    pub last: Position,
    /// How many rows it has.
    pub rows: u64,
    /// The object.
    pub bytes: Bytes,
}

impl OpenRun {
    pub(super) fn new(lake: &Lake, key: ChangeKey) -> Result<Self, LakeError> {
        let writer = match key.format {
            Format::Parquet => {
                let run = ParquetRun::new(&lake.schema, &lake.arrow).map_err(|error| encoding(&key, error))?;
                Writer::Parquet(Box::new(run))
            }
            Format::Ndjson => Writer::Ndjson(Box::new(NdjsonRun::new(&lake.schema, lake.settings.decimals))),
        };
        Ok(Self { last: key.after, key, rows: 0, writer })
    }

    /// The identity that the object will have.
    pub fn key(&self) -> &ChangeKey {
        &self.key
    }

    /// Adds the next change of the shard, which stands at `position`. After an error the run is of no more use.
    pub fn append(&mut self, position: Position, event: &ChangeEvent<'_>) -> Result<(), LakeError> {
        match &mut self.writer {
            Writer::Parquet(run) => run.append(event).map_err(|error| encoding(&self.key, error))?,
            Writer::Ndjson(run) => run.append(event).map_err(|error| compressing(&self.key, error))?,
        }
        self.last = position;
        self.rows += 1;
        Ok(())
    }

    /// About the size in bytes of the object if it were closed now; what is not encoded yet counts with its plain size.
    pub fn size(&self) -> usize {
        match &self.writer {
            Writer::Parquet(run) => run.size(),
            Writer::Ndjson(run) => run.size(),
        }
    }

    /// About the bytes of memory that it occupies, now and when it is closed.
    pub fn memory(&self) -> usize {
        match &self.writer {
            Writer::Parquet(run) => run.memory(),
            Writer::Ndjson(run) => run.memory(),
        }
    }

    /// About by how much the event would make that more, at most.
    pub fn growth(&self, event: &ChangeEvent<'_>) -> usize {
        match &self.writer {
            Writer::Parquet(run) => run.growth(event),
            Writer::Ndjson(run) => run.growth(event),
        }
    }

    /// Completes the object's bytes. They occupy no more than the open run did.
    pub fn close(self) -> Result<ClosedRun, LakeError> {
        let bytes = match self.writer {
            Writer::Parquet(run) => run.finish(self.key.after, self.last).map_err(|error| encoding(&self.key, error))?,
            Writer::Ndjson(run) => run.finish(self.last).map_err(|error| compressing(&self.key, error))?,
        };
        Ok(ClosedRun { key: self.key, last: self.last, rows: self.rows, bytes })
    }
}

fn encoding(key: &ChangeKey, error: RowError) -> LakeError {
    let problem = match &error {
        RowError::Shape { .. } | RowError::Cell { .. } => Problem::Event(error.to_string()),
        RowError::Encode(_) | RowError::Arrow(_) => Problem::Other(error.to_string()),
    };
    LakeError { doing: format!("encode changes of shard {}", key.shard), problem, source: Some(Box::new(error)) }
}

fn compressing(key: &ChangeKey, error: std::io::Error) -> LakeError {
    LakeError::from_io(format!("compress changes of shard {}", key.shard), error)
}
