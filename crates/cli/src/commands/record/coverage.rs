//! How much was seen; and when it was nothing, why.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ledger::Found;

use crate::commands::record::processes::Processes;
use crate::recording::describe;

/// Some OpenSSL in some process was recorded, whether it allocated or not.
pub fn anything_recorded(processes: &Processes) -> bool {
    let recorded = |found: &Found| found.outcome.is_recorded();
    processes.recorded().next().is_some()
        || processes.all.iter().any(|process| process.coverage.openssls.iter().any(recorded))
}

/// Every OpenSSL that was found, with the processes it was found in. Numbers, which each process
/// gives for itself, are left out.
pub fn openssls(processes: &Processes) -> BTreeMap<Found, Vec<u32>> {
    let mut found: BTreeMap<Found, Vec<u32>> = BTreeMap::new();
    for process in &processes.all {
        for openssl in &process.coverage.openssls {
            let pids = found.entry(Found { number: None, ..openssl.clone() }).or_default();
            if !pids.contains(&process.coverage.pid) {
                pids.push(process.coverage.pid);
            }
        }
    }
    found
}

/// What went wrong in the processes, in sentences.
pub fn problems(processes: &Processes) -> Vec<String> {
    let mut sentences = processes.problems.clone();
    for process in &processes.all {
        let coverage = &process.coverage;
        for problem in &coverage.problems {
            sentences.push(format!("process {} ({}): {problem}", coverage.pid, coverage.program));
        }
    }
    sentences.sort();
    sentences.dedup();
    sentences
}

/// Why nothing was recorded, and what would help.
pub fn why_nothing(processes: &Processes, pid: u32, program: &OsStr) -> String {
    let shown = program.display();
    let problems = problems(processes);
    if let Some(first) = problems.first() {
        return first.clone();
    }
    if let Some((found, _)) = openssls(processes).into_iter().next() {
        return format!("the OpenSSL in {}: {}", found.object, describe(&found));
    }
    if processes.all.iter().any(|process| process.coverage.pid == pid) {
        return format!(
            "no OpenSSL was found in {shown}: it uses none, or one linked in whose symbols were \
             stripped; a build that is not stripped would be recorded"
        );
    }
    match on_path(program).as_deref().map(obstacle) {
        Some(Some(obstacle)) => format!("{shown} {obstacle}"),
        _ => format!(
            "{shown} did not load the recorder's library: it may have been started with another \
             environment, or may be built for another C library or processor"
        ),
    }
}

/// Why the dynamic loader does not preload anything into the program at `path`.
fn obstacle(path: &Path) -> Option<&'static str> {
    let file = fs::File::open(path).ok()?;
    let mode = file.metadata().ok()?.permissions().mode();
    if mode & 0o6000 != 0 {
        return Some(
            "is set-user-ID or set-group-ID, and the kernel lets nobody preload into such a \
             program: record a copy without that bit",
        );
    }
    (has_interpreter(&file) == Some(false)).then_some(
        "is linked statically, so that nothing can be preloaded into it: record a build that is \
         linked dynamically",
    )
}

/// Whether an ELF program is started through the dynamic loader; `None` for other files.
fn has_interpreter(file: &fs::File) -> Option<bool> {
    const PT_INTERP: [u8; 4] = 3_u32.to_ne_bytes();
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).ok()?;
    if header[..5] != *b"\x7fELF\x02" {
        return None;
    }
    let offset = u64::from_ne_bytes(header[32..40].try_into().ok()?);
    let size = u16::from_ne_bytes(header[54..56].try_into().ok()?);
    let count = u16::from_ne_bytes(header[56..58].try_into().ok()?);
    let mut has = false;
    for at in 0..u64::from(count) {
        let mut kind = [0; 4];
        file.read_exact_at(&mut kind, offset.checked_add(at * u64::from(size))?).ok()?;
        has |= kind == PT_INTERP;
    }
    Some(has)
}

/// The file that a program's name stands for.
fn on_path(program: &OsStr) -> Option<PathBuf> {
    if Path::new(program).components().count() > 1 {
        return Some(PathBuf::from(program));
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_can_be_preloaded_into() {
        let program = std::env::current_exe().expect("it has a file");
        assert_eq!(obstacle(&program), None);
        let file = fs::File::open(program).expect("a readable file");
        assert_eq!(has_interpreter(&file), Some(true));
    }

    #[test]
    fn a_file_of_another_kind_has_no_answer() {
        let file = fs::File::open("/proc/self/maps").expect("a mounted /proc");
        assert_eq!(has_interpreter(&file), None);
    }
}
