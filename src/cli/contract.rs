//! `headwater contract`: work with data contracts.

mod ddl;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use super::{Exit, Globals, Output};
use crate::contract::{ColumnType, Contract, ContractErrors, ContractTable, TimestampFormat};

/// Where contracts lie unless the command line says otherwise.
const DEFAULT_DIRECTORY: &str = "schemas";

/// How the file name of a contract ends.
const SUFFIX: &str = ".odcs.yaml";

/// Arguments of `headwater contract`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check contracts and show the columns that they give; report every error with its line and column.
    Check(CheckArgs),
    /// Declare a contract's table for the engines that read the lake: tables, and views over them.
    Ddl(ddl::Args),
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// Contracts (Open Data Contract Standard v3, YAML). By default schemas/*.odcs.yaml.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Runs `headwater contract`.
#[expect(clippy::unused_async, reason = "every command has this signature; reading a few small files needs no reactor")]
pub async fn run(args: Args, globals: &Globals) -> anyhow::Result<Exit> {
    match args.command {
        Command::Ddl(args) => ddl::run(&args, globals),
        Command::Check(check) => {
            let sources = match read(check.paths) {
                Ok(sources) => sources,
                Err(error) => {
                    writeln!(std::io::stderr(), "error: {error:#}")?;
                    return Ok(Exit::Usage);
                }
            };
            let reports: Vec<Report> = sources.into_iter().map(|(file, text)| Report::of(file, &text)).collect();
            let rendered = match globals.output {
                Output::Text => text(&reports),
                Output::Csv => {
                    // Errors are no rows of this table.
                    for errors in reports.iter().filter_map(|report| report.result.as_ref().err()) {
                        writeln!(std::io::stderr(), "{errors}")?;
                    }
                    csv(&reports)
                }
                Output::Json => {
                    let documents: Vec<_> = reports.iter().map(Report::json).collect();
                    format!("{:#}\n", json!({ "contracts": documents }))
                }
            };
            std::io::stdout().write_all(rendered.as_bytes()).context("write the result to standard output")?;
            Ok(if reports.iter().all(|report| report.result.is_ok()) { Exit::Success } else { Exit::Differs })
        }
    }
}

/// The files' names and texts.
fn read(paths: Vec<PathBuf>) -> anyhow::Result<Vec<(String, String)>> {
    let paths = if paths.is_empty() { contracts_in(Path::new(DEFAULT_DIRECTORY))? } else { paths };
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).with_context(|| format!("read the contract {}", path.display()))?;
            Ok((path.display().to_string(), text))
        })
        .collect()
}

