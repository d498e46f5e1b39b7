//! A load from its first connection to its last goodbye.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::client_error::ClientError;
use crate::connection::{Place, Shared, live};
use crate::control::Control;
use crate::event::{Event, Observer};
use crate::local_addresses::LocalAddresses;
use crate::options::Options;
use crate::report::Report;
use crate::tally::Tally;

/// An interval of zero would mean a hello at any instant.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// So many connections a server closes in far less time than a goodbye may take.
const GOODBYES_AT_ONCE: usize = 1_000;

/// Opens the connections, keeps them until the hold time is over or `control` says close, and
/// closes them. Connections that fail are counted, not repeated. Must run within a tokio runtime
/// with I/O and time; needs a file descriptor per connection, see [`fd_limit`](crate::fd_limit).
///
/// Fails only when clients cannot be set up at all. What went wrong on connections is in the
/// report: see [`Report::is_clean`].
pub async fn run(
    options: Options,
    mut control: Control,
    observer: impl Observer,
) -> Result<Report, ClientError> {
    let connections = options.connections;
    let interval = options.interval.max(SHORTEST_INTERVAL);
    let shared = Arc::new(Shared {
        client: Client::new(
            options.address,
            LocalAddresses::choose(&options.from, options.address, connections)?,
            &options.client,
            &options.conversation,
            options.patience,
        )?,
        tally: Tally::new(connections, observer),
        handshakes: Semaphore::new(options.handshakes_at_once.clamp(1, Semaphore::MAX_PERMITS)),
        goodbyes: Semaphore::new(GOODBYES_AT_ONCE),
        interval,
        started: Instant::now(),
    });

    let (closing, _) = watch::channel(false);
    let mut lives = JoinSet::new();
    for index in 0..connections {
        let phase = interval.mul_f64(index as f64 / connections as f64);
        let (shared, closing) = (Arc::clone(&shared), closing.subscribe());
        lives.spawn(async move { live(&shared, Place { index, phase }, closing).await });
    }

    let tally = &shared.tally;
    tokio::select! {
        () = control.closed() => {}
        () = hold(tally, options.hold) => {}
    }
    tally.tell(Event::Closing);
    closing.send_replace(true);
    // A panic in a connection is a fault of this library's, and goes on as one.
    lives.join_all().await;

    let report = tally.report();
    tally.tell(Event::Finished(&report));
    Ok(report)
}

/// Done when the load may close by itself: after this time, or when nothing is left to hold.
async fn hold(tally: &Tally, time: Option<Duration>) {
    tally.settled().await;
    let open = tally.open();
    if open == 0 {
        return;
    }
    tally.tell(Event::AtRest { connections: open });
    tokio::select! {
        () = over(time) => {}
        () = tally.all_failed() => {}
        () = say_again_and_again(tally) => {}
    }
}

async fn over(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

/// So often is told how held connections fare.
const EVERY: Duration = Duration::from_secs(1);

async fn say_again_and_again(tally: &Tally) {
    loop {
        sleep(EVERY).await;
        tally.tell(Event::Held { connections: tally.open(), echoes: tally.echoes() });
    }
}
