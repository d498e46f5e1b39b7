//! The run itself: phases, captures, and what happens when a process fails.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use echo_server::Configuration;
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::Value;
use tokio::time::sleep;

use crate::available_memory::AvailableMemory;
use crate::commands::load::bar;
use crate::commands::run::Options;
use crate::commands::run::clients::{first, load_arguments, warm_up};
use crate::commands::run::moment::Moment;
use crate::commands::run::over_time::{OverTime, Phase};
use crate::commands::run::server::Server;
use crate::commands::run::watch::Watch;
use crate::events::{LoadEvent, ServerEvent};
use crate::failure::Failure;
use crate::processes::{Helper, describe};
use crate::run_folder::NewFolder;

pub use crate::commands::run::clients::client_arguments;
pub use crate::commands::run::server::IDENTITY;

/// How long the server's memory is watched after the last connection was closed.
const AFTERMATH: Duration = Duration::from_secs(1);

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
    pub over_time: OverTime,
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
    let identity = folder.file(IDENTITY);
    let mut server = Server::start(options, configuration, folder)?;
    let (address, openssl) = server.listening().await?;
    let at_start = server.look()?;
    let clients = client_arguments(configuration, &address, &identity);
    if options.warm_up > 0 {
        warm_up(options.warm_up, &clients, &mut server).await?;
    }
    let mut watch = Watch::start(server, progress(options), options.connections)?;
    let baseline = watch.quiet().await?;
    check_memory(options, &baseline)?;

    watch.phase = Phase::Connecting;
    let load = Helper::start("load", &[clients, load_arguments(options)].concat())?;
    let mut run = Run {
        options,
        watch,
        load,
        begun: Instant::now(),
        at_rest: None,
        closed: None,
        until_rest: None,
        report: None,
    };
    let ended = tokio::select! {
        ended = run.all_phases() => ended,
        _ = tokio::signal::ctrl_c() => return Err(Failure::Interrupted),
    };
    run.watch.bar.finish_and_clear();
    let ended = match ended {
        Ok(()) => Ended::Clean,
        Err(Failure::Program(error)) => Ended::Early(format!("{error:#}")),
        Err(other) => return Err(other),
    };
    // A secret of the run, of no use after it.
    let _ = std::fs::remove_file(&identity);
    Ok(Measured {
        ended,
        configuration: configuration.name.clone(),
        openssl,
        started,
        negotiated: run.watch.negotiated,
        at_start,
        baseline,
        at_rest: run.at_rest,
        closed: run.closed,
        last: run.watch.server.look()?,
        over_time: run.watch.over_time,
        until_rest: run.until_rest,
        load: run.report,
    })
}

/// Refuses a run that cannot fit. Each connection of the warm-up has needed as much of OpenSSL's
/// memory as each of those that count will; clients, sockets and the recorder come on top.
fn check_memory(options: &Options, baseline: &Moment) -> Result<(), Failure> {
    let totals = baseline.snapshot.totals();
    let needed = totals.peak_bytes.saturating_sub(totals.inuse_bytes);
    let each = needed as f64 / options.warm_up.max(1) as f64;
    let refused = AvailableMemory::now()
        .filter(|_| options.warm_up > 0)
        .and_then(|memory| memory.too_little_for(options.connections, each));
    refused.map_or(Ok(()), |sentence| Err(Failure::usage(sentence)))
}

struct Run<'a> {
    options: &'a Options,
    watch: Watch,
    load: Helper,
    begun: Instant,
    at_rest: Option<(Moment, usize)>,
    closed: Option<Moment>,
    until_rest: Option<Duration>,
    /// The load's last word.
    report: Option<Value>,
}

impl Run<'_> {
    /// All phases. A failure of server or load is `Failure::Program`; what was captured before
    /// stays.
    async fn all_phases(&mut self) -> Result<(), Failure> {
        let connections = self.until_rest().await?;
        self.watch.phase = Phase::Hold;
        self.hold().await?;
        self.at_rest = Some((self.watch.examine().await?, connections));
        self.watch.phase = Phase::Closing;
        self.load.ask_to_stop();
        self.until_closed().await?;
        self.watch.phase = Phase::After;
        self.aftermath().await?;
        self.closed = Some(self.watch.quiet().await?);
        self.stop_server().await
    }

    /// Until every connection has been echoed once.
    async fn until_rest(&mut self) -> Result<usize, Failure> {
        loop {
            tokio::select! {
                event = self.load.next() => match event? {
                    Some(LoadEvent::Progress { connected, .. }) => {
                        self.watch.bar.set_position(connected as u64);
                    }
                    Some(LoadEvent::AtRest { connections }) => {
                        self.until_rest = Some(self.begun.elapsed());
                        self.watch.bar.set_message("at rest");
                        return Ok(connections);
                    }
                    Some(event) => self.finished(event).await?,
                    None => return Err(self.load_ended().await),
                },
                event = self.watch.next() => self.watch.heard(event?).await?,
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
                event = self.watch.next() => self.watch.heard(event?).await?,
            }
        }
    }

    async fn until_closed(&mut self) -> Result<(), Failure> {
        while self.report.is_none() {
            tokio::select! {
                event = self.load.next() => match event? {
                    Some(event) => self.finished(event).await?,
                    None => return Err(self.load_ended().await),
                },
                event = self.watch.next() => self.watch.heard(event?).await?,
            }
        }
        Ok(())
    }

    /// The server sees the last goodbyes, and what stays is what stays.
    async fn aftermath(&mut self) -> Result<(), Failure> {
        let over = sleep(AFTERMATH);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Ok(()),
                event = self.watch.next() => self.watch.heard(event?).await?,
            }
        }
    }

    async fn stop_server(&mut self) -> Result<(), Failure> {
        self.watch.server.ask_to_stop();
        while let Some(event) = self.watch.server.next().await? {
            if let ServerEvent::Stopped { totals } = event
                && let Some(counted) = totals["negotiated"].as_array()
            {
                // With counts, which are known only now.
                self.watch.negotiated.clone_from(counted);
            }
        }
        let status = self.watch.server.ended().await?;
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
            self.report = Some(report);
            if !clean {
                let sentence = format!("the load failed: {}", first(&failures));
                let of_server = self.watch.server.failure().await;
                return Err(of_server.unwrap_or(Failure::program(sentence)));
            }
        }
        Ok(())
    }

    async fn load_ended(&mut self) -> Failure {
        if let Some(failure) = self.watch.server.failure().await {
            return failure;
        }
        match self.load.ended().await {
            Ok(status) => Failure::program(format!("the load {}", describe(status))),
            Err(failure) => failure,
        }
    }
}

fn progress(options: &Options) -> ProgressBar {
    let visible = std::io::stderr().is_terminal();
    let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    bar(options.connections, target)
}
