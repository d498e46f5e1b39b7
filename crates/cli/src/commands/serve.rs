//! `tlsheap serve`: the reference server on its own.

mod requests;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use echo_server::profiling::SampleOptions;
use echo_server::{
    CertificateSource, Configuration, Event, Server, heap_profile, profiling, signal,
};

use ledger::Sampling;

use crate::arguments::{connections, duration, sampling};
use crate::events::ServerEvent;
use crate::failure::Failure;
use crate::{output, whole_file};

/// How often the server asks OpenSSL whether the recorder is still in place.
const CHECK_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub struct Options {
    /// A standard configuration (see `tlsheap configs`), or the path of a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "node-0.4")]
    pub config: String,
    /// The IP address and port to listen on; port 0 takes one that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4433")]
    pub listen: SocketAddr,
    /// Count every OpenSSL allocation in this new file; `tlsheap top FILE` reads it at any time
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Room for allocation sites in the ledger
    #[arg(long, value_name = "N", default_value_t = 65_536, requires = "ledger",
          value_parser = clap::value_parser!(u32).range(1..=16_777_214))]
    pub sites: u32,
    /// Count only a part of OpenSSL's blocks, one sample in BYTES bytes on average
    #[arg(long, value_name = "BYTES", requires = "ledger", value_parser = sampling)]
    pub sample: Option<Sampling>,
    /// Let jemalloc sample what Rust allocates, one byte in 2^LG on average; with --json, a line
    /// {"command":"heap","path":"FILE"} on standard input asks for a dump
    #[arg(long, value_name = "LG", value_parser = clap::value_parser!(u32).range(0..=40))]
    pub heap_profile: Option<u32>,
    /// The server's certificate chain, PEM; made at start when left out
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Connections that may be open at once; further ones are refused
    #[arg(long, value_name = "N", default_value = "10000", value_parser = connections)]
    pub limit: usize,
    /// How long a client may take for the handshake
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub handshake_timeout: Duration,
    /// Write the certificate and key that clients have to show, where the configuration asks
    /// for one, to this file (PEM)
    #[arg(long, value_name = "FILE")]
    pub client_identity: Option<PathBuf>,
    /// Say what happens as JSON, one object a line, and take requests the same way (docs/json.md)
    #[arg(long)]
    pub json: bool,
    /// Stop when the process that started this one ends
    #[arg(long, hide = true)]
    pub end_with_parent: bool,
}

