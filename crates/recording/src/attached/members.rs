//! The processes that are meant: one, a tree of them, or those of a control group.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::containers;
use crate::RecordingError;
use crate::kernel::{self, ProcessNow};

/// Processes that run, to be attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachTo {
    /// This one, whatever it is.
    Process(u32),
    /// This one and all that have come from it, as far as they use TLS.
    Tree(u32),
    /// Those of the control group with this folder, and of the groups below it, as far as they use
    /// TLS.
    Cgroup(PathBuf),
}

/// Where control groups are, of the second version and of both together.
const MOUNTED: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// The file of a group with the ids of its processes.
pub(super) const PROCESSES: &str = "cgroup.procs";

/// Groups are searched so deep.
pub(super) const DEEPEST: usize = 16;

impl AttachTo {
    /// The control group at a path, that of its folder, or as `/proc/PID/cgroup` has it; or that of
    /// the container with this id.
    pub fn cgroup(path: &Path) -> Result<AttachTo, RecordingError> {
        let below = path.strip_prefix("/").unwrap_or(path);
        let mounted = MOUNTED.iter().map(|mounted| Path::new(mounted).join(below));
        let mut folders = std::iter::once(path.to_owned()).chain(mounted);
        match (folders.find(|folder| folder.join(PROCESSES).is_file()), path.to_str()) {
            (Some(folder), _) => Ok(AttachTo::Cgroup(folder)),
            (None, Some(id)) if containers::is_id(id) => {
                // All hierarchies are below the first.
                containers::folder_of(id, Path::new(MOUNTED[0])).map(AttachTo::Cgroup)
            }
            (None, _) => Err(RecordingError::NoCgroup(path.to_owned())),
        }
    }

    /// Those that run now: who has started others comes before them.
    pub fn now(&self) -> Vec<ProcessNow> {
        let mut ids = match self {
            AttachTo::Process(pid) => return kernel::process(*pid).into_iter().collect(),
            AttachTo::Tree(pid) => BTreeSet::from([*pid]),
            AttachTo::Cgroup(folder) => of_group(folder, DEEPEST),
        };
        let mut running = kernel::processes();
        // Who was started by this one is meant, and this one is not.
        running.retain(|process| process.pid != std::process::id());
        ids.retain(|id| running.iter().any(|process| process.pid == *id));
        let with_children = matches!(self, AttachTo::Tree(_));
        let mut found: Vec<ProcessNow> = Vec::new();
        let is_known = |found: &[ProcessNow], pid: u32| found.iter().any(|it| it.pid == pid);
        // Those first whose parents are not meant; then, again and again, who belongs to them.
        loop {
            let before = found.len();
            for process in &running {
                let is_root =
                    ids.contains(&process.pid) && (with_children || !ids.contains(&process.parent));
                let is_meant = with_children || ids.contains(&process.pid);
                if !is_known(&found, process.pid)
                    && (is_root || is_meant && is_known(&found, process.parent))
                {
                    found.push(process.clone());
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }

    /// The process that was named, if one was.
    pub(crate) fn named(&self) -> Option<u32> {
        match self {
            AttachTo::Process(pid) | AttachTo::Tree(pid) => Some(*pid),
            AttachTo::Cgroup(_) => None,
        }
    }

    /// Somebody may come yet: the process that was named runs, or there is one in the control group.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            AttachTo::Process(_) => false,
            AttachTo::Tree(pid) => kernel::process(*pid).is_some(),
            AttachTo::Cgroup(folder) => {
                let mut ids = of_group(folder, DEEPEST).into_iter();
                ids.any(|pid| pid != std::process::id() && kernel::process(pid).is_some())
            }
        }
    }

    /// What is meant, in words.
    pub fn in_words(&self) -> String {
        match self {
            AttachTo::Process(pid) => format!("process {pid}"),
            AttachTo::Tree(pid) => format!("process {pid} and those that it has started"),
            AttachTo::Cgroup(folder) => format!("the processes of {}", folder.display()),
        }
    }
}

fn of_group(folder: &Path, deepest: usize) -> BTreeSet<u32> {
    let text = fs::read_to_string(folder.join(PROCESSES)).unwrap_or_default();
    let mut ids: BTreeSet<u32> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
    let groups = fs::read_dir(folder).into_iter().flatten().flatten();
    for group in groups.filter(|it| deepest > 0 && it.file_type().is_ok_and(|it| it.is_dir())) {
        ids.extend(of_group(&group.path(), deepest - 1));
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_the_processes_of_the_groups_below_it_and_not_this_one() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let below = folder.path().join("below");
        fs::create_dir(&below).expect("our own folder");
        fs::write(folder.path().join(PROCESSES), format!("{}\n", std::process::id())).unwrap();
        fs::write(below.join(PROCESSES), format!("{}\n4194304\n", child.id())).unwrap();
        let group = AttachTo::cgroup(folder.path()).expect("it has the file");
        let found: Vec<u32> = group.now().iter().map(|process| process.pid).collect();
        let tree = AttachTo::Tree(child.id()).now();
        child.kill().and_then(|()| child.wait()).expect("it was running");
        assert_eq!(found, [child.id()]);
        assert_eq!(tree.len(), 1);
        let missing = AttachTo::cgroup(Path::new("/no/such/group")).expect_err("it is nowhere");
        assert!(missing.to_string().contains("/proc/PID/cgroup"), "{missing}");
    }
}
