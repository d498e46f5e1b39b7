//! The ledgers of the recorded processes while they run, read from time to time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use analysis::objects::{self, Object};
use contract::{Domain, Scope};
use ledger::{Counts, Reading, Site, Snapshot};
use profile::{Symbols, from_ledger};

use crate::descendants::Descendants;
use crate::kernel;
use crate::ledger_folder::{self, Files, Read, forged, is_mapped};
use crate::processes::is_recorded_by;
use crate::recognisable::has_recognisable_objects;

/// Ledgers by their paths, as they were at one moment.
pub type Ledgers = BTreeMap<PathBuf, Arc<Snapshot>>;

/// SSL objects: one for each end of a connection that is in a recorded process. In a sampled
/// recording they are not counted: 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SslObjects {
    /// There now.
    pub live: i64,
    /// Ever made.
    pub made: i64,
}

/// What the kernel says of a process that runs; `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Open files, sockets among them.
    pub files: Option<i64>,
    /// Threads.
    pub threads: Option<i64>,
}

impl Opened {
    /// Of the process with this id, now.
    pub fn of(pid: u32) -> Opened {
        Opened { files: kernel::open_files(pid), threads: kernel::threads(pid) }
    }
}

/// What is seen at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// Every ledger, without what is in `heap`. What a process held went with it: those of
    /// processes that have ended hold nothing any more, but keep what was allocated, and the peak.
    pub ledgers: Ledgers,
    /// What everybody else asked the malloc family and the kernel for in the same processes, where
    /// the whole process is recorded: no ledgers where it is not.
    pub heap: Ledgers,
    /// Ids of the processes that are running.
    pub running: Vec<u32>,
    /// All ledgers added up: OpenSSL's memory.
    pub totals: Counts,
    /// In all processes.
    pub ssl: SslObjects,
    /// In each process that is running, by its ledger.
    pub ssl_of_running: BTreeMap<PathBuf, SslObjects>,
    /// What the kernel says of each of those.
    pub opened: BTreeMap<PathBuf, Opened>,
    /// SSL objects would not be recognised in any of the processes that run and ask for memory.
    pub unrecognisable: bool,
}

/// The folder of ledgers, and what is known of them.
pub struct Watch {
    folder: PathBuf,
    scope: Scope,
    /// The names that were needed up to now; naming is most of the work at the end.
    pub symbols: Symbols,
    watched: BTreeMap<PathBuf, Watched>,
    /// Of processes that do not count, and have ended.
    left_out: BTreeSet<PathBuf>,
    /// Files that are not what they claim to be, and why, in a sentence.
    pub refused: BTreeMap<PathBuf, String>,
}

/// One process.
struct Watched {
    snapshot: Arc<Snapshot>,
    /// The snapshot's.
    totals: Counts,
    /// What is not OpenSSL's, if anything is recorded of it.
    heap: Option<Arc<Snapshot>>,
    ssl: SslObjects,
    ended: bool,
    /// Whether its SSL objects would be recognised; `None` where that is not known yet.
    recognisable: Option<bool>,
    /// What its ledger had counted, while the process runs.
    reading: Option<Reading>,
}

impl Watch {
    /// Nothing seen yet.
    pub fn on(folder: &Path, scope: Scope) -> Watch {
        Watch {
            folder: folder.to_owned(),
            scope,
            symbols: Symbols::new(),
            watched: BTreeMap::new(),
            left_out: BTreeSet::new(),
            refused: BTreeMap::new(),
        }
    }

    /// Looks now. A ledger that cannot be read is left out: it may be in the making, and what is
    /// wrong with it is said when all are read at the end.
    pub fn look(&mut self, descendants: &Descendants) -> Sight {
        for path in Files::of(&self.folder).unwrap_or_default().ledgers {
            let ended = self.watched.get(&path).is_some_and(|watched| watched.ended);
            let is_known = self.left_out.contains(&path) || self.refused.contains_key(&path);
            if !ended && !is_known {
                self.read(path, descendants);
            }
        }
        let mut sight = Sight::default();
        let mut recognisable = Vec::new();
        for (path, watched) in &self.watched {
            sight.totals.add(&watched.totals);
            sight.ssl.live += watched.ssl.live;
            sight.ssl.made += watched.ssl.made;
            if !watched.ended {
                sight.running.push(watched.snapshot.pid);
                sight.ssl_of_running.insert(path.clone(), watched.ssl);
                sight.opened.insert(path.clone(), Opened::of(watched.snapshot.pid));
                recognisable.extend(watched.recognisable);
            }
            sight.ledgers.insert(path.clone(), Arc::clone(&watched.snapshot));
            sight.heap.extend(watched.heap.clone().map(|heap| (path.clone(), heap)));
        }
        sight.unrecognisable = !recognisable.is_empty() && !recognisable.contains(&true);
        sight
    }

