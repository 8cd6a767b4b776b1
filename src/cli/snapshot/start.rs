//! `headwater snapshot start`: what can be checked is checked before anything is written.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use aws_sdk_dynamodb::Client;
use tokio_util::sync::CancellationToken;

use super::export::{self, Got};
use super::request::StartArgs;
use super::secured::secured;
use super::view::View;
use super::wait::{Shown, Waited, wait};
use super::{Place, keys};
use crate::cli::{self, Exit, Globals, Output};
use crate::clock;
use crate::contract::TableSchema;
use crate::lake::{LakeStore, read_schema};
use crate::lease::snapshot::{Source, State};
use crate::lease::table::{Contents, LeaseTable};
use crate::snapshot::plan;
use crate::{shutdown, snapshot, table};

/// Asks for the snapshot, and waits for it if that is wanted.
pub(super) async fn run(args: &StartArgs, place: Place, globals: &Globals) -> anyhow::Result<Exit> {
    let list = match args.keys.as_deref().map(read_list).transpose() {
        Ok(list) => list,
        Err(error) => return cli::usage(error.as_ref()),
    };
    let (info, before) = secured(&place.sdk, &place.settings.table.name, &place.leases).await?;

    let stop = shutdown::on_signals().context("listen for signals")?;
    let shown = if cli::is_interactive(globals) { Shown::Bar } else { Shown::Lines };
    // How many rows there will be, as far as it is told; for the bar alone.
    let mut about = None;
    let mut wanted = None;
    let exported = export::get(args, &place, &info, shown, &stop).await?;
    // An export takes minutes or hours, longer than anybody's patience with a lease table.
    let place = &Place { leases: super::leases(&place.sdk, place.leases.name()), ..place };
    let table = &place.settings.table.name;
    let source = match (&list, exported) {
        (_, Some(Got::Export { location, rows })) => {
            about = Some(rows);
            Source::Export { location }
        }
        (_, Some(Got::Stopped { arn })) => {
            eprintln!(
                "stopped waiting, and no snapshot is asked for; DynamoDB goes on writing the export: once it is complete, `headwater snapshot start \
                 --from-export {arn}` reads it"
            );
            return Ok(Exit::Unfinished);
        }
        (Some((name, text)), None) => {
            let (store, schema) = lake(place).await?;
            match keys::parse(name, text, &schema) {
                Ok(keys) => {
                    let count = keys.len() as u64;
                    wanted = Some((store, keys));
                    Source::Keys { count }
                }
                Err(error) => return cli::usage(&error),
            }
        }
        (None, None) => match args.source(&TableSchema::keys_only(table, info.keys.clone())) {
            Ok(source) => source,
            Err(problem) => return cli::usage(anyhow::Error::msg(problem).as_ref()),
        },
    };
    let made = if let (true, Source::Export { location }) = (args.export, &source) { Some(location.clone()) } else { None };
    let request = args.request(source, &place.settings.snapshot);
    let now = clock::unix_seconds();
    let asked = match &wanted {
        Some((store, keys)) => snapshot::start_for_keys(&place.leases, store, table, keys, request, now).await,
        None => snapshot::start(&place.leases, request, now).await,
    };
    let id = asked.with_context(|| match made {
        Some(export) => {
            format!("ask for a snapshot; the export is complete, and `headwater snapshot start --from-export {export}` reads it")
        }
        None => "ask for a snapshot".to_owned(),
    })?;
    if args.wait { follow(place, &id, about, shown, &stop, globals).await } else { tell(place, &id, &before, globals).await }
}

/// Says what was asked for, and what comes next.
async fn tell(place: &Place, id: &str, before: &Contents, globals: &Globals) -> anyhow::Result<Exit> {
    let contents = place.read().await?;
    let asked = contents.snapshots.iter().find(|snapshot| snapshot.id == id).ok_or_else(|| place.no_such(id))?;
    let view = View::of(asked, &contents);
    match globals.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&view)?),
        Output::Text | Output::Csv => print!("{}", what_is_next(&view, before)),
    }
    Ok(Exit::Success)
}

