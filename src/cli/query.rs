//! `headwater query`: SQL over the lake.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::Context as _;

use super::{Exit, Globals, Output};
use crate::query::Session;
use crate::query::render::{self, Format};

/// Arguments of `headwater query`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One SQL query over the views changes, snapshots and current. Use --file or - to read it from elsewhere.
    #[arg(value_name = "SQL", required_unless_present = "file", conflicts_with = "file")]
    sql: Option<String>,
    /// Read the query from a file.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// Which lake, and which table of it: by flags, or else by headwater.toml.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// The lake: a folder or s3://bucket/prefix. By default the one of headwater.toml.
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
    /// The table. By default the one of headwater.toml.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The configuration; not read when both --lake and --table are given.
    #[arg(long, value_name = "PATH", default_value = "headwater.toml")]
    config: PathBuf,
}

/// Runs the command.
pub async fn run(args: Args, globals: &Globals) -> anyhow::Result<Exit> {
    let sql = text(&args)?;
    let session = open(&args.place).await?;
    let rows = session.query(&sql).await?;
    let mut out = io::BufWriter::new(io::stdout());
    render::write(rows, format(globals.output), &mut out).await?;
    // The rows are out, or their reader has closed the pipe; either way nothing is left that could fail.
    let _ = out.flush();
    Ok(Exit::Success)
}

/// The query's text.
fn text(args: &Args) -> anyhow::Result<String> {
    match (&args.file, args.sql.as_deref()) {
        (Some(path), _) => std::fs::read_to_string(path).with_context(|| format!("read the query from {}", path.display())),
        (None, Some("-") | None) => io::read_to_string(io::stdin()).context("read the query from standard input"),
        (None, Some(sql)) => Ok(sql.to_owned()),
    }
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

/// Opens the table that the flags or the configuration name.
pub(super) async fn open(place: &Place) -> anyhow::Result<Session> {
    let (lake, table) = location(place)?;
    Ok(Session::open(&lake, &table).await?)
}

/// The lake's address and the table's name.
fn location(place: &Place) -> anyhow::Result<(String, String)> {
    if let (Some(lake), Some(table)) = (&place.lake, &place.table) {
        return Ok((lake.clone(), table.clone()));
    }
    let settings = crate::config::load(&place.config)
        .context("find the lake and the table: give --lake and --table, or a configuration that names them")?;
    let lake = place.lake.clone().unwrap_or_else(|| settings.lake.location.to_string());
    Ok((lake, place.table.clone().unwrap_or(settings.table.name)))
}
