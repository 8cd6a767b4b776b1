//! `headwater snapshot start`: what can be checked is checked before anything is written.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use aws_sdk_dynamodb::Client;
use tokio_util::sync::CancellationToken;

use super::export::{self, Got};
use super::request::StartArgs;
use super::view::View;
use super::wait::{Shown, Waited, wait};
use super::{Place, keys};
use crate::aws::{AwsError, Failure};
use crate::cli::{self, Exit, Globals, Output};
use crate::clock::{self, ServiceClock, WallClock};
use crate::contract::TableSchema;
use crate::lake::{LakeStore, read_schema};
use crate::lease::Checkpoint;
use crate::lease::snapshot::{Source, State};
use crate::lease::table::{Contents, LeaseTable};
use crate::retry::{RetryPolicy, retry};
use crate::snapshot::plan;
use crate::stream::TableInfo;
use crate::stream::dynamodb::TableStreams;
use crate::{shutdown, snapshot, table};

/// Nobody reads the table's stream, so changes that are made during a snapshot might be lost.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NotSecured {
    #[error(
        "table '{0}' has no stream that is enabled: enable one with the view type NEW_AND_OLD_IMAGES, start `headwater run`, then ask again"
    )]
    NoStream(String),
    #[error(
        "the lease table '{application}' has no lease on a shard of table '{table}': no worker has begun to read its stream, so nothing keeps what is \
         changed during the snapshot. Start `headwater run` first, then ask again"
    )]
    NoLeases { table: String, application: String },
}

/// Asks for the snapshot, and waits for it if that is wanted.
pub(super) async fn run(args: &StartArgs, place: &Place, globals: &Globals) -> anyhow::Result<Exit> {
    let list = match args.keys.as_deref().map(read_list).transpose() {
        Ok(list) => list,
        Err(error) => return cli::usage(error.as_ref()),
    };
    let table = &place.settings.table.name;
    let info = describe(place).await?;
    let before = place.read().await?;
    secured(table, place.leases.name(), &info, &before)?;

    let stop = shutdown::on_signals().context("listen for signals")?;
    let shown = if cli::is_interactive(globals) { Shown::Bar } else { Shown::Lines };
    // How many rows there will be, as far as it is told; for the bar alone.
    let mut about = None;
    let mut wanted = None;
    let source = match (&list, export::get(args, place, &info, shown, &stop).await?) {
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
    let request = args.request(source, &place.settings.snapshot);
    let now = clock::unix_seconds();
    let id = match &wanted {
        Some((store, keys)) => snapshot::start_for_keys(&place.leases, store, table, keys, request, now).await?,
        None => snapshot::start(&place.leases, request, now).await?,
    };
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
    let (view, exit) = match wait(&leases, id, about, shown, stop).await? {
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

async fn describe(place: &Place) -> anyhow::Result<TableInfo> {
    let table = &place.settings.table.name;
    let api = TableStreams::new(&place.sdk, table.as_str(), ServiceClock::new(WallClock::system()));
    let described = retry(RetryPolicy::START_UP, &CancellationToken::new(), || api.table()).await;
    described.map_err(|error: AwsError| match error.failure {
        Failure::NotFound => anyhow::Error::new(error)
            .context(format!("table '{table}' does not exist: correct table.name, AWS_REGION or AWS_ENDPOINT_URL_DYNAMODB")),
        _ => anyhow::Error::new(error).context(format!("describe table '{table}'")),
    })
}

/// Whether somebody reads the stream, or has begun to: then leases say from where, and no change of the time to come is lost.
fn secured(table: &str, application: &str, info: &TableInfo, contents: &Contents) -> Result<(), NotSecured> {
    if !info.stream.as_ref().is_some_and(|stream| stream.enabled) {
        return Err(NotSecured::NoStream(table.to_owned()));
    }
    if contents.leases.iter().all(|lease| lease.checkpoint == Checkpoint::ShardEnd) {
        return Err(NotSecured::NoLeases { table: table.to_owned(), application: application.to_owned() });
    }
    Ok(())
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
    use crate::event::{AttributeType, ShardId};
    use crate::lease::Lease;
    use crate::lease::gap::{Gap, GapKind};
    use crate::stream::{StreamArn, StreamInfo, View as Images};

    fn table(enabled: bool) -> TableInfo {
        let stream = StreamInfo { arn: StreamArn::new("arn"), enabled, retention: 86_400 };
        TableInfo { keys: vec![("id".into(), AttributeType::S)], stream: Some(stream), view: Images::NewAndOldImages }
    }

    fn leases(checkpoint: Checkpoint) -> Contents {
        let lease = Lease {
            shard: ShardId::new("s"),
            stream: StreamArn::new("arn"),
            parents: Vec::new(),
            owner: None,
            counter: 0,
            checkpoint,
            last_sequence: None,
            durable_through: None,
            found_at: None,
            done_at: None,
            segment: None,
        };
        Contents { leases: vec![lease], ..Contents::default() }
    }

    #[test]
    fn a_snapshot_needs_somebody_who_keeps_the_changes_made_meanwhile() {
        let check = |info: &TableInfo, contents: &Contents| {
            secured("orders", "headwater-orders", info, contents).map_err(|error| error.to_string())
        };
        assert_eq!(check(&table(true), &leases(Checkpoint::TrimHorizon)), Ok(()), "a lease without an owner keeps its place too");
        let nobody = check(&table(true), &Contents::default()).unwrap_err();
        assert!(nobody.contains("'headwater-orders'") && nobody.contains("Start `headwater run` first"), "{nobody}");
        assert_eq!(check(&table(true), &leases(Checkpoint::ShardEnd)), Err(nobody), "what is read to its end keeps nothing");
        let disabled = check(&table(false), &leases(Checkpoint::TrimHorizon)).unwrap_err();
        assert!(disabled.contains("NEW_AND_OLD_IMAGES"), "{disabled}");
    }

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
