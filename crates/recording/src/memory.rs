//! What memory the recorded processes have beside OpenSSL's, read from time to time.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use analysis::footprint::{Footprint, RecorderParts, footprint};
use analysis::memory_growth::{Climb, MemoryGrowth, Reading};
use ledger::Snapshot;
use profile::smaps;

use crate::kernel;
use crate::watch::Sight;

/// Reading takes at most one part in so many of the time: the kernel walks through all pages.
const SHARE: u32 = 20;

/// What is kept of the readings.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Of the recording: its library and its ledgers lie in it.
    folder: PathBuf,
    next: Option<Instant>,
    last: Option<Seen>,
    captured: Option<Seen>,
    most: Option<Footprint>,
    climb: Climb,
}

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What the processes had.
    pub footprint: Footprint,
    /// What OpenSSL had asked for and held then.
    pub openssl_bytes: u64,
}

impl Memory {
    /// Nothing read yet. Whatever lies in `folder` is the recorder's.
    pub fn beside(folder: &Path) -> Memory {
        Memory {
            folder: folder.to_owned(),
            next: None,
            last: None,
            captured: None,
            most: None,
            climb: Climb::default(),
        }
    }

    /// What the processes have now; `None` where it is not time to read that again, no process
    /// runs, or one may not be looked into.
    pub fn read(&mut self, sight: &Sight) -> Option<Footprint> {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        let read = self.footprint(sight);
        self.next = now.checked_add((SHARE * now.elapsed()).min(MOST_BETWEEN));
        let read = read?;
        let openssl_bytes = sight.totals.inuse_bytes;
        self.last = Some(Seen { footprint: read, openssl_bytes });
        if self.most.is_none_or(|most| most.own() <= read.own()) {
            self.most = Some(read);
        }
        self.climb.add(Reading {
            connections: u64::try_from(sight.ssl.live).unwrap_or_default(),
            own_bytes: read.own(),
            openssl_bytes,
        });
        Some(read)
    }

    /// Reads at the capture, whether it is time or not.
    pub fn capture(&mut self, sight: &Sight) -> Option<Footprint> {
        self.next = None;
        let read = self.read(sight)?;
        self.captured = self.last;
        Some(read)
    }

    /// At the capture, or where the program had ended the last that was seen.
    pub fn at_capture(&self) -> Option<Seen> {
        self.captured.or(self.last)
    }

    /// When the processes had most to themselves.
    pub fn most(&self) -> Option<Footprint> {
        self.most
    }

    /// By how much memory grew while connections came.
    pub fn growth(&self) -> Option<MemoryGrowth> {
        self.climb.growth()
    }

    fn footprint(&self, sight: &Sight) -> Option<Footprint> {
        let folder = self.folder.to_str()?;
        let running: Vec<&Snapshot> =
            sight.ssl_of_running.keys().map(|path| &*sight.ledgers[path]).collect();
        let tables = running.iter().flat_map(|snapshot| snapshot.tables.iter().cloned());
        let recorder = RecorderParts::new(folder, tables);
        let each = running.iter().map(|snapshot| of_process(snapshot.pid, &recorder));
        each.sum::<Option<Footprint>>().filter(|_| !running.is_empty())
    }
}

/// However long reading takes, it is done so often.
const MOST_BETWEEN: Duration = Duration::from_secs(30);

/// What one process has; `None` once it is gone, or when it may not be looked into.
pub fn of_process(pid: u32, recorder: &RecorderParts<'_>) -> Option<Footprint> {
    let areas = kernel::memory_areas(pid).filter(|text| !text.is_empty())?;
    let areas = smaps::parse(&areas, &format!("/proc/{pid}/smaps")).ok()?;
    Some(footprint(&areas, recorder))
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;

    use super::*;
    use crate::watch::SslObjects;

    fn sight(live: i64, tables: Vec<Range<u64>>) -> Sight {
        let snapshot = Snapshot { pid: std::process::id(), tables, ..Snapshot::default() };
        let path = PathBuf::from("1.ledger");
        Sight {
            ledgers: [(path.clone(), Arc::new(snapshot))].into(),
            ssl_of_running: [(path, SslObjects { live, made: live })].into(),
            ssl: SslObjects { live, made: live },
            ..Sight::default()
        }
    }

    #[test]
    fn this_process_grows_with_its_connections_by_what_it_touches() {
        let mut memory = Memory::beside(Path::new("/nowhere"));
        let before = memory.capture(&sight(0, Vec::new())).expect("it runs");
        let block = vec![1_u8; 64 << 20];
        let after = memory.capture(&sight(16, Vec::new())).expect("it runs");
        let grown = after.own() - before.own();
        // Other tests of this process have memory too.
        assert!((60 << 20..100 << 20).contains(&grown), "{grown}");
        let growth = memory.growth().expect("connections came");
        assert_eq!((growth.to, growth.bytes as u64), (16, grown));
        assert!(memory.most().is_some_and(|most| most.own() >= after.own()));
        // What the recorder has in the process is not the process's.
        let start = block.as_ptr() as u64 & !0xfff;
        let areas = kernel::memory_areas(std::process::id()).expect("it runs");
        let areas = smaps::parse(&areas, "smaps").expect("areas");
        let area = areas.iter().find(|area| (area.start..area.end).contains(&start));
        let area = area.expect("the block lies somewhere");
        let table = area.start..area.end;
        let without = memory.capture(&sight(16, vec![table])).expect("it runs");
        assert!(without.recorder >= 60 << 20, "{without:?}");
        drop(block);
    }

    #[test]
    fn of_a_process_that_is_gone_nothing_is_known() {
        let mut memory = Memory::beside(Path::new("/nowhere"));
        let mut gone = sight(0, Vec::new());
        gone.ledgers.values_mut().for_each(|it| Arc::make_mut(it).pid = u32::MAX);
        assert_eq!(memory.read(&gone), None);
        assert_eq!(memory.capture(&Sight::default()), None);
        assert_eq!((memory.at_capture(), memory.growth()), (None, None));
    }
}
