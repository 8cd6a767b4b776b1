//! What the simulator itself can do: GetRecords and PutRecords over loopback with a client that does next to nothing.
//!
//! The server runs on one thread, as `serve` does, the client on another with blocking sockets, two connections so that the server always
//! has a request to answer. Where the server's thread was not busy all the time, the client or the machine was the bound; what one core of the
//! server can do is then the figure for a thread that is busy all the time.

mod client;

use std::fmt;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64_simd::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use self::client::{Connection, request};
use super::{Load, Profile, Settings};
use crate::call::Intercept;
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::faults::Faults;
use crate::journal::Journal;
use crate::server::{Options, Server};

/// Requests that are under way at once.
const CONNECTIONS: usize = 2;
/// Records of a load: the client holds all of them, encoded, in about 100 MB.
const LEAN_RECORDS: usize = 100_000;
const ORDER_RECORDS: usize = 50_000;
const RICH_RECORDS: usize = 20_000;
/// Records of a call of PutRecords.
const CALL: usize = 500;

const GET_RECORDS: &str = "DynamoDBStreams_20120810.GetRecords";
const PUT_RECORDS: &str = "Kinesis_20131202.PutRecords";

/// The figures of one operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Records.
    pub records: u64,
    /// Bytes of JSON: bodies of the answers of GetRecords, of the requests of PutRecords.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// For how much of that the server's thread ran; unknown where the system does not tell.
    pub busy: Option<Duration>,
}

/// The figures of both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ceiling {
    /// Reading pages.
    pub get_records: Rate,
    /// Taking records in, each call parsed, decoded and checked.
    pub put_records: Rate,
}

impl Ceiling {
    /// Measures each operation for about as long as given. Fails when the server's books are not exact after PutRecords.
    pub fn measure(shards: usize, profile: Profile, each: Duration) -> anyhow::Result<Self> {
        let records = match profile {
            Profile::Lean => LEAN_RECORDS,
            Profile::Order => ORDER_RECORDS,
            Profile::Rich => RICH_RECORDS,
        };
        Self::with(shards, records, profile, each)
    }

    fn with(shards: usize, records: usize, profile: Profile, each: Duration) -> anyhow::Result<Self> {
        let clock = Clock::of_this_machine();
        let load = Arc::new(Load::new(Settings::new(shards, records, profile, clock.now()))?);
        let iterators: Vec<String> = (0..shards).map(|shard| load.stream.iterator_at(shard, 0)).collect();
        let calls = put_calls(&load, &iterators)?;
        let (address, end) = (mpsc::channel(), tokio::sync::oneshot::channel());
        let serving = {
            let load = Arc::clone(&load);
            thread::spawn(move || serve(Cloud::new(clock, Journal::default()), load, &address.0, end.1))
        };
        let measured = address.1.recv().context("the server did not start").and_then(|(address, server)| {
            let connect = || (0..CONNECTIONS).map(|_| Connection::open(address)).collect::<std::io::Result<Vec<_>>>();
            let get_records = get_records(&load, &mut connect()?, &iterators, &server, each).context("measure GetRecords")?;
            let put_records = put_records(&load, &mut connect()?, &calls, &server, each).context("measure PutRecords")?;
            Ok(Self { get_records, put_records })
        });
        drop(end.0);
        match serving.join() {
            Ok(served) => served.context("serve")?,
            Err(_) => bail!("the server's thread panicked"),
        }
        measured
    }
}

impl fmt::Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = ["", "records/s", "MB/s", "server busy", "if it were all", "bytes a record"];
        writeln!(f, "{:<12}{:>12}{:>8}{:>14}{:>17}{:>17}", columns[0], columns[1], columns[2], columns[3], columns[4], columns[5])?;
        for (name, rate) in [("GetRecords", &self.get_records), ("PutRecords", &self.put_records)] {
            let (records, megabytes) = (rate.records_a_second(), rate.bytes_a_second() / 1e6);
            let busy = rate.server_busy().map_or_else(|| "unknown".to_owned(), |busy| format!("{:.0} %", 100.0 * busy));
            let whole = rate.server_busy().map_or_else(|| "unknown".to_owned(), |busy| format!("{:.0}/s", records / busy));
            let bytes = rate.bytes.checked_div(rate.records).unwrap_or_default();
            writeln!(f, "{name:<12}{records:>12.0}{megabytes:>8.0}{busy:>14}{whole:>17}{bytes:>17}")?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
impl Rate {
    /// Records in a second.
    pub fn records_a_second(&self) -> f64 {
        self.records as f64 / self.seconds()
    }

    /// Bytes in a second.
    pub fn bytes_a_second(&self) -> f64 {
        self.bytes as f64 / self.seconds()
    }

    /// The part of the time in which the server's thread ran.
    pub fn server_busy(&self) -> Option<f64> {
        Some(self.busy?.as_secs_f64().max(f64::MIN_POSITIVE) / self.seconds())
    }

    fn seconds(&self) -> f64 {
        self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// The server's thread, as the system knows it.
#[derive(Debug)]
struct Thread(Option<std::path::PathBuf>);

impl Thread {
    fn current() -> Self {
        Self(std::fs::read_link("/proc/thread-self").ok().map(|thread| std::path::Path::new("/proc").join(thread).join("schedstat")))
    }

    /// For how long the thread ran so far: the first number, in nanoseconds.
    fn ran(&self) -> Option<Duration> {
        let text = std::fs::read_to_string(self.0.as_ref()?).ok()?;
        text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    }
}

/// Runs the server on this thread until `end` is dropped.
fn serve(
    cloud: Cloud,
    load: Arc<Load>,
    address: &mpsc::Sender<(std::net::SocketAddr, Thread)>,
    end: tokio::sync::oneshot::Receiver<()>,
) -> std::io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let options = Options { intercept: Some(load), ..Options::default() };
        let server = Server::start(cloud, Faults::default(), options).await?;
        if address.send((server.address(), Thread::current())).is_ok() {
            // Nothing is ever sent: it ends when the sender is gone.
            let _ = end.await;
        }
        server.stop().await;
        Ok(())
    })
}

