//! What the recorded program has started: to end it with the program, and to notice processes
//! that use OpenSSL without the recorder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::kernel::{self, ProcessNow};
use crate::program_file;

/// One process: its id, and when it was started.
type Key = (u32, u64);

/// The program and everything that it has started, as far as it was seen: a process that was
/// there only between two looks, and whose parent was too, is not.
pub struct Descendants {
    /// The folder of what is preloaded.
    place: PathBuf,
    known: BTreeSet<Key>,
    lost: BTreeMap<Key, Lost>,
}

/// A process that is not recorded, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// A process that uses OpenSSL.
    Certainly(String),
    /// A process that does not say whether it uses OpenSSL.
    Perhaps(String),
}

impl Descendants {
    /// Descendants of the process `program`, itself included, which was started to preload what
    /// lies in the folder `place`.
    pub fn of(program: u32, place: &Path) -> Descendants {
        let known = kernel::process(program).as_ref().map(key).into_iter().collect();
        Descendants { place: place.to_owned(), known, lost: BTreeMap::new() }
    }

    /// Looks for new ones, and for those that use OpenSSL without the library.
    pub fn look(&mut self) {
        let running = kernel::processes();
        let known: BTreeSet<u32> = self.running_of(&running).map(|process| process.pid).collect();
        // Parents have mostly lower ids than their children, but not always.
        let mut found = known;
        loop {
            let before = found.len();
            let children = running.iter().filter(|process| found.contains(&process.parent));
            let children: Vec<u32> = children.map(|process| process.pid).collect();
            found.extend(children);
            if found.len() == before {
                break;
            }
        }
        for process in running.iter().filter(|process| found.contains(&process.pid)) {
            self.known.insert(key(process));
            if !self.lost.contains_key(&key(process))
                && let Some(lost) = look_into(process, &self.place)
            {
                self.lost.insert(key(process), lost);
            }
        }
    }

    /// Looks for those that have lost their parents as well, by what they preload: for when the
    /// program has ended, for it costs more.
    pub fn look_everywhere(&mut self) {
        let users = users_of(&self.place).into_iter().filter_map(kernel::process);
        self.known.extend(users.map(|process| key(&process)));
        self.look();
    }

    /// Processes that are not recorded, the certain ones first.
    pub fn lost(&self) -> BTreeSet<&Lost> {
        self.lost.values().collect()
    }

    /// A process with this id is one of them, or was.
    pub fn knows(&self, pid: u32) -> bool {
        self.known.range((pid, 0)..=(pid, u64::MAX)).next().is_some()
    }

    /// How many are running.
    pub fn running(&self) -> usize {
        self.running_of(&kernel::processes()).count()
    }

    /// Sends all that are running a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.look_everywhere();
        for process in self.running_of(&kernel::processes()) {
            if let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) {
                // It may have ended this moment.
                let _ = kill_process(pid, signal);
            }
        }
    }

    fn running_of<'a>(&self, running: &'a [ProcessNow]) -> impl Iterator<Item = &'a ProcessNow> {
        running.iter().filter(move |process| self.known.contains(&key(process)))
    }
}

/// Processes that have a file below `folder` mapped, or the path of one in their environment.
pub fn users_of(folder: &Path) -> Vec<u32> {
    let path = folder.join("").into_os_string().into_encoded_bytes();
    let names_it = |file: PathBuf| {
        // A process of another user, or one that has ended, does not say.
        let content = fs::read(file).unwrap_or_default();
        content.windows(path.len()).any(|window| window == path)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut users: Vec<u32> = entries
        .filter(|entry| ["maps", "environ"].iter().any(|file| names_it(entry.path().join(file))))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    users.sort_unstable();
    users
}

impl Lost {
    /// The sentence.
    pub fn sentence(&self) -> &str {
        match self {
            Lost::Certainly(sentence) | Lost::Perhaps(sentence) => sentence,
        }
    }
}

fn key(process: &ProcessNow) -> Key {
    (process.pid, process.started)
}

/// Whether a process is lost: it has OpenSSL's libraries, but not ours. An OpenSSL that is linked
/// into the program cannot be seen in this way.
fn look_into(process: &ProcessNow, place: &Path) -> Option<Lost> {
    let ProcessNow { pid, name, .. } = process;
    match kernel::memory_map(*pid) {
        Ok(maps) => {
            let maps = String::from_utf8_lossy(&maps);
            let has = |wanted: &dyn Fn(&str) -> bool| {
                maps.lines().filter_map(|line| line.split_once('/')).any(|(_, path)| wanted(path))
            };
            let ours = place.join("");
            let ours = ours.to_string_lossy();
            let is_openssl = |path: &str| {
                let file = path.rsplit('/').next().unwrap_or_default();
                file.starts_with("libcrypto") || file.starts_with("libssl")
            };
            let lost =
                has(&is_openssl) && !has(&|path| path.starts_with(ours.trim_start_matches('/')));
            lost.then(|| {
                let why = if program_file::has_other_loader(&maps) {
                    "has another C library than GNU's"
                } else {
                    "was started with another environment or behind another root"
                };
                let uses = "uses OpenSSL without the recorder";
                Lost::Certainly(format!("process {pid} ({name}) {uses}: it {why}"))
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Some(Lost::Perhaps(format!(
                "process {pid} ({name}) cannot be looked into: if it is set-user-ID or runs as \
             another user, nothing is preloaded into it"
            )))
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_of_a_child_is_found_and_ended() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 60 & wait"])
            .spawn()
            .expect("sh is everywhere");
        let mut descendants = Descendants::of(child.id(), Path::new("/no/such/place"));
        while descendants.running() < 2 {
            descendants.look();
            std::thread::yield_now();
        }
        assert!(descendants.lost().is_empty());
        assert!(descendants.knows(child.id()) && !descendants.knows(std::process::id()));
        descendants.signal(Signal::KILL);
        child.wait().expect("it was running");
        while descendants.running() > 0 {
            std::thread::yield_now();
        }
    }
}
