//! Looks at what is watched, and keeps what is needed from one look to the next.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use analysis::block_sizes::BlockSizes;
use analysis::category::Judged;
use analysis::footprint::{Footprint, RecorderParts};
use analysis::objects::Object;
use analysis::steps::StepCost;
use contract::Domain;
use ledger::{Counts, Snapshot};
use profile::{Merged, Metric, Profile, Symbols, ValueType, from_ledger_with};
use recording::kernel;
use recording::live_sizes::live_sizes;
use recording::looks::Gathered;
use recording::watch::{Opened, Sight, SslObjects};

use crate::followed::{AllFollowed, Followed, Read, read};
use crate::resident::Resident;
use crate::target::{IsThere, Target};
use crate::view::Rows;
use crate::{Connections, Cost, LiveError, ProcessView, Rates, View, losses};

/// Estimating what a connection costs takes at most one part in so many of the time.
const SHARE: u32 = 200;

/// How long nothing may run in a recording's folder until it is taken for over.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks at a target from time to time.
#[derive(Debug)]
pub struct Follower {
    target: Target,
    symbols: Names,
    followed: AllFollowed,
    /// Files that are not what they claim to be, and why, in a sentence.
    refused: BTreeMap<PathBuf, String>,
    begun: Instant,
    last: Option<(Instant, Arc<View>)>,
    /// Since when nothing runs.
    still_since: Option<Instant>,
    gone: Gone,
    steps: Steps,
    resident: Resident,
}

/// The names that were needed up to now.
struct Names(Symbols);

impl std::fmt::Debug for Names {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Names(..)")
    }
}

/// What the processes had asked for that have ended.
#[derive(Debug, Default)]
struct Gone {
    processes: usize,
    made: u64,
    totals: BTreeMap<Domain, Counts>,
}

/// What a connection costs, by the looks up to now.
#[derive(Debug, Default)]
struct Steps {
    gathered: Gathered,
    next: Option<Instant>,
    cost: Option<Box<StepCost>>,
    of_connections: Option<Arc<Profile>>,
    judged: Judged,
}

impl Follower {
    /// Nothing seen yet.
    pub fn of(target: Target) -> Follower {
        Follower {
            target,
            symbols: Names(Symbols::new()),
            followed: AllFollowed::new(),
            refused: BTreeMap::new(),
            begun: Instant::now(),
            last: None,
            still_since: None,
            gone: Gone::default(),
            steps: Steps::default(),
            resident: Resident::default(),
        }
    }

    /// What is watched.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Looks now. Where nothing of the target runs any more, the view has no processes; a ledger
    /// that was named is shown as its process has left it.
    pub fn look(&mut self) -> Result<Arc<View>, LiveError> {
        let is_named = self.target.is_ledger();
        // The folder goes when the recording ends, and so does what runs in it.
        let candidates = self.target.candidates().unwrap_or_default();
        let mut changed = self.last.is_none();
        for candidate in candidates {
            let path = &candidate.path;
            if self.refused.contains_key(path) {
                continue;
            }
            let before = self.followed.get_mut(path);
            if before.as_ref().is_some_and(|before| before.has_ended) {
                continue;
            }
            match read(&candidate, is_named, before, &mut self.symbols.0) {
                Ok(Read::Unchanged | Read::NotYet) => {}
                Ok(Read::Changed(followed)) => {
                    changed = true;
                    self.followed.insert(candidate.path, *followed);
                }
                Err(error) if is_named => return Err(error),
                Err(error) => {
                    self.refused.insert(candidate.path, error.to_string());
                }
            }
        }
        changed |= self.bury(is_named);
        let now = Instant::now();
        self.gather();
        let view = Arc::new(self.view(now, changed));
        if self.followed.values().any(|followed| !followed.has_ended) {
            self.still_since = None;
        } else {
            self.still_since.get_or_insert(now);
        }
        self.last = Some((now, Arc::clone(&view)));
        Ok(view)
    }

    /// Whether all of it has ended, so that nothing more will be seen.
    pub fn is_over(&self) -> bool {
        let Some(since) = self.still_since else { return false };
        match self.target.is_there() {
            IsThere::Yes => false,
            IsThere::No => true,
            // What is recorded may start more, one after the other.
            IsThere::Unknown => !self.followed.is_empty() && since.elapsed() >= PATIENCE,
        }
    }

