//! What a process looks like from outside.

use std::fs;
use std::os::unix::fs::FileExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the library is called in memory maps.
const LIBRARY: &str = "libtlsheap_attached.so";

/// Nothing leads into the library any more: no variable of OpenSSL's, and no slot of any object's.
/// What the C library knows of it for threads that end and for forks stays, and harms nobody.
pub fn is_put_back(pid: u32) {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let range = |line: &str| {
        let (start, end) = line.split_whitespace().next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(start)?, number(end)?))
    };
    let of_library = |line: &&str| line.contains(LIBRARY);
    let code = maps.lines().filter(of_library).find(|line| line.contains("r-xp"));
    let (low, high) = range(code.expect("the library stays")).unwrap();
    for line in maps.lines().filter(|line| !of_library(line)) {
        assert!(!line.contains(".ledger"), "{line}");
        let file = line.find('/').map_or("", |at| &line[at..]);
        let is_object = !file.is_empty() && !file.contains("/ld-");
        // Sealed slots are read-only and have no code. The C library's variables know of handlers.
        let access = line.split_whitespace().nth(1).unwrap();
        let of_c_library = file.contains("/libc.so") && access == "rw-p";
        if !is_object || of_c_library || !["rw-p", "r--p"].contains(&access) {
            continue;
        }
        let (start, end) = range(line).unwrap();
        let mut bytes = vec![0; (end - start) as usize];
        // What lies behind a file's end cannot be read.
        let Ok(()) = memory.read_exact_at(&mut bytes, start) else { continue };
        for (at, word) in bytes.chunks_exact(8).enumerate() {
            let word = u64::from_le_bytes(word.try_into().unwrap());
            assert!(!(low..high).contains(&word), "{:#x} of {line}", start + at as u64 * 8);
        }
    }
}

/// How many mappings the process has, of which none comes with a round.
pub fn mappings(pid: u32) -> usize {
    fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().lines().count()
}

/// The first child of a process, once there is one.
pub fn child(pid: u32) -> u32 {
    wait_for(|| children(pid).first().copied())
}

/// The children of a process.
pub fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    children.unwrap_or_default().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

pub fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited too long");
        sleep(Duration::from_millis(5));
    }
}

pub fn has_library(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.contains(LIBRARY))
}

/// The ledger that the process has mapped.
pub fn ledger(pid: u32) -> Option<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let line = maps.lines().find(|line| line.ends_with(".ledger"))?;
    Some(line[line.find('/')?..].to_owned())
}

/// The process's OpenSSL calls the recorder: its ledger is mapped, and nobody traces it any more.
pub fn is_counted(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    ledger(pid).is_some() && status.contains("TracerPid:\t0\n")
}

pub fn state(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().find(|line| line.starts_with("State:")).unwrap_or_default().to_owned()
}
