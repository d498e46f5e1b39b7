//! Profiles of recorded processes, with names and categories.

use std::path::Path;
use std::sync::Arc;

use analysis::category::Judged;
use analysis::process;
use capture::json::interval::CountsInterval;
use capture::records::counts::CountsRecord;
use contract::Domain;
use ledger::{Counts, Coverage, Snapshot};
use profile::{Merged, Places, Profile, Symbols, from_recording_with_places, merge};

use crate::ledger_folder;
use crate::watch::Ledgers;

/// The profile of one process. Each sample says which process it is of. `judged` knows the stacks
/// of the processes before.
pub fn of_process(
    snapshot: &Snapshot,
    coverage: &Coverage,
    symbols: &mut Symbols,
    judged: &mut Judged,
) -> Profile {
    of_process_with_places(snapshot, coverage, symbols, judged).0
}

/// The same, with the places of the sites in the profile.
pub fn of_process_with_places(
    snapshot: &Snapshot,
    coverage: &Coverage,
    symbols: &mut Symbols,
    judged: &mut Judged,
) -> (Profile, Places) {
    let (mut profile, places) =
        from_recording_with_places(snapshot, symbols, &coverage.openssl_names());
    judged.label(&mut profile);
    let program = coverage.program.rsplit('/').next().unwrap_or_default();
    let label: Arc<str> = format!("{} {program}", snapshot.pid).into();
    for sample in profile.samples_mut() {
        sample.set_label(process::LABEL, Arc::clone(&label));
    }
    (profile, places)
}

/// The profile of all processes.
pub fn merged(ledgers: &Ledgers, symbols: &mut Symbols) -> Profile {
    let (mut whole, mut judged) = (Merged::new(Profile::of_heap()), Judged::default());
    for (path, snapshot) in in_order(ledgers) {
        // Without the file, a process has an id and no name.
        let coverage =
            ledger_folder::coverage(&path.with_extension("coverage")).unwrap_or_default();
        whole.add(&of_process(snapshot, &coverage, symbols, &mut judged));
    }
    whole.finish()
}

/// The profile of all processes, of what is not OpenSSL's as well, where that is recorded.
pub fn whole(openssl: &Ledgers, heap: &Ledgers, symbols: &mut Symbols) -> Profile {
    let mut profile = merged(openssl, symbols);
    if !heap.is_empty() {
        merge(&mut profile, &merged(heap, symbols));
    }
    profile
}

/// The totals of ledgers.
pub fn totals(ledgers: &Ledgers) -> CountsRecord {
    CountsRecord::of(ledgers.values().map(|snapshot| &**snapshot))
}

/// The totals of one domain that is not OpenSSL's, in ledgers without that. In a sample there is no
/// other than the malloc family's.
pub fn totals_of(ledgers: &Ledgers, domain: Domain) -> CountsRecord {
    let mut totals = Counts::default();
    for snapshot in ledgers.values() {
        totals.add(&snapshot.totals_of(domain));
    }
    let heap = ledgers.values().filter(|_| domain == Domain::Heap).map(|snapshot| &**snapshot);
    let interval95 = CountsInterval::of_ledgers(&totals, heap);
    CountsRecord { interval95, ..totals.into() }
}

/// The processes in order of their beginnings.
pub fn in_order(ledgers: &Ledgers) -> Vec<(&Path, &Snapshot)> {
    let mut all: Vec<(&Path, &Snapshot)> =
        ledgers.iter().map(|(path, snapshot)| (path.as_path(), &**snapshot)).collect();
    all.sort_by_key(|(path, snapshot)| (snapshot.started_nanos, snapshot.pid, *path));
    all
}
