//! Which events have landed: what a redrive asks before it sends a change, and before it forgets one.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};

use arrow::array::AsArray;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::Lake;
use super::commit::nearest;
use super::error::LakeError;
use super::layout::{ChangeKey, Format, HourPartition};
use crate::event::{Position, ShardId};
use crate::retry::{RetryPolicy, retry};

const EVENT_ID: &str = "cdc_event_id";

impl Lake {
    /// The ids of the events in a shard's objects of one hour. Reads them all.
    pub async fn landed_events(&self, shard: &ShardId, partition: HourPartition) -> Result<HashSet<String>, LakeError> {
        let read = || async {
            let mut ids = HashSet::new();
            for key in self.runs(shard, partition).await? {
                ids.extend(self.event_ids(&key).await?);
            }
            Ok::<_, LakeError>(ids)
        };
        retry(RetryPolicy::COMMIT, &CancellationToken::new(), read).await
    }

    /// Whether the change of this id, which stands at `position` of its shard and belongs to this hour, is in the run that covers the
    /// position.
    pub async fn has_landed(
        &self,
        shard: &ShardId,
        partition: HourPartition,
        position: Position,
        event_id: &str,
    ) -> Result<bool, LakeError> {
        let look = || async {
            let runs = self.runs(shard, partition).await?;
            for key in nearest(&runs, position) {
                if self.event_ids(key).await?.iter().any(|id| id == event_id) {
                    return Ok(true);
                }
            }
            Ok::<_, LakeError>(false)
        };
        retry(RetryPolicy::COMMIT, &CancellationToken::new(), look).await
    }

    async fn event_ids(&self, key: &ChangeKey) -> Result<Vec<String>, LakeError> {
        self.read_run(key, "read the event ids of", |object| match key.format {
            Format::Parquet => of_parquet(object),
            Format::Ndjson => of_ndjson(&object),
        })
        .await
    }
}

fn of_parquet(object: Bytes) -> Result<Vec<String>, String> {
    let wrong = |error: parquet::errors::ParquetError| error.to_string();
    let builder = ParquetRecordBatchReaderBuilder::try_new(object).map_err(wrong)?;
    let columns = ProjectionMask::columns(builder.parquet_schema(), [EVENT_ID]);
    let mut ids = Vec::new();
    for batch in builder.with_projection(columns).build().map_err(wrong)? {
        let batch = batch.map_err(|error| error.to_string())?;
        let column = batch.column_by_name(EVENT_ID).and_then(|column| column.as_string_opt::<i32>());
        let column = column.ok_or_else(|| format!("it has no texts in the column '{EVENT_ID}'"))?;
        ids.extend(column.iter().flatten().map(str::to_owned));
    }
    Ok(ids)
}

fn of_ndjson(object: &[u8]) -> Result<Vec<String>, String> {
    #[derive(Deserialize)]
    struct Line {
        cdc_event_id: String,
    }
    let mut lines = BufReader::new(MultiGzDecoder::new(object));
    let (mut ids, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(|error| error.to_string())? == 0 {
            return Ok(ids);
        }
        let Line { cdc_event_id } = serde_json::from_slice(&line).map_err(|error| format!("a line is not a row: {error}"))?;
        ids.push(cdc_event_id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::contract::TableSchema;
    use crate::event::{AttributeType, ChangeEvent, Operation, Side};
    use crate::lake::{Decimals, LakeLocation, LakeSettings};

    fn at(n: u64) -> Position {
        Position::new(&n.to_string(), 0).unwrap()
    }

    fn change(n: u64) -> ChangeEvent<'static> {
        ChangeEvent {
            event_id: format!("e{n}").into(),
            operation: Operation::Insert,
            sequence: n.to_string().parse().unwrap(),
            time: 7,
            shard: "s".into(),
            snapshot_id: None,
            ttl_delete: false,
            changed: Vec::new(),
            keys: vec![format!("k{n}").into()],
            new: Some(Side::default()),
            old: None,
        }
    }

    #[tokio::test]
    async fn a_change_that_a_run_passes_over_has_not_landed() {
        for format in [Format::Parquet, Format::Ndjson] {
            let folder = tempfile::tempdir().unwrap();
            let settings = LakeSettings {
                location: LakeLocation::Folder(folder.path().to_owned()),
                format,
                max_size: 1 << 20,
                max_age: Duration::from_secs(1),
                decimals: Decimals::Number,
                kms_key: None,
            };
            let schema = Arc::new(TableSchema::keys_only("t", vec![("pk".into(), AttributeType::S)]));
            let lake = Lake::open(&settings, schema, None).await.unwrap();
            let (shard, partition) = (ShardId::new("s"), HourPartition::containing(7).unwrap());
            for (after, numbers) in [(0, [1, 3]), (3, [4, 6])] {
                let mut run = lake.begin(ChangeKey { partition, shard: shard.clone(), after: at(after), format }).unwrap();
                for n in numbers {
                    run.append(at(n), &change(n)).unwrap();
                }
                lake.commit(&run.close().unwrap()).await.unwrap();
            }
            for (n, landed) in [(1, true), (2, false), (3, true), (5, false), (6, true), (7, false)] {
                assert_eq!(lake.has_landed(&shard, partition, at(n), &format!("e{n}")).await.unwrap(), landed, "{n}");
            }
            assert_eq!(lake.landed_events(&shard, partition).await.unwrap(), ["e1", "e3", "e4", "e6"].map(str::to_owned).into());
        }
    }
}
