//! `headwater query`: SQL over the lake.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use anyhow::Context as _;

use super::{Exit, Globals, Output};
use crate::config::{self, ConfigError, Settings};
use crate::lake::LakeLocation;
use crate::query::render::{self, Format};
use crate::query::{QueryError, Script, Session};

/// Arguments of `headwater query`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One SQL query over the views changes, snapshots and current, and those that the files define. - reads it from standard input.
    #[arg(value_name = "SQL", required_unless_present = "files")]
    sql: Option<String>,
    /// Statements to run first: CREATE OR REPLACE VIEW, for this session alone. Without SQL the last statement of the last file is the query. May be given
    /// several times.
    #[arg(long = "file", value_name = "PATH")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// Which lake, and which table of it: by flags, or else by headwater.toml.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// The lake: a folder or s3://bucket/prefix. By default the one of headwater.toml.
    #[arg(long, value_name = "URL")]
    lake: Option<LakeLocation>,
    /// The table. By default the one of headwater.toml.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The configuration; not read when both --lake and --table are given.
    #[arg(long, value_name = "PATH", default_value = "headwater.toml")]
    config: PathBuf,
}

/// Neither the flags nor the configuration say where the table lies.
#[derive(Debug, thiserror::Error)]
#[error("find the lake and the table: give --lake and --table, or a configuration that names them")]
pub(super) struct NoPlace(#[source] ConfigError);

/// Runs the command.
pub async fn run(args: Args, globals: &Globals) -> anyhow::Result<Exit> {
    let scripts = scripts(&args)?;
    let (lake, table) = match args.place.resolve() {
        Ok(place) => place,
        Err(error) => return super::usage(&error),
    };
    let session = open(&lake, &table).await?;
    let rows = match session.run(&scripts).await {
        Ok(rows) => rows,
        Err(error @ (QueryError::Statement { .. } | QueryError::NoView { .. } | QueryError::NoQuery { .. })) => {
            return super::usage(&error);
        }
        Err(error) => return Err(error.into()),
    };
    let mut out = io::BufWriter::new(io::stdout());
    render::write(rows, format(globals.output), &mut out).await?;
    Ok(Exit::Success)
}

/// Opens a table of a lake, with the AWS settings of the environment if it lies on S3.
pub(super) async fn open(lake: &LakeLocation, table: &str) -> Result<Session, QueryError> {
    let aws = match lake {
        LakeLocation::S3 { .. } => Some(crate::aws::sdk_config().await),
        LakeLocation::Folder(_) => None,
    };
    Session::open(lake, table, aws.as_ref()).await
}

impl Place {
    /// The lake and the table.
    pub(super) fn resolve(&self) -> Result<(LakeLocation, String), NoPlace> {
        if let (Some(lake), Some(table)) = (&self.lake, &self.table) {
            return Ok((lake.clone(), table.clone()));
        }
        let settings = self.settings()?;
        Ok((self.lake.clone().unwrap_or(settings.lake.location), self.table.clone().unwrap_or(settings.table.name)))
    }

    /// The configuration.
    pub(super) fn settings(&self) -> Result<Settings, NoPlace> {
        config::load(&self.config).map_err(NoPlace)
    }
}

/// The files' texts, and the query's.
fn scripts(args: &Args) -> anyhow::Result<Vec<Script>> {
    let mut scripts = Vec::with_capacity(args.files.len() + 1);
    for path in &args.files {
        let sql = std::fs::read_to_string(path).with_context(|| format!("read SQL from {}", path.display()))?;
        scripts.push(Script { name: path.display().to_string(), sql });
    }
    if let Some(sql) = args.sql.as_deref() {
        let sql = if sql == "-" { io::read_to_string(io::stdin()).context("read the query from standard input")? } else { sql.to_owned() };
        scripts.push(Script { name: "the query".to_owned(), sql });
    }
    Ok(scripts)
}

pub(super) fn format(output: Output) -> Format {
    match output {
        Output::Text => Format::Table { width: terminal_width() },
        Output::Json => Format::Json,
        Output::Csv => Format::Csv,
    }
}

/// The terminal's width; `None` if the output goes elsewhere, where nothing may be cut.
fn terminal_width() -> Option<usize> {
    let width = || console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    io::stdout().is_terminal().then(width).flatten()
}
