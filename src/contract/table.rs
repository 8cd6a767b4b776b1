//! The columns of one object of a contract, and whether its key is the table's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::cursor::Cursor;
use super::error::{Position, Problems};
use super::property::{Content, MAX_NESTING, Property, read_all};
use super::schema::{Column, ColumnType, ContractId, KeyColumn, OLD_PREFIX, TableSchema, is_masked, is_reserved};
use super::types::{Layout, Within};
use crate::event::AttributeType;

/// The custom property, of an object or of the whole contract, that says how many levels of maps are flattened.
const FLATTEN_DEPTH: &str = "flattenDepth";

/// How many levels of maps are flattened unless the contract says otherwise: deep enough for an address within a customer within an
/// order, shallow enough for names that people read.
const DEFAULT_FLATTEN_DEPTH: u8 = 3;

/// There are no more levels of maps to flatten than these.
const MAX_FLATTEN_DEPTH: u8 = MAX_NESTING - 1;

/// Longest column name that Glue takes.
const MAX_NAME: usize = 255;

/// A table, as a contract describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractTable {
    /// The object's name.
    pub name: String,
    /// The table's name in DynamoDB, where it is not the object's.
    pub physical_name: Option<String>,
    /// Partition key, then sort key if there is one.
    pub keys: Vec<ContractKey>,
    /// The other columns, in the order of the document.
    pub columns: Vec<ContractColumn>,
    /// How long after it was made a change is in the lake at most, as the contract's service levels say.
    pub freshness: Option<Duration>,
    pub(super) path: String,
}

/// A key column, as a contract describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractKey {
    /// The column.
    pub key: KeyColumn,
    pub(super) at: Position,
    pub(super) path: String,
}

/// A column, as a contract describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractColumn {
    /// The column.
    pub column: Column,
    /// Whether every item has the attribute, and all maps around it.
    pub required: bool,
}

impl ContractTable {
    /// The table's name in DynamoDB.
    pub fn table(&self) -> &str {
        self.physical_name.as_deref().unwrap_or(&self.name)
    }

    /// Whether it describes the DynamoDB table of that name.
    pub(super) fn is(&self, table: &str) -> bool {
        self.table() == table || self.name == table
    }

    /// Reads an object of the schema; `flatten_depth` is the contract's.
    pub(super) fn read(object: &Cursor<'_>, flatten_depth: u8, problems: &mut Problems) -> Option<Self> {
        let levels_left = own_flatten_depth(object, problems).unwrap_or(flatten_depth);
        let properties = read_all(object, Within::Columns { levels_left }, 1, problems);

        let keys = keys(object, &properties, problems);
        let mut columns = Columns::default();
        for property in properties.iter().filter(|property| property.key.is_none()) {
            columns.collect(property, &Parent::default());
        }
        check_names(&keys, &columns.0, problems);
        Some(Self {
            name: object.text_of("name")?.to_owned(),
            physical_name: object.text_of("physicalName").map(str::to_owned),
            keys,
            columns: columns.0.into_iter().map(|placed| placed.column).collect(),
            freshness: None,
            path: object.path.clone(),
        })
    }

