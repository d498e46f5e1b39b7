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
#[derive(Clone, Debug)]
pub struct Descendants {
    /// The folder of what is preloaded.
    place: PathBuf,
    /// Variables that a process needs to be recorded.
    variables: Vec<&'static str>,
    known: BTreeSet<Key>,
    /// Those of them that have not been seen to have ended.
    alive: BTreeSet<Key>,
    /// Those that have the library, under the names that their programs have.
    recorded: BTreeMap<Key, String>,
    /// How often it was looked.
    looks: u32,
    lost: BTreeMap<Key, Lost>,
    /// Processes that nothing is known of, by why: a program may start thousands.
    unknown: BTreeMap<String, BTreeMap<Key, String>>,
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
    /// Descendants of the processes `programs`, themselves included, which were started to preload
    /// what lies in the folder `place`, by these variables.
    pub fn of(programs: &[u32], place: &Path, variables: &[&'static str]) -> Descendants {
        let programs = programs.iter().filter_map(|program| kernel::process(*program));
        let known: BTreeSet<Key> = programs.map(|program| key(&program)).collect();
        let (place, variables) = (place.to_owned(), variables.to_vec());
        let (lost, unknown) = (BTreeMap::new(), BTreeMap::new());
        let (alive, recorded, looks) = (known.clone(), BTreeMap::new(), 0);
        Descendants { place, variables, known, alive, recorded, looks, lost, unknown }
    }

    /// Looks for new ones, and for those that use OpenSSL without the library.
    pub fn look(&mut self) {
        let running = self.found();
        self.known.extend(running.iter().map(key));
        self.alive = running.iter().map(key).collect();
        self.recorded.retain(|process, _| self.alive.contains(process));
        self.looks = self.looks.wrapping_add(1);
        for process in &running {
            if !self.lost.contains_key(&key(process)) && !self.has_the_library_still(process) {
                self.look_into(process);
            }
        }
    }

    /// Those that run, and what they have started: by the kernel's lists of children, or, where it
    /// has none, among all processes.
    fn found(&self) -> Vec<ProcessNow> {
        let mut found = self.running_now();
        let mut at = 0;
        while at < found.len() {
            let Some(children) = kernel::children(found[at].pid) else {
                // It may have ended this moment.
                if kernel::process(found[at].pid).is_some() {
                    return self.found_among_all();
                }
                at += 1;
                continue;
            };
            for child in children {
                if !found.iter().any(|it| it.pid == child) {
                    found.extend(kernel::process(child));
                }
            }
            at += 1;
        }
        found
    }

    fn found_among_all(&self) -> Vec<ProcessNow> {
        let mut running = kernel::processes();
        let mut found: BTreeSet<u32> = running
            .iter()
            .filter(|process| self.known.contains(&key(process)))
            .map(|process| process.pid)
            .collect();
        // Parents have mostly lower ids than their children, but not always.
        loop {
            let before = found.len();
            let children = running.iter().filter(|process| found.contains(&process.parent));
            let children: Vec<u32> = children.map(|process| process.pid).collect();
            found.extend(children);
            if found.len() == before {
                break;
            }
        }
        running.retain(|process| found.contains(&process.pid));
        running
    }

    /// The process had the library when it was last looked into, and that is so still: from time to
    /// time it is looked again, and when its program has another name.
    fn has_the_library_still(&self, process: &ProcessNow) -> bool {
        const AGAIN: u32 = 16;
        let name = self.recorded.get(&key(process));
        name == Some(&process.name) && !self.looks.is_multiple_of(AGAIN)
    }

    /// Takes to be known why a process is not recorded.
    pub fn is_not_recorded(&mut self, process: &ProcessNow, sentence: String) {
        self.lost.insert(key(process), Lost::Certainly(sentence));
    }

    /// Takes it to be recorded, whatever was thought of it before.
    pub fn is_recorded(&mut self, process: &ProcessNow) {
        self.known.insert(key(process));
        self.lost.remove(&key(process));
    }

    /// Looks for those that have lost their parents as well, by what they preload: for when the
    /// program has ended, for it costs more.
    pub fn look_everywhere(&mut self) {
        let users = users_of(&self.place).into_iter().filter_map(kernel::process);
        for process in users {
            self.known.insert(key(&process));
            self.alive.insert(key(&process));
        }
        self.look();
    }

    /// Processes that are not recorded, the certain ones first.
    pub fn lost(&self) -> BTreeSet<Lost> {
        self.lost.values().cloned().chain(self.unknown()).collect()
    }

    fn unknown(&self) -> impl Iterator<Item = Lost> {
        self.unknown.iter().filter_map(|(why, processes)| {
            let ((pid, _), name) = processes.first_key_value()?;
            let whole = match processes.len() - 1 {
                0 => format!("process {pid} ({name}) is not recorded if it uses OpenSSL: it {why}"),
                more => format!(
                    "process {pid} ({name}) and {more} more are not recorded if they use OpenSSL: \
                     each {why}"
                ),
            };
            Some(Lost::Perhaps(whole))
        })
    }

    /// A process that was started without the variables that it needs, in a sentence.
    pub fn cut_off(&self) -> Option<String> {
        let lost = self.lost();
        let mut sentences = lost.iter().map(Lost::sentence);
        sentences.find(|sentence| sentence.contains(LET_THROUGH)).map(str::to_owned)
    }

    /// A process with this id is one of them, or was.
    pub fn knows(&self, pid: u32) -> bool {
        self.known.range((pid, 0)..=(pid, u64::MAX)).next().is_some()
    }

    /// The ids of those that are running.
    pub fn ids(&mut self) -> Vec<u32> {
        self.look();
        self.running_now().into_iter().map(|process| process.pid).collect()
    }

    /// How many are running.
    pub fn running(&self) -> usize {
        self.running_now().len()
    }

    /// Sends all that are running a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.look_everywhere();
        for process in self.running_now() {
            if let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) {
                // It may have ended this moment.
                let _ = kill_process(pid, signal);
            }
        }
    }

    /// Whether a process is lost: it has not the library, and either OpenSSL's, or an environment
    /// with which it cannot get it. Of an OpenSSL that is linked into the program nothing is seen.
    fn look_into(&mut self, process: &ProcessNow) {
        let ProcessNow { pid, name, .. } = process;
        // It may be another program by now, or have loaded OpenSSL.
        for processes in self.unknown.values_mut() {
            processes.remove(&key(process));
        }
        self.recorded.remove(&key(process));
        let maps = match kernel::memory_map(*pid) {
            Ok(maps) => maps,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let sentence = format!(
                    "process {pid} ({name}) cannot be looked into: if it is set-user-ID or runs \
                     as another user, nothing is preloaded into it"
                );
                self.lost.insert(key(process), Lost::Perhaps(sentence));
                return;
            }
            Err(_) => return,
        };
        let maps = String::from_utf8_lossy(&maps);
        let has = |wanted: &dyn Fn(&str) -> bool| {
            maps.lines().filter_map(|line| line.split_once('/')).any(|(_, path)| wanted(path))
        };
        let ours = self.place.join("");
        let ours = ours.to_string_lossy();
        if has(&|path| path.starts_with(ours.trim_start_matches('/'))) {
            self.recorded.insert(key(process), name.clone());
            return;
        }
        let is_openssl = |path: &str| {
            let file = path.rsplit('/').next().unwrap_or_default();
            file.starts_with("libcrypto") || file.starts_with("libssl")
        };
        let missing = self.missing(*pid);
        if !has(&is_openssl) {
            if let Some(why) = missing {
                self.unknown.entry(why).or_default().insert(key(process), name.clone());
            }
            return;
        }
        let why = match missing {
            None if self.variables.is_empty() => {
                "came after the attach (--children and --cgroup look for such every second)"
            }
            _ if program_file::has_other_loader(&maps) => "has another C library than GNU's",
            Some(ref why) => why,
            None => "was started with another environment or behind another root",
        };
        let sentence =
            format!("process {pid} ({name}) uses OpenSSL without the recorder: it {why}");
        self.lost.insert(key(process), Lost::Certainly(sentence));
    }

    /// Which variables the process was started without, and who could help; `None` when it has them
    /// all, or does not say.
    fn missing(&self, pid: u32) -> Option<String> {
        let environment = kernel::environment(pid)?;
        let has = |variable: &&&str| {
            environment.iter().any(|it| it.starts_with(format!("{variable}=").as_bytes()))
        };
        let (there, missing): (Vec<&str>, Vec<&str>) = self.variables.iter().partition(has);
        let all = [&missing[..], &there[..]].concat().join(", ");
        let missing = missing.join(" and ");
        (!missing.is_empty())
            .then(|| format!("it was started without {missing}. {LET_THROUGH} {all} through"))
    }

    /// Those that run, of the ones that were seen.
    fn running_now(&self) -> Vec<ProcessNow> {
        let now = self.alive.iter().filter_map(|(pid, _)| kernel::process(*pid));
        now.filter(|process| self.alive.contains(&key(process))).collect()
    }
}

