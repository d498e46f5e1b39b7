//! One process that is watched: its ledger, read again and again.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use analysis::category::Judged;
use analysis::objects::{Object, objects_now_and_made};
use contract::Domain;
use ledger::{Counts, Coverage, LedgerError, Snapshot};
use profile::{Places, Profile, Symbols};
use recording::kernel;
use recording::ledger_folder::{self, Refused, forged, is_mapped};
use recording::profiles;

use crate::target::Candidate;
use crate::{Connections, LiveError};

/// One process.
#[derive(Debug)]
pub(crate) struct Followed {
    /// Its id, as it is known here.
    pub pid: u32,
    pub snapshot: Arc<Snapshot>,
    /// What is OpenSSL's of it.
    pub openssl: Arc<Snapshot>,
    pub profile: Arc<Profile>,
    pub coverage: Coverage,
    pub connections: Option<Connections>,
    pub objects: Option<BTreeMap<Object, i64>>,
    /// What each domain holds, and ever asked for.
    pub totals: BTreeMap<Domain, Counts>,
    pub has_ended: bool,
    judged: Judged,
    /// Where the sites are in the profile.
    places: Places,
}

/// What came of reading a ledger.
pub(crate) enum Read {
    /// As at the look before.
    Unchanged,
    Changed(Box<Followed>),
    /// It is no ledger yet: another look may find one.
    NotYet,
}

/// Reads the ledger for the first time, or again after `before`.
pub(crate) fn read(
    candidate: &Candidate,
    is_named: bool,
    before: Option<&mut Followed>,
    symbols: &mut Symbols,
) -> Result<Read, LiveError> {
    let Candidate { path, pid } = candidate;
    let read = || if is_named { by_name(path) } else { of_recording(path, before.is_none()) };
    let Some(mut snapshot) = read()? else { return Ok(Read::NotYet) };
    let pid = pid.unwrap_or(snapshot.pid);
    let has_ended = !is_mapped(path, pid);
    if has_ended {
        // What it has counted between the reading and its end.
        let Some(last) = read()? else { return Ok(Read::NotYet) };
        snapshot = last;
    }
    let same = |before: &&mut Followed| {
        before.has_ended == has_ended
            && before.snapshot.totals() == snapshot.totals()
            && before.snapshot.statistics == snapshot.statistics
            && before.snapshot.modules.len() == snapshot.modules.len()
    };
    // Neither allocated nor freed: both only ever grow.
    if before.as_ref().is_some_and(same) {
        return Ok(Read::Unchanged);
    }
    // At most looks only counts are new, and what is named stays so.
    let renewed = before.as_ref().and_then(|before| {
        let profile = before.places.renewed(&before.profile, &snapshot)?;
        Some(Named { profile, places: before.places.clone(), coverage: before.coverage.clone() })
    });
    let mut judged = before.map(|before| std::mem::take(&mut before.judged)).unwrap_or_default();
    let named = renewed.unwrap_or_else(|| Named::of(path, &snapshot, symbols, &mut judged));
    Ok(Read::Changed(Box::new(Followed::new(pid, snapshot, named, judged, has_ended))))
}

/// A snapshot with names.
struct Named {
    profile: Profile,
    places: Places,
    coverage: Coverage,
}

impl Named {
    fn of(path: &Path, snapshot: &Snapshot, symbols: &mut Symbols, judged: &mut Judged) -> Named {
        // An OpenSSL may be loaded at any time, and so get a name. Without the file, a process has
        // an id and no name.
        let coverage =
            ledger_folder::coverage(&path.with_extension("coverage")).unwrap_or_default();
        let (profile, places) =
            profiles::of_process_with_places(snapshot, &coverage, symbols, judged);
        Named { profile, places, coverage }
    }
}

/// A file that the user has named.
fn by_name(path: &Path) -> Result<Option<Snapshot>, LiveError> {
    let unreadable = |source| LiveError::Unreadable { path: path.to_owned(), source };
    // Nobody waits for the other end of a pipe.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(LiveError::NoLedgers(path.to_owned()));
    }
    let file = File::open(path).map_err(unreadable)?;
    Ok(Some(Snapshot::read_open(&file, &path.display().to_string())?))
}

