//! The run itself: phases, captures, and what happens when a process fails.

use std::path::Path;
use std::time::{Duration, Instant};

use capture::records::run::NegotiatedRecord;
use recording::running::in_words;
use tokio::time::sleep;

use super::Options;
use super::clients::{clients_of, counting_load, first, warm_up};
use super::moment::Moment;
use super::over_time::{OverTime, Phase};
use super::server::{IDENTITY, Server};
use super::watch::{Watch, negotiated_record};
use crate::available_memory::AvailableMemory;
use crate::helper::Helper;
use crate::helper::events::{Found, LoadEvent, ServerEvent};
use crate::{FrontEnd, TrialError};

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
    pub negotiated: Vec<NegotiatedRecord>,
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
    pub load: Option<Found>,
}

/// Runs server and load, and watches.
pub async fn measure(
    options: &Options,
    front_end: &FrontEnd<'_>,
    folder: &Path,
) -> Result<Measured, TrialError> {
    let started = jiff::Timestamp::now().to_string();
    let identity = folder.join(IDENTITY);
    let mut server = Server::start(options, front_end, folder)?;
    let (address, openssl) = server.listening().await?;
    let at_start = server.look()?;
    let clients = clients_of(&options.configuration, address, &identity);
    if options.warm_up > 0 {
        warm_up(options.warm_up, &clients, &mut server, front_end).await?;
    }
    let mut watch = Watch::start(server, front_end.progress, options.connections)?;
    let baseline = watch.quiet().await?;
    check_memory(options, &baseline)?;
    watch.phase = Phase::Connecting;
    let load = Helper::load(front_end.helper, "load", &counting_load(options, &clients))?;
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
        _ = tokio::signal::ctrl_c() => return Err(TrialError::Interrupted),
    };
    let ended = match ended {
        Ok(()) => Ended::Clean,
        Err(TrialError::Failed(sentence)) => Ended::Early(sentence),
        Err(other) => return Err(other),
    };
    // A secret of the run, of no use after it.
    let _ = std::fs::remove_file(&identity);
    Ok(Measured {
        ended,
        configuration: options.configuration.name.clone(),
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
fn check_memory(options: &Options, baseline: &Moment) -> Result<(), TrialError> {
    let totals = baseline.snapshot.totals();
    let needed = totals.peak_bytes.saturating_sub(totals.inuse_bytes);
    let each = needed as f64 / options.warm_up.max(1) as f64;
    let refused = AvailableMemory::now()
        .filter(|_| options.warm_up > 0)
        .and_then(|memory| memory.too_little_for(options.connections, each));
    refused.map_or(Ok(()), |sentence| Err(TrialError::Refused(sentence)))
}

struct Run<'a> {
    options: &'a Options,
    watch: Watch<'a>,
    load: Helper,
    begun: Instant,
    at_rest: Option<(Moment, usize)>,
    closed: Option<Moment>,
    until_rest: Option<Duration>,
    /// The load's last word.
    report: Option<Found>,
}

impl Run<'_> {
    /// All phases. A failure of server or load is [`TrialError::Failed`]; what was captured before
    /// stays.
    async fn all_phases(&mut self) -> Result<(), TrialError> {
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
    async fn until_rest(&mut self) -> Result<usize, TrialError> {
        loop {
            tokio::select! {
                event = self.load.next() => match event? {
                    Some(LoadEvent::Progress { connected, .. }) => {
                        self.watch.progress.connected(connected, self.options.connections);
                    }
                    Some(LoadEvent::AtRest { connections }) => {
                        self.until_rest = Some(self.begun.elapsed());
                        self.watch.progress.at_rest();
                        return Ok(connections);
                    }
                    Some(event) => self.finished(event).await?,
                    None => return Err(self.load_ended().await),
                },
                event = self.watch.next() => self.watch.heard(event?).await?,
            }
        }
    }

    async fn hold(&mut self) -> Result<(), TrialError> {
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

    async fn until_closed(&mut self) -> Result<(), TrialError> {
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
    async fn aftermath(&mut self) -> Result<(), TrialError> {
        let over = sleep(AFTERMATH);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Ok(()),
                event = self.watch.next() => self.watch.heard(event?).await?,
            }
        }
    }

    async fn stop_server(&mut self) -> Result<(), TrialError> {
        self.watch.server.ask_to_stop();
        while let Some(event) = self.watch.server.next().await? {
            if let ServerEvent::Stopped { totals } = event {
                // With counts, which are known only now.
                let counted = totals
                    .negotiated
                    .iter()
                    .map(|kind| negotiated_record(&kind.negotiation, Some(kind.connections)));
                self.watch.negotiated = counted.collect();
            }
        }
        let status = self.watch.server.ended().await?;
        if status.success() {
            Ok(())
        } else {
            Err(TrialError::failed(format!("the server {} while it stopped", in_words(status))))
        }
    }

    /// The load's last word.
    async fn finished(&mut self, event: LoadEvent) -> Result<(), TrialError> {
        if let LoadEvent::Finished { report, clean } = event {
            let sentence = format!("the load failed: {}", first(report.failures()));
            self.report = Some(report);
            if !clean {
                let of_server = self.watch.server.failure().await;
                return Err(of_server.unwrap_or(TrialError::failed(sentence)));
            }
        }
        Ok(())
    }

    async fn load_ended(&mut self) -> TrialError {
        if let Some(failure) = self.watch.server.failure().await {
            return failure;
        }
        match self.load.ended().await {
            Ok(status) => TrialError::failed(format!("the load {}", in_words(status))),
            Err(failure) => failure,
        }
    }
}
