//! The server's process: what it is told, what it says, and what is asked of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use capture::CaptureError;
use capture::folder::LEDGER;
use echo_server::configuration::ClientCertificates;
use ledger::Sampling;
use recording::kernel::memory_areas;
use recording::running::in_words;

use super::Options;
use super::heap_sample::HeapSample;
use super::moment::{Heap, Moment};
use crate::helper::Helper;
use crate::helper::events::{ServerEvent, ServerRequest};
use crate::helper::orders::{ConnectionLimit, ServeOrder};
use crate::{FrontEnd, TrialError};

/// How long after its clients a server's end may be noticed.
const SOON: Duration = Duration::from_millis(500);

/// Where the server writes the certificate that clients have to show.
pub const IDENTITY: &str = "client.pem";

/// Where jemalloc writes its dump, for as long as it takes to read it.
const DUMP: &str = "jemalloc.heap";

/// A server with a recorder, and everything that it has not been heard of yet.
pub struct Server {
    helper: Helper,
    /// What it said while an answer was waited for.
    unheard: VecDeque<ServerEvent>,
    ledger: PathBuf,
    dump: Option<PathBuf>,
}

impl Server {
    /// Starts it, with its files in `folder`.
    pub fn start(
        options: &Options,
        front_end: &FrontEnd<'_>,
        folder: &Path,
    ) -> Result<Server, TrialError> {
        if folder.to_str().is_none() {
            return Err(TrialError::Refused(format!(
                "the path {} is not UTF-8: choose another folder",
                folder.display()
            )));
        }
        // Absolute, as the server and smaps have it.
        let absolute = |name: &str| {
            std::path::absolute(folder.join(name))
                .map_err(TrialError::system("find the current folder"))
        };
        let ledger = absolute(LEDGER)?;
        let dump = match options.heap_sample {
            HeapSample::Off => None,
            HeapSample::Lg(_) => Some(absolute(DUMP)?),
        };
        let order = order(options, &ledger, &absolute(IDENTITY)?);
        let helper = Helper::serve(front_end.helper, &order)?;
        Ok(Server { helper, unheard: VecDeque::new(), ledger, dump })
    }

    /// Waits until it takes connections: its address, and the version of its OpenSSL.
    pub async fn listening(&mut self) -> Result<(SocketAddr, String), TrialError> {
        loop {
            match self.helper.next().await? {
                Some(ServerEvent::Listening { address, openssl, .. }) => {
                    return Ok((address, openssl));
                }
                Some(_) => {}
                // It has said why on standard error.
                None => {
                    let status = self.helper.ended().await?;
                    let sentence = format!("the server did not start: it {}", in_words(status));
                    return Err(match status.code() {
                        Some(2) => TrialError::Refused(sentence),
                        _ => TrialError::Failed(sentence),
                    });
                }
            }
        }
    }

    /// The next thing it says; `None` once it has ended. Safe to drop half-way.
    pub async fn next(&mut self) -> Result<Option<ServerEvent>, TrialError> {
        match self.unheard.pop_front() {
            Some(event) => Ok(Some(event)),
            None => self.helper.next().await,
        }
    }

    /// What can be seen of its memory from outside.
    pub fn look(&self) -> Result<Moment, TrialError> {
        Moment::look(&self.ledger, self.helper.pid())
    }

    /// Asks for jemalloc's figures; the answer is an event like others.
    pub async fn ask_for_statistics(&mut self) -> Result<(), TrialError> {
        self.helper.tell(&ServerRequest::Statistics).await
    }

    /// The server's memory from all sides. Without an answer it is seen from outside alone.
    pub async fn examine(&mut self) -> Result<Moment, TrialError> {
        self.helper.tell(&ServerRequest::Heap { path: self.dump.clone() }).await?;
        loop {
            match self.helper.next().await? {
                Some(ServerEvent::Heap { jemalloc, openssl_usable_bytes }) => {
                    // First what moves on: the dump stays as it is.
                    let moment = self.look()?;
                    let smaps = memory_areas(self.helper.pid());
                    let heap = Heap {
                        statistics: jemalloc,
                        openssl_usable_bytes,
                        smaps,
                        dump: self.dump.as_deref().map(take).transpose()?,
                        ledger: self.ledger.display().to_string(),
                    };
                    return Ok(Moment { heap: Some(heap), ..moment });
                }
                Some(ServerEvent::HeapFailed { message }) => {
                    self.unheard.push_back(ServerEvent::Warning { message });
                    return self.look();
                }
                Some(event) => self.unheard.push_back(event),
                None => {
                    let status = self.helper.ended().await?;
                    return Err(TrialError::Failed(format!("the server {}", in_words(status))));
                }
            }
        }
    }

    /// Sends SIGTERM.
    pub fn ask_to_stop(&self) {
        self.helper.ask_to_stop();
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> Result<ExitStatus, TrialError> {
        self.helper.ended().await
    }

    /// The server's failure, if it has ended: when it dies its clients fail in the same moment.
    pub async fn failure(&mut self) -> Option<TrialError> {
        let soon = tokio::time::timeout(SOON, self.helper.ended()).await;
        let status = soon.ok()?.ok()?;
        Some(TrialError::Failed(format!("the server {}", in_words(status))))
    }
}

/// Reads a file and removes it.
fn take(path: &Path) -> Result<Vec<u8>, TrialError> {
    let bytes = std::fs::read(path).map_err(CaptureError::reading(path))?;
    std::fs::remove_file(path).map_err(CaptureError::writing(path))?;
    Ok(bytes)
}

fn order(options: &Options, ledger: &Path, identity: &Path) -> ServeOrder {
    let mut order = ServeOrder::of(options.configuration.clone());
    order.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    order.ledger = Some(ledger.to_owned());
    order.sites = options.sites;
    order.sample = options.sample.map(Sampling::interval);
    // Those of the warm-up may still be saying goodbye.
    order.limit = ConnectionLimit::Exactly(options.connections + options.warm_up);
    order.heap_profile = match options.heap_sample {
        HeapSample::Off => None,
        HeapSample::Lg(lg) => Some(lg),
    };
    order.rust = options.rust;
    let certificates = options.configuration.client().client_certificates;
    if certificates == ClientCertificates::Required {
        order.client_identity = Some(identity.to_owned());
    }
    order
}
