//! The key of a committed object's last row: where the reading of a snapshot's segment goes on behind what another worker has landed.

use std::io::{BufRead, BufReader};

use arrow::array::{Array, AsArray};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio_util::sync::CancellationToken;

use super::Lake;
use super::error::{LakeError, Problem};
use super::layout::{ChangeKey, Format, HourPartition};
use crate::contract::TableSchema;
use crate::event::parse::{Parsed, parse_line};
use crate::event::{Position, ShardId};
use crate::retry::{RetryPolicy, retry};

impl Lake {
    /// The texts of the key columns of the row at `position`, which is the last one of a committed object of the shard in that hour.
    ///
    /// Reads the whole object.
    pub async fn last_key(&self, shard: &ShardId, partition: HourPartition, position: Position) -> Result<Vec<String>, LakeError> {
        retry(RetryPolicy::COMMIT, &CancellationToken::new(), || self.find_last_key(shard, partition, position)).await
    }

    async fn find_last_key(&self, shard: &ShardId, partition: HourPartition, position: Position) -> Result<Vec<String>, LakeError> {
        for key in self.runs(shard, partition).await?.iter().rev().filter(|key| key.after < position) {
            if self.last_of(key).await? == position {
                return self.key_at_end(key).await;
            }
        }
        let problem = Problem::Other(format!("no object of the hour {partition} ends at position {position}: was it deleted?"));
        Err(LakeError::new(format!("look up the last row of shard {shard}"), problem))
    }

    async fn key_at_end(&self, key: &ChangeKey) -> Result<Vec<String>, LakeError> {
        self.read_run(key, "read the last row of", |object| match key.format {
            Format::Parquet => of_parquet(object, &self.schema),
            Format::Ndjson => of_ndjson(&object, &self.schema),
        })
        .await
    }
}

fn of_parquet(object: Bytes, schema: &TableSchema) -> Result<Vec<String>, String> {
    let wrong = |error: parquet::errors::ParquetError| error.to_string();
    let builder = ParquetRecordBatchReaderBuilder::try_new(object).map_err(wrong)?;
    // The last row group that has any rows; offsets count within the chosen one.
    let groups = builder.metadata().row_groups();
    let last = groups.iter().rposition(|group| group.num_rows() > 0).ok_or("it has no rows")?;
    let rows = usize::try_from(groups[last].num_rows()).unwrap_or_default();
    let columns = ProjectionMask::columns(builder.parquet_schema(), schema.keys.iter().map(|key| key.column.as_str()));
    let builder = builder.with_projection(columns).with_row_groups(vec![last]).with_offset(rows.saturating_sub(1));
    let mut reader = builder.build().map_err(wrong)?;
    let batch = reader.next().ok_or("it has no rows")?.map_err(|error| error.to_string())?;
    let text = |column: &str| {
        let texts = batch.column_by_name(column).and_then(|column| column.as_string_opt::<i32>());
        let texts = texts.filter(|texts| !texts.is_empty()).ok_or_else(|| format!("it has no texts in the key column '{column}'"))?;
        Ok(texts.value(texts.len() - 1).to_owned())
    };
    schema.keys.iter().map(|key| text(&key.column)).collect()
}

fn of_ndjson(object: &[u8], schema: &TableSchema) -> Result<Vec<String>, String> {
    let mut lines = BufReader::new(MultiGzDecoder::new(object));
    let (mut last, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(|error| error.to_string())? == 0 {
            break;
        }
        std::mem::swap(&mut last, &mut line);
    }
    match parse_line(&last, schema) {
        Ok(Parsed::Change(event)) => Ok(event.keys.into_iter().map(std::borrow::Cow::into_owned).collect()),
        Ok(Parsed::Pointer(pointer)) => Ok(pointer.keys),
        Ok(Parsed::Marker(_)) => Err("its last line is a marker, not a row".to_owned()),
        Err(error) => Err(format!("its last line is not a row: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::event::{AttributeType, ChangeEvent, Operation, SequenceNumber, Side};
    use crate::lake::{Decimals, LakeLocation, LakeSettings};

    fn row(n: u64) -> ChangeEvent<'static> {
        ChangeEvent {
            event_id: format!("e{n}").into(),
            operation: Operation::Snapshot,
            sequence: SequenceNumber::ZERO,
            time: 7,
            shard: "s".into(),
            snapshot_id: Some("snap".into()),
            ttl_delete: false,
            changed: Vec::new(),
            keys: vec![format!("k{n}").into(), n.to_string().into()],
            new: Some(Side::default()),
            old: None,
        }
    }

    async fn land(lake: &Lake, key: ChangeKey, rows: std::ops::RangeInclusive<u64>) {
        let mut run = lake.begin(key).unwrap();
        for n in rows {
            run.append(at(n), &row(n)).unwrap();
        }
        lake.commit(&run.close().unwrap()).await.unwrap();
    }

    fn at(n: u64) -> Position {
        Position::new(&n.to_string(), 0).unwrap()
    }

    #[tokio::test]
    async fn the_last_row_of_the_object_that_ends_there_is_found_in_either_format() {
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
            let schema = TableSchema::keys_only("t", vec![("pk".into(), AttributeType::S), ("sk".into(), AttributeType::N)]);
            let lake = Lake::open(&settings, Arc::new(schema), None).await.unwrap();
            let (shard, partition) = (ShardId::new("s"), HourPartition::containing(7).unwrap());
            let key = |after| ChangeKey { partition, shard: shard.clone(), after, format };
            land(&lake, key(Position::ZERO), 1..=5000).await;
            land(&lake, key(at(5000)), 5001..=5003).await;
            assert_eq!(lake.last_key(&shard, partition, at(5000)).await.unwrap(), ["k5000", "5000"]);
            assert_eq!(lake.last_key(&shard, partition, at(5003)).await.unwrap(), ["k5003", "5003"]);
            let error = lake.last_key(&shard, partition, at(4)).await.unwrap_err();
            assert!(error.to_string().contains("ends at position 4"), "{error}");
        }
    }
}
