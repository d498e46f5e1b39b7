//! Handshakes and nothing else: how many there are in a second.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::Client;
use crate::client_error::ClientError;
use crate::failure::{Failure, FailureCount};
use crate::latency::{Latencies, Latency};
use crate::local_addresses::LocalAddresses;
use crate::options::{ClientOptions, Conversation};
use crate::stream::{Opened, Stream};
use crate::tally::{count_failure, rate};

/// How handshakes are made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClosedLoopOptions {
    /// The server.
    pub address: SocketAddr,
    /// How many are made at a time; each begins when the one before it is done. Default: 8.
    pub workers: usize,
    /// When to stop. Default: after 5 seconds.
    pub goal: Goal,
    /// How long the server may take for each step. Default: 30 seconds.
    pub patience: Duration,
    /// What is said before the handshake, and first after it. Default: an echo's welcome.
    pub conversation: Conversation,
    /// How the clients set TLS up.
    pub client: ClientOptions,
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Goal {
    /// No handshake is begun after this time, nor when all have failed for half a second.
    Time(Duration),
    /// After so many handshakes, failed ones among them.
    Count(u64),
}

impl ClosedLoopOptions {
    /// The defaults, for this server.
    pub fn to(address: SocketAddr) -> ClosedLoopOptions {
        ClosedLoopOptions {
            address,
            workers: 8,
            goal: Goal::Time(Duration::from_secs(5)),
            patience: Duration::from_secs(30),
            conversation: Conversation::Echo,
            client: ClientOptions::default(),
        }
    }
}

/// How many handshakes there were. The field names are stable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClosedLoopReport {
    /// Full handshakes, each followed by the server's first word where it has one.
    pub handshakes: u64,
    /// From the first one's beginning to the last one's end.
    pub seconds: f64,
    /// The one divided by the other.
    pub handshakes_per_second: f64,
    /// From connecting to the handshake's end, TCP included.
    pub handshake_latency: Latency,
    /// What went wrong, by kind; empty when nothing did.
    pub failures: Vec<FailureCount>,
}

/// Connects, does a full handshake, waits for the welcome, closes, and again, with several
/// workers at a time. Nothing is resumed. Must run within a tokio runtime with I/O and time.
///
/// Fails only when clients cannot be set up at all.
pub async fn closed_loop(options: ClosedLoopOptions) -> Result<ClosedLoopReport, ClientError> {
    let client = Arc::new(Client::new(
        options.address,
        LocalAddresses::choose(&[], options.address, options.workers)?,
        &options.client,
        &options.conversation,
        options.patience,
    )?);
    let begun = Arc::new(AtomicU64::new(0));
    let found = Arc::new(Mutex::new(Found {
        latencies: Latencies::new(),
        failures: BTreeMap::new(),
        failing_since: None,
    }));

    let start = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..options.workers.max(1) {
        let (client, begun, found) = (Arc::clone(&client), Arc::clone(&begun), Arc::clone(&found));
        workers.spawn(async move {
            let more = || match options.goal {
                Goal::Time(time) => start.elapsed() < time,
                Goal::Count(count) => begun.fetch_add(1, Relaxed) < count,
            };
            while more() {
                let once = handshake(&client, worker).await;
                let has_failed = once.is_err();
                if found.lock().unwrap_or_else(PoisonError::into_inner).is_in_vain(once) {
                    break;
                }
                if has_failed {
                    sleep(PAUSE).await;
                }
            }
        });
    }
    workers.join_all().await;

    let seconds = start.elapsed().as_secs_f64();
    let found = found.lock().unwrap_or_else(PoisonError::into_inner);
    let handshake_latency = found.latencies.summary();
    Ok(ClosedLoopReport {
        handshakes: handshake_latency.count,
        seconds,
        handshakes_per_second: rate(handshake_latency.count as f64, seconds),
        handshake_latency,
        failures: found.failures.values().cloned().collect(),
    })
}

/// After so long without a handshake that succeeds the server has gone.
const GONE: Duration = Duration::from_millis(500);

/// After a handshake that failed: a server that is gone refuses thousands a second.
const PAUSE: Duration = Duration::from_millis(10);

struct Found {
    latencies: Latencies,
    failures: BTreeMap<crate::FailureKind, FailureCount>,
    /// Since when every handshake has failed.
    failing_since: Option<Instant>,
}

impl Found {
    /// Counts one handshake. Whether there is no use in another one.
    fn is_in_vain(&mut self, once: Result<Duration, Failure>) -> bool {
        match once {
            Ok(took) => {
                self.latencies.record(took);
                self.failing_since = None;
                false
            }
            Err(failure) => {
                count_failure(&mut self.failures, failure);
                self.failing_since.get_or_insert_with(Instant::now).elapsed() >= GONE
            }
        }
    }
}

/// One handshake; how long it took. The first word of the server is waited for because only it
/// proves that the server has finished too.
async fn handshake(client: &Client, worker: usize) -> Result<Duration, Failure> {
    let began = Instant::now();
    let mut stream = client.connect(worker).await?;
    let took = began.elapsed();
    if client.open(&mut stream).await? == Opened::Ready && client.talk().client_speaks_first() {
        client.ask(&mut stream).await?;
    }
    goodbye(client, &mut stream).await;
    Ok(took)
}

/// Closes, and waits for the server to have closed: the next handshake does not compete with the
/// clearing up after this one. How it went does not matter to a handshake.
async fn goodbye(client: &Client, stream: &mut Stream) {
    let _ = timeout(client.patience(), async {
        stream.shutdown().await?;
        stream.read(&mut [0; 64]).await
    })
    .await;
}
