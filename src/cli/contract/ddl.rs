//! `headwater contract ddl`: declarations of a contract's table for the engines that read the lake.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use serde_json::json;

use super::{DEFAULT_DIRECTORY, contracts_in};
use crate::cli::{Exit, Globals, Output};
use crate::contract::ddl::{self, Layout, Place, Stored};
use crate::contract::{Contract, ContractErrors, ContractTable, TableSchema};

/// Stands for the bucket in statements that are kept in files, until `--location` or an editor replaces it.
const PLACEHOLDER: &str = "s3://LAKE_BUCKET";

/// Arguments of `headwater contract ddl`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// For which engine.
    #[arg(long, value_enum)]
    dialect: Dialect,
    /// Where the lake is: s3://bucket or s3://bucket/prefix; for DuckDB a folder too.
    #[arg(long, value_name = "URL", default_value = PLACEHOLDER)]
    location: String,
    /// Who writes the changes: headwater itself, or Firehose.
    #[arg(long, value_enum, default_value_t = Writer::Lake)]
    layout: Writer,
    /// What it writes.
    #[arg(long, value_enum, default_value_t = Format::Parquet)]
    format: Format,
    /// The table, where the contract describes several.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// With --dialect glue: rewrite the lists of columns that are marked in this CloudFormation template instead of printing.
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["location", "layout", "format"])]
    update: Option<PathBuf>,
    /// The contract. By default the only one of schemas/*.odcs.yaml.
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dialect {
    /// CREATE EXTERNAL TABLE with partition projection, and views.
    Athena,
    /// JSON of each table's TableInput.
    Glue,
    /// Stage, tables, pipe and views.
    Snowflake,
    /// Views over the objects.
    Duckdb,
}

impl Dialect {
    const fn name(self) -> &'static str {
        match self {
            Self::Athena => "athena",
            Self::Glue => "glue",
            Self::Snowflake => "snowflake",
            Self::Duckdb => "duckdb",
        }
    }
}

