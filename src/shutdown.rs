//! Shutting down: the first signal asks, the second one insists.

use tokio_util::sync::CancellationToken;

/// The exit code when a second signal, or the deadline, ends the process before everything was flushed.
pub const UNFINISHED: i32 = 4;

/// Installs the handlers of SIGTERM and ctrl-c. The returned token is cancelled by the first signal; a second one exits the process
/// at once with [`UNFINISHED`], which loses nothing: what was not durable is read again at the next start.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    let asked = CancellationToken::new();
    let mut signals = Signals::new()?;
    let token = asked.clone();
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("shutting down: finishing what was begun; a second signal exits at once");
        token.cancel();
        signals.next().await;
        tracing::warn!("second signal: exiting at once");
        std::process::exit(UNFINISHED);
    });
    Ok(asked)
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // Without ctrl-c there is no signal to wait for: wait for ever.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
