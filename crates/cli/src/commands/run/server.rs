//! The server's process: what it is told, what it says, and what is asked of it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context;
use echo_server::Configuration;
use echo_server::configuration::ClientCertificates;

use crate::commands::run::Options;
use crate::commands::run::heap_sample::HeapSample;
use crate::commands::run::moment::{Heap, Moment, memory_areas};
use crate::events::{ServerEvent, ServerRequest};
use crate::failure::Failure;
use crate::processes::{Helper, describe};
use crate::run_folder::{LEDGER, NewFolder};

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
        configuration: &Configuration,
        folder: &NewFolder,
    ) -> Result<Server, Failure> {
        // Absolute, as the server and smaps have it.
        let ledger = std::path::absolute(folder.file(LEDGER))?;
        let dump = match options.heap_sample {
            HeapSample::Off => None,
            HeapSample::Lg(_) => Some(std::path::absolute(folder.file(DUMP))?),
        };
        let identity = folder.file(IDENTITY);
        let arguments = arguments(options, configuration, &ledger, &identity)?;
        let helper = Helper::start("server", &arguments)?;
        Ok(Server { helper, unheard: VecDeque::new(), ledger, dump })
    }

    /// Waits until it takes connections: its address, and the version of its OpenSSL.
    pub async fn listening(&mut self) -> Result<(String, String), Failure> {
        loop {
            match self.helper.next().await? {
                Some(ServerEvent::Listening { address, openssl, .. }) => {
                    return Ok((address.to_string(), openssl));
                }
                Some(_) => {}
                // It has said why on standard error.
                None => {
                    let status = self.helper.ended().await?;
                    let sentence = format!("the server did not start: it {}", describe(status));
                    return Err(match status.code() {
                        Some(2) => Failure::usage(sentence),
                        _ => Failure::program(sentence),
                    });
                }
            }
        }
    }

    /// The next thing it says; `None` once it has ended. Safe to drop half-way.
    pub async fn next(&mut self) -> Result<Option<ServerEvent>, Failure> {
        match self.unheard.pop_front() {
            Some(event) => Ok(Some(event)),
            None => self.helper.next().await,
        }
    }

    /// What can be seen of its memory from outside.
    pub fn look(&self) -> Result<Moment, Failure> {
        Moment::look(&self.ledger, self.helper.pid())
    }

    /// Asks for jemalloc's figures; the answer is an event like others.
    pub async fn ask_for_statistics(&mut self) -> Result<(), Failure> {
        self.helper.tell(&ServerRequest::Statistics).await
    }

    /// Its memory from all sides. Without an answer it is seen from outside alone.
    pub async fn examine(&mut self) -> Result<Moment, Failure> {
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
                    return Err(Failure::program(format!("the server {}", describe(status))));
                }
            }
        }
    }

    /// Sends SIGTERM.
    pub fn ask_to_stop(&self) {
        self.helper.ask_to_stop();
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> Result<ExitStatus, Failure> {
        self.helper.ended().await
    }

    /// Its failure, if it has ended: when it dies its clients fail in the same moment.
    pub async fn failure(&mut self) -> Option<Failure> {
        let soon = tokio::time::timeout(SOON, self.helper.ended()).await;
        let status = soon.ok()?.ok()?;
        Some(Failure::program(format!("the server {}", describe(status))))
    }
}

/// Reads a file and removes it.
fn take(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    std::fs::remove_file(path)?;
    Ok(bytes)
}

fn arguments(
    options: &Options,
    configuration: &Configuration,
    ledger: &Path,
    identity: &Path,
) -> Result<Vec<String>, Failure> {
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).with_context(|| {
            format!("the path {} is not UTF-8: choose another folder", path.display())
        })
    };
    let mut arguments = vec![
        "serve".to_owned(),
        "--listen=127.0.0.1:0".to_owned(),
        format!("--config={}", options.config),
        format!("--ledger={}", text(ledger)?),
        format!("--sites={}", options.sites),
        // Those of the warm-up may still be saying goodbye.
        format!("--limit={}", options.connections + options.warm_up),
    ];
    if let Some(sampling) = options.sample {
        arguments.push(format!("--sample={}", sampling.interval()));
    }
    if let HeapSample::Lg(lg) = options.heap_sample {
        arguments.push(format!("--heap-profile={lg}"));
    }
    if configuration.client().client_certificates == ClientCertificates::Required {
        arguments.push(format!("--client-identity={}", text(identity)?));
    }
    Ok(arguments)
}
