//! The run itself: phases, captures, and what happens when a process fails.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use echo_server::Configuration;
use echo_server::configuration::{ClientCertificates, CompressionOffer, Protocol};
use indicatif::{ProgressBar, ProgressDrawTarget};
use ledger::Snapshot;
use serde_json::Value;
use tokio::time::{Interval, interval, sleep};

use crate::commands::load::bar;
use crate::commands::run::Options;
use crate::events::{LoadEvent, ServerEvent};
use crate::failure::Failure;
use crate::machine::resident_bytes;
use crate::processes::{Helper, describe};
use crate::run_folder::{LEDGER, NewFolder};
use crate::timeline::{EVERY, Timeline};

/// How long the server's memory is watched after the last connection was closed.
const AFTERMATH: Duration = Duration::from_secs(1);

/// How long after its clients a server's end may be noticed.
const SOON: Duration = Duration::from_millis(500);

/// For how many ticks a server that does not come to rest is waited for.
const QUIET_TICKS: usize = 20;

/// Where the server writes the certificate that clients have to show.
pub const IDENTITY: &str = "client.pem";

/// The ledger and the resident memory at one moment.
#[derive(Clone, Debug)]
pub struct Moment {
    pub snapshot: Snapshot,
    pub rss_bytes: Option<u64>,
}

/// How a run came to its end.
#[derive(Clone, Debug)]
pub enum Ended {
    /// As planned.
    Clean,
    /// With a failure, in a sentence without its full stop.
    Early(String),
}

/// What a run found.
#[derive(Debug)]
pub struct Measured {
    pub ended: Ended,
    pub configuration: String,
    pub openssl: String,
    pub started: String,
    pub negotiated: Vec<Value>,
    /// As soon as the server listened.
    pub at_start: Moment,
    /// After the warm-up, before the first connection that counts.
    pub baseline: Moment,
    /// With every connection open and echoed, and how many those are.
    pub at_rest: Option<(Moment, usize)>,
    pub closed: Option<Moment>,
    /// The newest reading, whatever happened.
    pub last: Moment,
    pub timeline: Timeline,
    pub until_rest: Option<Duration>,
    pub load: Option<Value>,
}

/// Runs server and load, and watches.
pub async fn measure(
    options: &Options,
    configuration: &Configuration,
    folder: &NewFolder,
) -> Result<Measured, Failure> {
    let started = jiff::Timestamp::now().to_string();
    let ledger = folder.file(LEDGER);
    let identity = folder.file(IDENTITY);
    let mut server =
        Helper::start("server", &server_arguments(options, configuration, &ledger, &identity)?)?;
    let (address, openssl) = listening(&mut server).await?;
    let at_start = look(&ledger, server.pid())?;
    let clients = client_arguments(configuration, &address, &identity);
    if options.warm_up > 0 {
        warm_up(options.warm_up, &clients, &mut server).await?;
    }
    let baseline = quiet(&ledger, server.pid()).await?;

    let load = Helper::start("load", &[clients, load_arguments(options)].concat())?;
    let mut run = Run {
        options,
        ledger: &ledger,
        server,
        load,
        begun: Instant::now(),
        bar: progress(options),
        connected: 0,
        ticks: interval(EVERY),
        measured: Measured {
            ended: Ended::Clean,
            configuration: configuration.name.clone(),
            openssl,
            started,
            negotiated: Vec::new(),
            last: baseline.clone(),
            at_start,
            baseline,
            at_rest: None,
            closed: None,
            timeline: Timeline::start(),
            until_rest: None,
            load: None,
        },
    };
    let ended = tokio::select! {
        ended = run.all_phases() => ended,
        _ = tokio::signal::ctrl_c() => return Err(Failure::Interrupted),
    };
    run.bar.finish_and_clear();
    match ended {
        Ok(()) => {}
        Err(Failure::Program(error)) => run.measured.ended = Ended::Early(format!("{error:#}")),
        Err(other) => return Err(other),
    }
    run.measured.last = run.look()?;
    // A secret of the run, of no use after it.
    let _ = std::fs::remove_file(&identity);
    Ok(run.measured)
}

struct Run<'a> {
    options: &'a Options,
    ledger: &'a Path,
    server: Helper,
    load: Helper,
    begun: Instant,
    bar: ProgressBar,
    connected: usize,
    ticks: Interval,
    measured: Measured,
}