/// Waits for the snapshot's end.
async fn follow(
    place: &Place,
    id: &str,
    about: Option<u64>,
    shown: Shown,
    stop: &CancellationToken,
    globals: &Globals,
) -> anyhow::Result<Exit> {
    let about = match about {
        Some(rows) => Some(rows),
        None => table::item_count(&Client::new(&place.sdk), &place.settings.table.name).await.ok(),
    };
    let leases = LeaseTable::new(&place.sdk, place.leases.name(), stop.clone());
    let waited = wait(&leases, id, about, shown, stop).await;
    let waited =
        waited.with_context(|| format!("wait for snapshot {id}, which goes on: `headwater snapshot status {id}` shows how far it is"));
    let (view, exit) = match waited? {
        Waited::Ended(view) => {
            let exit = exit_of(view.state);
            (view, exit)
        }
        Waited::Stopped(view) => {
            eprintln!(
                "stopped waiting, and snapshot {id} goes on: `headwater snapshot status {id}` shows how far it is, `headwater snapshot cancel {id}` \
                 stops it"
            );
            (view, Exit::Unfinished)
        }
    };
    match globals.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&view)?),
        Output::Text | Output::Csv => print!("{}", view.text(&[])),
    }
    Ok(exit)
}

/// The exit code of a command that has waited.
const fn exit_of(state: State) -> Exit {
    match state {
        State::Completed => Exit::Success,
        State::Cancelled => Exit::Differs,
        State::Failed => Exit::Failed,
        State::Requested | State::Running | State::Completing => Exit::Unfinished,
    }
}

/// A list of keys, and its name for errors.
fn read_list(path: &Path) -> anyhow::Result<(String, String)> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("read the keys from standard input")?;
        return Ok(("standard input".to_owned(), text));
    }
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("read the keys from {name}"))?;
    Ok((name, text))
}

/// The lake, and the columns that the workers have given it.
async fn lake(place: &Place) -> anyhow::Result<(LakeStore, TableSchema)> {
    let settings = &place.settings.lake;
    let store = LakeStore::connect(&settings.location, settings.kms_key.as_deref(), Some(&place.sdk))?;
    let schema = read_schema(&store, &place.settings.table.name).await.context("look up the table's key in the lake")?;
    Ok((store, schema))
}

/// What is said once the request is written.
fn what_is_next(view: &View, contents: &Contents) -> String {
    let id = &view.id;
    let mut text = format!("snapshot {id} is requested: {}\n", view.reads());
    let _ = match contents.gaps.iter().filter(|gap| gap.is_open()).map(|gap| gap.found_at).max() {
        Some(found) => writeln!(
            text,
            "changes were lost, the last time as seen at {}: a worker of `headwater run` begins when the snapshot's start, which lies {} seconds \
             back, is later than that",
            clock::rfc3339(found),
            plan::START_MARGIN
        ),
        None => writeln!(text, "a worker of `headwater run` begins it within half a minute"),
    };
    let _ = writeln!(text, "`headwater snapshot status {id}` shows how far it is");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::snapshot::view;
    use crate::event::ShardId;
    use crate::lease::gap::{Gap, GapKind};

    #[test]
    fn the_exit_code_says_how_the_snapshot_ended() {
        assert_eq!(exit_of(State::Completed), Exit::Success);
        assert_eq!(exit_of(State::Cancelled), Exit::Differs);
        assert_eq!(exit_of(State::Failed), Exit::Failed);
    }

    #[test]
    fn what_a_snapshot_waits_for_is_said_at_once() {
        let contents = view::tests::contents(view::tests::snapshot("20261121T030000Z-3f9a1c2e", State::Requested));
        let view = View::of(&contents.snapshots[0], &contents);
        insta::assert_snapshot!(what_is_next(&view, &contents), @r"
        snapshot 20261121T030000Z-3f9a1c2e is requested: the whole table, consistently
        a worker of `headwater run` begins it within half a minute
        `headwater snapshot status 20261121T030000Z-3f9a1c2e` shows how far it is
        ");
        let gap = |found_at| Gap::of_shard(GapKind::Trimmed, &ShardId::new("s"), None, None, found_at);
        let closed = Gap { closed_at: Some(1_795_240_000), ..gap(1_795_239_000) };
        let lost = Contents { gaps: vec![gap(1_795_230_000), closed], ..Contents::default() };
        assert!(what_is_next(&view, &lost).contains("the last time as seen at 2026-11-21T03:00:00Z"));
    }
}