/// The contracts of a directory, by name.
fn contracts_in(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let doing = || format!("list the contracts in {}/ (name one as an argument)", directory.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(doing)? {
        let path = entry.with_context(doing)?.path();
        if path.to_str().is_some_and(|name| name.ends_with(SUFFIX)) {
            paths.push(path);
        }
    }
    paths.sort();
    anyhow::ensure!(!paths.is_empty(), "{}/ has no file *{SUFFIX}: name a contract as an argument", directory.display());
    Ok(paths)
}

/// What came of one file.
struct Report {
    file: String,
    result: Result<Contract, ContractErrors>,
}

impl Report {
    fn of(file: String, text: &str) -> Self {
        let result = Contract::parse(text, &file);
        Self { file, result }
    }

    fn text(&self) -> String {
        match &self.result {
            Err(errors) => {
                let count = errors.errors().len();
                format!("{errors}\n{}: {count} error{}\n", self.file, if count == 1 { "" } else { "s" })
            }
            Ok(contract) => {
                let id = contract.id();
                let tables = contract.tables().iter().map(|table| format!("\n{}\n{}", table.table(), aligned(&rows(table))));
                format!("{}: {} {}, no errors\n{}", self.file, id.id, id.version, tables.collect::<String>())
            }
        }
    }

    fn json(&self) -> serde_json::Value {
        match &self.result {
            Err(errors) => json!({ "file": self.file, "valid": false, "errors": errors.errors() }),
            Ok(contract) => {
                let tables: Vec<_> = contract
                    .tables()
                    .iter()
                    .map(|table| json!({ "table": table.table(), "columns": rows(table).iter().map(Row::json).collect::<Vec<_>>() }))
                    .collect();
                json!({ "file": self.file, "valid": true, "contract": contract.id(), "tables": tables })
            }
        }
    }
}

/// One column, as it is shown.
struct Row {
    column: String,
    kind: String,
    path: Vec<String>,
    source: String,
    key: Option<&'static str>,
    required: bool,
    classification: Option<String>,
}

impl Row {
    fn json(&self) -> serde_json::Value {
        json!({
            "column": self.column,
            "type": self.kind,
            "path": self.path,
            "dynamodb_type": self.source,
            "key": self.key,
            "required": self.required,
            "classification": self.classification,
        })
    }

    fn flags(&self) -> String {
        let required = (self.required && self.key.is_none()).then_some("required");
        let flags: Vec<&str> = self.key.into_iter().chain(required).chain(self.classification.as_deref()).collect();
        flags.join(", ")
    }

    fn cells(&self) -> [String; 5] {
        [self.column.clone(), self.kind.clone(), self.path.join("."), self.source.clone(), self.flags()]
    }
}

fn rows(table: &ContractTable) -> Vec<Row> {
    let keys = table.keys.iter().zip(["partition key", "sort key"]).map(|(key, role)| Row {
        column: key.key.column.clone(),
        kind: "text".to_owned(),
        path: vec![key.key.attribute.clone()],
        source: key.key.attribute_type.to_string(),
        key: Some(role),
        required: true,
        classification: key.key.classification.clone(),
    });
    let columns = table.columns.iter().map(|column| Row {
        column: column.column.name.clone(),
        kind: kind(column.column.kind),
        path: column.column.path.clone(),
        source: column.column.source.to_string(),
        key: None,
        required: column.required,
        classification: column.column.classification.clone(),
    });
    keys.chain(columns).collect()
}

fn kind(kind: ColumnType) -> String {
    match kind {
        ColumnType::Text => "text".to_owned(),
        ColumnType::BigInt => "bigint".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        ColumnType::Boolean => "boolean".to_owned(),
        ColumnType::Timestamp { format: TimestampFormat::Seconds } => "timestamp (s)".to_owned(),
        ColumnType::Timestamp { format: TimestampFormat::Millis } => "timestamp (ms)".to_owned(),
        ColumnType::Timestamp { format: TimestampFormat::Micros } => "timestamp (us)".to_owned(),
        ColumnType::Json => "json".to_owned(),
    }
}

const HEADINGS: [&str; 5] = ["column", "type", "source", "dynamodb", "flags"];

fn text(reports: &[Report]) -> String {
    let blocks: Vec<String> = reports.iter().map(Report::text).collect();
    blocks.join("\n")
}

/// The rows below their headings, each column as wide as its widest cell.
fn aligned(rows: &[Row]) -> String {
    let lines: Vec<[String; 5]> = std::iter::once(HEADINGS.map(str::to_owned)).chain(rows.iter().map(Row::cells)).collect();
    let mut widths = [0; 5];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for line in lines {
        let padded: Vec<String> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out += format!("  {}", padded.join("  ")).trim_end();
        out.push('\n');
    }
    out
}

/// A row for each column of each valid contract.
fn csv(reports: &[Report]) -> String {
    let quoted = |cell: &str| if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() };
    let mut lines = vec![format!("table,{}\n", HEADINGS.join(","))];
    for table in reports.iter().filter_map(|report| report.result.as_ref().ok()).flat_map(Contract::tables) {
        for row in rows(table) {
            let cells: Vec<String> = row.cells().iter().map(|cell| quoted(cell)).collect();
            lines.push(format!("{},{}\n", quoted(table.table()), cells.join(",")));
        }
    }
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = "\
apiVersion: v3.1.0
kind: DataContract
id: pets
version: 2.0.0
status: draft
schema:
  - name: pets
    properties:
      - {name: petId, logicalType: string, primaryKey: true, classification: secret}
      - {name: weight, logicalType: number, physicalType: 'decimal(5,2)', required: true}
      - {name: seen, logicalType: timestamp}
";

    #[test]
    fn a_valid_contract_shows_its_columns_in_aligned_rows() {
        let shown = text(&[Report::of("pets.odcs.yaml".to_owned(), CONTRACT)]);
        assert_eq!(
            shown,
            "pets.odcs.yaml: pets 2.0.0, no errors\n\npets\n  \
             column  type           source  dynamodb  flags\n  \
             pet_id  text           petId   S         partition key, secret\n  \
             weight  decimal(5,2)   weight  N         required\n  \
             seen    timestamp (s)  seen    S\n"
        );
    }

    #[test]
    fn errors_are_shown_with_their_number_and_given_to_machines_as_fields() {
        let broken = CONTRACT.replace("decimal(5,2)", "decimal(2,5)");
        let report = Report::of("pets.odcs.yaml".to_owned(), &broken);
        let shown = text(std::slice::from_ref(&report));
        assert!(shown.starts_with("pets.odcs.yaml:10:59: schema[0].properties[1].physicalType: 'decimal(2,5)': "), "{shown}");
        assert!(shown.ends_with("\npets.odcs.yaml: 1 error\n"), "{shown}");
        let json = report.json();
        assert_eq!((&json["valid"], &json["errors"][0]["line"], &json["errors"][0]["column"]), (&json!(false), &json!(10), &json!(59)));
    }

    #[test]
    fn machines_get_the_same_columns() {
        let json = Report::of("pets.odcs.yaml".to_owned(), CONTRACT).json();
        assert_eq!(json["contract"], json!({ "id": "pets", "version": "2.0.0" }));
        assert_eq!(
            json["tables"][0]["columns"][0],
            json!({
                "column": "pet_id", "type": "text", "path": ["petId"], "dynamodb_type": "S",
                "key": "partition key", "required": true, "classification": "secret",
            })
        );
        let rows = csv(&[Report::of("pets.odcs.yaml".to_owned(), CONTRACT)]);
        assert_eq!(rows.lines().nth(2), Some("pets,weight,\"decimal(5,2)\",weight,N,required"));
    }

    #[test]
    fn a_directory_gives_its_contracts_by_name_and_an_empty_one_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(contracts_in(directory.path()).unwrap_err().to_string().contains("has no file *.odcs.yaml"));
        for name in ["b.odcs.yaml", "a.odcs.yaml", "notes.txt"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let names: Vec<_> = contracts_in(directory.path()).unwrap();
        assert_eq!(names, [directory.path().join("a.odcs.yaml"), directory.path().join("b.odcs.yaml")]);
        assert!(contracts_in(&directory.path().join("none")).unwrap_err().to_string().contains("list the contracts"));
    }

    #[tokio::test]
    async fn the_exit_code_tells_errors_in_a_contract_from_a_file_that_cannot_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let globals = Globals { output: Output::Text, log_format: None };
        for (name, contents, exit) in
            [("good", Some(CONTRACT), Exit::Success), ("bad", Some("id: 1"), Exit::Differs), ("absent", None, Exit::Usage)]
        {
            let path = directory.path().join(name);
            if let Some(contents) = contents {
                std::fs::write(&path, contents).unwrap();
            }
            let args = Args { command: Command::Check(CheckArgs { paths: vec![path] }) };
            assert_eq!(run(args, &globals).await.unwrap(), exit, "{name}");
        }
    }
}
