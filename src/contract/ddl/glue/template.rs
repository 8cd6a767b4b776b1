//! Lists of columns in a CloudFormation template, between lines that mark them:
//!
//! ```yaml
//! Columns:
//!   # changes columns: begin
//!   - { Name: "cdc_event_id", Type: "string", Comment: "identifies the change; equal on every copy of it" }
//!   # changes columns: end
//! ```
//!
//! Everything else in the template stays as it is, byte for byte.

use serde_json::Value;

use crate::contract::TableSchema;
use crate::contract::ddl::catalog::{self, HiveColumn};

/// A template with the columns of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// The whole text.
    pub text: String,
    /// The tables whose columns were written, in the order of the template.
    pub tables: Vec<String>,
}

/// Why a template cannot be given the columns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing is marked.
    #[error(
        "no list of columns is marked; a line '# changes columns: begin' before the columns and '# changes columns: end' behind them are expected"
    )]
    Unmarked,
    /// A list of an unknown table.
    #[error("line {line}: there is no table '{table}'; changes, delivered, claims or snapshot_markers is expected")]
    UnknownTable {
        /// Where, from 1.
        line: usize,
        /// What it is called.
        table: String,
    },
    /// A list without an end.
    #[error(
        "line {line}: the columns of '{table}' begin here, and no line '# {table} columns: end' follows before the next list or the end of the file"
    )]
    Unended {
        /// Where it begins, from 1.
        line: usize,
        /// Which.
        table: String,
    },
    /// An end without a list.
    #[error("line {line}: the columns of '{table}' end here, and no line '# {table} columns: begin' stands before")]
    Unbegun {
        /// Where, from 1.
        line: usize,
        /// Which.
        table: String,
    },
}

/// Writes the columns of the schema between the marks of a template.
pub fn update(template: &str, schema: &TableSchema) -> Result<Updated, TemplateError> {
    let mut text = String::with_capacity(template.len());
    let mut tables = Vec::new();
    let mut open: Option<(usize, &str)> = None;
    for (line, number) in template.split_inclusive('\n').zip(1_usize..) {
        match (mark(line), open) {
            (Some((table, Edge::Begin)), None) => {
                let columns = catalog::columns_of(schema, table)
                    .ok_or_else(|| TemplateError::UnknownTable { line: number, table: table.to_owned() })?;
                text.push_str(line);
                let indentation = &line[..line.len() - line.trim_start().len()];
                for column in &columns {
                    text.extend([indentation, &entry(column), "\n"]);
                }
                tables.push(table.to_owned());
                open = Some((number, table));
            }
            (Some((table, Edge::End)), Some((_, begun))) if table == begun => {
                text.push_str(line);
                open = None;
            }
            (Some((table, Edge::End)), None) => return Err(TemplateError::Unbegun { line: number, table: table.to_owned() }),
            (Some(_), Some((begun_at, begun))) => return Err(TemplateError::Unended { line: begun_at, table: begun.to_owned() }),
            (None, Some(_)) => {}
            (None, None) => text.push_str(line),
        }
    }
    match open {
        Some((line, table)) => Err(TemplateError::Unended { line, table: table.to_owned() }),
        None if tables.is_empty() => Err(TemplateError::Unmarked),
        None => Ok(Updated { text, tables }),
    }
}

enum Edge {
    Begin,
    End,
}

/// The table and the edge of its list that the line marks.
fn mark(line: &str) -> Option<(&str, Edge)> {
    let words = line.trim().strip_prefix('#')?.trim();
    let (table, edge) = words.split_once(" columns: ")?;
    let edge = match edge {
        "begin" => Edge::Begin,
        "end" => Edge::End,
        _ => return None,
    };
    (!table.contains(' ')).then_some((table, edge))
}

/// A column as an element of a YAML list. Everything is quoted: types hold commas, and YAML has names such as `no` and `on` for values.
fn entry(column: &HiveColumn) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let comment = column.comment.as_deref().map(|comment| format!(", Comment: {}", quoted(comment))).unwrap_or_default();
    format!("- {{ Name: {}, Type: {}{comment} }}", quoted(&column.name), quoted(&column.kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::ddl::tests::orders;

    const TEMPLATE: &str = "\
Resources:
  Markers:
    Columns:
      # snapshot_markers columns: begin
      - { Name: stale }
      # snapshot_markers columns: end
  # changes columns: begin
  # changes columns: end
  Rest: !Ref Rest
";

    #[test]
    fn lists_are_replaced_and_the_rest_stays() {
        let Updated { text, tables } = update(TEMPLATE, &orders()).unwrap();
        assert_eq!(tables, ["snapshot_markers", "changes"]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[3..5],
            [
                "      # snapshot_markers columns: begin",
                r#"      - { Name: "snapshot_id", Type: "string", Comment: "as in cdc_snapshot_id" }"#
            ]
        );
        assert!(lines.contains(&r#"  - { Name: "customer_email", Type: "string", Comment: "classification: PII" }"#), "{text}");
        assert!(lines.contains(&r#"  - { Name: "old_price", Type: "decimal(12,2)" }"#), "{text}");
        assert!(!text.contains("stale") && text.ends_with("  # changes columns: end\n  Rest: !Ref Rest\n"), "{text}");
        assert_eq!(update(&text, &orders()).unwrap().text, text, "a second time changes nothing");
    }

    #[test]
    fn marks_that_do_not_match_are_told_with_their_line() {
        let errors = [
            ("Resources:\n", TemplateError::Unmarked),
            ("a:\n# orders columns: begin\n", TemplateError::UnknownTable { line: 2, table: "orders".into() }),
            ("# claims columns: begin\n- {}\n", TemplateError::Unended { line: 1, table: "claims".into() }),
            ("# claims columns: begin\n# changes columns: begin\n", TemplateError::Unended { line: 1, table: "claims".into() }),
            ("a:\n# claims columns: end\n", TemplateError::Unbegun { line: 2, table: "claims".into() }),
        ];
        for (template, error) in errors {
            assert_eq!(update(template, &orders()), Err(error), "{template}");
        }
    }

    #[test]
    fn a_comment_that_only_speaks_of_columns_marks_nothing() {
        let template = TEMPLATE.replace("Resources:\n", "# the template's columns: begin with the key\nResources:\n");
        assert!(update(&template, &orders()).is_ok());
    }
}
