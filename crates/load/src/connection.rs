//! One connection of a load: connect, be welcomed, ask from time to time, close.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::client::Client;
use crate::failure::{Failure, FailureKind};
use crate::stream::{Opened, Stream, is_end};
use crate::tally::{Stage, Tally};

/// What the connections of a load share.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) tally: Tally,
    pub(crate) handshakes: Semaphore,
    pub(crate) goodbyes: Semaphore,
    pub(crate) interval: Duration,
    pub(crate) started: Instant,
}

/// A connection's place among the others.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) index: usize,
    /// Within the interval, from 0 to the interval's length.
    pub(crate) phase: Duration,
}

/// Lives a connection from beginning to end and tells the tally how it went.
pub(crate) async fn live(shared: &Shared, place: Place, mut closing: watch::Receiver<bool>) {
    let mut stage = Stage::BeforeFirstEcho;
    if let Err(failure) = try_live(shared, place, &mut closing, &mut stage).await {
        shared.tally.failure(failure, stage);
    }
}

async fn try_live(
    shared: &Shared,
    place: Place,
    closing: &mut watch::Receiver<bool>,
    stage: &mut Stage,
) -> Result<(), Failure> {
    let Shared { client, tally, .. } = shared;
    let opened = tokio::select! {
        biased;
        () = told_to_close(closing) => return Ok(()),
        opened = open(shared, place.index) => opened,
    };
    let (mut stream, opened) = opened?;
    tally.welcomed();

    // The first question at once, so that all are answered soon; the next ones spread evenly over
    // the interval, so that the server is not hit by all connections in the same moment.
    match opened {
        Opened::Ready => ask(client, &mut stream, tally, *stage).await?,
        Opened::Held => tally.held(),
    }
    *stage = Stage::Echoed;
    let mut turns = interval_at(next_turn(shared, place.phase), shared.interval);
    turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let mut unasked = [0; 1];
        tokio::select! {
            biased;
            () = told_to_close(closing) => break,
            read = stream.read(&mut unasked) => match read {
                Ok(0) => return Err(Failure::new(FailureKind::ClosedByServer, "closed while idle")),
                Ok(_) => client.talk().unasked()?,
                Err(error) => return Err(Failure::of_read(error)),
            },
            _ = turns.tick(), if opened == Opened::Ready => {
                ask(client, &mut stream, tally, *stage).await?;
            }
        }
    }
    close(shared, stream).await
}

/// Connects when it is this connection's turn.
async fn open(shared: &Shared, index: usize) -> Result<(Stream, Opened), Failure> {
    let _turn = shared.handshakes.acquire().await.expect("the semaphore is never closed");
    let began = Instant::now();
    let mut stream = shared.client.connect(index).await?;
    shared.tally.handshake(began.elapsed());
    let opened = shared.client.open(&mut stream).await?;
    Ok((stream, opened))
}

async fn ask(
    client: &Client,
    stream: &mut Stream,
    tally: &Tally,
    stage: Stage,
) -> Result<(), Failure> {
    let began = Instant::now();
    client.ask(stream).await?;
    tally.echo(began.elapsed(), stage);
    Ok(())
}

/// Says goodbye, and waits until the server has closed too: only then has it freed what it held.
async fn close(shared: &Shared, mut stream: Stream) -> Result<(), Failure> {
    let client = &shared.client;
    // All are told to close in the same moment; the server's time for one counts from its turn.
    let _turn = shared.goodbyes.acquire().await.expect("the semaphore is never closed");
    let goodbye = async {
        stream.write_all(client.talk().farewell()).await?;
        stream.shutdown().await?;
        let mut rest = [0; 64];
        while stream.read(&mut rest).await? > 0 {}
        Ok(())
    };
    match timeout(client.patience(), goodbye).await {
        Ok(Err(error)) if !is_end(&error) => Err(Failure::new(FailureKind::Broken, error)),
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::timeout(FailureKind::CloseTimeout, "goodbye", client.patience())),
    }
}

/// The next time at which this connection's phase of the interval comes round.
fn next_turn(shared: &Shared, phase: Duration) -> Instant {
    let first = shared.started + phase;
    let late = Instant::now().saturating_duration_since(first);
    let rounds = late.as_nanos() / shared.interval.as_nanos().max(1) + 1;
    first + shared.interval * u32::try_from(rounds).unwrap_or(u32::MAX)
}

async fn told_to_close(closing: &mut watch::Receiver<bool>) {
    // An error means that the load itself is gone, which ends this connection just as well.
    let _ = closing.wait_for(|closing| *closing).await;
}
