//! Looks at the recorded processes while they run, and keeps what is needed of what it sees.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use capture::folder;
use contract::environment;
use profile::Symbols;

use crate::control::{Control, Seen};
use crate::descendants::{Descendants, Lost};
use crate::goals::{Reached, Since, UNRECOGNISABLE, Waiting};
use crate::heap_looks::HeapLooks;
use crate::looks::Gathered;
use crate::memory::Memory;
use crate::moments::{Moment, Moments};
use crate::options::Notice;
use crate::over_time::OverTime;
use crate::pace::{self, Pace};
use crate::place::Place;
use crate::series::Series;
use crate::watch::{Sight, Watch};
use crate::{Options, PythonObjects, RecordingError};

/// What is kept of the program's life.
pub struct Observer<'a> {
    begun: Instant,
    next: Instant,
    watch: Watch,
    waiting: Waiting,
    series: Option<Series<'a>>,
    moments: Moments,
    looks: Gathered,
    heap_looks: HeapLooks,
    /// Looks are gathered: until the capture, or where the load goes on behind it, until the
    /// connections are closed.
    gathers: bool,
    control: Control,
    rest: Since<(i64, u64)>,
    seen: u64,
    over_time: OverTime,
    memory: Memory,
    descendants: Descendants,
    /// Told while the program runs, once.
    notice: Notice,
    /// Whether SSL objects are counted; a sample does not say how many there are.
    counts_objects: bool,
    reached: Option<Reached>,
    /// The most SSL objects that were live at one look.
    most: i64,
    /// What went wrong, in sentences.
    problems: Vec<String>,
    /// When to look next.
    pace: Pace,
}

/// What was seen of the program's life.
pub struct Observed {
    pub moments: Moments,
    /// What every look up to the capture has seen, for what a connection costs.
    pub looks: Gathered,
    /// The same of what is not OpenSSL's.
    pub heap_looks: HeapLooks,
    pub over_time: OverTime,
    /// What memory the processes had beside OpenSSL's.
    pub memory: Memory,
    /// Captures of the series.
    pub captures: usize,
    /// Processes that were not recorded, the certain ones first.
    pub lost: Vec<Lost>,
    /// The names that were needed up to now.
    pub symbols: Symbols,
    /// Files that claim to be ledgers of other processes, and why they are not, in sentences.
    pub refused: BTreeMap<PathBuf, String>,
    /// What went wrong, and what was waited for in vain, in sentences.
    pub problems: Vec<String>,
    /// The goal that was reached.
    pub reached: Option<Reached>,
}