    /// Notes how the table's real key, partition key first, differs from the contract's.
    pub(super) fn compare_keys(&self, table: &str, real: &[(String, AttributeType)], problems: &mut Problems) {
        const ROLES: [&str; 2] = ["partition key", "sort key"];
        for (i, role) in ROLES.into_iter().enumerate() {
            match (self.keys.get(i), real.get(i)) {
                (Some(ours), None) => problems.add(
                    ours.at,
                    &ours.path,
                    format!("'{}' is the {role} here, and table '{table}' has none", ours.key.attribute),
                    "remove its primaryKey",
                ),
                (None, Some((attribute, of_type))) => {
                    let at = self.keys.last().map_or(Position { line: 1, column: 1 }, |key| key.at);
                    problems.add(
                        at,
                        format!("{}.properties", self.path),
                        format!("there is no {role}, and table '{table}' has '{attribute}' ({of_type})"),
                        "mark that property with primaryKey: true, and give both a primaryKeyPosition",
                    );
                }
                (Some(ours), Some((attribute, _))) if ours.key.attribute != *attribute => problems.add(
                    ours.at,
                    &ours.path,
                    format!("'{}' is the {role} here, and '{attribute}' is table '{table}''s", ours.key.attribute),
                    "give the table's key, in its order",
                ),
                (Some(ours), Some((_, of_type))) if ours.key.attribute_type != *of_type => problems.add(
                    ours.at,
                    &ours.path,
                    format!(
                        "the {role} '{}' is of type {} here, and of type {of_type} in table '{table}'",
                        ours.key.attribute, ours.key.attribute_type
                    ),
                    match of_type {
                        AttributeType::N => "logicalType 'integer' or 'number' with physicalType 'string' is expected".to_owned(),
                        other => format!("logicalType 'string' with the custom property dynamodbType '{other}' is expected"),
                    },
                ),
                (None, None) | (Some(_), Some(_)) => {}
            }
        }
    }

    /// What the rest of the program uses.
    pub(super) fn schema(&self, table: &str, contract: ContractId) -> TableSchema {
        TableSchema {
            table: table.to_owned(),
            keys: self.keys.iter().map(|key| key.key.clone()).collect(),
            columns: self.columns.iter().map(|column| column.column.clone()).collect(),
            contract: Some(contract),
        }
    }
}

/// How many levels of maps are flattened in objects that do not say it themselves.
pub(super) fn flatten_depth(contract: &Cursor<'_>, problems: &mut Problems) -> u8 {
    own_flatten_depth(contract, problems).unwrap_or(DEFAULT_FLATTEN_DEPTH)
}

/// What the contract, or an object, says itself.
fn own_flatten_depth(element: &Cursor<'_>, problems: &mut Problems) -> Option<u8> {
    let value = element.custom(FLATTEN_DEPTH, problems)?;
    let depth = value.integer().and_then(|number| u8::try_from(number).ok()).filter(|depth| *depth <= MAX_FLATTEN_DEPTH);
    if depth.is_none() {
        value.problem(problems, value.node.value.describe(), format!("a whole number of 0 to {MAX_FLATTEN_DEPTH} is expected"));
    }
    depth
}

/// The key columns, partition key first.
fn keys(object: &Cursor<'_>, properties: &[Property], problems: &mut Problems) -> Vec<ContractKey> {
    let mut parts: Vec<_> = properties.iter().filter_map(|property| Some((property, property.key.as_ref()?))).collect();
    match parts[..] {
        [] => {
            let help = "mark the table's partition key with primaryKey: true (and its sort key, with primaryKeyPosition 2)";
            problems.add(object.at(), object.path_of("properties"), "no property is the primary key", help);
        }
        [(_, only)] if only.position.is_some_and(|position| position != 1) => {
            problems.add(only.at, &parts[0].0.path, "the only key property is not in position 1", "set primaryKeyPosition: 1");
        }
        [_] => {}
        [(first, one), (second, two)] => {
            for (property, key) in [(first, one), (second, two)] {
                if !matches!(key.position, Some(1 | 2)) {
                    let help = "primaryKeyPosition 1 for the partition key and 2 for the sort key are expected";
                    problems.add(key.at, property.path.clone() + ".primaryKeyPosition", "does not tell the key's order", help);
                }
            }
            if matches!(one.position, Some(1 | 2)) && one.position == two.position {
                let path = second.path.clone() + ".primaryKeyPosition";
                problems.add(two.at, path, format!("'{}' has the same position", first.attribute), "1 and 2 are expected");
            }
        }
        [.., (third, key)] => {
            let problem = format!("there are {} key properties", parts.len());
            problems.add(key.at, &third.path, problem, "a DynamoDB table has a partition key and at most one sort key");
        }
    }
    parts.sort_by_key(|(_, key)| key.position);
    parts.into_iter().filter_map(|(property, _)| key_column(property, problems)).collect()
}

