//! Who is to be attached to: looked for at the beginning, and again and again while the others are
//! recorded, for programs start others, and processes come into a control group.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::{Duration, Instant};

use super::fitness::{self, Fitness};
use super::member::{Begin, Member};
use super::members::AttachTo;
use crate::kernel::{self, ProcessNow};
use crate::{RecordingError, sentence};

/// Who was found, and what is to be done with it.
pub(super) struct Arrivals {
    to: AttachTo,
    /// All that were looked at, by what they had mapped then: one that has become another program
    /// since, or has loaded a library, is looked at again.
    seen: BTreeMap<Key, u64>,
    pub fit: Vec<ProcessNow>,
    /// Why others are not attached to.
    pub refused: Vec<(ProcessNow, RecordingError)>,
    /// What was left in them, in sentences.
    pub left: Vec<String>,
    next: Instant,
}

/// A process: its id, and when it was started.
type Key = (u32, u64);

/// The time between two looks, unless looking takes long.
const BETWEEN: Duration = Duration::from_secs(1);

/// Looking takes at most one part in so many of the time.
const SHARE: u32 = 10;

impl Arrivals {
    pub(super) fn of(to: &AttachTo) -> Arrivals {
        Arrivals {
            to: to.clone(),
            seen: BTreeMap::new(),
            fit: Vec::new(),
            refused: Vec::new(),
            left: Vec::new(),
            next: Instant::now() + BETWEEN,
        }
    }

    /// Looks for those that are meant and were not looked at. `ours` is the folder of our ledgers,
    /// once there is one; `others` are known to belong to those that are meant.
    pub(super) fn look(
        &mut self,
        ours: Option<&Path>,
        others: &[u32],
    ) -> Result<(), RecordingError> {
        if let AttachTo::Process(pid) = self.to {
            if self.seen.is_empty()
                && let Fitness::Fit(left) = fitness::of_named(pid)?
            {
                let process = kernel::process(pid).ok_or(RecordingError::NoProcess(pid))?;
                self.seen.insert(key(&process), 0);
                self.fit.push(process);
                self.left.extend(left);
            }
            return Ok(());
        }
        let mut meant = self.to.now();
        for pid in others {
            if meant.iter().all(|process| process.pid != *pid) {
                meant.extend(kernel::process(*pid));
            }
        }
        for process in meant {
            let mapped = mapped(process.pid);
            if self.seen.insert(key(&process), mapped) == Some(mapped) {
                continue;
            }
            match fitness::of_one_of_many(&process, ours) {
                Ok(Fitness::Fit(left)) => {
                    self.fit.push(process);
                    self.left.extend(left);
                }
                Ok(Fitness::Inherits | Fitness::Without) => {}
                // It may have ended this moment.
                Err(_) if kernel::process(process.pid).is_none() => {}
                Err(error) => self.refused.push((process, error)),
            }
        }
        Ok(())
    }

    /// Looks, and attaches to those who have come, as long as `may` says so.
    pub(super) fn visit(
        &mut self,
        begin: &mut Begin,
        others: &[u32],
        may: impl Fn() -> bool,
    ) -> Vec<Member> {
        let since = Instant::now();
        // It fails of one that was named, and only there.
        let _ = self.look(Some(begin.ledgers()), others);
        self.next = Instant::now() + BETWEEN.max(since.elapsed() * SHARE);
        let mut members = Vec::new();
        for process in std::mem::take(&mut self.fit) {
            if !may() {
                break;
            }
            match begin.with(&process) {
                Ok(member) => members.push(member),
                Err(_) if kernel::process(process.pid).is_none() => {}
                Err(error) => self.refused.push((process, error)),
            }
        }
        members
    }

    /// When to look next; `None` where nobody comes.
    pub(super) fn next(&self) -> Option<Instant> {
        match self.to {
            AttachTo::Process(_) => None,
            AttachTo::Tree(_) | AttachTo::Cgroup(_) => Some(self.next),
        }
    }

    /// Why none was attached to.
    pub(super) fn nobody(mut self) -> RecordingError {
        if let AttachTo::Process(pid) = self.to {
            return match self.refused.pop() {
                Some((_, error)) => error,
                None => RecordingError::NoProcess(pid),
            };
        }
        let why = match &self.refused[..] {
            [] if self.seen.is_empty() => "there are none".to_owned(),
            [] => "none of them has a TLS library in it that tlsheap knows".to_owned(),
            [(_, error)] => sentence(error),
            [(_, error), more @ ..] => format!("{}; and {} more", sentence(error), more.len()),
        };
        RecordingError::NobodyToAttachTo { whom: self.to.in_words(), why }
    }
}

fn key(process: &ProcessNow) -> Key {
    (process.pid, process.started)
}

/// A number for the files that a process has code of, which is another when those are.
fn mapped(pid: u32) -> u64 {
    let maps = kernel::memory_map(pid).unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    for line in maps.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ');
        let is_code = fields.nth(1).is_some_and(|access| access.get(2) == Some(&b'x'));
        if let Some(path) = line.iter().position(|byte| *byte == b'/').filter(|_| is_code) {
            line[path..].hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_has_other_code() {
        let own = mapped(std::process::id());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let began = Instant::now();
        while mapped(child.id()) == own && began.elapsed() < Duration::from_secs(60) {
            std::thread::yield_now();
        }
        let other = mapped(child.id());
        child.kill().and_then(|()| child.wait()).expect("it was running");
        assert!(own == mapped(std::process::id()) && other != own);
    }
}
