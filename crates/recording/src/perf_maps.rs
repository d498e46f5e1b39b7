//! The files that programs write about the code they compile while they run, for Linux's perf.

use std::path::{Path, PathBuf};

use profile::Symbols;
use profile::symbols::{MAX_PERF_MAP_BYTES, PerfMap};

use crate::opening;
use crate::processes::Processes;

/// Hands the perf map of each process to `symbols`. Returns what could not be used, in sentences.
pub fn add(symbols: &mut Symbols, processes: &Processes) -> Vec<String> {
    let mut problems = Vec::new();
    for process in &processes.all {
        let (Some((_, snapshot)), Some(owner)) = (&process.ledger, process.user) else { continue };
        let Some(path) = places(snapshot.pid).into_iter().find(|path| path.exists()) else {
            continue;
        };
        match read(&path, owner) {
            Ok(map) => symbols.add_perf_map(snapshot.pid, map),
            Err(why) => problems.push(format!("names of compiled code: {why}")),
        }
    }
    problems
}

/// Where the file may be: in the process's own view of the files while it runs, else in ours.
fn places(pid: u32) -> [PathBuf; 2] {
    let file = format!("tmp/perf-{pid}.map");
    [Path::new("/proc").join(pid.to_string()).join("root").join(&file), Path::new("/").join(&file)]
}

/// Anybody may put a file there, and one may be left over from another process with that id: it
/// has to be an ordinary file of the recorded process's user.
fn read(path: &Path, owner: u32) -> Result<PerfMap, String> {
    let name = path.display();
    let opened = opening::open(path, MAX_PERF_MAP_BYTES).map_err(|error| error.to_string())?;
    if opened.owner != owner {
        let found = opened.owner;
        return Err(format!("{name} belongs to user {found}, the process to user {owner}"));
    }
    let bytes = opened.read().map_err(|error| error.to_string())?;
    // What is in it instead is not said.
    PerfMap::parse(&name.to_string(), &bytes).map_err(|_| format!("{name} is not a perf map"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn only_a_file_of_the_processes_user_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("perf-1.map");
        fs::write(&file, "1000 10 JS:~f /x.js:1:2\n").expect("a writable folder");
        let owner = fs::metadata(&file).expect("written").uid();
        let map = read(&file, owner).expect("sound");
        assert_eq!(map.frame(0x1008).expect("in the code").name, "f");

        let error = read(&file, owner + 1).expect_err("another user's");
        assert!(error.contains(&format!("belongs to user {owner}")), "{error}");
        let link = folder.path().join("perf-2.map");
        symlink(&file, &link).expect("a writable folder");
        assert!(read(&link, owner).expect_err("a link").ends_with("is not a regular file"));
        assert!(read(folder.path(), owner).expect_err("a folder").ends_with("not a regular file"));
        assert!(read(Path::new("/nonexistent"), owner).expect_err("nothing").contains("cannot"));
        fs::write(&file, "hello\n").expect("a writable folder");
        assert!(read(&file, owner).expect_err("a text").contains("is not a perf map"));
    }
}
