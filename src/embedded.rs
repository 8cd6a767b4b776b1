//! A DynamoDB in this process, and sales orders to put into it: everything that trying headwater out needs, without AWS.
//!
//! [`Embedded`] serves DynamoDB and DynamoDB Streams over HTTP on a loopback port, so that the AWS SDK (and everything of headwater
//! that stands on it) works on it unchanged. Tables are kept by dynoxide in SQLite. Streams, expiry and the HTTP front are ours,
//! because a replicator lives off exactly what stand-ins get wrong there:
//!
//! - a write that changes nothing leaves no stream record;
//! - a stream has shards with lineage: the open one has no ending sequence number, and is closed and followed by a child after
//!   [`Options::shard_life`]; a disabled stream stays readable, a re-enabled one has a new ARN;
//! - records are trimmed after [`Options::retention`], iterators expire after 15 minutes, and both say so as AWS does;
//! - items expire by TTL within seconds, and their REMOVE carries DynamoDB's identity.
//!
//! What it does not have: throttling, IAM, backups and exports, global tables, splits of a shard by key. A write that changes
//! nothing is told from a change by its two images, so it is dropped from streams of NEW_AND_OLD_IMAGES only.
//!
//! [`orders`] is the traffic model, [`generate`](mod@generate) writes it into any endpoint.

mod engine;
mod expiry;
pub mod generate;
mod iterator;
mod operations;
pub mod orders;
mod pacer;
mod registry;
mod server;
mod streams;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The Region in ARNs and stream records. Any Region is accepted in requests.
pub const REGION: &str = "us-east-1";

/// The access key id that [`Embedded::sdk_config`] signs with. Any key is accepted.
pub const ACCESS_KEY_ID: &str = "embedded";

/// The secret that [`Embedded::sdk_config`] signs with. Signatures are not checked.
pub const SECRET_ACCESS_KEY: &str = "embedded";

/// How long DynamoDB Streams keeps a record.
const STREAM_RETENTION: Duration = Duration::from_hours(24);

/// AWS closes a shard after about four hours and opens a child; it documents no number.
const SHARD_LIFE: Duration = Duration::from_hours(4);

/// How long shutdown waits for requests in flight before it cuts them off.
const DRAIN: Duration = Duration::from_secs(5);

/// How an embedded DynamoDB is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen. Port 0 takes any free port.
    pub listen: SocketAddr,
    /// The file that holds the tables. `None` keeps them in memory, spilling into a nameless temporary file when they grow, and
    /// forgets them at shutdown.
    pub data: Option<PathBuf>,
    /// How long a stream keeps its records.
    pub retention: Duration,
    /// How long a stream's shard stays open before a child takes over.
    pub shard_life: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), data: None, retention: STREAM_RETENTION, shard_life: SHARD_LIFE }
    }
}

/// Why the embedded DynamoDB could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} for the embedded DynamoDB; choose another port, or port 0 for any free one")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database file cannot be opened.
    #[error("cannot open the embedded DynamoDB's tables in {place}; it must be a file that headwater made, on a disk that can be written")]
    Open {
        /// The file, or "memory".
        place: String,
        /// What the database said.
        #[source]
        source: dynoxide::DynoxideError,
    },
    /// No thread could be started for the database.
    #[error("cannot start the embedded DynamoDB's thread")]
    Thread(#[source] std::io::Error),
    /// The server ended with an error.
    #[error("the embedded DynamoDB's server failed")]
    Serve(#[source] std::io::Error),
    /// The database ended by a panic.
    #[error("the embedded DynamoDB ended unexpectedly; its tables may lack the last writes")]
    Panicked,
}

/// A running embedded DynamoDB. Dropping it stops it without waiting; [`Embedded::shutdown`] waits.
#[derive(Debug)]
pub struct Embedded {
    address: SocketAddr,
    stop: CancellationToken,
    serving: Option<JoinHandle<std::io::Result<()>>>,
    engine: engine::Handle,
}

impl Embedded {
    /// Opens the tables and starts to serve. The endpoint answers when this returns.
    pub async fn start(options: Options) -> Result<Self, EmbeddedError> {
        let listener =
            TcpListener::bind(options.listen).await.map_err(|source| EmbeddedError::Listen { address: options.listen, source })?;
        let address = listener.local_addr().map_err(|source| EmbeddedError::Listen { address: options.listen, source })?;
        let engine = engine::Handle::start(options).await?;
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server::serve(listener, engine.clone(), stop.clone()));
        tracing::debug!(%address, "embedded DynamoDB serves");
        Ok(Self { address, stop, serving: Some(serving), engine })
    }

    /// The address that is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint for both DynamoDB and DynamoDB Streams, such as `http://127.0.0.1:8000`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// SDK settings that lead here: this endpoint, [`REGION`] and credentials that need no setup. Nothing is read from the
    /// environment.
    pub fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "embedded DynamoDB");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(self.endpoint_url())
            .build()
    }

    /// Stops accepting, lets requests in flight finish (5 s at most), closes the tables.
    pub async fn shutdown(mut self) -> Result<(), EmbeddedError> {
        self.stop.cancel();
        let served = match self.serving.take() {
            Some(mut serving) => match tokio::time::timeout(DRAIN, &mut serving).await {
                Ok(Ok(served)) => served.map_err(EmbeddedError::Serve),
                Ok(Err(_panic)) => Err(EmbeddedError::Panicked),
                Err(_elapsed) => {
                    tracing::warn!(seconds = DRAIN.as_secs(), "embedded DynamoDB cuts off requests that did not finish");
                    serving.abort();
                    Ok(())
                }
            },
            None => Ok(()),
        };
        self.engine.stop().await?;
        served
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