fn get_records(load: &Load, connections: &mut [Connection], iterators: &[String], server: &Thread, each: Duration) -> anyhow::Result<Rate> {
    let page = |iterator: &str| request(GET_RECORDS, &json!({ "ShardIterator": iterator }).to_string());
    // Each connection reads its own shards by turns, over and over.
    let mut shards = iterators.iter().cycle();
    let mut start = || shards.next().map(|iterator| page(iterator)).context("a stream has shards");
    load.clear();
    let (begun, ran) = (Instant::now(), server.ran());
    for connection in connections.iter_mut() {
        connection.send(&start()?)?;
    }
    let mut bytes = 0;
    while begun.elapsed() < each {
        for connection in connections.iter_mut() {
            let body = connection.receive()?;
            bytes += body.len() as u64;
            let next = match next_iterator(body) {
                Some(next) => page(next),
                None => start()?,
            };
            connection.send(&next)?;
        }
    }
    for connection in connections.iter_mut() {
        bytes += connection.receive()?.len() as u64;
    }
    let records = load.figures().records;
    Ok(Rate { records, bytes, took: begun.elapsed(), busy: since(server, ran) })
}

fn put_records(
    load: &Load,
    connections: &mut [Connection],
    calls: &[Vec<Vec<u8>>],
    server: &Thread,
    each: Duration,
) -> anyhow::Result<Rate> {
    let (mut rate, begun) = (Rate { records: 0, bytes: 0, took: Duration::ZERO, busy: Some(Duration::ZERO) }, Instant::now());
    while begun.elapsed() < each {
        load.clear();
        let (pass, ran) = (Instant::now(), server.ran());
        // A shard's calls stay on one connection, so that they keep their order.
        let mut of_connection: Vec<_> = (0..connections.len()).map(|n| calls.iter().skip(n).step_by(connections.len()).flatten()).collect();
        let mut waiting = vec![false; connections.len()];
        loop {
            for ((connection, calls), waiting) in connections.iter_mut().zip(&mut of_connection).zip(&mut waiting) {
                if std::mem::take(waiting) && !connection.receive()?.starts_with(br#"{"FailedRecordCount":0,"#) {
                    bail!("PutRecords was refused");
                }
                if let Some(call) = calls.next() {
                    connection.send(call)?;
                    rate.bytes += call.len() as u64;
                    *waiting = true;
                }
            }
            if !waiting.contains(&true) {
                break;
            }
        }
        rate.took += pass.elapsed();
        rate.busy = rate.busy.zip(since(server, ran)).map(|(busy, more)| busy + more);
        rate.records += load.received().records;
        if !load.is_exact() {
            bail!("what arrived is not what was sent: {}", load.report());
        }
    }
    Ok(rate)
}

fn since(server: &Thread, ran: Option<Duration>) -> Option<Duration> {
    Some(server.ran()?.saturating_sub(ran?))
}

/// The calls of PutRecords, shard by shard, that send every record on as it came.
fn put_calls(load: &Load, iterators: &[String]) -> anyhow::Result<Vec<Vec<Vec<u8>>>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Page<'a> {
        #[serde(borrow)]
        records: Vec<&'a RawValue>,
        next_shard_iterator: Option<String>,
    }

    let mut shards = Vec::new();
    for iterator in iterators {
        let (mut calls, mut next) = (Vec::new(), Some(iterator.clone()));
        while let Some(iterator) = next {
            let request_json = json!({ "ShardIterator": iterator, "Limit": CALL }).to_string();
            let answered = load.intercept(GET_RECORDS, "", &Bytes::from(request_json)).context("read the load")??;
            let page: Page<'_> = serde_json::from_slice(&answered)?;
            let records = page.records.iter().map(|record| {
                let data = STANDARD.encode_to_string(record.get());
                json!({ "Data": data, "PartitionKey": "any" })
            });
            let body = json!({ "Records": records.collect::<Vec<Value>>(), "StreamName": "any" });
            calls.push(request(PUT_RECORDS, &body.to_string()));
            next = page.next_shard_iterator;
        }
        shards.push(calls);
    }
    Ok(shards)
}

/// The iterator for the page behind this one, which comes before the page's records.
fn next_iterator(body: &[u8]) -> Option<&str> {
    let rest = body.strip_prefix(br#"{"NextShardIterator":""#)?;
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_operations_are_measured_and_the_books_are_exact() {
        let ceiling = Ceiling::with(3, 4_000, Profile::Lean, Duration::from_millis(1)).unwrap();
        assert!(ceiling.get_records.records >= 2_000, "{ceiling:?}");
        assert_eq!(ceiling.put_records.records, 4_000);
        assert!(ceiling.put_records.bytes > ceiling.put_records.records * 500);
    }

    #[test]
    fn figures_stand_in_a_table() {
        let rate = Rate { records: 3_000_000, bytes: 1_500_000_000, took: Duration::from_secs(2), busy: Some(Duration::from_secs(1)) };
        let text = Ceiling { get_records: rate, put_records: Rate { busy: None, ..rate } }.to_string();
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["GetRecords", "1500000", "750", "50", "%", "3000000/s", "500"]);
        assert_eq!(rows[2], ["PutRecords", "1500000", "750", "unknown", "unknown", "500"]);
    }
}
