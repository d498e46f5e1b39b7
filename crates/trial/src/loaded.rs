//! A program that nobody rebuilt, recorded under a load of ours from its first connection to the
//! last: what `tlsheap record --load` does.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use capture::{Fault, Known};
use load::Conversation;
use recording::running::in_words;
use recording::{Control, Recorded};
use tokio::time::{sleep, timeout};

use crate::glance::{GLANCE, seen_within};
use crate::helper::Helper;
use crate::helper::events::LoadEvent;
use crate::helper::orders::{LoadOrder, Work};
use crate::listening::wait_for;
use crate::{FrontEnd, HelperProgram, TrialError, runtime};

/// The load on a program.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Load {
    /// Where the program listens.
    pub address: SocketAddr,
    /// How many connections to measure with; the capture is made with twice as many. Default: 50.
    pub connections: usize,
    /// What is said on each. Default: the handshake alone.
    pub conversation: Conversation,
    /// How long the program may take to listen, and for each step. Default: 60 seconds.
    pub patience: Duration,
}

impl Load {
    /// The usual load on this address.
    pub fn on(address: SocketAddr) -> Load {
        Load {
            address,
            connections: 50,
            conversation: Conversation::Tls,
            patience: Duration::from_secs(60),
        }
    }
}

/// Connections that come and go before any is measured, so that what is paid once is paid.
const WARM_UP: usize = 32;

/// How long the program's memory must have been still to be called at rest.
const REST: Duration = Duration::from_millis(600);

/// How long to wait for that at most: the memory of some programs never is still.
const RESTLESS: Duration = Duration::from_secs(6);

/// How long closed connections may take to be freed: a collector comes when it likes.
const FREED: Duration = Duration::from_secs(3);

/// Records the program under the load: a warm-up, a few connections, N, twice as many, of which
/// the capture is made, and none any more. Then the program is ended.
pub fn record(
    options: &recording::Options,
    load: &Load,
    front_end: &FrontEnd<'_>,
    folder: &Path,
) -> Result<Recorded, TrialError> {
    let control = options.control.clone();
    thread::scope(|scope| {
        let recording = scope.spawn(|| recording::record(options, folder));
        let course = Course { load, control: &control, front_end };
        let loaded = course.run(&|| recording.is_finished());
        control.end();
        let recorded = recording.join().expect("a recording does not panic");
        match (recorded, loaded) {
            (Ok(recorded), Ok(Went::Through)) => Ok(recorded),
            (Ok(mut recorded), Ok(Went::NotThrough)) => {
                if let Known::Recording(record) = &mut recorded.capture.known {
                    record.problems.push(
                        "the program ended before all connections of --load were measured"
                            .to_owned(),
                    );
                }
                Ok(recorded)
            }
            // What became of the program says more than that there was nothing to connect to.
            (Err(error), _) if error.fault() == Fault::Program => Err(error.into()),
            (_, Err(error)) => Err(error),
            (Err(error), Ok(_)) => Err(error.into()),
        }
    })
}

/// How far the load went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Went {
    Through,
    /// The program has ended before.
    NotThrough,
}

/// What the load does, step by step.
struct Course<'a> {
    load: &'a Load,
    control: &'a Control,
    front_end: &'a FrontEnd<'a>,
}