impl Run<'_> {
    /// All phases. A failure of server or load is `Failure::Program`; what was captured before
    /// stays.
    async fn all_phases(&mut self) -> Result<(), Failure> {
        let connections = self.until_rest().await?;
        self.hold().await?;
        self.measured.at_rest = Some((self.look()?, connections));
        self.load.ask_to_stop();
        self.until_closed().await?;
        self.aftermath().await?;
        self.measured.closed = Some(quiet(self.ledger, self.server.pid()).await?);
        self.stop_server().await
    }

    /// Until every connection has been echoed once.
    async fn until_rest(&mut self) -> Result<usize, Failure> {
        loop {
            tokio::select! {
                event = self.load.next() => match event? {
                    Some(LoadEvent::Progress { connected, .. }) => {
                        self.connected = connected;
                        self.bar.set_position(connected as u64);
                    }
                    Some(LoadEvent::AtRest { connections }) => {
                        self.measured.until_rest = Some(self.begun.elapsed());
                        self.bar.set_message("at rest");
                        return Ok(connections);
                    }
                    Some(event) => self.finished(event).await?,
                    None => return Err(self.load_ended().await),
                },
                event = self.server.next() => self.heard(event?).await?,
                _ = self.ticks.tick() => self.tick(),
            }
        }
    }

    async fn hold(&mut self) -> Result<(), Failure> {
        let over = sleep(self.options.hold);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Ok(()),
                event = self.load.next::<LoadEvent>() => match event? {
                    Some(LoadEvent::Finished { .. }) | None => return Err(self.load_ended().await),
                    Some(_) => {}
                },
                event = self.server.next() => self.heard(event?).await?,
                _ = self.ticks.tick() => self.tick(),
            }
        }
    }

    async fn until_closed(&mut self) -> Result<(), Failure> {
        while self.measured.load.is_none() {
            tokio::select! {
                event = self.load.next() => match event? {
                    Some(event) => self.finished(event).await?,
                    None => return Err(self.load_ended().await),
                },
                event = self.server.next() => self.heard(event?).await?,
                _ = self.ticks.tick() => self.tick(),
            }
        }
        self.connected = 0;
        Ok(())
    }

    /// The server sees the last goodbyes, and what stays is what stays.
    async fn aftermath(&mut self) -> Result<(), Failure> {
        let over = sleep(AFTERMATH);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Ok(()),
                event = self.server.next() => self.heard(event?).await?,
                _ = self.ticks.tick() => self.tick(),
            }
        }
    }

    async fn stop_server(&mut self) -> Result<(), Failure> {
        self.server.ask_to_stop();
        while let Some(event) = self.server.next::<ServerEvent>().await? {
            if let ServerEvent::Stopped { totals } = event
                && let Some(counted) = totals["negotiated"].as_array()
            {
                // With counts, which are known only now.
                self.measured.negotiated.clone_from(counted);
            }
        }
        let status = self.server.ended().await?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::program(format!("the server {} while it stopped", describe(status))))
        }
    }

    /// The load's last word.
    async fn finished(&mut self, event: LoadEvent) -> Result<(), Failure> {
        if let LoadEvent::Finished { report, clean } = event {
            let failures = report["failures"].clone();
            self.measured.load = Some(report);
            if !clean {
                let sentence = format!("the load failed: {}", first(&failures));
                return Err(self.server_ended().await.unwrap_or(Failure::program(sentence)));
            }
        }
        Ok(())
    }

    async fn heard(&mut self, event: Option<ServerEvent>) -> Result<(), Failure> {
        match event {
            Some(ServerEvent::Negotiated { negotiated }) => {
                self.measured.negotiated.push(negotiated);
            }
            Some(ServerEvent::Warning { message }) => {
                self.bar.suspend(|| anstream::eprintln!("tlsheap: server: {message}"));
            }
            Some(_) => {}
            None => {
                let status = self.server.ended().await?;
                return Err(Failure::program(format!("the server {}", describe(status))));
            }
        }
        Ok(())
    }

    async fn load_ended(&mut self) -> Failure {
        if let Some(failure) = self.server_ended().await {
            return failure;
        }
        match self.load.ended().await {
            Ok(status) => Failure::program(format!("the load {}", describe(status))),
            Err(failure) => failure,
        }
    }

    /// The server's failure, if it has ended: when it dies its clients fail in the same moment.
    async fn server_ended(&mut self) -> Option<Failure> {
        let soon = tokio::time::timeout(SOON, self.server.ended()).await;
        let status = soon.ok()?.ok()?;
        Some(Failure::program(format!("the server {}", describe(status))))
    }

    /// A look that may fail: a missed tick is a gap in the time line and nothing worse.
    fn tick(&mut self) {
        if let Ok(moment) = self.look() {
            let rss = moment.rss_bytes.unwrap_or_default();
            self.measured.timeline.tick(&moment.snapshot, self.connected, rss);
            self.measured.last = moment;
        }
    }

    fn look(&self) -> Result<Moment, Failure> {
        look(self.ledger, self.server.pid())
    }
}

