//! What the service logs, among everything else that happens.

use std::io;

use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::cloud::Cloud;
use crate::journal::Event;

/// From now on, and until the guard is dropped, what is logged on this thread goes into the journal.
pub(super) fn into_journal(cloud: &Cloud, level: Level) -> DefaultGuard {
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).with_ansi(false).without_time().with_writer(ToJournal(cloud.clone())).finish();
    tracing::subscriber::set_default(subscriber)
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
