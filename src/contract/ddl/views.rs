//! The views that stand on the tables, in the SQL that Trino, Athena, DataFusion and DuckDB share.

use super::{Place, Statement};
use crate::contract::TableSchema;

pub(super) fn statements(_schema: &TableSchema, _place: &Place) -> Vec<Statement> {
    Vec::new()
}
