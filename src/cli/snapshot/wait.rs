//! Waiting for a snapshot: a bar on a terminal, log lines elsewhere.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::NoSuchSnapshot;
use super::view::{self, View};
use crate::lease::snapshot::{Source, State};
use crate::lease::table::LeaseTable;

/// How often the lease table is read: a scan of a few items.
const POLL: Duration = Duration::from_secs(1);
/// How often a log line tells how far it is, where there is no terminal.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// The rate is that of the last seconds: long enough to see over a checkpoint, short enough to follow a change of pace.
const WINDOW: Duration = Duration::from_secs(30);

/// How waiting ended.
#[derive(Debug)]
pub(in crate::cli) enum Waited {
    /// The snapshot came to its end.
    Ended(View),
    /// It goes on, and nobody waits any more.
    Stopped(View),
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Shown {
    /// As a bar that is redrawn.
    Bar,
    /// As log lines.
    Lines,
}

/// Waits for the end of a snapshot, or until `stop` is cancelled. `about`: how many rows the table, or the export, is said
/// to have.
pub(in crate::cli) async fn wait(
    leases: &LeaseTable,
    id: &str,
    about: Option<u64>,
    shown: Shown,
    stop: &CancellationToken,
) -> anyhow::Result<Waited> {
    let mut progress = Progress::new(shown);
    let begun = Instant::now();
    let mut pace = Pace::default();
    let mut last = None;
    let ended = loop {
        let contents = match (leases.read().await, last.take()) {
            (Ok(contents), _) => contents,
            (Err(_), Some(view)) if stop.is_cancelled() => break Waited::Stopped(view),
            (Err(error), _) => return Err(error.into()),
        };
        let Some(snapshot) = contents.snapshots.iter().find(|snapshot| snapshot.id == id) else {
            return Err(NoSuchSnapshot { id: id.to_owned(), application: leases.name().to_owned() }.into());
        };
        let view = View::of(snapshot, &contents);
        pace.saw(begun.elapsed(), view.rows);
        if view.state.is_final() {
            break Waited::Ended(view);
        }
        progress.show(&view, &pace, of(&view, about));
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = stop.cancelled() => break Waited::Stopped(view),
        }
        last = Some(view);
    };
    progress.finish();
    Ok(ended)
}

/// How many rows there will be, as far as that is known before.
fn of(view: &View, about: Option<u64>) -> Option<u64> {
    match &view.source {
        _ if view.limit.is_some() => None,
        Source::Table | Source::Export { .. } => about.filter(|rows| *rows > 0),
        Source::Keys { count } => Some(*count),
        Source::Segment { .. } | Source::Partition { .. } => None,
    }
}

/// How fast rows become durable.
#[derive(Debug, Default)]
struct Pace {
    seen: VecDeque<(Duration, u64)>,
}

impl Pace {
    fn saw(&mut self, at: Duration, rows: u64) {
        self.seen.push_back((at, rows));
        // The oldest that is kept lies a window back, so that the rate is that of a whole window.
        while self.seen.get(1).is_some_and(|(second, _)| at.saturating_sub(*second) >= WINDOW) {
            self.seen.pop_front();
        }
    }

    /// Rows a second; nothing before there are two looks at it.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 rows")]
    fn rate(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (self.seen.front()?, self.seen.back()?);
        let seconds = to.saturating_sub(*from).as_secs_f64();
        (seconds > 0.0).then(|| after.saturating_sub(*before) as f64 / seconds)
    }

    /// How long the rest takes at this pace. Nothing where more rows are there than were said to be.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 rows")]
    fn left(&self, rows: u64, of: Option<u64>) -> Option<Duration> {
        let (rest, rate) = (of?.checked_sub(rows).filter(|rest| *rest > 0)?, self.rate().filter(|rate| *rate > 0.0)?);
        Duration::try_from_secs_f64((rest as f64 / rate).ceil()).ok()
    }
}

/// What the bar says beside itself.
fn message(view: &View, pace: &Pace, of: Option<u64>) -> String {
    let mut text = format!("{}  {}", view.id, view::name(view.state));
    match view.state {
        State::Requested => text.push_str(": no worker has begun it yet"),
        State::Running => {
            let _ = write!(text, "  {} rows", view.rows);
            if let Some(of) = of {
                let _ = write!(text, " of about {of}");
            }
            if let Some(rate) = pace.rate() {
                let _ = write!(text, "  {rate:.0} rows/s");
            }
            let _ = write!(text, "  {:.1} read units  {} of {} segments", view.read_units, view.segments_done, view.segments);
            if let Some(left) = pace.left(view.rows, of) {
                let _ = write!(text, "  {} left", humantime::format_duration(left));
            }
        }
        State::Completing => {
            let _ = write!(text, "  {} rows, {:.1} read units: waiting until every row is in the lake", view.rows, view.read_units);
        }
        State::Completed | State::Cancelled | State::Failed => {}
    }
    text
}

