//! Log lines on standard error, and progress bars that do not tear them.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::{Globals, LogFormat};

/// The terminal's progress bars: drawn together, and out of the way while a log line is written.
pub(super) fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(MultiProgress::new)
}

/// Installs the subscriber. `RUST_LOG` overrides the command's own level.
pub(super) fn init(globals: &Globals, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("warn,headwater={level}")));
    let terminal = std::io::stderr().is_terminal();
    let format = globals.log_format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(BesideBars);
    match format {
        LogFormat::Text => subscriber.with_ansi(terminal).with_target(false).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}

/// Writes to standard error while the bars are hidden.
struct BesideBars;

impl<'a> MakeWriter<'a> for BesideBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for BesideBars {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        bars().suspend(|| std::io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
