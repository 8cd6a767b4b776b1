//! What the service logs, among everything else that happens.

use std::io;

use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, registry};

use crate::cloud::Cloud;
use crate::journal::Event;

/// From now on, and until the guard is dropped, what is logged on this thread goes into the journal: the service's own events from `level` on, and
/// warnings of the crates that it uses, as in the command line. With TRACE, they tell what they do as well, from DEBUG on. (Below that, the SDK and the
/// HTTP client log what goes over the wire.)
pub(super) fn into_journal(cloud: &Cloud, level: Level) -> DefaultGuard {
    let others = if level == Level::TRACE { Level::DEBUG } else { Level::WARN };
    // The last one is the simulator's own side of S3, which logs whole requests.
    let wanted = Targets::new().with_default(others).with_target("headwater", level).with_target("s3s", Level::WARN);
    let lines = fmt::layer().with_ansi(false).without_time().with_writer(ToJournal(cloud.clone())).with_filter(wanted);
    registry().with(lines).set_default()
}

/// Writes each event of the log as an entry.
struct ToJournal(Cloud);

impl<'a> MakeWriter<'a> for ToJournal {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl io::Write for &ToJournal {
    /// The formatter writes an event at once.
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let event = Event::Note(String::from_utf8_lossy(text).trim().to_owned());
        self.0.journal.record(self.0.clock.now(), "log", event);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
