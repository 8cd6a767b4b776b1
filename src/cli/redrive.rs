//! `headwater redrive`: what is in quarantine goes back into the route, is looked at, or is set aside.

mod list;

use std::collections::BTreeMap;

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;

use super::source::ConfigArgs;
use super::{Exit, Globals, Output};
use crate::aws;
use crate::clock::WallClock;
use crate::lake::{Kind, LakeStore, Quarantine, QuarantineEntry};
use crate::pipeline::{self, StartError};
use crate::redrive::{self, Fate, Report, Selection, in_order, parse_time};

const HELP: &str = "\
Records are sent through the route of headwater.toml, decoded by its contract, in the order of the stream. One is sent once the checkpoint of
its shard has passed it, and leaves the quarantine when its change is durable in the route. `headwater run` may go on meanwhile.

Exit codes:
  0  every record of the selection was sent back (or discarded, or listed)
  1  some of them stay
  2  the command line, the configuration or the contract is wrong
  3  a service or the lake refused or could not be reached: what was sent until then is sent, and the command can be repeated";

/// Arguments of `headwater redrive`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    /// No more than so many records, the first ones in the order of sending.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Show the records of the selection and change nothing.
    #[arg(long, conflicts_with_all = ["dry_run", "discard"])]
    list: bool,
    /// With --list: show the records themselves too.
    #[arg(long, requires = "list")]
    show_record: bool,
    /// Decode the records and say what would become of each. Nothing is changed.
    #[arg(long, conflicts_with = "discard")]
    dry_run: bool,
    /// Set the records aside below quarantine/discarded/: they count no more, hold nothing back and are not sent.
    #[arg(long)]
    discard: bool,
    /// With --discard and no selection: everything is meant.
    #[arg(long, requires = "discard")]
    yes: bool,
}

/// Which records are meant. By default all.
#[derive(Debug, clap::Args)]
struct SelectionArgs {
    /// Records of this shard.
    #[arg(long, value_name = "ID")]
    shard: Option<String>,
    /// Records that are there for this reason.
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::as_str)).map(|text| kind(&text)))]
    kind: Option<Kind>,
    /// Records of this item: the texts of its key columns, with a slash between them.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Changes made at this time or later: 2026-11-21 or 2026-11-21T03:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<i64>,
    /// Changes made before this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<i64>,
}

fn kind(text: &str) -> Kind {
    // The parser has let nothing else pass.
    Kind::ALL.into_iter().find(|kind| kind.as_str() == text).unwrap_or(Kind::Undecodable)
}

/// Everything would be set aside.
#[derive(Debug, thiserror::Error)]
#[error("--discard without a selection means every record: give --shard, --kind, --key, --since or --until, or --yes if all are meant")]
struct NothingSelected;

impl Args {
    /// Whether records are sent, which may take long.
    pub(super) const fn sends(&self) -> bool {
        !(self.list || self.dry_run || self.discard)
    }
}

/// Runs the command.
pub async fn run(args: Args, globals: &Globals) -> anyhow::Result<Exit> {
    let settings = match args.config.load() {
        Ok(settings) => settings,
        Err(error) => return super::usage(&error),
    };
    let SelectionArgs { shard, kind, key, since, until } = args.selection;
    let selection = Selection { shard, kind, key, since, until };
    if args.discard && !args.yes && selection.is_everything() {
        return super::usage(&NothingSelected);
    }
    let sdk = aws::sdk_config().await;
    if args.list || args.discard {
        let store = LakeStore::connect(&settings.lake.location, settings.lake.kms_key.as_deref(), Some(&sdk))?;
        let quarantine = Quarantine::new(&store, &settings.table.name);
        let entries = selected(&quarantine, &selection, args.limit, args.show_record).await?;
        if args.list {
            print!("{}", list::text(&entries, globals.output, args.show_record)?);
            return Ok(Exit::Success);
        }
        let report = redrive::discard(&quarantine, &entries).await?;
        return tell(&report, Did::Discarded, globals.output);
    }
    let redrive = match pipeline::redrive(&settings, &sdk, WallClock::system()).await {
        Ok(redrive) => redrive,
        Err(error @ (StartError::Contract(_) | StartError::ContractFile { .. })) => return super::usage(&error),
        Err(error) => return Err(error.into()),
    };
    if args.dry_run {
        let report = redrive.rehearse(&selection, args.limit).await?;
        return tell(&report, Did::Rehearsed, globals.output);
    }
    tracing::info!(table = settings.table.name, "sending records back from quarantine");
    let report = redrive.run(&selection, args.limit).await?;
    tell(&report, Did::Sent, globals.output)
}