    /// Forgets the processes that have ended, but for what they had ever asked for.
    fn bury(&mut self, is_named: bool) -> bool {
        let is_there = |path: &Path| path.exists();
        let ended: Vec<PathBuf> = self
            .followed
            .iter()
            .filter(|(path, followed)| followed.has_ended || !is_there(path))
            .map(|(path, _)| path.clone())
            .collect();
        if is_named {
            return false;
        }
        for path in &ended {
            let Some(followed) = self.followed.get_mut(path) else { continue };
            let Some(gone) = followed.bury() else { continue };
            self.gone.processes += 1;
            self.gone.made += gone.connections.map_or(0, |it| it.made);
            for (domain, counts) in gone.totals {
                let counts = Counts { inuse_bytes: 0, inuse_blocks: 0, ..counts };
                self.gone.totals.entry(domain).or_default().add(&counts);
            }
        }
        !ended.is_empty()
    }

    /// The processes that are shown.
    fn shown(&self) -> impl Iterator<Item = (&PathBuf, &Followed)> {
        let is_named = self.target.is_ledger();
        self.followed.iter().filter(move |(_, followed)| is_named || !followed.has_ended)
    }

    /// Takes note of what memory does while connections come and go.
    fn gather(&mut self) {
        let mut sight = Sight::default();
        for (path, followed) in self.shown().filter(|(_, followed)| !followed.has_ended) {
            let Some(Connections { live, made }) = followed.connections else { continue };
            let ssl = SslObjects { live: live as i64, made: made as i64 };
            sight.ssl_of_running.insert(path.clone(), ssl);
            sight.opened.insert(path.clone(), Opened::of(followed.pid));
            sight.ledgers.insert(path.clone(), Arc::clone(&followed.openssl));
        }
        for path in self.followed.iter().filter(|(_, it)| it.has_ended).map(|(path, _)| path) {
            // Its ledger without a number of connections: it has ended.
            sight.ledgers.insert(path.clone(), Arc::new(Snapshot::default()));
        }
        self.steps.gathered.add(&sight);
        self.steps.estimate(&self.followed, &mut self.symbols.0);
    }

    fn view(&mut self, now: Instant, changed: bool) -> View {
        let profile = match &self.last {
            Some((_, last)) if !changed => Arc::clone(&last.profile),
            _ => self.profile(),
        };
        let mut shown: Vec<&Followed> = self.shown().map(|(_, followed)| followed).collect();
        shown.sort_by_key(|followed| (followed.snapshot.started_nanos, followed.pid));
        let mut totals = self.gone.totals.clone();
        let mut objects: Option<BTreeMap<Object, i64>> = Some(BTreeMap::new());
        let mut connections = Some(Connections { live: 0, made: self.gone.made });
        for followed in &shown {
            for (domain, counts) in &followed.totals {
                totals.entry(*domain).or_default().add(counts);
            }
            objects = objects.zip(followed.objects.as_ref()).map(|(mut all, more)| {
                for (object, count) in more {
                    let sum = all.entry(*object).or_default();
                    *sum = sum.saturating_add(*count);
                }
                all
            });
            connections = connections.zip(followed.connections).map(|(all, more)| Connections {
                live: all.live.saturating_add(more.live),
                made: all.made.saturating_add(more.made),
            });
        }
        let openssl = totals.get(&Domain::Openssl).copied().unwrap_or_default();
        let most = Cost::at_most(&openssl, connections);
        // An estimate that all that there is does not allow is worth nothing.
        let is_possible = |cost: &StepCost| {
            cost.is_certain() || most.bytes().is_none_or(|most| cost.open.bytes <= most)
        };
        let told = self.steps.cost.as_ref().filter(|cost| is_possible(cost));
        let (cost, of_connections) = match told.filter(|_| connections.is_some()) {
            Some(cost) => (Cost::Steps(cost.clone()), self.steps.of_connections.clone()),
            None => (most, None),
        };
        let all = sum(totals.values());
        let made = connections.map(|it| it.made);
        let rates = self.last.as_ref().and_then(|(then, last)| {
            let before = (sum(last.totals.values()), last.connections.map(|it| it.made));
            Rates::between((&before.0, before.1), (&all, made), now.duration_since(*then))
        });
        View {
            name: self.target.name().to_owned(),
            number: self.last.as_ref().map_or(1, |(_, last)| last.number + 1),
            at: SystemTime::now(),
            after: now.duration_since(self.begun),
            processes: shown.iter().map(|followed| process_view(followed)).collect(),
            ended: self.gone.processes,
            profile,
            totals,
            connections,
            of_connections,
            cost,
            rates,
            objects,
            recorder: losses::together(shown.iter().map(|followed| &followed.snapshot.statistics)),
            sampling: shown.iter().find_map(|followed| followed.snapshot.sampling),
            problems: self.refused.values().cloned().collect(),
            rows: Rows::default(),
        }
    }