/// How the advice begins for a process that was started without the variables it needs.
const LET_THROUGH: &str = "Have whoever starts it let";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_of_a_child_is_found_and_ended() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 60 & wait"])
            .spawn()
            .expect("sh is everywhere");
        let mut descendants = Descendants::of(&[child.id()], Path::new("/no/such/place"), &[]);
        while descendants.running() < 2 {
            descendants.look();
            std::thread::yield_now();
        }
        // A kernel without lists of children has them found otherwise.
        let ids = |found: Vec<ProcessNow>| found.iter().map(key).collect::<BTreeSet<Key>>();
        assert_eq!(ids(descendants.found_among_all()), ids(descendants.found()));
        assert!(descendants.lost().is_empty());
        assert!(descendants.knows(child.id()) && !descendants.knows(std::process::id()));
        descendants.signal(Signal::KILL);
        child.wait().expect("it was running");
        while descendants.running() > 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_a_process_was_started_without_is_told_with_all_that_it_needs() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env_clear()
            .env("LD_PRELOAD", "")
            .spawn()
            .expect("sleep is everywhere");
        let place = Path::new("/no/such/place");
        let needed = ["LD_PRELOAD", "TLSHEAP_LEDGER_DIR", "PATH"];
        let mut descendants = Descendants::of(&[child.id()], place, &needed);
        // Until it is another program than this one.
        while descendants.cut_off().is_none() {
            descendants.look();
            std::thread::yield_now();
        }
        let said = descendants.cut_off().expect("it was told");
        let mut whole = Descendants::of(&[child.id()], place, &needed[..1]);
        whole.look();
        child.kill().and_then(|()| child.wait()).expect("it was running");
        assert!(said.contains("without TLSHEAP_LEDGER_DIR and PATH. Have whoever"), "{said}");
        assert!(said.ends_with("let TLSHEAP_LEDGER_DIR, PATH, LD_PRELOAD through"), "{said}");
        assert_eq!(whole.cut_off(), None);
    }
}
