//! `tlsheap serve`: the reference server on its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use echo_server::Configuration;
use ledger::Sampling;
use trial::helper::events::ServerEvent;
use trial::helper::orders::{ConnectionLimit, ServeOrder};
use trial::helper::serving::{serve, serve_in_lines};
use trial::run::negotiated_record;

use crate::answer::negotiation;
use crate::failure::Failure;
use crate::values::{connections, duration, sampling};
use crate::{output, telling};

/// Connections that are taken when nobody says a number.
const USUAL_LIMIT: usize = 10_000;

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
}

/// Serves until SIGTERM or SIGINT.
pub fn run(options: &Options) -> Result<(), Failure> {
    let order = options.order()?;
    if options.json {
        return Ok(serve_in_lines(&order)?);
    }
    let totals = serve(&order, |event| tell(&event))?;
    output::print(&format!(
        "stopped after {} connections, {} handshakes, {} refused",
        totals.accepted, totals.handshakes, totals.refused
    ))
}

impl Options {
    fn order(&self) -> Result<ServeOrder, Failure> {
        let mut order = ServeOrder::of(Configuration::find(&self.config)?);
        order.listen = self.listen;
        order.ledger.clone_from(&self.ledger);
        order.sites = self.sites;
        order.sample = self.sample.map(Sampling::interval);
        order.heap_profile = self.heap_profile;
        order.certificate = self.cert.clone().zip(self.key.clone());
        order.limit = match self.limit {
            // A limit that nobody asked for is lowered by the system when it must be: connections
            // beyond it wait, with a warning.
            USUAL_LIMIT => ConnectionLimit::AtMost(USUAL_LIMIT),
            limit => ConnectionLimit::Exactly(limit),
        };
        order.handshake_timeout = self.handshake_timeout;
        order.client_identity.clone_from(&self.client_identity);
        Ok(order)
    }
}

/// Events go to standard output; where it is closed, the server serves on.
fn tell(event: &ServerEvent) {
    let _ = match event {
        ServerEvent::Listening { address, configuration, openssl, .. } => {
            output::print(&format!("listening on {address} ({configuration}, {openssl})"))
        }
        ServerEvent::Negotiated { negotiated } => {
            output::print(&negotiation(&negotiated_record(negotiated, None)))
        }
        ServerEvent::Warning { message } => {
            telling::tell(&format!("tlsheap: warning: {message}"));
            Ok(())
        }
        // Answers to requests, of which there are none here, and the end, which is told with its
        // totals.
        ServerEvent::Statistics { .. }
        | ServerEvent::Heap { .. }
        | ServerEvent::HeapFailed { .. }
        | ServerEvent::Stopped { .. } => Ok(()),
    };
}