impl<'a> Observer<'a> {
    /// Of a program that was started, or of processes that were attached to, just now.
    pub fn of(
        options: &Options,
        programs: &[u32],
        place: &Place,
        folder: &'a Path,
    ) -> Result<Observer<'a>, RecordingError> {
        let now = Instant::now();
        Ok(Observer {
            begun: now,
            next: now + pace::CLOSE,
            watch: Watch::on(place.ledgers(), options.scope),
            waiting: Waiting::new(options.goals, now),
            series: options
                .every
                .map(|every| Series::start(every, folder, place.series()))
                .transpose()?,
            moments: Moments::default(),
            looks: Gathered::default(),
            heap_looks: HeapLooks::start(),
            gathers: options.sample.is_none(),
            control: options.control.clone(),
            rest: Since::new((0, 0), now),
            seen: 0,
            over_time: OverTime::start(),
            memory: match (&options.attach_to, options.sample) {
                (None, None) => Memory::beside(place.secret()),
                _ => Memory::beside_some_blocks(place.secret()),
            },
            descendants: Descendants::of(programs, place.secret(), &needed(options)),
            notice: options.notice.clone(),
            counts_objects: options.sample.is_none(),
            reached: None,
            most: 0,
            problems: Vec::new(),
            pace: Pace::start(now),
        })
    }

    /// Since the program's start.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// When to look next.
    pub fn next_look(&self) -> Instant {
        match self.waiting.goals().time.and_then(|time| self.begun.checked_add(time)) {
            Some(end) if self.moments.captured.is_none() => self.next.min(end),
            _ => self.next,
        }
    }

    /// Looks. `true` when a goal was reached: the capture is made, and the program may end.
    pub fn look(&mut self) -> bool {
        let began = Instant::now();
        let (sight, looked) = (self.watch.look(&self.descendants), Instant::now());
        let elapsed = self.elapsed();
        self.most = self.most.max(sight.ssl.live);
        if self.counts_objects {
            self.moments.consider(&sight, elapsed);
        }
        self.memory.look(&sight);
        self.gather(&sight);
        let mut reached = false;
        let mut capture = String::new();
        if self.moments.captured.is_none()
            && let Some(goal) = self.waiting.reached(&sight, elapsed, looked)
        {
            self.moments.capture(&sight, elapsed, &goal.in_words());
            self.gathers = false;
            self.reached = Some(goal);
            folder::HEAP.clone_into(&mut capture);
            reached = true;
        }
        let mut looking = began.elapsed();
        if let Some(series) = &mut self.series
            && self.moments.captured.is_none()
            && !sight.running.is_empty()
            && series.is_due(elapsed)
        {
            // Without it, the program and the rest of the recording go on.
            capture = series.add(elapsed, &sight, &mut self.watch.symbols).unwrap_or_default();
        }
        let began = Instant::now();
        if self.over_time.is_due(elapsed) || !capture.is_empty() {
            let memory =
                if reached { self.memory.capture(&sight) } else { self.memory.line(&sight) };
            self.over_time.add(elapsed, &sight, memory, &capture);
            self.descendants.look();
            self.tell_what_is_waited_for_in_vain();
        }
        looking += began.elapsed();
        let now = Instant::now();
        self.next = now + self.pace.after(&sight, now, looking);
        self.tell(&sight, looked);
        reached
    }

    fn gather(&mut self, sight: &Sight) {
        if self.gathers {
            self.looks.add(sight);
            self.heap_looks.add(sight);
        }
    }

    /// Connections of a process that is not recorded are never seen.
    fn tell_what_is_waited_for_in_vain(&mut self) {
        if self.waiting.goals().at_rest.is_some()
            && self.moments.captured.is_none()
            && let Some(sentence) = self.descendants.cut_off()
        {
            self.notice.tell(&format!("{sentence}; until then, its connections do not count"));
        }
    }

    /// Tells whoever steers the recording.
    fn tell(&mut self, sight: &Sight, now: Instant) {
        self.rest.update((sight.ssl.live, sight.totals.inuse_bytes), now);
        self.seen += 1;
        self.control.look(Seen {
            looks: self.seen,
            live: sight.ssl.live,
            inuse_bytes: sight.totals.inuse_bytes,
            still_for: self.rest.lasts(now),
            is_captured: self.moments.captured.is_some(),
        });
    }

    /// Makes the capture now, if there is none yet, as the last of what is looked for.
    pub fn capture(&mut self, how: &str) {
        self.capture_and_go_on(how);
        self.gathers = false;
    }

    /// Makes the capture now, if there is none yet. The connections in it are seen to go.
    pub fn capture_and_go_on(&mut self, how: &str) {
        if self.moments.captured.is_none() {
            let (sight, elapsed) = (self.watch.look(&self.descendants), self.elapsed());
            self.gather(&sight);
            if self.gathers {
                self.looks.mark();
                self.heap_looks.mark();
            }
            self.moments.capture(&sight, elapsed, how);
            let memory = self.memory.capture(&sight);
            self.over_time.add(elapsed, &sight, memory, folder::HEAP);
            self.tell(&sight, Instant::now());
        }
    }

    /// Keeps this moment as the one at which the connections of the capture are closed.
    pub fn keep_closed(&mut self) {
        let (sight, elapsed) = (self.watch.look(&self.descendants), self.elapsed());
        self.gather(&sight);
        self.gathers = false;
        let memory = self.memory.close(&sight);
        self.over_time.add(elapsed, &sight, memory, folder::CLOSED);
        self.moments.closed = Some(Moment::new(&sight, elapsed, ""));
    }

    /// The capture is made.
    pub fn has_captured(&self) -> bool {
        self.moments.captured.is_some()
    }

    /// The program has ended: whether there is a goal that has not been reached, and something
    /// goes on that may reach it.
    pub fn waits(&mut self) -> bool {
        if !self.waiting.goals().any() || self.moments.captured.is_some() {
            return false;
        }
        self.descendants.look_everywhere();
        self.descendants.running() > 0
    }

    /// The program and what it has started.
    pub fn descendants(&mut self) -> &mut Descendants {
        &mut self.descendants
    }

    /// What was seen up to now. The names go with it, for they are many: hand them back with
    /// [`Observer::take_back`].
    pub fn so_far(&mut self) -> Observed {
        Observed {
            moments: self.moments.clone(),
            looks: self.looks.clone(),
            heap_looks: self.heap_looks.clone(),
            over_time: self.over_time.clone(),
            memory: self.memory.clone(),
            captures: self.series.as_ref().map_or(0, Series::captures),
            lost: self.descendants.lost().into_iter().collect(),
            symbols: std::mem::take(&mut self.watch.symbols),
            refused: self.watch.refused.clone(),
            problems: self.problems.iter().cloned().chain(self.lost_captures()).collect(),
            reached: self.reached,
        }
    }

    fn lost_captures(&self) -> Option<String> {
        self.series.as_ref().and_then(Series::lost)
    }

    /// Takes the names back that [`Observer::so_far`] gave away.
    pub fn take_back(&mut self, symbols: Symbols) {
        self.watch.symbols = symbols;
    }

    /// The end: nothing is recorded any more.
    pub fn finish(mut self) -> Observed {
        let (sight, elapsed) = (self.watch.look(&self.descendants), self.elapsed());
        let memory = self.memory.line(&sight);
        self.over_time.add(elapsed, &sight, memory, "");
        let rested = matches!(self.reached, Some(Reached::Rest { .. } | Reached::Restless { .. }));
        if let Some(wanted) = self.waiting.goals().at_rest.filter(|_| !rested) {
            let most = self.most;
            self.problems.push(if self.reached == Some(Reached::Unrecognisable) {
                UNRECOGNISABLE.to_owned()
            } else if u64::try_from(most).is_ok_and(|most| most >= wanted) {
                format!(
                    "there were up to {most} SSL objects, but never {wanted} or more whose number \
                     stayed the same for long enough to be called at rest"
                )
            } else {
                format!("there never were {wanted} SSL objects: at most {most} were seen")
            });
        }
        self.problems.extend(self.lost_captures());
        Observed {
            moments: self.moments,
            looks: self.looks,
            heap_looks: self.heap_looks,
            over_time: self.over_time,
            memory: self.memory,
            captures: self.series.map_or(0, |series| series.captures()),
            lost: self.descendants.lost().into_iter().collect(),
            refused: self.watch.refused,
            symbols: self.watch.symbols,
            problems: self.problems,
            reached: self.reached,
        }
    }
}

/// The variables that a process needs to be recorded.
fn needed(options: &Options) -> Vec<&'static str> {
    if options.attach_to.is_some() {
        // What it starts is not recorded, whatever it has.
        return Vec::new();
    }
    let sample = options.sample.map(|_| environment::SAMPLE);
    let all = [environment::SAMPLE_SEED, environment::FIXES];
    let given = all
        .into_iter()
        .filter(|name| options.environment.iter().any(|(given, _)| given.as_os_str() == *name));
    let heap = options.scope.is_whole().then_some(environment::SCOPE);
    let python = matches!(options.python, PythonObjects::OneByOne).then_some(environment::PYTHON);
    let always = [environment::PRELOAD, environment::LEDGER_FOLDER];
    always.into_iter().chain(sample).chain(heap).chain(python).chain(given).collect()
}

impl Moment {
    /// When and how it was, in words.
    pub fn in_words(&self) -> String {
        let comma = if self.how.is_empty() { "" } else { ", " };
        format!("after {:.1} s{comma}{}", self.after.as_secs_f64(), self.how)
    }
}