    /// What the processes hold, in one profile.
    fn profile(&self) -> Arc<Profile> {
        let mut shown: Vec<&Followed> = self.shown().map(|(_, followed)| followed).collect();
        if let [only] = shown[..] {
            return Arc::clone(&only.profile);
        }
        shown.sort_by_key(|followed| (followed.snapshot.started_nanos, followed.pid));
        let mut whole = Merged::new(Profile::of_heap());
        for followed in shown {
            whole.add(&followed.profile);
        }
        Arc::new(whole.finish())
    }

    /// How large the live blocks of the processes that run are; `None` where that may not be looked
    /// at, and of a sample. It reads the tables of live blocks.
    pub fn block_sizes(&self) -> Option<BlockSizes> {
        let mut all = BlockSizes::default();
        for (path, followed) in self.followed.iter().filter(|(_, it)| !it.has_ended) {
            all.add_all(live_sizes(path, followed.pid, &followed.snapshot)?);
        }
        Some(all)
    }

    /// The resident memory of the processes that run, by parts; `None` where the kernel does not
    /// say it. It takes the kernel longer than everything else here.
    pub fn resident(&mut self) -> Option<Footprint> {
        let running: Vec<(&PathBuf, &Followed)> =
            self.followed.iter().filter(|(_, followed)| !followed.has_ended).collect();
        let pids: Vec<u32> = running.iter().map(|(_, followed)| followed.pid).collect();
        let tables = running.iter().flat_map(|(_, it)| it.snapshot.tables.iter().cloned());
        // Beside the ledgers' folder lies the library.
        let folder = running.first().and_then(|(path, _)| path.parent()?.parent()?.to_str());
        let is_recording = |folder: &&str| folder.contains("tlsheap-");
        let recorder = RecorderParts::new(folder.filter(is_recording).unwrap_or_default(), tables);
        self.resident.of(&pids, &recorder)
    }
}

impl Steps {
    /// Estimates anew, unless that would take too much of the time.
    fn estimate(&mut self, followed: &AllFollowed, symbols: &mut Symbols) {
        if self.next.is_some_and(|next| Instant::now() < next) {
            return;
        }
        let began = Instant::now();
        let cost = self.gathered.cost().filter(|cost| cost.each.is_told());
        self.of_connections = cost.as_ref().map(|cost| {
            let mut whole = Merged::new(of_two_columns());
            for (path, followed) in followed.iter().filter(|(_, it)| !it.has_ended) {
                let part = cost.of_connections(path, &followed.openssl);
                let values = |at: usize| {
                    let (bytes, blocks) = part.get(at).copied().unwrap_or_default();
                    let [bytes, blocks] =
                        [bytes, blocks].map(|it| i64::try_from(it).unwrap_or(i64::MAX));
                    vec![blocks, bytes]
                };
                let mut profile =
                    from_ledger_with(&followed.openssl, symbols, of_two_columns(), values);
                self.judged.label(&mut profile);
                whole.add(&profile);
            }
            Arc::new(whole.finish())
        });
        self.cost = cost.map(|cost| Box::new(cost.each));
        self.next = began.checked_add(SHARE * began.elapsed());
    }
}

fn of_two_columns() -> Profile {
    let types = [Metric::InuseObjects, Metric::InuseSpace]
        .map(|it| ValueType { kind: it.kind().to_owned(), unit: it.unit().to_owned() });
    Profile::new(types.to_vec(), Some(1))
}

fn sum<'a>(each: impl IntoIterator<Item = &'a Counts>) -> Counts {
    let mut sum = Counts::default();
    each.into_iter().for_each(|counts| sum.add(counts));
    sum
}

fn process_view(followed: &Followed) -> ProcessView {
    ProcessView {
        pid: followed.pid,
        program: followed.program(),
        counts: sum(followed.totals.values()),
        connections: followed.connections,
        resident_bytes: kernel::resident_bytes(followed.pid).filter(|_| !followed.has_ended),
    }
}
