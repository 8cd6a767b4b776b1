//! `headwater snapshot`: replays the table, or a part of it, through the route while capture goes on.
//!
//! The commands write and read items of the lease table. The work is done by the workers of `headwater run`.

mod export;
mod keys;
mod request;
pub(super) mod secured;
mod start;
pub(super) mod view;
pub(super) mod wait;

use aws_config::SdkConfig;
use clap::Subcommand;
use tokio_util::sync::CancellationToken;

use self::request::StartArgs;
use self::view::View;
use super::source::ConfigArgs;
use super::{Exit, Globals, Output};
use crate::aws::Failure;
use crate::config::Settings;
use crate::lease::snapshot::State;
use crate::lease::table::{Contents, LeaseTable};
use crate::retry::RetryPolicy;
use crate::snapshot::SnapshotError;
use crate::{aws, clock, snapshot};

const HELP: &str = "\
Exit codes:
  0  done; with --wait: the snapshot is completed
  1  with --wait: the snapshot was cancelled; of cancel: it has ended already
  2  the command line or the configuration is wrong, or there is no such snapshot
  3  a service refused or could not be reached; with --wait: the snapshot failed
  4  with --wait: waiting was stopped, and the snapshot goes on";

/// Arguments of `headwater snapshot`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Ask for a snapshot of the table or of a part of it. The workers of `headwater run` take it.
    Start(Box<StartArgs>),
    /// Show how far a snapshot is; without an id the one that was asked for last.
    Status {
        /// The snapshot, as `start` named it.
        id: Option<String>,
    },
    /// List the table's snapshots, the latest first.
    List,
    /// Stop a snapshot. The rows that it has landed count for nothing.
    Cancel {
        /// The snapshot, as `start` named it.
        id: String,
    },
}

/// No snapshot has the id that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the lease table '{application}' knows no snapshot '{id}': `headwater snapshot list` shows those that it knows")]
pub(super) struct NoSuchSnapshot {
    pub(super) id: String,
    pub(super) application: String,
}

impl Args {
    /// Whether the command takes as long as a snapshot takes.
    pub(super) const fn waits(&self) -> bool {
        matches!(&self.action, Action::Start(start) if start.wait || start.export)
    }
}

/// What every action works on.
struct Place {
    settings: Settings,
    sdk: SdkConfig,
    leases: LeaseTable,
}

/// A lease table for somebody who is looking: a service may retry for minutes, but here a wrong endpoint is to be told soon.
pub(super) fn leases(sdk: &SdkConfig, application: &str) -> LeaseTable {
    let patience = CancellationToken::new();
    let leases = LeaseTable::new(sdk, application, patience.clone());
    tokio::spawn(async move {
        tokio::time::sleep(RetryPolicy::START_UP.give_up_after).await;
        patience.cancel();
    });
    leases
}

/// What the lease table holds; nothing where there is none yet.
async fn read(leases: &LeaseTable) -> Result<Contents, aws::AwsError> {
    match leases.read().await {
        Err(error) if error.failure == Failure::NotFound => Ok(Contents::default()),
        read => read,
    }
}

impl Place {
    async fn read(&self) -> Result<Contents, aws::AwsError> {
        read(&self.leases).await
    }

    fn no_such(&self, id: &str) -> NoSuchSnapshot {
        NoSuchSnapshot { id: id.to_owned(), application: self.leases.name().to_owned() }
    }
}

/// Runs the command.
pub async fn run(args: Args, globals: &Globals) -> anyhow::Result<Exit> {
    let settings = match args.config.load() {
        Ok(settings) => settings,
        Err(error) => return super::usage(&error),
    };
    let sdk = aws::sdk_config().await;
    let leases = leases(&sdk, &settings.lease.application);
    let place = Place { settings, sdk, leases };
    match args.action {
        Action::Start(args) => start::run(&args, place, globals).await,
        Action::Status { id } => status(&place, id, globals.output).await,
        Action::List => list(&place, globals.output).await,
        Action::Cancel { id } => cancel(&place, &id, globals.output).await,
    }
}

async fn status(place: &Place, id: Option<String>, output: Output) -> anyhow::Result<Exit> {
    let contents = place.read().await?;
    let mut views = view::latest_first(&contents).into_iter();
    let found = match &id {
        Some(id) => views.find(|view| view.id == *id),
        None => views.next(),
    };
    match (found, id) {
        (Some(view), _) => {
            let segments = view::segments(&view.id, &contents);
            if output == Output::Json {
                println!("{}", serde_json::to_string_pretty(&view.with_segments(segments))?);
            } else {
                print!("{}", view.text(&segments));
            }
            Ok(Exit::Success)
        }
        (None, Some(id)) => super::usage(&place.no_such(&id)),
        (None, None) => {
            println!("{}", if output == Output::Json { "null" } else { "no snapshot was ever asked for: `headwater snapshot start` does" });
            Ok(Exit::Success)
        }
    }
}

async fn list(place: &Place, output: Output) -> anyhow::Result<Exit> {
    let views = view::latest_first(&place.read().await?);
    if output == Output::Json {
        let table = &place.settings.table.name;
        println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "table": table, "snapshots": views }))?);
    } else if views.is_empty() {
        println!("no snapshot was ever asked for: `headwater snapshot start` does");
    } else {
        for view in views {
            println!("{}", view.line());
        }
    }
    Ok(Exit::Success)
}

async fn cancel(place: &Place, id: &str, output: Output) -> anyhow::Result<Exit> {
    match snapshot::cancel(&place.leases, id, clock::unix_seconds()).await {
        // What is said follows from where it stands.
        Ok(_) | Err(SnapshotError::TooLate { .. }) => {}
        Err(SnapshotError::Unknown(_)) => return super::usage(&place.no_such(id)),
        Err(SnapshotError::Aws(error)) if error.failure == Failure::NotFound => return super::usage(&place.no_such(id)),
        Err(error) => return Err(error.into()),
    }
    let contents = place.read().await?;
    let view = contents.snapshots.iter().find(|snapshot| snapshot.id == id).map(|snapshot| View::of(snapshot, &contents));
    let Some(view) = view else { return super::usage(&place.no_such(id)) };
    let (exit, words) = outcome_of_cancel(view.state);
    if output == Output::Json {
        println!("{}", serde_json::to_string_pretty(&view)?);
    } else {
        println!("snapshot {id} {words}");
    }
    Ok(exit)
}

/// What is said after a snapshot was asked to stop and stands like this.
const fn outcome_of_cancel(state: State) -> (Exit, &'static str) {
    match state {
        State::Cancelled => (Exit::Success, "is cancelled: the rows that it has landed count for nothing"),
        State::Completed => (Exit::Differs, "is completed: there is nothing to cancel, and a later snapshot lies above its rows"),
        State::Failed => (Exit::Differs, "has failed already: its rows count for nothing"),
        State::Requested | State::Running | State::Completing => (Exit::Differs, "still goes on: ask again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_snapshot_that_is_cancelled_was_cancelled() {
        use State::{Cancelled, Completed, Completing, Failed, Requested, Running};
        for state in [Requested, Running, Completing, Completed, Cancelled, Failed] {
            assert_eq!(outcome_of_cancel(state).0 == Exit::Success, state == Cancelled, "{state:?}");
        }
    }
}
