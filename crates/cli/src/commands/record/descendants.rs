//! What the recorded program has started: to end it with the program, and to notice processes
//! that use OpenSSL without the recorder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// One process: an id is used again when its process has ended, but not with the same start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    pid: u32,
    /// In clock ticks since the machine's start.
    started: u64,
}

/// The program and everything that it has started, as far as it was seen: a process that was
/// there only between two looks, and whose parent was too, is not.
pub struct Descendants {
    library: PathBuf,
    known: BTreeSet<Process>,
    lost: BTreeMap<Process, Lost>,
}

/// A process that is not recorded, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// It uses OpenSSL.
    Certainly(String),
    /// It does not say whether it uses OpenSSL.
    Perhaps(String),
}

impl Descendants {
    /// Those of the process `program`, itself included, which was started to preload `library`.
    pub fn of(program: u32, library: &Path) -> Descendants {
        let known = stat(program).map(|stat| stat.process).into_iter().collect();
        Descendants { library: library.to_owned(), known, lost: BTreeMap::new() }
    }

    /// Looks for new ones, and for those that use OpenSSL without the library.
    pub fn look(&mut self) {
        let running = running();
        let known: BTreeSet<u32> = self.running_of(&running).map(|stat| stat.process.pid).collect();
        // Parents have mostly lower ids than their children, but not always.
        let mut found = known;
        loop {
            let before = found.len();
            let children = running.iter().filter(|stat| found.contains(&stat.parent));
            let children: Vec<u32> = children.map(|stat| stat.process.pid).collect();
            found.extend(children);
            if found.len() == before {
                break;
            }
        }
        for stat in running.iter().filter(|stat| found.contains(&stat.process.pid)) {
            self.known.insert(stat.process);
            if !self.lost.contains_key(&stat.process)
                && let Some(lost) = look_into(stat, &self.library)
            {
                self.lost.insert(stat.process, lost);
            }
        }
    }

    /// Looks for those that have lost their parents as well, by what they preload: for when the
    /// program has ended, for it costs more.
    pub fn look_everywhere(&mut self) {
        let users = users_of(&self.library).into_iter().filter_map(stat);
        self.known.extend(users.map(|stat| stat.process));
        self.look();
    }

    /// Those that are not recorded, the certain ones first.
    pub fn lost(&self) -> BTreeSet<&Lost> {
        self.lost.values().collect()
    }

    /// How many are running.
    pub fn running(&self) -> usize {
        self.running_of(&running()).count()
    }

    /// Sends all that are running a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.look_everywhere();
        for stat in self.running_of(&running()) {
            if let Some(pid) = i32::try_from(stat.process.pid).ok().and_then(Pid::from_raw) {
                // It may have ended this moment.
                let _ = kill_process(pid, signal);
            }
        }
    }

    fn running_of<'a>(&self, running: &'a [Stat]) -> impl Iterator<Item = &'a Stat> {
        running.iter().filter(move |stat| self.known.contains(&stat.process))
    }
}

/// Processes that have the library mapped, or its path in their environment.
pub fn users_of(library: &Path) -> Vec<u32> {
    let path = library.as_os_str().as_encoded_bytes();
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

/// What the kernel says of a process.
#[derive(Debug)]
struct Stat {
    process: Process,
    parent: u32,
    name: String,
}

/// All processes that have not ended.
fn running() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn stat(pid: u32) -> Option<Stat> {
    let text = String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?).into_owned();
    // The name in brackets may hold blanks and brackets.
    let (head, fields) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let (state, parent, started) = (*fields.first()?, fields.get(1)?, fields.get(19)?);
    // One that has ended and was not waited for has no memory any more.
    if matches!(state, "Z" | "X") {
        return None;
    }
    let process = Process { pid, started: started.parse().ok()? };
    Some(Stat { process, parent: parent.parse().ok()?, name })
}

/// Whether a process is lost: it has OpenSSL's libraries, but not ours. An OpenSSL that is linked
/// into the program cannot be seen in this way.
fn look_into(stat: &Stat, library: &Path) -> Option<Lost> {
    let Stat { process: Process { pid, .. }, name, .. } = stat;
    match fs::read(format!("/proc/{pid}/maps")) {
        Ok(maps) => {
            let maps = String::from_utf8_lossy(&maps);
            let has = |wanted: &dyn Fn(&str) -> bool| {
                maps.lines().filter_map(|line| line.split_once('/')).any(|(_, path)| wanted(path))
            };
            let ours = library.to_string_lossy();
            let is_openssl = |path: &str| {
                let file = path.rsplit('/').next().unwrap_or_default();
                file.starts_with("libcrypto") || file.starts_with("libssl")
            };
            let lost = has(&is_openssl) && !has(&|path| ours.trim_start_matches('/') == path);
            lost.then(|| {
                Lost::Certainly(format!(
                    "process {pid} ({name}) uses OpenSSL without the recorder: it was started \
                     with another environment"
                ))
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
        let mut descendants = Descendants::of(child.id(), Path::new("/no/such/library.so"));
        while descendants.running() < 2 {
            descendants.look();
            std::thread::yield_now();
        }
        assert!(descendants.lost().is_empty());
        descendants.signal(Signal::KILL);
        child.wait().expect("it was running");
        while descendants.running() > 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn this_process_has_a_start_and_a_name() {
        let own = stat(std::process::id()).expect("it is running");
        assert_eq!(own.process.pid, std::process::id());
        assert!(own.process.started > 0 && !own.name.is_empty());
        assert!(stat(u32::MAX).is_none());
    }
}
