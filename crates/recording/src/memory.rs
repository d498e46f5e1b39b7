//! What memory the recorded processes have beside OpenSSL's, read from time to time.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use analysis::footprint::{Footprint, RecorderParts, footprint};
use analysis::memory_growth::{Climb, MemoryGrowth, Reading};
use ledger::Snapshot;
use profile::smaps;

use crate::accounts::Accounts;
use crate::kernel;
use crate::watch::Sight;

/// Reading all areas takes at most one part in so many of the time, but for the moments that
/// growth is told from.
const SHARE: u32 = 100;

/// Where they say the same again and again, one part in so many times that.
const MOST_PATIENCE: u32 = 8;

/// Having the kernel add the areas up takes at most one part in so many.
const SHARE_OF_SUMS: u32 = 25;

/// What is kept of the readings.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Of the recording: its library and its ledgers lie in it.
    folder: PathBuf,
    /// When all areas are read again, at the earliest.
    next: Option<Instant>,
    /// When their sum is.
    next_sum: Option<Instant>,
    /// So many times as long is waited for the next reading, where the last ones said the same.
    patience: u32,
    /// Live SSL objects and OpenSSL's bytes at the last look.
    at_last_look: (i64, u64),
    /// The most SSL objects that were live while nothing moved.
    still_with: i64,
    last: Option<Seen>,
    captured: Option<Seen>,
    most: Option<Footprint>,
    climb: Climb,
    /// What that memory is, where the whole process is recorded.
    accounts: Accounts,
}

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What the processes had.
    pub footprint: Footprint,
    /// What OpenSSL had asked for and held then.
    pub openssl_bytes: u64,
}

/// Resident memory for a line of the time line, without the recorder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// All of it.
    pub bytes: u64,
    /// What it is, where all areas were read for that.
    pub parts: Option<Footprint>,
}

impl From<Footprint> for Resident {
    fn from(read: Footprint) -> Resident {
        Resident { bytes: read.total(), parts: Some(read) }
    }
}

impl Memory {
    /// Nothing read yet. Whatever lies in `folder` is the recorder's.
    pub fn beside(folder: &Path) -> Memory {
        Memory {
            folder: folder.to_owned(),
            next: None,
            next_sum: None,
            patience: 1,
            at_last_look: (0, 0),
            still_with: 0,
            last: None,
            captured: None,
            most: None,
            climb: Climb::default(),
            accounts: Accounts::default(),
        }
    }

    /// The same, of processes of which not every block is known: some are from before the recording,
    /// or in no sample.
    pub fn beside_some_blocks(folder: &Path) -> Memory {
        Memory { accounts: Accounts::barred(), ..Memory::beside(folder) }
    }

    /// Takes note of what is seen at every look: where there are more connections than ever before
    /// and nothing moves, memory is read.
    pub fn look(&mut self, sight: &Sight) {
        let now = (sight.ssl.live, sight.totals.inuse_bytes);
        let is_still = std::mem::replace(&mut self.at_last_look, now) == now;
        if is_still && sight.ssl.live > self.still_with {
            self.still_with = sight.ssl.live;
            self.read(sight);
            if let Some(recorder) = recorder_parts(&self.folder, sight) {
                self.accounts.look(sight, &recorder);
            }
        }
    }

    /// What the processes have now but for the recorder's, for a line of the time line; `None`
    /// where no process runs, or one may not be looked into, and where that has just taken long. What
    /// is the recorder's changes little: it may be that of a reading before.
    pub fn line(&mut self, sight: &Sight) -> Option<Resident> {
        match self.last.filter(|_| self.next.is_some_and(|next| Instant::now() < next)) {
            Some(last) => {
                // The kernel goes through all pages for it, and large programs wait meanwhile when
                // they map memory.
                if self.next_sum.is_some_and(|next| Instant::now() < next) {
                    return None;
                }
                let began = Instant::now();
                let all = sight.running.iter().map(|pid| kernel::proportional_bytes(*pid));
                let all = all.sum::<Option<u64>>().filter(|_| !sight.running.is_empty());
                let pause = SHARE_OF_SUMS * self.patience * began.elapsed();
                self.next_sum = began.checked_add(pause);
                let bytes = all?.saturating_sub(last.footprint.recorder);
                Some(Resident { bytes, parts: None })
            }
            None => self.read(sight).map(Resident::from),
        }
    }

