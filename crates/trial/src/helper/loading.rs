//! The load in this process.

use std::path::Path;
use std::time::Duration;

use capture::CaptureError;
use load::{
    ClientOptions, ClosedLoopOptions, Control, Event, Goal, Identity, Observer, Options, Report,
    Verification,
};

use super::events::{Found, LoadEvent};
use super::lines::say;
use super::orders::{LoadOrder, Work};
use crate::TrialError;

/// Puts the load on until it is over, or SIGTERM or SIGINT comes. `observer` is told how it goes.
pub fn load(order: &LoadOrder, observer: impl Observer) -> Result<Found, TrialError> {
    match order.work {
        Work::Keep { connections, interval, hold, pace } => {
            let mut options = Options::to(order.address);
            options.connections = connections;
            options.conversation = order.conversation.clone();
            options.from.clone_from(&order.from);
            options.interval = interval.unwrap_or_else(|| Options::usual_interval(connections));
            options.hold = hold;
            options.handshakes_at_once = pace;
            options.patience = order.patience;
            load::fd_limit::make_room_for(connections, 0)?;
            options.client = clients(order)?;
            runtime()?.block_on(keep(options, observer)).map(Found::Kept)
        }
        Work::Handshakes { time, workers } => handshakes(order, time, workers),
    }
}

async fn keep(options: Options, observer: impl Observer) -> Result<Report, TrialError> {
    let (closer, control) = Control::new();
    let stop =
        echo_server::signal::stop_requested().map_err(TrialError::system("listen for signals"))?;
    tokio::spawn(async move {
        stop.await;
        closer.close();
    });
    Ok(load::run(options, control, observer).await?)
}

fn handshakes(order: &LoadOrder, time: Duration, workers: usize) -> Result<Found, TrialError> {
    load::fd_limit::make_room_for(workers, 0)?;
    let mut options = ClosedLoopOptions::to(order.address);
    options.workers = workers;
    options.goal = Goal::Time(time);
    options.patience = order.patience;
    options.conversation = order.conversation.clone();
    options.client = clients(order)?;
    Ok(Found::Handshakes(runtime()?.block_on(load::closed_loop(options))?))
}

fn runtime() -> Result<tokio::runtime::Runtime, TrialError> {
    tokio::runtime::Runtime::new().map_err(TrialError::system("start a runtime"))
}

fn clients(order: &LoadOrder) -> Result<ClientOptions, TrialError> {
    let mut clients = ClientOptions::default();
    clients.protocol = order.protocol;
    clients.server_name.clone_from(&order.server_name);
    clients.compression = order.compression;
    if let Some(path) = &order.identity {
        let pem = read(path)?;
        let identity = Identity::from_pem(&pem, &pem)
            .map_err(|source| TrialError::Identity { file: path.display().to_string(), source })?;
        clients.identity = Some(identity);
    }
    if let Some(path) = &order.authorities {
        clients.verification = Verification::Authorities(read(path)?);
    }
    Ok(clients)
}

fn read(path: &Path) -> Result<Vec<u8>, TrialError> {
    Ok(std::fs::read(path).map_err(CaptureError::reading(path))?)
}

/// Puts the load on, and says what happens on standard output, one JSON object a line. A load that
/// failed has said so, and is an error as well.
pub fn load_in_lines(order: &LoadOrder) -> Result<(), TrialError> {
    let found = load(order, |event: Event<'_>| {
        if let Some(event) = LoadEvent::of(&event) {
            // A closed standard output must not end connections that somebody is measuring.
            let _ = say(&event);
        }
    })?;
    let failure = found.failure();
    if let Found::Handshakes(_) = &found {
        // Of kept connections, the load has said its last word itself.
        let _ = say(&LoadEvent::Finished { clean: failure.is_none(), report: found });
    }
    failure.map_or(Ok(()), |sentence| Err(TrialError::Failed(sentence)))
}
