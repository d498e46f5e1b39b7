//! What the connections of a load find, gathered as they find it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::event::{Event, Observer};
use crate::failure::{Failure, FailureCount, FailureKind};
use crate::latency::Latencies;
use crate::report::Report;

/// What the connections of a load find. They tell it, and it tells the observer.
pub(crate) struct Tally {
    connections: usize,
    observer: Box<dyn Observer>,
    started: Instant,
    counts: Mutex<Counts>,
    /// Set once every connection has been echoed or has failed.
    settled: tokio::sync::watch::Sender<bool>,
    /// Set once every connection has failed.
    all_failed: tokio::sync::watch::Sender<bool>,
}

struct Counts {
    connected: usize,
    echoed: usize,
    /// Connections that failed before their first echo.
    lost: usize,
    failed: usize,
    echoes: u64,
    last_connected: Duration,
    handshakes: Latencies,
    echo_times: Latencies,
    failures: BTreeMap<FailureKind, FailureCount>,
}

/// How far a connection had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    BeforeFirstEcho,
    Echoed,
}

impl Tally {
    pub(crate) fn new(connections: usize, observer: impl Observer) -> Tally {
        Tally {
            connections,
            observer: Box::new(observer),
            started: Instant::now(),
            counts: Mutex::new(Counts {
                connected: 0,
                echoed: 0,
                lost: 0,
                failed: 0,
                echoes: 0,
                last_connected: Duration::ZERO,
                handshakes: Latencies::new(),
                echo_times: Latencies::new(),
                failures: BTreeMap::new(),
            }),
            settled: tokio::sync::watch::Sender::new(connections == 0),
            all_failed: tokio::sync::watch::Sender::new(connections == 0),
        }
    }

    pub(crate) fn handshake(&self, took: Duration) {
        self.counts().handshakes.record(took);
    }

    pub(crate) fn welcomed(&self) {
        let mut counts = self.counts();
        counts.connected += 1;
        counts.last_connected = self.started.elapsed();
        self.progress(&counts);
    }

    pub(crate) fn echo(&self, took: Duration, stage: Stage) {
        let mut counts = self.counts();
        counts.echoes += 1;
        counts.echo_times.record(took);
        if stage == Stage::BeforeFirstEcho {
            counts.echoed += 1;
            self.progress(&counts);
        }
    }

    /// A connection is where it is to stay, without a question that could be answered.
    pub(crate) fn held(&self) {
        let mut counts = self.counts();
        counts.echoed += 1;
        self.progress(&counts);
    }

    pub(crate) fn failure(&self, failure: Failure, stage: Stage) {
        let mut counts = self.counts();
        counts.failed += 1;
        if stage == Stage::BeforeFirstEcho {
            counts.lost += 1;
        }
        count_failure(&mut counts.failures, failure);
        self.progress(&counts);
    }

    /// Done when every connection has been echoed or has failed.
    pub(crate) async fn settled(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// Done when no connection is left, as when the server has gone.
    pub(crate) async fn all_failed(&self) {
        let _ = self.all_failed.subscribe().wait_for(|failed| *failed).await;
    }

    /// How many echoes and answers came back right.
    pub(crate) fn echoes(&self) -> u64 {
        self.counts().echoes
    }

    /// How many connections are open; right once settled.
    pub(crate) fn open(&self) -> usize {
        self.connections - self.counts().failed
    }

    pub(crate) fn tell(&self, event: Event<'_>) {
        self.observer.event(event);
    }

    pub(crate) fn report(&self) -> Report {
        let counts = self.counts();
        let connecting_seconds = counts.last_connected.as_secs_f64();
        Report {
            connections: self.connections,
            connected: counts.connected,
            echoed: counts.echoed,
            echoes: counts.echoes,
            connecting_seconds,
            handshakes_per_second: rate(counts.connected as f64, connecting_seconds),
            handshake_latency: counts.handshakes.summary(),
            echo_latency: counts.echo_times.summary(),
            failures: counts.failures.values().cloned().collect(),
        }
    }

    /// Tells the observer, with the lock held: it hears of progress in order.
    fn progress(&self, counts: &Counts) {
        self.observer.event(Event::Progress {
            connected: counts.connected,
            echoed: counts.echoed,
            failed: counts.failed,
        });
        if counts.echoed + counts.lost == self.connections {
            self.settled.send_replace(true);
        }
        if counts.failed == self.connections {
            self.all_failed.send_replace(true);
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Counts are whole between any two statements, even if an observer panicked.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds a failure to those of its kind.
pub(crate) fn count_failure(failures: &mut BTreeMap<FailureKind, FailureCount>, failure: Failure) {
    let Failure { kind, detail } = failure;
    failures.entry(kind).or_insert(FailureCount { kind, count: 0, example: detail }).count += 1;
}

/// Zero for no time, rather than infinite.
pub(crate) fn rate(count: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { count / seconds } else { 0.0 }
}