fn look(ledger: &Path, server: u32) -> Result<Moment, Failure> {
    Ok(Moment { snapshot: Snapshot::read_file(ledger)?, rss_bytes: resident_bytes(server) })
}

async fn listening(server: &mut Helper) -> Result<(String, String), Failure> {
    loop {
        match server.next().await? {
            Some(ServerEvent::Listening { address, openssl, .. }) => {
                return Ok((address.to_string(), openssl));
            }
            Some(_) => {}
            // It has said why on standard error.
            None => {
                let status = server.ended().await?;
                let sentence = format!("the server did not start: it {}", describe(status));
                return Err(match status.code() {
                    Some(2) => Failure::usage(sentence),
                    _ => Failure::program(sentence),
                });
            }
        }
    }
}

fn server_arguments(
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
    if configuration.client().client_certificates == ClientCertificates::Required {
        arguments.push(format!("--client-identity={}", text(identity)?));
    }
    Ok(arguments)
}

/// What clients have to do for the configuration to happen.
pub fn client_arguments(
    configuration: &Configuration,
    address: &str,
    identity: &Path,
) -> Vec<String> {
    let needs = configuration.client();
    let mut arguments = vec![
        "load".to_owned(),
        address.to_owned(),
        match needs.protocol {
            Protocol::Tls12 => "--tls=1.2".to_owned(),
            Protocol::Tls13 => "--tls=1.3".to_owned(),
        },
    ];
    if needs.compression == CompressionOffer::Zlib {
        arguments.push("--compression".to_owned());
    }
    if needs.client_certificates == ClientCertificates::Required {
        arguments.push(format!("--identity={}", identity.display()));
    }
    arguments
}

fn load_arguments(options: &Options) -> Vec<String> {
    vec![
        format!("--connections={}", options.connections),
        format!("--interval={}s", options.interval.as_secs_f64()),
    ]
}

/// A short load before the one that counts.
async fn warm_up(
    connections: usize,
    clients: &[String],
    server: &mut Helper,
) -> Result<(), Failure> {
    let arguments = [
        format!("--connections={connections}"),
        "--interval=100ms".to_owned(),
        "--hold=0s".to_owned(),
    ];
    let mut load = Helper::start("warm-up", &[clients, &arguments].concat())?;
    while let Some(event) = load.next().await? {
        if let LoadEvent::Finished { report, clean: false } = event {
            let why = first(&report["failures"]);
            return Err(Failure::program(format!("the warm-up failed: {why}")));
        }
    }
    let status = load.ended().await?;
    if status.success() {
        return Ok(());
    }
    match tokio::time::timeout(SOON, server.ended()).await {
        Ok(Ok(status)) => Err(Failure::program(format!("the server {}", describe(status)))),
        _ => Err(Failure::program(format!("the warm-up {}", describe(status)))),
    }
}

/// Looks when nothing has changed for two ticks: the last connections are gone by then.
async fn quiet(ledger: &Path, server: u32) -> Result<Moment, Failure> {
    let mut before = look(ledger, server)?;
    for _ in 0..QUIET_TICKS {
        sleep(EVERY).await;
        let now = look(ledger, server)?;
        if now.snapshot.totals() == before.snapshot.totals() {
            return Ok(now);
        }
        before = now;
    }
    Ok(before)
}

fn progress(options: &Options) -> ProgressBar {
    let visible = std::io::stderr().is_terminal();
    let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    bar(options.connections, target)
}

/// The first failure of a load's report, in words.
fn first(failures: &Value) -> String {
    let failure = &failures[0];
    format!(
        "{} connections, {}: {}",
        failure["count"].as_u64().unwrap_or_default(),
        failure["kind"].as_str().unwrap_or("failed"),
        failure["example"].as_str().unwrap_or("no reason given"),
    )
}