impl Course<'_> {
    fn run(&self, has_ended: &dyn Fn() -> bool) -> Result<Went, TrialError> {
        let Load { address, patience, .. } = *self.load;
        self.front_end.progress.now("waiting for the program to listen");
        let ended_within = |time| Ok(seen_within(time, || has_ended().then_some(())).is_some());
        wait_for(address.port(), ended_within, patience)?;
        runtime::of_this_thread()?.block_on(async {
            tokio::select! {
                biased;
                course = self.course() => course.map(|()| Went::Through),
                () = ended(has_ended) => Ok(Went::NotThrough),
            }
        })
    }

    async fn course(&self) -> Result<(), TrialError> {
        let program = &self.front_end.helper;
        let Load { connections, patience, .. } = *self.load;
        let progress = self.front_end.progress;
        self.rest().await;

        progress.now("connections that come and go");
        let work = Work::Keep {
            connections: WARM_UP,
            interval: None,
            hold: Some(Duration::ZERO),
            pace: 8,
        };
        let mut warm_up = Helper::load(program, "warm-up", &self.order().at(work))?;
        timeout(patience, finished(&mut warm_up)).await.map_err(|_| self.too_slow())??;
        self.none_left().await;
        self.rest().await;

        let few = (connections / 5).max(1);
        let mut open = Vec::new();
        for more in [few, connections - few, connections] {
            if more > 0 {
                progress.now(&format!("{more} more connections"));
                open.push(self.kept(more).await?);
                self.rest().await;
            }
        }
        self.control.capture(&format!("with {} connections at rest", 2 * connections));
        self.seen_when(patience, |seen| seen.is_captured).await;

        progress.now("closing them");
        while let Some(mut load) = open.pop() {
            load.ask_to_stop();
            load.ended().await?;
            self.rest().await;
        }
        self.none_left().await;
        self.rest().await;
        self.control.keep_closed();
        Ok(())
    }

    fn order(&self) -> LoadOrder {
        let mut order = LoadOrder::to(self.load.address);
        order.conversation = self.load.conversation.clone();
        order
    }

    /// Connections that stay, once all of them are answered.
    async fn kept(&self, connections: usize) -> Result<Helper, TrialError> {
        let work = Work::Keep { connections, interval: None, hold: None, pace: 16 };
        let program: &HelperProgram = self.front_end.helper;
        let mut load = Helper::load(program, "load", &self.order().at(work))?;
        let at_rest = async {
            while let Some(event) = load.next().await? {
                match event {
                    LoadEvent::AtRest { connections: open } if open == connections => return Ok(()),
                    LoadEvent::AtRest { connections: open } => {
                        return Err(TrialError::failed(format!(
                            "of {connections} connections {open} are open. Is --protocol right?"
                        )));
                    }
                    LoadEvent::Finished { report, .. } => return Err(failed(report.failure())),
                    _ => {}
                }
            }
            Err(failed(None))
        };
        timeout(self.load.patience, at_rest).await.map_err(|_| self.too_slow())??;
        Ok(load)
    }

    /// Waits until nothing moves, or as long as that may take: what moves on is told apart by what
    /// the recording has seen.
    async fn rest(&self) {
        let since = self.control.seen().looks;
        self.seen_when(RESTLESS, |seen| seen.looks > since + 2 && seen.still_for >= REST).await;
    }

    /// Waits until closed connections are freed, or as long as that may take.
    async fn none_left(&self) {
        self.seen_when(FREED, |seen| seen.live == 0).await;
    }

    async fn seen_when(&self, patience: Duration, wanted: impl Fn(&recording::Seen) -> bool) {
        let begun = Instant::now();
        while !wanted(&self.control.seen()) && begun.elapsed() < patience {
            sleep(GLANCE).await;
        }
    }

    fn too_slow(&self) -> TrialError {
        let Load { address, patience, .. } = self.load;
        TrialError::failed(format!(
            "the connections to {address} were not answered within {patience:?}. Is --protocol \
             right?"
        ))
    }
}

async fn ended(has_ended: &dyn Fn() -> bool) {
    while !has_ended() {
        sleep(GLANCE).await;
    }
}

/// Waits for the end of a load that ends by itself.
async fn finished(load: &mut Helper) -> Result<(), TrialError> {
    while let Some(event) = load.next().await? {
        if let LoadEvent::Finished { report, clean: false } = event {
            return Err(failed(report.failure()));
        }
    }
    match load.ended().await? {
        status if status.success() => Ok(()),
        status => Err(failed(Some(format!("it {}", in_words(status))))),
    }
}

fn failed(why: Option<String>) -> TrialError {
    let why = why.unwrap_or_else(|| "it ended".to_owned());
    TrialError::failed(format!("the load failed: {why}. Is --protocol right?"))
}
