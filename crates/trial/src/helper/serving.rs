//! The reference server in this process.

use std::future::Future;
use std::time::Duration;

use capture::whole_file;
use echo_server::profiling::SampleOptions;
use echo_server::{
    CertificateSource, Event, Options, Server, Totals, heap_profile, profiling, signal,
    thread_state,
};
use ledger::Sampling;

use super::events::ServerEvent;
use super::lines::say;
use super::orders::{ConnectionLimit, ServeOrder};
use super::requests;
use crate::TrialError;
use crate::run::RustPart;

/// How often the server asks OpenSSL whether the recorder is still in place.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// Serves until SIGTERM or SIGINT, and calls `tell` with what happens. `answer` hands it requests
/// on standard input too, which are answered on standard output. Must be called first of all in
/// `main`: OpenSSL takes the recorder's functions only before its first allocation.
fn serve_with(
    order: &ServeOrder,
    answer: Requests,
    tell: impl Fn(ServerEvent) + Send + Sync + 'static,
) -> Result<Totals, TrialError> {
    if let Some(ledger) = &order.ledger {
        let mut recorder = profiling::options_at(ledger);
        recorder.sites = order.sites;
        let sampling = order.sample.and_then(Sampling::every);
        recorder.sample = sampling.map(|sampling| SampleOptions { sampling, seed: seed() });
        profiling::install(&recorder)?;
        if order.rust == RustPart::Exact {
            profiling::count_rust();
        }
    }
    if let Some(lg_sample) = order.heap_profile {
        heap_profile::start(lg_sample)?;
    }
    let server = start(order).inspect_err(|_| {
        if let Some(ledger) = &order.ledger {
            // Made a moment ago, and of no use to anybody.
            let _ = std::fs::remove_file(ledger);
        }
    })?;
    if answer == Requests::Answered {
        requests::answer_in_background(server.counters())
            .map_err(TrialError::system("start a thread for requests"))?;
    }
    // A warm-up may miss a thread.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(thread_state::prepare)
        .build()
        .map_err(TrialError::system("start a runtime"))?;
    let stopped = runtime.block_on(async {
        let stop = signal::stop_requested().map_err(TrialError::system("listen for signals"))?;
        let tell = move |event: Event<'_>| {
            if let Some(event) = ServerEvent::of(&event) {
                tell(event);
            }
        };
        Ok(server.run(watch_recorder(stop), tell).await?)
    });
    profiling::check_in_place();
    stopped
}

/// Whether requests on standard input are answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Requests {
    Answered,
    NotRead,
}

/// Serves until SIGTERM or SIGINT, and calls `tell` with what happens. Must be called first of all
/// in `main`: OpenSSL takes the recorder's functions only before its first allocation.
pub fn serve(
    order: &ServeOrder,
    tell: impl Fn(ServerEvent) + Send + Sync + 'static,
) -> Result<Totals, TrialError> {
    serve_with(order, Requests::NotRead, tell)
}

/// Serves until SIGTERM or SIGINT, says what happens on standard output, one JSON object a line,
/// and answers requests on standard input in the same way. Where standard output is closed, the
/// server serves on. To be called as [`serve`] is.
pub fn serve_in_lines(order: &ServeOrder) -> Result<(), TrialError> {
    let totals = serve_with(order, Requests::Answered, |event| {
        let _ = say(&event);
    })?;
    // The reader may be gone; the server has stopped all the same.
    let _ = say(&ServerEvent::Stopped { totals });
    Ok(())
}

/// Where chance begins, for tests: as in programs that the recorder is preloaded into.
fn seed() -> Option<u64> {
    std::env::var("TLSHEAP_SAMPLE_SEED").ok()?.parse().ok()
}

/// Everything up to the first connection.
fn start(order: &ServeOrder) -> Result<Server, TrialError> {
    let room = load::fd_limit::make_room_for(order.limit.number(), 0);
    if let ConnectionLimit::Exactly(_) = order.limit {
        room?;
    }
    let mut options = Options::new(order.configuration.clone());
    options.listen = order.listen;
    options.connection_limit = order.limit.number();
    options.handshake_timeout = order.handshake_timeout;
    if let Some((certificate, key)) = order.certificate.clone() {
        options.certificate = CertificateSource::Files { certificate, key };
    }
    let server = Server::bind(options)?;
    if let Some(path) = &order.client_identity {
        let identity = server.client_identity_pem().ok_or_else(|| {
            TrialError::Refused(format!(
                "the configuration {} asks clients for no certificate: leave --client-identity out",
                order.configuration.name
            ))
        })?;
        whole_file::write_private(path, identity.as_bytes())?;
    }
    Ok(server)
}

/// Waits for `stop`, and meanwhile notes in the ledger should somebody replace the recorder.
async fn watch_recorder(stop: impl Future<Output = ()>) {
    let mut ticks = tokio::time::interval(CHECK_EVERY);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = ticks.tick() => {
                profiling::check_in_place();
            }
        }
    }
}