impl From<Dialect> for ddl::Dialect {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Athena => Self::Athena,
            Dialect::Glue => Self::Glue,
            Dialect::Snowflake => Self::Snowflake,
            Dialect::Duckdb => Self::DuckDb,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Writer {
    /// headwater: routes lake and kinesis with deliver.
    Lake,
    /// Firehose: routes firehose and kinesis without deliver.
    Firehose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Parquet.
    Parquet,
    /// Newline-delimited JSON, gzip-compressed.
    Ndjson,
}

/// What the command line or the files that it names have wrong.
#[derive(Debug, thiserror::Error)]
enum Mistake {
    #[error("{0:#}")]
    File(anyhow::Error),
    #[error("{0}")]
    Contract(ContractErrors),
    #[error("{file} describes several tables: choose one with --table ({})", tables.join(", "))]
    WhichTable { file: String, tables: Vec<String> },
    #[error("'{0}' is no place for a lake that this engine reads: s3://bucket or s3://bucket/prefix is expected")]
    Location(String),
    #[error("--update is for --dialect glue: a template holds the tables of the Glue catalog")]
    NotGlue,
    #[error("update the columns in {template}")]
    Template {
        template: String,
        #[source]
        source: ddl::TemplateError,
    },
}

/// Runs the command.
pub(super) fn run(args: &Args, globals: &Globals) -> anyhow::Result<Exit> {
    let done = match schema(args) {
        Ok(schema) => match &args.update {
            Some(template) => update(args, template, &schema, globals.output),
            None => declare(args, &schema, globals.output),
        },
        Err(mistake) => Err(mistake),
    };
    match done {
        Ok(text) => {
            std::io::stdout().write_all(text.as_bytes()).context("write the result to standard output")?;
            Ok(Exit::Success)
        }
        Err(mistake) => crate::cli::usage(&mistake),
    }
}

/// The columns of the table that is meant.
fn schema(args: &Args) -> Result<TableSchema, Mistake> {
    let path = match &args.path {
        Some(path) => path.clone(),
        None => only(contracts_in(Path::new(DEFAULT_DIRECTORY)).map_err(Mistake::File)?)?,
    };
    let file = path.display().to_string();
    let text = std::fs::read_to_string(&path).with_context(|| format!("read the contract {file}")).map_err(Mistake::File)?;
    let contract = Contract::parse(&text, &file).map_err(Mistake::Contract)?;
    let table = match (&args.table, contract.tables()) {
        (Some(table), _) => table.clone(),
        (None, [table]) => table.table().to_owned(),
        (None, tables) => {
            return Err(Mistake::WhichTable { file, tables: tables.iter().map(|table| ContractTable::table(table).to_owned()).collect() });
        }
    };
    contract.table_schema(&table, None).map_err(Mistake::Contract)
}

fn only(paths: Vec<PathBuf>) -> Result<PathBuf, Mistake> {
    match <[PathBuf; 1]>::try_from(paths) {
        Ok([path]) => Ok(path),
        Err(paths) => {
            let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            Err(Mistake::File(anyhow::anyhow!("there are several contracts: name one as an argument ({})", names.join(", "))))
        }
    }
}

/// The statements as text.
fn declare(args: &Args, schema: &TableSchema, output: Output) -> Result<String, Mistake> {
    let stored = match args.format {
        Format::Parquet => Stored::Parquet,
        Format::Ndjson => Stored::Ndjson,
    };
    let layout = match args.layout {
        Writer::Lake => Layout::Lake(stored),
        Writer::Firehose => Layout::Firehose(stored),
    };
    let location = args.location.trim_end_matches('/');
    let in_bucket = location.strip_prefix("s3://").is_some_and(|bucket| !bucket.is_empty() && !bucket.starts_with('/'));
    if !in_bucket && args.dialect != Dialect::Duckdb {
        return Err(Mistake::Location(args.location.clone()));
    }
    let place = Place { location: location.to_owned(), layout };
    let dialect = args.dialect.into();
    let statements = ddl::statements(dialect, schema, &place);
    Ok(match (output, args.dialect) {
        // It is JSON in any case, and what create-table takes.
        (Output::Json, Dialect::Athena | Dialect::Snowflake | Dialect::Duckdb) => {
            let statements: Vec<_> = statements.iter().map(|statement| json!({ "name": statement.name, "text": statement.text })).collect();
            let document = json!({
                "dialect": args.dialect.name(),
                "table": schema.table,
                "contract": schema.contract,
                "statements": statements,
            });
            format!("{document:#}\n")
        }
        _ => ddl::render(dialect, &statements),
    })
}

/// Rewrites the template, and tells what was done.
fn update(args: &Args, template: &Path, schema: &TableSchema, output: Output) -> Result<String, Mistake> {
    if args.dialect != Dialect::Glue {
        return Err(Mistake::NotGlue);
    }
    let name = template.display().to_string();
    let text = std::fs::read_to_string(template).with_context(|| format!("read the template {name}")).map_err(Mistake::File)?;
    let updated = ddl::update(&text, schema).map_err(|source| Mistake::Template { template: name.clone(), source })?;
    let changed = updated.text != text;
    if changed {
        replace(template, &updated.text).with_context(|| format!("write the template {name}")).map_err(Mistake::File)?;
    }
    Ok(match output {
        Output::Json => format!("{:#}\n", json!({ "template": name, "tables": updated.tables, "changed": changed })),
        Output::Text | Output::Csv => {
            let tables = updated.tables.join(", ");
            if changed {
                format!("{name}: wrote the columns of {tables}\n")
            } else {
                format!("{name}: the columns of {tables} are up to date\n")
            }
        }
    })
}

/// Gives a file another text, whole or not at all: what is interrupted leaves the file as it was.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    // Of a link, what it leads to is replaced.
    let file = file.canonicalize()?;
    let mut beside = file.clone().into_os_string();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = write_like(&beside, &file, text).and_then(|()| std::fs::rename(&beside, &file));
    if written.is_err() {
        // It may not have come into being; the error that is told is the first.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// Writes a new file with the permissions of another.
fn write_like(new: &Path, other: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::create_new(new)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(std::fs::metadata(other)?.permissions())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &str) -> Args {
        Line::try_parse_from(std::iter::once("ddl").chain(line.split_whitespace())).unwrap_or_else(|error| panic!("{error}")).args
    }

    const SALES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/sales_orders.odcs.yaml");

    /// What the command prints, or what is wrong.
    fn declared(line: &str, output: Output) -> Result<String, String> {
        let args = args(line);
        let done = schema(&args).and_then(|schema| match &args.update {
            Some(template) => update(&args, template, &schema, output),
            None => declare(&args, &schema, output),
        });
        done.map_err(|mistake| {
            let source = std::error::Error::source(&mistake).map(|source| format!(": {source}")).unwrap_or_default();
            format!("{mistake}{source}")
        })
    }

    #[test]
    fn statements_are_printed_for_a_file_and_as_fields_for_machines() {
        let line = format!("--dialect athena --location s3://mine/lake/ {SALES}");
        let text = declared(&line, Output::Text).unwrap();
        assert!(text.starts_with("CREATE EXTERNAL TABLE IF NOT EXISTS `changes` (\n"), "{text}");
        assert!(text.contains("LOCATION 's3://mine/lake/sales_orders/changes/'\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&declared(&line, Output::Json).unwrap()).unwrap();
        assert_eq!((&json["table"], &json["statements"][0]["name"]), (&json!("sales_orders"), &json!("changes")));
        assert!(text.contains(json["statements"][1]["text"].as_str().unwrap()));
    }

    #[test]
    fn the_glue_catalogs_tables_are_json_whatever_the_output() {
        for output in [Output::Text, Output::Json] {
            let text = declared(&format!("--dialect glue --layout firehose {SALES}"), output).unwrap();
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["delivered"]["StorageDescriptor"]["Location"], "s3://LAKE_BUCKET/sales_orders/firehose/");
        }
    }

    #[test]
    fn mistakes_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let two = folder.path().join("two.odcs.yaml");
        let table = |name: &str| format!("  - {{name: {name}, properties: [{{name: id, logicalType: string, primaryKey: true}}]}}\n");
        let head = "apiVersion: v3.1.0\nkind: DataContract\nid: two\nversion: 1.0.0\nstatus: draft\nschema:\n";
        std::fs::write(&two, format!("{head}{}{}", table("cats"), table("dogs"))).unwrap();
        let two = two.display().to_string();
        let cases = [
            (format!("--dialect athena {two}"), "describes several tables: choose one with --table (cats, dogs)"),
            (format!("--dialect athena --table cows {two}"), "no object describes table 'cows'"),
            (format!("--dialect athena --location ./lake {SALES}"), "'./lake' is no place for a lake that this engine reads"),
            (format!("--dialect glue --location s3:// {SALES}"), "'s3://' is no place"),
            (format!("--dialect athena --update {two} {SALES}"), "--update is for --dialect glue"),
            (format!("--dialect glue --update {two} --table sales_orders {SALES}"), "no list of columns is marked"),
            ("--dialect athena none.yaml".to_owned(), "read the contract none.yaml"),
        ];
        for (line, expected) in cases {
            let error = declared(&line, Output::Text).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
        assert!(declared(&format!("--dialect athena --table dogs {two}"), Output::Text).unwrap().contains("LAKE_BUCKET/dogs/changes/"));
    }

    #[test]
    fn a_template_is_rewritten_once() {
        let folder = tempfile::tempdir().unwrap();
        let template = folder.path().join("t.yaml");
        std::fs::write(&template, "A:\n  # changes columns: begin\n  # changes columns: end\n").unwrap();
        let line = format!("--dialect glue --update {} {SALES}", template.display());
        assert!(declared(&line, Output::Text).unwrap().ends_with("wrote the columns of changes\n"));
        let written = std::fs::read_to_string(&template).unwrap();
        assert!(written.contains(r#"  - { Name: "price", Type: "decimal(12,2)" }"#), "{written}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(declared(&line, Output::Text).unwrap().ends_with("are up to date\n"));
        let json: serde_json::Value = serde_json::from_str(&declared(&line, Output::Json).unwrap()).unwrap();
        assert_eq!((&json["tables"], &json["changed"]), (&json!(["changes"]), &json!(false)));
    }

    #[test]
    fn of_several_contracts_one_has_to_be_named() {
        let error = only(vec!["a.odcs.yaml".into(), "b.odcs.yaml".into()]).unwrap_err().to_string();
        assert_eq!(error, "there are several contracts: name one as an argument (a.odcs.yaml, b.odcs.yaml)");
    }
}
