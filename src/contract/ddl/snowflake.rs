//! Snowflake.

use super::{Place, Statement};
use crate::contract::TableSchema;

pub(super) fn statements(_schema: &TableSchema, _place: &Place) -> Vec<Statement> {
    Vec::new()
}
