//! What is watched: where its ledgers are, and which of them are meant.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use capture::folder;
use recording::AttachTo;
use recording::in_progress::{ledgers_of, recorder_of, recordings};
use recording::kernel::{self, ProcessNow};
use recording::ledger_folder::{self, Files, process_of};

use crate::LiveError;

/// What is watched.
#[derive(Clone, Debug)]
pub struct Target {
    kind: Kind,
    name: String,
}

#[derive(Clone, Debug)]
enum Kind {
    /// One file, whoever counts in it.
    Ledger(PathBuf),
    /// All of a recording's.
    Folder(PathBuf),
    /// Processes, and what they have started.
    Tree(Tree),
}

#[derive(Clone, Debug)]
struct Tree {
    roots: BTreeSet<u32>,
    /// The control group whose processes they are: others may come into it.
    group: Option<AttachTo>,
    /// The processes that are known to belong to it.
    pids: BTreeSet<u32>,
    /// Their ledgers.
    ledgers: Vec<Candidate>,
    /// Where those lie, and those of what they start will.
    folders: BTreeSet<PathBuf>,
    /// Ledgers there that are others'.
    others: BTreeSet<PathBuf>,
}

/// A ledger to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub path: PathBuf,
    /// The process that counts in it, where that is known from elsewhere than its name: in a
    /// container it has another id for itself.
    pub pid: Option<u32>,
}

/// Whether what is watched may still do something, when none of its ledgers is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsThere {
    Yes,
    No,
    Unknown,
}

impl Target {
    /// A process, and whatever it has started: the recorded ones among them.
    pub fn process(pid: u32) -> Result<Target, LiveError> {
        let processes = kernel::processes();
        let Some(root) = processes.iter().find(|process| process.pid == pid) else {
            return Err(LiveError::NoProcess(pid));
        };
        let name = format!("{} ({pid})", root.name);
        if let Err(source) = kernel::memory_map(pid)
            && source.kind() == io::ErrorKind::PermissionDenied
        {
            return Err(LiveError::NotAllowed { pid, source });
        }
        let tree = Tree::of(BTreeSet::from([pid]), &processes);
        if tree.ledgers.is_empty() {
            return Err(LiveError::NotRecorded(pid));
        }
        Ok(Target { kind: Kind::Tree(tree), name })
    }

    /// The processes that a recording attaches to: those of them that it records by now.
    pub fn attached(to: &AttachTo) -> Result<Target, LiveError> {
        if let AttachTo::Process(pid) | AttachTo::Tree(pid) = to {
            return Target::process(*pid);
        }
        let roots = to.now().into_iter().map(|process| process.pid).collect();
        let mut tree = Tree::of(roots, &kernel::processes());
        if tree.ledgers.is_empty() {
            return Err(LiveError::NothingInProgress);
        }
        tree.group = Some(to.clone());
        Ok(Target { kind: Kind::Tree(tree), name: to.in_words() })
    }

    /// A ledger, a folder of ledgers, or the run folder of a recording that goes on.
    pub fn path(path: &Path) -> Result<Target, LiveError> {
        let name = path.display().to_string();
        let data = match fs::metadata(path) {
            Ok(data) => data,
            Err(source) => {
                // A recording gives its folder the name when it has ended.
                return match recorder_of(path) {
                    Some(pid) => Target::process(pid),
                    None => Err(LiveError::Unreadable { path: path.to_owned(), source }),
                };
            }
        };
        if data.is_file() {
            return Ok(Target { kind: Kind::Ledger(path.to_owned()), name });
        }
        if path.join(folder::RUN).exists() {
            return Err(LiveError::Finished(path.to_owned()));
        }
        let source = |source| LiveError::Unreadable { path: path.to_owned(), source };
        if Files::of(path).map_err(source)?.ledgers.is_empty() {
            // An empty folder may be given to `record --out`.
            return match recorder_of(path) {
                Some(pid) => Target::process(pid),
                None => Err(LiveError::NoLedgers(path.to_owned())),
            };
        }
        Ok(Target { kind: Kind::Folder(path.to_owned()), name })
    }

