//! What the kernel says of processes, beyond their files: one room for all of `/proc`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use procfs::net::{TcpState, tcp, tcp6};
use procfs::process::{ProcState, Process, all_processes};

/// A process as it is now. An id is used again when its process has ended, but not with one and
/// the same start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessNow {
    /// The process's id.
    pub pid: u32,
    /// When it was started, in clock ticks since the machine's start.
    pub started: u64,
    /// The process that it is a child of.
    pub parent: u32,
    /// The first 15 bytes of its program's name, or what it calls itself.
    pub name: String,
}

/// The process with this id; `None` when there is none, or one that has ended and was not waited
/// for: it has no memory any more.
pub fn process(pid: u32) -> Option<ProcessNow> {
    now(&Process::new(i32::try_from(pid).ok()?).ok()?)
}

/// All processes that have not ended.
pub fn processes() -> Vec<ProcessNow> {
    let all = all_processes().into_iter().flatten();
    all.filter_map(|process| now(&process.ok()?)).collect()
}

/// The ids of a process's children, those of all its threads; `None` where the kernel does not list
/// them (it may have been built without), or the process has ended.
pub fn children(pid: u32) -> Option<Vec<u32>> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let listed = match fs::read_to_string(thread.path().join("children")) {
            Ok(listed) => listed,
            // The thread has ended meanwhile.
            Err(_) if !thread.path().exists() => continue,
            Err(_) => return None,
        };
        children.extend(listed.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    Some(children)
}

fn now(process: &Process) -> Option<ProcessNow> {
    let stat = process.stat().ok()?;
    if matches!(stat.state().ok()?, ProcState::Zombie | ProcState::Dead) {
        return None;
    }
    Some(ProcessNow {
        pid: u32::try_from(stat.pid).ok()?,
        started: stat.starttime,
        parent: u32::try_from(stat.ppid).ok()?,
        name: stat.comm,
    })
}

/// The users that a process runs as: the real one, the effective one, the one it can go back to,
/// and the one that its files belong to. `None` once it has ended.
pub fn users(pid: u32) -> Option<[u32; 4]> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    now(&process)?;
    let status = process.status().ok()?;
    Some([status.ruid, status.euid, status.suid, status.fuid])
}

/// The resident memory of a process in bytes; `None` once it is gone.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let statm = Process::new(i32::try_from(pid).ok()?).ok()?.statm().ok()?;
    Some(statm.resident * rustix::param::page_size() as u64)
}

/// The part of resident memory in bytes that is charged to a process: pages that several share are
/// divided among them. `None` once it is gone, or when it may not be looked into.
pub fn proportional_bytes(pid: u32) -> Option<u64> {
    // Not through procfs, which reads names and values of every line into a map: this is asked for
    // each process four times a second.
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// The processor time that a process has used, user and system, to a hundredth of a second;
/// `None` once it is gone.
pub fn processor_time(pid: u32) -> Option<Duration> {
    let stat = Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
    let ticks = stat.utime + stat.stime;
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// How many files a process has open, its sockets among them; `None` once it is gone, or when it
/// may not be looked into.
pub fn open_files(pid: u32) -> Option<i64> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    i64::try_from(files.count()).ok()
}

/// How many threads a process has; `None` once it is gone.
pub fn threads(pid: u32) -> Option<i64> {
    let stat = Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
    Some(stat.num_threads)
}

/// The memory map of a process, as the kernel writes it.
pub fn memory_map(pid: u32) -> io::Result<Vec<u8>> {
    fs::read(format!("/proc/{pid}/maps"))
}

/// The variables that a process was started with, or what it has written over them; `None` where
/// they cannot be read, and of one that is just being started, or has ended and is not yet waited
/// for: these have no variables that could be read, which says nothing about what they got.
pub fn environment(pid: u32) -> Option<Vec<Vec<u8>>> {
    let text = fs::read(format!("/proc/{pid}/environ")).ok()?;
    if text.is_empty() {
        // Where they lie is the last that exec sets, and that whoever has no memory lacks.
        let stat = Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
        stat.env_start.filter(|address| *address != 0)?;
        return Some(Vec::new());
    }
    Some(text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect())
}

/// The words that a process was started with, or its name where it has none. `None` once it is gone.
pub fn command(pid: u32) -> Option<Vec<OsString>> {
    let text = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = text.strip_suffix(b"\0").unwrap_or(&text).split(|byte| *byte == 0);
    let words: Vec<OsString> = words.map(|word| OsString::from_vec(word.to_vec())).collect();
    if words[0].is_empty() {
        return Some(vec![process(pid)?.name.into()]);
    }
    Some(words)
}

/// The memory areas of a process with what is resident of each, as the kernel writes them; `None`
/// once it is gone.
pub fn memory_areas(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/smaps")).ok()
}

/// This process is in the foreground of a terminal: then the terminal's signals reach what it has
/// started by themselves.
pub fn in_foreground() -> bool {
    let stat = Process::myself().and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.pgrp == stat.tpgid)
}