/// The entries that are meant, in the order of sending. Without `whole` their records are left out: there may be many.
async fn selected(quarantine: &Quarantine, selection: &Selection, limit: Option<u64>, whole: bool) -> anyhow::Result<Vec<QuarantineEntry>> {
    let mut entries = Vec::new();
    quarantine
        .read_all(|mut entry| {
            if selection.matches(&entry) {
                if !whole {
                    entry.raw = Vec::new();
                }
                entries.push(entry);
            }
        })
        .await?;
    in_order(&mut entries);
    entries.truncate(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX));
    Ok(entries)
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    Sent,
    Rehearsed,
    Discarded,
}

/// Prints what became of the selection.
fn tell(report: &Report, did: Did, output: Output) -> anyhow::Result<Exit> {
    if output == Output::Json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        print!("{}", summary(report, did));
    }
    Ok(if report.stays().next().is_none() { Exit::Success } else { Exit::Differs })
}

fn summary(report: &Report, did: Did) -> String {
    let mut lines = Vec::new();
    if report.finished > 0 {
        lines.push(format!("{} that an interrupted redrive had begun with sent to the end", records(report.finished)));
    }
    let count = |wanted: &Fate| report.outcomes.iter().filter(|outcome| outcome.fate == *wanted).count() as u64;
    let (sent, landed, discarded) = (count(&Fate::Sent), count(&Fate::LandedBefore), count(&Fate::Discarded));
    let stay = report.stays().count();
    let done = match did {
        Did::Sent => format!("{} sent back", records(sent + landed)),
        Did::Rehearsed => format!("{} would be sent back", records(sent + landed)),
        Did::Discarded => format!("{} set aside", records(discarded)),
    };
    let found = if landed > 0 { format!(" ({landed} had landed already)") } else { String::new() };
    lines.push(match stay {
        0 => format!("{done}{found}"),
        1 => format!("{done}{found}, 1 stays:"),
        _ => format!("{done}{found}, {stay} stay:"),
    });
    let mut reasons: BTreeMap<&str, (u64, String)> = BTreeMap::new();
    for outcome in report.stays() {
        let Fate::Stays(reason) = &outcome.fate else { continue };
        reasons.entry(reason).or_insert_with(|| (0, place(outcome))).0 += 1;
    }
    for (reason, (count, first)) in reasons {
        lines.push(format!("  {}, such as {first}: {reason}", records(count)));
    }
    lines.join("\n") + "\n"
}

fn records(count: u64) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}

fn place(outcome: &redrive::Outcome) -> String {
    match outcome.position {
        Some(position) => format!("{position} of shard {}", outcome.shard),
        None => outcome.entry.filename().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;
    use crate::event::ShardId;
    use crate::lake::Origin;
    use crate::redrive::Outcome;

    fn report(fates: impl IntoIterator<Item = Fate>) -> Report {
        let outcome = |(n, fate): (usize, Fate)| Outcome {
            entry: Path::from(format!("q/s-{n}.json")),
            origin: Origin::Capture,
            shard: ShardId::new("s"),
            position: (n + 1).to_string().parse().ok(),
            kind: Kind::Undecodable,
            fate,
        };
        Report { finished: 0, outcomes: fates.into_iter().enumerate().map(outcome).collect() }
    }

    #[test]
    fn what_stays_is_told_by_its_reasons() {
        let stays = |reason: &str| Fate::Stays(reason.to_owned());
        let mixed = report([Fate::Sent, stays("no key"), Fate::LandedBefore, stays("no key"), stays("too large")]);
        assert_eq!(
            summary(&mixed, Did::Sent),
            "2 records sent back (1 had landed already), 3 stay:\n  2 records, such as 2 of shard s: no key\n  \
             1 record, such as 5 of shard s: too large\n"
        );
        assert_eq!(summary(&report([Fate::Sent]), Did::Rehearsed), "1 record would be sent back\n");
        assert_eq!(summary(&report([Fate::Discarded, Fate::Discarded]), Did::Discarded), "2 records set aside\n");
        assert_eq!(summary(&Report { finished: 2, ..report([]) }, Did::Sent).lines().count(), 2);
    }

    #[test]
    fn every_kind_is_read_from_its_name() {
        for known in Kind::ALL {
            assert_eq!(kind(known.as_str()), known);
        }
    }
}