/// A file that a recorded process has put there, or somebody who passes for one.
fn of_recording(path: &Path, is_new: bool) -> Result<Option<Snapshot>, LiveError> {
    // A ledger that `tlsheap serve --ledger` makes has the name that it was given.
    if ledger_folder::process_of(path).is_none() {
        return by_name(path);
    }
    let (snapshot, owner) = match ledger_folder::ledger(path) {
        Ok(read) => read,
        Err(error) if error.is_in_the_making() => return Ok(None),
        Err(Refused::Ledger(LedgerError::Unreadable { .. })) => return Ok(None),
        Err(error) => return Err(LiveError::Refused(error.to_string())),
    };
    let is_recorded = |pid| {
        // An id of another namespace may be anybody's here.
        let folder = path.parent().and_then(Path::parent).unwrap_or(path).as_os_str();
        let folder = folder.as_encoded_bytes();
        kernel::memory_map(pid)
            .is_ok_and(|maps| maps.windows(folder.len()).any(|part| part == folder))
    };
    match forged(path, snapshot.pid, owner, is_recorded).filter(|_| is_new) {
        Some(why) => Err(LiveError::Refused(why.to_string())),
        None => Ok(Some(snapshot)),
    }
}

impl Followed {
    fn new(
        pid: u32,
        snapshot: Snapshot,
        named: Named,
        judged: Judged,
        has_ended: bool,
    ) -> Followed {
        let Named { profile, places, coverage } = named;
        let totals = totals(&snapshot);
        let snapshot = Arc::new(snapshot);
        let has_others = totals.keys().any(|domain| *domain != Domain::Openssl);
        let openssl = if has_others {
            let mut openssl = Snapshot::clone(&snapshot);
            drop(openssl.take_all_but(Domain::Openssl));
            Arc::new(openssl)
        } else {
            Arc::clone(&snapshot)
        };
        let [objects, made] = objects_now_and_made(&profile);
        let ssl = |counts: &Option<BTreeMap<Object, i64>>| {
            let count = counts.as_ref().and_then(|counts| counts.get(&Object::Ssl)).copied();
            count.and_then(|count| u64::try_from(count).ok())
        };
        let connections =
            ssl(&objects).zip(ssl(&made)).map(|(live, made)| Connections { live, made });
        Followed {
            pid,
            snapshot,
            openssl,
            profile: Arc::new(profile),
            coverage,
            connections,
            objects,
            totals,
            has_ended,
            judged,
            places,
        }
    }

    /// Its program, without the folder.
    pub fn program(&self) -> String {
        let name = self.coverage.program.rsplit('/').next().unwrap_or_default();
        if name.is_empty() {
            return kernel::process(self.pid).map(|process| process.name).unwrap_or_default();
        }
        name.to_owned()
    }
}

/// What was dropped is OpenSSL's, as in a profile.
fn totals(snapshot: &Snapshot) -> BTreeMap<Domain, Counts> {
    let mut totals: BTreeMap<Domain, Counts> = BTreeMap::new();
    for site in snapshot.sites.iter().filter(|site| site.counts != Counts::default()) {
        totals.entry(site.source.domain).or_default().add(&site.counts);
    }
    if snapshot.statistics.dropped != Counts::default() {
        totals.entry(Domain::Openssl).or_default().add(&snapshot.statistics.dropped);
    }
    totals
}

/// Followed processes by the paths of their ledgers.
pub(crate) type AllFollowed = BTreeMap<PathBuf, Followed>;

/// What a process has had that has ended.
pub(crate) struct Buried {
    pub connections: Option<Connections>,
    pub totals: BTreeMap<Domain, Counts>,
}

impl Followed {
    /// The process has ended: its memory has gone with it. Returns what it had, once.
    pub fn bury(&mut self) -> Option<Buried> {
        let totals = std::mem::take(&mut self.totals);
        let connections = self.connections.take();
        let is_first = !self.has_ended || !self.snapshot.sites.is_empty();
        self.has_ended = true;
        // There may be thousands of them.
        self.snapshot = Arc::new(Snapshot { pid: self.pid, ..Snapshot::default() });
        self.openssl = Arc::clone(&self.snapshot);
        self.profile = Arc::new(Profile::of_heap());
        self.objects = None;
        is_first.then_some(Buried { connections, totals })
    }
}