/// The signals that this process ignores: bit N - 1 is signal N's.
pub fn ignored_signals() -> u64 {
    let status = Process::myself().and_then(|process| process.status());
    status.map_or(0, |status| status.sigign)
}

/// Somebody listens on the TCP port, on whatever address of this machine.
pub fn is_listened_on(port: u16) -> bool {
    // A machine may have no IPv6.
    let sockets = [tcp().ok(), tcp6().ok()];
    let listens = sockets.into_iter().flatten().flatten();
    let mut listens = listens.filter(|socket| socket.state == TcpState::Listen);
    listens.any(|socket| socket.local_address.port() == port)
}

/// Memory of this machine in bytes, as the kernel says it: all of it, and what new processes could
/// have without swapping. `None` where it does not say.
pub fn machine_memory() -> Option<(u64, u64)> {
    use procfs::{Current, Meminfo};

    let memory = Meminfo::current().ok()?;
    Some((memory.mem_total, memory.mem_available?))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpListener};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    fn wait_for(happened: &dyn Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !happened() {
            assert!(Instant::now() < deadline, "it takes too long");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn this_process_has_a_start_and_a_name() {
        let own = process(std::process::id()).expect("it is running");
        assert_eq!(own.pid, std::process::id());
        assert!(own.started > 0 && !own.name.is_empty());
        assert!(processes().contains(&own));
        assert!(process(u32::MAX).is_none() && command(u32::MAX).is_none());
        let words: Vec<OsString> = std::env::args_os().collect();
        assert_eq!(command(own.pid), Some(words));
        let user = rustix::process::geteuid().as_raw();
        assert!(users(own.pid).is_some_and(|users| users[1] == user));
        assert!(users(u32::MAX).is_none());
    }

    #[test]
    fn this_process_has_memory_and_has_used_time() {
        let own = std::process::id();
        let (all, available) = machine_memory().expect("this is Linux");
        assert!(available > 0 && available <= all);
        assert!(resident_bytes(own).is_some_and(|bytes| bytes > 0 && bytes < all));
        assert!(proportional_bytes(own).is_some_and(|bytes| bytes > 0));
        assert!(processor_time(own).is_some() && resident_bytes(u32::MAX).is_none());
        assert!(open_files(own).is_some_and(|files| files >= 3) && open_files(u32::MAX).is_none());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        assert!(children(own).is_some_and(|all| all.contains(&child.id())));
        child.kill().and_then(|()| child.wait()).expect("it was running");
        assert!(children(own).is_some_and(|all| !all.contains(&child.id())));
        assert_eq!(children(u32::MAX), None);
        assert!(threads(own).is_some_and(|threads| threads >= 1) && threads(u32::MAX).is_none());
    }

    #[test]
    fn variables_that_a_process_no_longer_has_are_not_none() {
        let mut bare = std::process::Command::new("sleep");
        let mut child = bare.arg("60").env_clear().spawn().expect("sleep");
        // Until exec has put its variables in place, it has this process's, or none.
        wait_for(&|| environment(child.id()) == Some(Vec::new()));
        let ours = environment(std::process::id()).expect("they can be read");
        assert!(ours.iter().any(|it| it.starts_with(b"PATH=")));
        child.kill().expect("it is running");
        wait_for(&|| memory_map(child.id()).is_ok_and(|maps| maps.is_empty()));
        // Ended, and not waited for.
        assert!(fs::exists(format!("/proc/{}", child.id())).is_ok_and(|there| there));
        assert_eq!(environment(child.id()), None);
        child.wait().expect("it has ended");
    }

    #[test]
    fn a_port_is_taken_while_somebody_listens() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        assert!(is_listened_on(port));
        drop(first);
        // A child of another test's has it until it is another program.
        wait_for(&|| !is_listened_on(port));
        // A machine may have no IPv6.
        if let Ok(second) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            assert!(is_listened_on(second.local_addr().unwrap().port()));
        }
    }
}