    /// The one recording of this user that goes on.
    pub fn in_progress() -> Result<Target, LiveError> {
        let found = recordings();
        match &found[..] {
            [] => Err(LiveError::NothingInProgress),
            [only] => {
                let name = only.running.first().map_or_else(String::new, |pid| shown(*pid));
                Ok(Target { kind: Kind::Folder(only.ledgers.clone()), name })
            }
            several => {
                let first = several.iter().filter_map(|one| one.running.first());
                Err(LiveError::Several(first.map(|pid| shown(*pid)).collect()))
            }
        }
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It is one file that the user has named, and shown even where its process has ended.
    pub(crate) fn is_ledger(&self) -> bool {
        matches!(self.kind, Kind::Ledger(_))
    }

    pub(crate) fn is_there(&self) -> IsThere {
        match &self.kind {
            Kind::Folder(path) if path.is_dir() => IsThere::Unknown,
            Kind::Folder(_) | Kind::Ledger(_) => IsThere::No,
            Kind::Tree(tree) => {
                let runs = tree.roots.iter().any(|root| kernel::process(*root).is_some());
                if runs { IsThere::Yes } else { IsThere::No }
            }
        }
    }

    /// The ledgers that there are now. An error where there can be none any more.
    pub(crate) fn candidates(&mut self) -> io::Result<Vec<Candidate>> {
        match &mut self.kind {
            Kind::Ledger(path) => Ok(vec![Candidate { path: path.clone(), pid: None }]),
            Kind::Folder(path) => {
                let files = Files::of(path)?;
                Ok(files.ledgers.into_iter().map(|path| Candidate { path, pid: None }).collect())
            }
            Kind::Tree(tree) => {
                tree.grow();
                Ok(tree.ledgers.clone())
            }
        }
    }
}

/// A process as in a list to choose from.
fn shown(pid: u32) -> String {
    match kernel::process(pid) {
        Some(process) => format!("{} ({pid})", process.name),
        None => pid.to_string(),
    }
}

impl Tree {
    fn of(roots: BTreeSet<u32>, processes: &[ProcessNow]) -> Tree {
        let mut pids = roots.clone();
        // A child may have a lower id than its parent, but is not its own ancestor.
        loop {
            let children: Vec<u32> = processes
                .iter()
                .filter(|process| pids.contains(&process.parent) && !pids.contains(&process.pid))
                .map(|process| process.pid)
                .collect();
            if children.is_empty() {
                break;
            }
            pids.extend(children);
        }
        let mut tree = Tree {
            roots,
            group: None,
            ledgers: Vec::new(),
            folders: BTreeSet::new(),
            others: BTreeSet::new(),
            pids: pids.clone(),
        };
        for pid in pids {
            for path in ledgers_of(pid) {
                tree.add(path, Some(pid));
            }
        }
        tree
    }

    fn add(&mut self, path: PathBuf, pid: Option<u32>) {
        if self.ledgers.iter().any(|known| known.path == path) {
            return;
        }
        // Beside a ledger of another name than a recorder gives are no others of the recording.
        if process_of(&path).is_some() {
            self.folders.extend(path.parent().map(Path::to_owned));
        }
        self.ledgers.push(Candidate { path, pid });
    }

    /// Takes in the ledgers of what has been started since.
    fn grow(&mut self) {
        let come = self.group.iter().flat_map(AttachTo::now);
        self.roots.extend(come.map(|process| process.pid));
        for folder in self.folders.clone() {
            for path in Files::of(&folder).unwrap_or_default().ledgers {
                let is_known = self.ledgers.iter().any(|known| known.path == path);
                if is_known || self.others.contains(&path) {
                    continue;
                }
                let Some(pid) = process_of(&path) else { continue };
                let is_one = self.pids.contains(&pid) || self.roots.contains(&pid);
                if is_one || self.has_started(pid, &path) {
                    self.pids.insert(pid);
                    self.add(path, None);
                } else {
                    self.others.insert(path);
                }
            }
        }
    }

    /// Whether a process of the tree has started this one, or one of its ancestors.
    fn has_started(&self, pid: u32, ledger: &Path) -> bool {
        /// No tree is deeper: a loop of ids that were given anew would be.
        const MOST: usize = 64;
        let parent = |pid: &u32| kernel::process(*pid).map(|process| process.parent);
        let mut ancestors = std::iter::successors(parent(&pid), parent).take(MOST);
        if ancestors.any(|pid| self.roots.contains(&pid) || self.pids.contains(&pid)) {
            return true;
        }
        // Its parent may have gone: it says itself whose child it was.
        let coverage = ledger_folder::coverage(&ledger.with_extension("coverage"));
        coverage.is_ok_and(|it| it.forked_from.is_some_and(|parent| self.pids.contains(&parent)))
    }
}

/// What the user has typed: the id of a process, or else a path.
fn as_pid(word: &OsStr) -> Option<u32> {
    word.to_str()?.parse().ok().filter(|pid| *pid > 0)
}

impl Target {
    /// The target that a word stands for: a number is a process's id, anything else a path.
    pub fn of_word(word: &OsStr) -> Result<Target, LiveError> {
        match as_pid(word) {
            Some(pid) => Target::process(pid),
            None => Target::path(Path::new(word)),
        }
    }
}
