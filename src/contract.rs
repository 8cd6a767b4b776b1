//! The contract: an Open Data Contract Standard (ODCS) v3 document that says what an item looks like.
//!
//! [`Contract::parse`] reads a document and reports everything that is wrong with it at once, each error with its line and column.
//! [`Contract::table_schema`] then gives what the rest of the program uses, a [`TableSchema`]: the key columns and the item's columns
//! in lake order. Without a contract, [`TableSchema::keys_only`] derives one from the table's keys alone.
//!
//! How a property becomes a column:
//! - The attribute is its `physicalName`, or else its `name`; the column is its `name` in lower snake case, within the names of the maps
//!   around it. So a clash of columns is mended by another `name`, with the attribute in `physicalName`.
//! - `logicalType` and `physicalType` (in Athena's spelling) give the column's type. The attribute's DynamoDB type follows from
//!   logicalType, unless the custom property `dynamodbType` names another.
//! - An object with properties is flattened, down to the custom property `flattenDepth` (of the object or of the contract, by default 3
//!   levels); deeper ones, those of physicalType `string`, objects without properties, and arrays become JSON text.
//!
//! Pure: reading files is the caller's.

mod columns;
mod cursor;
pub mod ddl;
mod error;
mod freshness;
mod node;
mod property;
mod rules;
mod schema;
mod shape;
mod standard;
mod table;
#[cfg(test)]
mod tests;
mod types;

use std::time::Duration;

pub use columns::{LakeColumn, LakeType};
pub use error::{ContractError, ContractErrors, Position};
pub use schema::{Column, ColumnType, ContractId, KeyColumn, OLD_PREFIX, TableSchema, TimestampFormat, snake_case};
pub use table::{ContractColumn, ContractKey, ContractTable};

use crate::event::AttributeType;
use cursor::Cursor;
use error::{Problems, either};
use node::{Node, Value};

/// A checked contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    file: String,
    id: ContractId,
    tables: Vec<ContractTable>,
    /// Where the list of tables stands.
    schema_at: Position,
}

impl Contract {
    /// Reads and checks a document. `file` is what errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Self, ContractErrors> {
        let mut problems = Problems::default();
        let document = match node::parse(text) {
            Ok(document) => document,
            Err((at, message)) => {
                problems.add(at, "", message, "one document of valid YAML is expected");
                // Nothing else can be said about it.
                Node { value: Value::Null, at }
            }
        };
        let root = Cursor::root(&document);
        if problems.is_empty() {
            standard::CONTRACT.check(&root, &mut problems);
        }
        let contract = Self {
            file: file.to_owned(),
            id: identity(&root, &mut problems),
            tables: tables(&root, &mut problems),
            schema_at: root.get("schema").map_or(root.at(), |schema| schema.at()),
        };
        rules::check_service_levels(&root, &mut problems);
        problems.or(file, contract)
    }

    /// The document's id and version.
    pub const fn id(&self) -> &ContractId {
        &self.id
    }

    /// The tables that it describes, in the order of the document.
    pub fn tables(&self) -> &[ContractTable] {
        &self.tables
    }

    /// How fresh the lake's copy of the DynamoDB table of that name has to be; none where the contract promises nothing.
    pub fn freshness(&self, table: &str) -> Option<Duration> {
        self.tables.iter().find(|described| described.is(table))?.freshness
    }

    /// The schema of the DynamoDB table of that name, which is the `physicalName` or the `name` of one of the contract's objects.
    /// Given the table's real keys, partition key first, it is an error if the contract's differ in name, order or type.
    pub fn table_schema(&self, table: &str, keys_of_table: Option<&[(String, AttributeType)]>) -> Result<TableSchema, ContractErrors> {
        let mut problems = Problems::default();
        let Some(described) = self.tables.iter().find(|described| described.is(table)) else {
            let names: Vec<&str> = self.tables.iter().map(ContractTable::table).collect();
            let help = format!("{} is described; set physicalName to the table's name", either(&names));
            problems.add(self.schema_at, "schema", format!("no object describes table '{table}'"), help);
            return Err(problems.into_errors(&self.file));
        };
        if let Some(keys) = keys_of_table {
            described.compare_keys(table, keys, &mut problems);
        }
        problems.or(&self.file, described.schema(table, self.id.clone()))
    }
}

/// The document's identity, and the version of the standard that it follows.
fn identity(root: &Cursor<'_>, problems: &mut Problems) -> ContractId {
    if let Some(version) = root.get("apiVersion")
        && let Some(text) = version.text()
        && !is_version_3(text)
    {
        version.problem(problems, format!("'{text}' is not a version that is understood"), "v3.1.0, or another v3, is expected");
    }
    for field in ["id", "version", "status"] {
        if let Some(value) = root.get(field)
            && value.text().is_some_and(|text| text.trim().is_empty())
        {
            value.problem(problems, "is empty", "text is expected");
        }
    }
    let text = |field| root.text_of(field).unwrap_or_default().to_owned();
    ContractId { id: text("id"), version: text("version") }
}

/// `v3.<minor>.<patch>`.
fn is_version_3(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("v3.") else { return false };
    let Some((minor, patch)) = rest.split_once('.') else { return false };
    [minor, patch].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn tables(root: &Cursor<'_>, problems: &mut Problems) -> Vec<ContractTable> {
    let flatten_depth = table::flatten_depth(root, problems);
    let objects = root.items_of("schema");
    if let Some(schema) = root.get("schema")
        && objects.is_empty()
        && matches!(schema.node.value, Value::List(_))
    {
        schema.problem(problems, "is empty", "an object for each table is expected");
    }
    let mut tables: Vec<ContractTable> = Vec::new();
    for object in objects {
        rules::check_quality(&object, problems);
        let Some(mut table) = ContractTable::read(&object, flatten_depth, problems) else { continue };
        table.freshness = freshness::promised(root, &table.name);
        if tables.iter().any(|other| other.is(&table.name) || other.is(table.table())) {
            let problem = format!("another object describes '{}' as well", table.table());
            problems.add(object.at(), object.path_of("name"), problem, "names and physicalNames of objects must differ");
        }
        tables.push(table);
    }
    tables
}