    fn read(&mut self, path: PathBuf, descendants: &Descendants) {
        let before = self.watched.get(&path);
        let reading = before.and_then(|before| before.reading.as_ref());
        let Ok(changed) = ledger_folder::changed_ledger(&path, reading) else { return };
        let runs = before.is_some_and(|before| is_mapped(&path, before.snapshot.pid));
        if changed.is_none() && runs {
            return;
        }
        let read = match changed {
            Some(read) => Ok(Some(read)),
            // Its process has ended since.
            None => ledger_folder::changed_ledger(&path, None),
        };
        let Ok(Some(Read { mut snapshot, owner, reading })) = read else { return };
        if before.is_none()
            && let Some(why) = forged(&path, snapshot.pid, owner, |pid| descendants.knows(pid))
        {
            self.refused.insert(path, why.to_string());
            return;
        }
        let ended = !is_mapped(&path, snapshot.pid);
        if ended {
            // What it has counted between the reading and its end.
            let Ok((last, _)) = ledger_folder::ledger(&path) else { return };
            snapshot = last;
        }
        let mut heap = snapshot.take_all_but(Domain::Openssl);
        if !is_recorded_by(self.scope, &path, &snapshot) {
            if ended {
                self.left_out.insert(path);
            }
            return;
        }
        let unchanged = before.filter(|watched| watched.totals == snapshot.totals());
        let mut ssl = match unchanged {
            Some(watched) => watched.ssl,
            None => ssl_objects(&snapshot, &mut self.symbols),
        };
        let recognisable = match before.and_then(|watched| watched.recognisable) {
            None => has_recognisable_objects(&snapshot, &mut self.symbols),
            known => known,
        };
        if ended {
            ssl.live = 0;
            bury(&mut snapshot);
            bury(&mut heap);
        }
        let heap = (!heap.sites.is_empty()).then(|| Arc::new(heap));
        let (totals, snapshot) = (snapshot.totals(), Arc::new(snapshot));
        let reading = (!ended).then_some(reading);
        let watched = Watched { snapshot, totals, heap, ssl, ended, recognisable, reading };
        self.watched.insert(path, watched);
    }
}

/// Takes away what the process held.
fn bury(snapshot: &mut Snapshot) {
    let counts = snapshot.sites.iter_mut().map(|site| &mut site.counts);
    for counts in counts.chain([&mut snapshot.statistics.dropped]) {
        counts.inuse_blocks = 0;
        counts.inuse_bytes = 0;
    }
}

/// Only the sites of one source file need names; where the library tells no file, those whose
/// blocks are as large as an SSL object.
fn ssl_objects(snapshot: &Snapshot, symbols: &mut Symbols) -> SslObjects {
    let name = objects::SSL_SOURCE.rsplit('/').next().unwrap_or_default();
    let may_be = |site: &Site| match site.file.as_deref() {
        Some(file) if !file.is_empty() => file.ends_with(name),
        _ => {
            let Counts { alloc_bytes, alloc_blocks, .. } = site.counts;
            alloc_bytes / alloc_blocks.max(1) >= objects::LEAST_SSL_BYTES
        }
    };
    let sites: Vec<_> = snapshot.sites.iter().filter(|site| may_be(site)).cloned().collect();
    if sites.is_empty() {
        return SslObjects::default();
    }
    let part = Snapshot {
        sites,
        modules: snapshot.modules.clone(),
        started_nanos: snapshot.started_nanos,
        sampling: snapshot.sampling,
        ..Snapshot::default()
    };
    let profile = from_ledger(&part, symbols);
    let ssl = |counts: Option<BTreeMap<Object, i64>>| {
        counts.and_then(|counts| counts.get(&Object::Ssl).copied()).unwrap_or_default()
    };
    SslObjects { live: ssl(objects::objects(&profile)), made: ssl(objects::objects_made(&profile)) }
}
