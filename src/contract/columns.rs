//! A table's columns in the lake, in their order: the one list that files, readers and declarations of the table share.

use super::schema::{ColumnType, OLD_PREFIX, TableSchema, is_masked};

/// A column of every format of the lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeColumn {
    /// Its name; `old_…` holds the side before the change.
    pub name: String,
    /// What it holds.
    pub kind: LakeType,
    /// Whether rows may be without it.
    pub nullable: bool,
    /// The contract's classification of what it holds, such as PII.
    pub classification: Option<String>,
    /// What it is, where it is one of the lake's own.
    pub meaning: Option<&'static str>,
}

impl LakeColumn {
    /// Whether those who may read no classified values must not see what it holds.
    pub(super) fn is_masked(&self) -> bool {
        self.classification.as_deref().is_some_and(is_masked)
    }
}

/// What a column of the lake holds, whatever the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LakeType {
    /// UTF-8 text.
    Text,
    /// 64-bit signed integer.
    BigInt,
    /// Exact decimal.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// Boolean.
    Boolean,
    /// UTC timestamp in milliseconds.
    TimestampMillis,
    /// UTC timestamp in microseconds.
    TimestampMicros,
    /// List of texts, none of them null.
    TextList,
}

impl From<ColumnType> for LakeType {
    fn from(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Text | ColumnType::Json => Self::Text,
            ColumnType::BigInt => Self::BigInt,
            ColumnType::Decimal { precision, scale } => Self::Decimal { precision, scale },
            ColumnType::Boolean => Self::Boolean,
            ColumnType::Timestamp { .. } => Self::TimestampMicros,
        }
    }
}

impl TableSchema {
    /// The lake's columns in order: metadata, keys, the item's columns, their old sides, what no column holds.
    pub fn lake_columns(&self) -> Vec<LakeColumn> {
        let own = |name: &str, kind, nullable, meaning| LakeColumn {
            name: name.to_owned(),
            kind,
            nullable,
            classification: None,
            meaning: Some(meaning),
        };
        let mut columns = vec![
            own("cdc_event_id", LakeType::Text, false, "identifies the change; equal on every copy of it"),
            own("cdc_op", LakeType::Text, false, "INSERT, MODIFY, REMOVE, or SNAPSHOT for a row of a snapshot"),
            own("cdc_sequence", LakeType::Text, false, "place in the stream: 40 digits, so that text order is numeric order"),
            own("cdc_time", LakeType::TimestampMillis, false, "when DynamoDB took the change, to the second, UTC"),
            own("cdc_table", LakeType::Text, false, "the DynamoDB table"),
            own("cdc_shard", LakeType::Text, false, "the shard of the stream"),
            own("cdc_snapshot_id", LakeType::Text, true, "the snapshot that the row belongs to"),
            own("cdc_ttl_delete", LakeType::Boolean, false, "whether DynamoDB removed the item because it had expired"),
            own("cdc_changed", LakeType::TextList, false, "the attributes that differ between the two images"),
        ];
        columns.extend(self.keys.iter().map(|key| LakeColumn {
            name: key.column.clone(),
            kind: LakeType::Text,
            nullable: false,
            classification: key.classification.clone(),
            meaning: None,
        }));
        for side in ["", OLD_PREFIX] {
            columns.extend(self.columns.iter().map(|column| LakeColumn {
                name: format!("{side}{}", column.name),
                kind: column.kind.into(),
                nullable: true,
                classification: column.classification.clone(),
                meaning: None,
            }));
        }
        columns.push(own("cdc_extra", LakeType::Text, true, "typed DynamoDB JSON of what has no column"));
        columns.push(own("old_cdc_extra", LakeType::Text, true, "the same of the image before the change"));
        columns
    }
}
