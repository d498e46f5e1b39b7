//! The server's memory at one moment, from all sides.

use std::path::Path;

use analysis::footprint::RecorderParts;
use contract::Domain;
use echo_server::HeapStatistics;
use ledger::Snapshot;
use recording::kernel::resident_bytes;
use recording::memory::of_process;

use crate::TrialError;

/// The ledger, the resident memory, and jemalloc's figures where they were asked for.
#[derive(Clone, Debug)]
pub struct Moment {
    /// OpenSSL's part of the ledger.
    pub snapshot: Snapshot,
    /// Rust's part of it, where that is counted.
    pub rust: Option<Snapshot>,
    pub rss_bytes: Option<u64>,
    /// The recorder's part of that.
    pub recorder_bytes: Option<u64>,
    pub heap: Option<Heap>,
}

/// What only an answer of the server tells.
#[derive(Clone, Debug)]
pub struct Heap {
    pub statistics: HeapStatistics,
    pub openssl_usable_bytes: u64,
    /// jemalloc's dump, if it samples.
    pub dump: Option<Vec<u8>>,
    /// `/proc/PID/smaps` right after the answer.
    pub smaps: Option<String>,
    /// The ledger's path as the server knows it, which smaps has.
    pub ledger: String,
}

impl Moment {
    /// What can be seen from outside.
    pub fn look(ledger: &Path, server: u32) -> Result<Moment, TrialError> {
        let mut snapshot = Snapshot::read_file(ledger)?;
        let rust = Some(snapshot.take_all_but(Domain::Openssl)).filter(|it| !it.sites.is_empty());
        let folder = ledger.parent().and_then(Path::to_str).unwrap_or_default();
        let recorder = RecorderParts::new(folder, snapshot.tables.iter().cloned());
        let recorder_bytes = of_process(server, &recorder).map(|it| it.recorder);
        let rss_bytes = resident_bytes(server);
        Ok(Moment { snapshot, rust, rss_bytes, recorder_bytes, heap: None })
    }

    /// Resident memory that is not the recorder's.
    pub fn without_recorder(&self) -> Option<u64> {
        Some(self.rss_bytes?.saturating_sub(self.recorder_bytes?))
    }
}
