//! Files that are not what a process has mapped any more: an upgrade, or a build, has put another in
//! their place, whose names would be wrong.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use ledger::{Module, Snapshot};

use super::lookup::Symbols;

/// Which files were replaced, by path, number in the file system and the time from which on. Asked
/// for once: whoever had names before the file was replaced keeps them.
pub(crate) type Replaced = HashMap<(String, u64, u64), bool>;

/// What the kernel appends to the path of a file that was removed while somebody had it mapped.
pub(super) const DELETED: &str = " (deleted)";

impl Symbols {
    /// The snapshot with the paths of such files as the kernel tells them of a process that runs
    /// on: nothing is named by what lies there now.
    pub(crate) fn as_mapped<'a>(&mut self, snapshot: &'a Snapshot) -> Cow<'a, Snapshot> {
        let began = snapshot.started_nanos;
        let mut of_now = Cow::Borrowed(snapshot);
        for (at, module) in snapshot.modules.iter().enumerate() {
            if began != 0 && self.is_replaced(module, began) {
                of_now.to_mut().modules[at].path += DELETED;
            }
        }
        of_now
    }

    fn is_replaced(&mut self, module: &Module, began: u64) -> bool {
        let Module { path, inode, .. } = module;
        if *inode == 0 || path.ends_with(DELETED) {
            return false;
        }
        let look = || fs::metadata(path).is_ok_and(|now| is_another(&now, *inode, began));
        *self.replaced.entry((path.clone(), *inode, began)).or_insert_with(look)
    }
}

/// Whether the file is another than the one of this number, and younger than the process. Both: in
/// file systems that lie on others (overlay) a file may have two numbers, and a library that is
/// made and loaded while the process runs is younger too.
fn is_another(now: &Metadata, inode: u64, began: u64) -> bool {
    let began = SystemTime::UNIX_EPOCH + Duration::from_nanos(began);
    let is_younger = |time: std::io::Result<SystemTime>| time.is_ok_and(|time| time > began);
    now.ino() != inode && (is_younger(now.created()) || is_younger(now.modified()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(time: SystemTime) -> u64 {
        time.duration_since(SystemTime::UNIX_EPOCH).expect("a time of now").as_nanos() as u64
    }

    #[test]
    fn a_file_that_was_put_in_anothers_place_gives_no_names() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let path = place.path().join("library.so");
        let write = |to: &std::path::Path| fs::write(to, "some code").expect("a file");
        write(&path);
        let inode = fs::metadata(&path).expect("it is there").ino();
        let module = |inode| Module {
            start: 0x1000,
            end: 0x2000,
            file_offset: 0,
            inode,
            executable: true,
            path: path.to_str().expect("a path of letters").to_owned(),
        };
        let paths = |inode, started_nanos| {
            let modules = vec![module(inode)];
            let snapshot = Snapshot { modules, started_nanos, ..Snapshot::default() };
            Symbols::new().as_mapped(&snapshot).modules[0].path.ends_with(DELETED)
        };
        let now = nanos(SystemTime::now());
        let (before, after) = (now - 60_000_000_000, now + 60_000_000_000);
        assert!(!paths(inode, before), "made while the process ran, and mapped then");
        // Held open, so that its number is not given to the next file.
        let _held = fs::File::open(&path).expect("it is there");
        let new = place.path().join("new");
        write(&new);
        fs::rename(&new, &path).expect("our own files");
        assert!(paths(inode, before), "replaced");
        assert!(!paths(inode, after), "a number of its own, in a file that is older");
        assert!(!paths(0, before) && !paths(inode, 0), "nothing is known");
    }
}