fn key_column(property: &Property, problems: &mut Problems) -> Option<ContractKey> {
    let source = match property.content {
        Content::Cell(Layout::Cell { source, kind: ColumnType::Text }) => source,
        Content::Unknown => return None,
        Content::Cell(_) | Content::Fields(_) => {
            let help = "physicalType 'string' is expected (with logicalType string, integer or number): as text, every key groups exactly";
            problems.add(property.at, &property.path, format!("'{}' is a key and not text", property.attribute), help);
            return None;
        }
    };
    Some(ContractKey {
        key: KeyColumn {
            attribute: property.attribute.clone(),
            column: property.column.clone(),
            attribute_type: source,
            classification: property.classification.clone(),
        },
        at: property.at,
        path: property.path.clone(),
    })
}

/// A column, and where its property stands.
struct Placed {
    column: ContractColumn,
    at: Position,
    path: String,
}

/// What a nested field takes from the maps around it.
struct Parent {
    column: String,
    path: Vec<String>,
    required: bool,
    classification: Option<String>,
}

impl Default for Parent {
    fn default() -> Self {
        Self { column: String::new(), path: Vec::new(), required: true, classification: None }
    }
}

#[derive(Default)]
struct Columns(Vec<Placed>);

impl Columns {
    fn collect(&mut self, property: &Property, parent: &Parent) {
        let mut path = parent.path.clone();
        path.push(property.attribute.clone());
        let here = Parent {
            column: if parent.path.is_empty() { property.column.clone() } else { format!("{}_{}", parent.column, property.column) },
            path,
            required: parent.required && property.required,
            // A field of a classified map is classified.
            classification: property.classification.clone().or_else(|| parent.classification.clone()),
        };
        match &property.content {
            Content::Fields(fields) => fields.iter().for_each(|field| self.collect(field, &here)),
            &Content::Cell(Layout::Cell { source, kind }) => {
                // JSON text is shown or masked as a whole, so the first that is to be masked decides, wherever it is.
                let masking = here.classification.iter().chain(&property.inside).find(|word| is_masked(word)).cloned();
                let classification = masking.or(here.classification);
                self.0.push(Placed {
                    column: ContractColumn {
                        column: Column { name: here.column, path: here.path, source, kind, classification },
                        required: here.required,
                    },
                    at: property.at,
                    path: property.path.clone(),
                });
            }
            Content::Cell(Layout::Fields) | Content::Unknown => {}
        }
    }
}

/// Notes names that the lake or Glue cannot have: reserved, too long, or given to two columns.
fn check_names(keys: &[ContractKey], columns: &[Placed], problems: &mut Problems) {
    let keys = keys.iter().map(|key| (key.key.column.clone(), key.at, &key.path, vec![key.key.attribute.clone()]));
    let current = columns.iter().map(|c| (c.column.column.name.clone(), c.at, &c.path, c.column.column.path.clone()));
    let old = columns.iter().map(|c| (format!("{OLD_PREFIX}{}", c.column.column.name), c.at, &c.path, c.column.column.path.clone()));
    let rename = "give the property another name and put the attribute's into physicalName";

    let mut taken: BTreeMap<String, (Position, Vec<String>)> = BTreeMap::new();
    // One message for each property: another name mends all that is wrong with this one, its old side included.
    let mut reported: BTreeSet<Position> = BTreeSet::new();
    for (name, at, path, source) in keys.chain(current).chain(old) {
        let problem = if name.len() > MAX_NAME {
            Some(format!("gives the column '{name}', which has {} characters and Glue takes {MAX_NAME}", name.len()))
        } else if is_reserved(&name) {
            Some(format!("gives the column '{name}', which is reserved for the lake's own columns"))
        } else {
            match taken.get(&name) {
                // An attribute that is described twice has been reported as such.
                Some((_, other)) if *other == source => None,
                Some((first, other)) => Some(format!("gives the column '{name}', as '{}' on line {} does", other.join("."), first.line)),
                None => {
                    taken.insert(name, (at, source));
                    None
                }
            }
        };
        if let Some(problem) = problem
            && reported.insert(at)
        {
            problems.add(at, format!("{path}.name"), problem, rename);
        }
    }
}
