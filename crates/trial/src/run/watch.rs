//! The server under observation: its memory every quarter of a second, through all phases.

use capture::records::run::NegotiatedRecord;
use capture::timeline::EVERY;
use echo_server::{HeapStatistics, Negotiation};
use ledger::Snapshot;
use recording::running::in_words;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::moment::Moment;
use super::over_time::{OverTime, Phase, Sight};
use super::server::Server;
use crate::available_memory::AvailableMemory;
use crate::helper::events::ServerEvent;
use crate::{Progress, TrialError};

/// For how many ticks a server that does not come to rest is waited for.
const QUIET_TICKS: usize = 20;

/// The server, and what was seen of it.
pub struct Watch<'a> {
    pub server: Server,
    pub over_time: OverTime,
    pub phase: Phase,
    /// What connections agreed on.
    pub negotiated: Vec<NegotiatedRecord>,
    /// The newest sight.
    pub last: Moment,
    pub progress: &'a dyn Progress,
    /// How many connections there are to be.
    wanted: usize,
    /// What was seen when the server was asked for its figures.
    asked: Option<Moment>,
    /// How often it has answered.
    answers: usize,
    ticks: Interval,
}

impl<'a> Watch<'a> {
    /// Begins with what is there now.
    pub fn start(
        server: Server,
        progress: &'a dyn Progress,
        wanted: usize,
    ) -> Result<Watch<'a>, TrialError> {
        let last = server.look()?;
        let mut ticks = interval(EVERY);
        // Time that an examination took is lost, and not made up for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Watch {
            server,
            over_time: OverTime::start(),
            phase: Phase::Baseline,
            negotiated: Vec::new(),
            last,
            progress,
            wanted,
            asked: None,
            answers: 0,
            ticks,
        })
    }

    /// The next event of the server, after it was asked for its figures at each tick. Safe to drop
    /// half-way.
    pub async fn next(&mut self) -> Result<Option<ServerEvent>, TrialError> {
        loop {
            tokio::select! {
                event = self.server.next() => return event,
                _ = self.ticks.tick() => {
                    // In this order: reading the ledger of a busy server takes longer than its
                    // answer, and both are to be of the same moment. A look that fails is a gap in
                    // the time line and nothing worse.
                    self.asked = self.server.look().ok();
                    self.server.ask_for_statistics().await?;
                }
            }
        }
    }

    /// Takes in an event; the server's end is a failure.
    pub async fn heard(&mut self, event: Option<ServerEvent>) -> Result<(), TrialError> {
        match event {
            Some(ServerEvent::Statistics { open, jemalloc }) => {
                self.answers += 1;
                self.tick(open, jemalloc);
                let memory = AvailableMemory::now().filter(|_| self.phase == Phase::Connecting);
                if let Some(full) = memory.and_then(|now| now.used_up_by(open, self.wanted)) {
                    return Err(TrialError::Failed(full));
                }
            }
            Some(ServerEvent::Negotiated { negotiated }) => {
                self.negotiated.push(negotiated_record(&negotiated, None));
            }
            Some(ServerEvent::Warning { message }) => {
                self.progress.warn(&format!("server: {message}"));
            }
            Some(_) => {}
            None => {
                let status = self.server.ended().await?;
                return Err(TrialError::Failed(format!("the server {}", in_words(status))));
            }
        }
        Ok(())
    }

    /// Waits until nothing has changed from one tick to the next: the last connections are gone by
    /// then. Then looks from all sides.
    pub async fn quiet(&mut self) -> Result<Moment, TrialError> {
        let mut before = self.one_tick().await?;
        for _ in 0..QUIET_TICKS {
            let now = self.one_tick().await?;
            if now.totals() == before.totals() {
                break;
            }
            before = now;
        }
        self.examine().await
    }

    /// Looks from all sides.
    pub async fn examine(&mut self) -> Result<Moment, TrialError> {
        let moment = self.server.examine().await?;
        self.last = Moment { heap: None, ..moment.clone() };
        Ok(moment)
    }

    /// Waits for the next answer.
    async fn one_tick(&mut self) -> Result<Snapshot, TrialError> {
        let before = self.answers;
        while self.answers == before {
            let event = self.next().await?;
            self.heard(event).await?;
        }
        Ok(self.last.snapshot.clone())
    }

    /// The server's answer completes what was seen when it was asked.
    fn tick(&mut self, connections: usize, statistics: HeapStatistics) {
        if let Some(moment) = self.asked.take() {
            self.over_time.add(&Sight {
                phase: self.phase,
                connections,
                rss: moment.without_recorder(),
                snapshot: &moment.snapshot,
                statistics,
            });
            self.last = moment;
        }
    }
}

/// What connections agreed on, as it is recorded.
pub fn negotiated_record(negotiated: &Negotiation, connections: Option<u64>) -> NegotiatedRecord {
    NegotiatedRecord {
        protocol: negotiated.protocol.clone(),
        cipher: negotiated.cipher.clone(),
        group: negotiated.group.clone(),
        compression: negotiated.compression.clone(),
        connections,
    }
}
