//! The network face of a simulated account: one port of HTTP/1.1 that speaks DynamoDB, DynamoDB Streams, Kinesis, Firehose and S3.
//!
//! A request with the header `X-Amz-Target` is a call of a JSON service, `/_sim/…` is the simulator's own (see [`crate::control`]), anything
//! else is S3. Who calls is the access key of the request's signature; signatures themselves are not verified, so any secret serves.
//!
//! A request takes effect once it has arrived whole, whether or not its sender still waits for the answer. Nothing here waits for the machine's
//! clock: time is tokio's, which a test can pause.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

mod answer;
mod body;
mod connection;
mod exchange;
pub(crate) mod request;

use crate::call::Intercept;
use crate::cloud::Cloud;
use crate::faults::Faults;
use crate::s3;

/// How a server runs.
#[derive(Debug, Default)]
pub struct Options {
    /// Where it listens; a free port on loopback when absent.
    pub listen: Option<SocketAddr>,
    /// What is asked first, before faults and models.
    pub intercept: Option<Arc<dyn Intercept>>,
    /// Whether Firehose looks every second at what is due. Without it, an idle server waits for nothing, and paused time passes in one step.
    pub tick: bool,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Dropping it tells every task of the server to end.
    open: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

/// What the connections of a server have in common.
#[derive(Debug)]
struct Shared {
    cloud: Cloud,
    faults: Faults,
    intercept: Option<Arc<dyn Intercept>>,
    s3: s3::Service,
    /// Ends when the server ends.
    open: watch::Receiver<()>,
    /// How many requests came so far.
    requests: AtomicU64,
}

impl Server {
    /// Starts a server.
    pub async fn start(cloud: Cloud, faults: Faults, options: Options) -> io::Result<Self> {
        let listen = options.listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (open, end) = watch::channel(());
        if options.tick {
            tokio::spawn(tick(cloud.clone(), end.clone()));
        }
        let shared = Shared {
            s3: s3::Service::new(cloud.clone()),
            cloud,
            faults,
            intercept: options.intercept,
            open: end,
            requests: AtomicU64::new(0),
        };
        Ok(Self { address, open, accepting: tokio::spawn(accept(listener, Arc::new(shared))) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it: connections are closed, requests that still wait for their effect have none.
    pub async fn stop(self) {
        drop(self.open);
        // Its only failure is a panic, which has been told already.
        let _ = self.accepting.await;
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut end = shared.open.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection::serve(stream, shared.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others must close first.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            Err(_) = end.changed() => break,
        }
    }
    connections.shutdown().await;
}

async fn tick(cloud: Cloud, mut end: watch::Receiver<()>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = seconds.tick() => cloud.tick(),
            Err(_) = end.changed() => break,
        }
    }
}

#[cfg(test)]
mod tests;