/// Where progress is shown.
enum Progress {
    Bar(ProgressBar),
    Lines { last: Option<(Instant, State)> },
}

impl Progress {
    fn new(shown: Shown) -> Self {
        match shown {
            Shown::Bar => Self::Bar(crate::cli::log::bars().add(ProgressBar::new_spinner())),
            Shown::Lines => Self::Lines { last: None },
        }
    }

    fn show(&mut self, view: &View, pace: &Pace, of: Option<u64>) {
        match self {
            Self::Bar(bar) => {
                // The table's own figure may be hours old.
                let template = match of {
                    Some(of) if view.state == State::Running => {
                        bar.set_length(of.max(view.rows));
                        bar.set_position(view.rows);
                        "{spinner} {bar:24} {msg}"
                    }
                    _ => "{spinner} {msg}",
                };
                bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_invalid| ProgressStyle::default_bar()));
                bar.set_message(message(view, pace, of));
                bar.tick();
            }
            Self::Lines { last } => {
                let now = Instant::now();
                if last.is_some_and(|(at, state)| state == view.state && now.duration_since(at) < LOG_INTERVAL) {
                    return;
                }
                *last = Some((now, view.state));
                tracing::info!(
                    snapshot = view.id,
                    state = view::name(view.state),
                    rows = view.rows,
                    about = of,
                    rows_per_second = pace.rate().map(f64::round),
                    read_units = view.read_units,
                    segments = view.segments,
                    segments_done = view.segments_done,
                    seconds_left = pace.left(view.rows, of).map(|left| left.as_secs()),
                    "waiting for the snapshot"
                );
            }
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::snapshot::view::tests::{contents, snapshot};

    const ID: &str = "20261121T030000Z-3f9a1c2e";

    fn view(state: State) -> View {
        let contents = contents(snapshot(ID, state));
        View::of(&contents.snapshots[0], &contents)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn pace(seen: &[(u64, u64)]) -> Pace {
        let mut pace = Pace::default();
        for (at, rows) in seen {
            pace.saw(seconds(*at), *rows);
        }
        pace
    }

    #[test]
    fn the_bar_tells_rows_rate_cost_and_what_is_left() {
        let told = message(&view(State::Running), &pace(&[(0, 0), (10, 150)]), Some(1_000));
        assert_eq!(
            told,
            "20261121T030000Z-3f9a1c2e  running  150 rows of about 1000  15 rows/s  8.5 read units  1 of 2 segments  57s left"
        );
        let told = message(&view(State::Running), &pace(&[(0, 0)]), None);
        assert_eq!(told, "20261121T030000Z-3f9a1c2e  running  150 rows  8.5 read units  1 of 2 segments", "nothing is guessed");
    }

    #[test]
    fn what_is_not_reading_says_what_it_waits_for() {
        assert_eq!(
            message(&view(State::Requested), &Pace::default(), Some(9)),
            "20261121T030000Z-3f9a1c2e  requested: no worker has begun it yet"
        );
        assert!(message(&view(State::Completing), &Pace::default(), Some(9)).ends_with("waiting until every row is in the lake"));
    }

    #[test]
    fn the_rate_is_that_of_the_last_half_minute() {
        let seen: Vec<(u64, u64)> = (0..=60).map(|at| (at, if at <= 30 { at * 1_000 } else { 30_000 + (at - 30) * 10 })).collect();
        assert_eq!(pace(&seen).rate(), Some(10.0));
        assert_eq!(pace(&seen[..11]).rate(), Some(1_000.0), "before that, of all that was seen");
        assert_eq!(pace(&[(5, 70)]).rate(), None);
    }

    #[test]
    fn time_left_is_told_only_where_it_can_be_known() {
        let pace = pace(&[(0, 0), (1, 10)]);
        assert_eq!(pace.left(10, Some(25)), Some(seconds(2)));
        assert_eq!(pace.left(10, None), None);
        assert_eq!(pace.left(30, Some(25)), None, "the table has grown");
        assert_eq!(Pace::default().left(1, Some(25)), None);
    }

    #[test]
    fn the_number_of_rows_is_known_of_the_whole_table_and_of_lists_of_keys() {
        let reading = |source, limit| {
            let mut view = view(State::Running);
            (view.source, view.limit) = (source, limit);
            view
        };
        assert_eq!(of(&reading(Source::Table, None), Some(7)), Some(7));
        assert_eq!(of(&reading(Source::Table, None), Some(0)), None, "the table's own figure is hours old, and may be nothing");
        assert_eq!(of(&reading(Source::Table, Some(1)), Some(7)), None);
        assert_eq!(of(&reading(Source::Keys { count: 3 }, None), Some(7)), Some(3));
        assert_eq!(of(&reading(Source::Segment { number: 0, of: 2 }, None), Some(7)), None);
    }
}