/// Serves until SIGTERM or SIGINT.
pub fn run(options: &Options) -> Result<(), Failure> {
    if options.end_with_parent {
        end_with_parent()?;
    }
    // First of all: OpenSSL takes the recorder's functions only before its first allocation.
    if let Some(ledger) = &options.ledger {
        let mut recorder = profiling::options_at(ledger);
        recorder.sites = options.sites;
        recorder.sample = options.sample.map(|sampling| SampleOptions { sampling, seed: seed() });
        profiling::install(&recorder)?;
    }
    if let Some(lg_sample) = options.heap_profile {
        heap_profile::start(lg_sample)?;
    }
    let server = start(options).inspect_err(|_| {
        if let Some(ledger) = &options.ledger {
            // Made a moment ago, and of no use to anybody.
            let _ = std::fs::remove_file(ledger);
        }
    })?;
    if options.json {
        requests::answer_in_background(server.counters())?;
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let stopped = runtime.block_on(serve(server, options.json));
    profiling::check_in_place();
    stopped
}

/// Where chance begins, for tests: as in programs that the recorder is preloaded into.
fn seed() -> Option<u64> {
    std::env::var(contract::environment::SAMPLE_SEED).ok()?.parse().ok()
}

/// Everything up to the first connection.
fn start(options: &Options) -> Result<Server, Failure> {
    load::fd_limit::make_room_for(options.limit, 0).or_else(|error| {
        // A limit that nobody asked for is lowered by the system when it must be: connections
        // beyond it wait, with a warning.
        if options.limit == 10_000 { Ok(()) } else { Err(error) }
    })?;
    let server = Server::bind(server_options(options)?)?;
    if let Some(path) = &options.client_identity {
        let identity = server.client_identity_pem().ok_or_else(|| {
            Failure::usage(format!(
                "the configuration {} asks clients for no certificate: leave --client-identity out",
                options.config
            ))
        })?;
        whole_file::write_private(path, identity.as_bytes())?;
    }
    Ok(server)
}

fn server_options(options: &Options) -> Result<echo_server::Options, Failure> {
    let mut server = echo_server::Options::new(Configuration::find(&options.config)?);
    server.listen = options.listen;
    server.connection_limit = options.limit;
    server.handshake_timeout = options.handshake_timeout;
    if let (Some(certificate), Some(key)) = (options.cert.clone(), options.key.clone()) {
        server.certificate = CertificateSource::Files { certificate, key };
    }
    Ok(server)
}

async fn serve(server: Server, json: bool) -> Result<(), Failure> {
    let stop = signal::stop_requested()?;
    let totals =
        server.run(watch_recorder(stop), move |event: Event<'_>| tell(&event, json)).await?;
    if json {
        let totals = serde_json::to_value(&totals)?;
        output::print_json_line(&ServerEvent::Stopped { totals })?;
    } else {
        output::print(&format!(
            "stopped after {} connections, {} handshakes, {} refused",
            totals.accepted, totals.handshakes, totals.refused
        ))?;
    }
    Ok(())
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

/// Events go to standard output; where it is closed, the server serves on.
fn tell(event: &Event<'_>, json: bool) {
    let Some(event) = to_event(event) else { return };
    let _ = match (&event, json) {
        (event, true) => output::print_json_line(event),
        (ServerEvent::Listening { address, configuration, openssl, .. }, false) => {
            output::print(&format!("listening on {address} ({configuration}, {openssl})"))
        }
        (ServerEvent::Negotiated { negotiated }, false) => output::print(&negotiation(negotiated)),
        (ServerEvent::Warning { message }, false) => {
            anstream::eprintln!("tlsheap: warning: {message}");
            Ok(())
        }
        // Told where they happen.
        (
            ServerEvent::Statistics { .. }
            | ServerEvent::Heap { .. }
            | ServerEvent::HeapFailed { .. }
            | ServerEvent::Stopped { .. },
            false,
        ) => Ok(()),
    };
}

fn to_event(event: &Event<'_>) -> Option<ServerEvent> {
    Some(match event {
        Event::Listening { address, configuration, openssl_version } => ServerEvent::Listening {
            address: *address,
            configuration: (*configuration).to_owned(),
            openssl: (*openssl_version).to_owned(),
            pid: std::process::id(),
        },
        Event::Negotiated(negotiation) => {
            ServerEvent::Negotiated { negotiated: serde_json::to_value(negotiation).ok()? }
        }
        Event::Refused { limit } => ServerEvent::Warning {
            message: format!(
                "connections are refused: {limit} are open, and --limit allows no more"
            ),
        },
        Event::AcceptFailed { error, retry_in } => ServerEvent::Warning {
            message: format!("cannot accept connections: {error}; trying again in {retry_in:?}"),
        },
        Event::ConnectionFailed { kind, detail } => {
            ServerEvent::Warning { message: format!("{kind}: {detail}") }
        }
        // Told with its totals when the run returns.
        _ => return None,
    })
}

/// `negotiated TLSv1.2, ECDHE-…, X25519, zlib compression`.
pub fn negotiation(negotiated: &serde_json::Value) -> String {
    let word = |name: &str| negotiated[name].as_str().unwrap_or("?").to_owned();
    format!(
        "negotiated {}, {}, {}, compression {}",
        word("protocol"),
        word("cipher"),
        word("group"),
        word("compression")
    )
}

/// Asks the kernel for SIGTERM when the parent ends, so that no server outlives its `tlsheap run`.
pub fn end_with_parent() -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    Ok(())
}