    /// Reads at the capture, whether it is time or not.
    pub fn capture(&mut self, sight: &Sight) -> Option<Resident> {
        let read = self.read(sight)?;
        self.captured = self.last;
        if let Some(recorder) = recorder_parts(&self.folder, sight) {
            self.accounts.capture(sight, &recorder);
        }
        Some(read.into())
    }

    /// Reads when the connections of the capture are closed, whether it is time or not.
    pub fn close(&mut self, sight: &Sight) -> Option<Resident> {
        let read = self.read(sight)?;
        if let Some(recorder) = recorder_parts(&self.folder, sight) {
            self.accounts.close(sight, &recorder);
        }
        Some(read.into())
    }

    fn read(&mut self, sight: &Sight) -> Option<Footprint> {
        let began = Instant::now();
        let read = self.footprint(sight);
        // What it has of files moves with whoever else has them.
        let own = |read: Footprint| read.own();
        let is_same = read.is_some() && self.last.map(|it| own(it.footprint)) == read.map(own);
        self.patience = if is_same { (2 * self.patience).min(MOST_PATIENCE) } else { 1 };
        let pause = SHARE * self.patience * began.elapsed();
        self.next = began.checked_add(pause.min(MOST_BETWEEN));
        let read = read?;
        let openssl_bytes = sight.totals.inuse_bytes;
        self.last = Some(Seen { footprint: read, openssl_bytes });
        if let Some(recorder) = recorder_parts(&self.folder, sight) {
            self.accounts.note(sight, read.own(), &recorder);
        }
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

    /// At the capture, or where the program had ended the last that was seen.
    pub fn at_capture(&self) -> Option<Seen> {
        self.captured.or(self.last)
    }

    /// What the memory at the capture is.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
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
        let recorder = recorder_parts(&self.folder, sight)?;
        let each = running(sight).map(|snapshot| of_process(snapshot.pid, &recorder));
        each.sum::<Option<Footprint>>().filter(|_| !sight.ssl_of_running.is_empty())
    }
}

fn running(sight: &Sight) -> impl Iterator<Item = &Snapshot> {
    sight.ssl_of_running.keys().map(|path| &*sight.ledgers[path])
}

/// What is the recorder's in the processes that run: its files lie in `folder`.
fn recorder_parts<'a>(folder: &'a Path, sight: &Sight) -> Option<RecorderParts<'a>> {
    let tables = running(sight).flat_map(|snapshot| snapshot.tables.iter().cloned());
    Some(RecorderParts::new(folder.to_str()?, tables))
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
            running: vec![std::process::id()],
            ..Sight::default()
        }
    }

    #[test]
    fn more_connections_than_ever_are_a_moment_to_read_where_nothing_moves() {
        let mut memory = Memory::beside(Path::new("/nowhere"));
        memory.look(&sight(12, Vec::new()));
        assert_eq!(memory.at_capture(), None, "it may be in motion");
        memory.look(&sight(12, Vec::new()));
        assert!(memory.at_capture().is_some());
        memory.next = None;
        memory.look(&sight(12, Vec::new()));
        assert!(memory.next.is_none(), "it was read before");
    }

    #[test]
    fn this_process_grows_with_its_connections_by_what_it_touches() {
        let mut memory = Memory::beside(Path::new("/nowhere"));
        let before = memory.read(&sight(0, Vec::new())).expect("it runs");
        let block = vec![1_u8; 256 << 20];
        let after = memory.read(&sight(16, Vec::new())).expect("it runs");
        let grown = after.own() - before.own();
        // Other tests of this process have memory too, and give it back.
        assert!((160 << 20..400 << 20).contains(&grown), "{grown}");
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
        let without = memory.read(&sight(16, vec![table])).expect("it runs");
        assert!(without.recorder >= 250 << 20, "{without:?}");
        // Between two readings the recorder's part is that of the last.
        let line = memory.line(&sight(16, Vec::new())).expect("it runs");
        assert!(line.bytes.abs_diff(without.total()) < 100 << 20, "{line:?}, {without:?}");
        drop(block);
    }

    #[test]
    fn of_a_process_that_is_gone_nothing_is_known() {
        let mut memory = Memory::beside(Path::new("/nowhere"));
        let mut gone = sight(0, Vec::new());
        gone.ledgers.values_mut().for_each(|it| Arc::make_mut(it).pid = u32::MAX);
        assert_eq!((memory.read(&gone), memory.line(&gone)), (None, None));
        assert_eq!(memory.capture(&Sight::default()), None);
        assert_eq!((memory.at_capture(), memory.growth()), (None, None));
    }
}
