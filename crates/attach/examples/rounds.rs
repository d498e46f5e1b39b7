//! Attaches to a process, or to it and all below it, and lets go again, some times; says how long a
//! thread stood still for that, and looks whether anything was left behind: the table in
//! docs/attach.md.
//!
//!     cargo build --release -p preload
//!     cargo run --release -p attach --example rounds -- PID [ROUNDS] [MILLISECONDS-BETWEEN] \
//!         [--children] [--heap] [--hangup]
//!
//! With `--hangup` the process gets a SIGHUP whenever it was attached to, as nginx's master for new
//! workers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use attach::{Done, Prospect, Target};
use contract::Scope;
use contract::attach::LIBRARY;

fn main() {
    let (flags, numbers): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let number = |at: usize| numbers.get(at).map(|word| word.parse::<u64>().expect("a number"));
    let pid = number(0).expect("the id of a process") as u32;
    let rounds = number(1).unwrap_or(1);
    let between = Duration::from_millis(number(2).unwrap_or(100));
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let scope = if has("--heap") { Scope::Everything } else { Scope::Openssl };
    let library = fs::read("target/release/libtlsheap_preload.so").expect("it was built");
    let folder = std::env::temp_dir().join(format!("tlsheap-rounds-{}", std::process::id()));
    fs::create_dir(&folder).expect("a folder for temporary files");

    let (mut begins, mut ends, mut wanted) = (Vec::new(), Vec::new(), 0);
    let mut mappings = BTreeMap::new();
    for round in 0..rounds {
        let pids = if has("--children") { tree(pid) } else { vec![pid] };
        let mut attached = Vec::new();
        for pid in &pids {
            // What was forked by one that is recorded is recorded with it.
            if Target::of(*pid, &library).is_ok_and(|it| it.prospect() == Prospect::Attached) {
                continue;
            }
            wanted += 1;
            match begin(*pid, &library, scope, &folder) {
                Ok(done) => {
                    if round == 0 {
                        print!("{}", done.coverage);
                    }
                    begins.push(done);
                    attached.push(*pid);
                }
                Err(error) if is_there(*pid) => println!("round {round}: {error}"),
                Err(_) => wanted -= 1,
            }
        }
        if has("--hangup") {
            // SAFETY: numbers; who is told is the process that was named.
            unsafe { libc::kill(pid as i32, libc::SIGHUP) };
        }
        std::thread::sleep(between);
        for pid in attached {
            match attach::detach(pid, &library) {
                Ok(done) => ends.push(done),
                Err(error) if is_there(pid) => println!("round {round}: {error}"),
                Err(_) => {}
            }
        }
        // Those that were forked meanwhile.
        for pid in tree(pid) {
            if Target::of(pid, &library).is_ok_and(|it| it.prospect() == Prospect::Attached) {
                ends.extend(attach::detach(pid, &library));
            }
        }
        std::thread::sleep(between);
        for pid in pids.into_iter().filter(|pid| is_there(*pid)) {
            look_after(pid, round, &mut mappings);
        }
    }
    fs::remove_dir_all(&folder).expect("it is ours");
    for (pid, (first, last)) in mappings {
        println!("process {pid}: {first} mappings after the first round, {last} after the last");
    }
    say("attach", &begins, wanted);
    say("detach", &ends, ends.len());
}

fn begin(
    pid: u32,
    library: &[u8],
    scope: Scope,
    folder: &Path,
) -> Result<Done, attach::AttachError> {
    let path = folder.join(format!("{pid}-0-0.ledger"));
    let ledger = File::options().read(true).write(true).create_new(true).open(&path);
    let done = attach::attach(pid, library, scope, ledger.expect("a new file").as_fd(), folder);
    fs::remove_file(&path).expect("it is there");
    done
}

/// The process and all below it.
fn tree(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while at < all.len() {
        let tasks = fs::read_dir(format!("/proc/{}/task", all[at])).into_iter().flatten();
        for task in tasks.flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        at += 1;
    }
    all
}

fn is_there(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

/// Says what leads into the library, of variables and slots of loaded objects, and keeps how many
/// mappings the process has.
fn look_after(pid: u32, round: u64, mappings: &mut BTreeMap<u32, (usize, usize)>) {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let (Ok(memory), count) = (File::open(format!("/proc/{pid}/mem")), maps.lines().count()) else {
        return;
    };
    mappings.entry(pid).or_insert((count, count)).1 = count;
    let range = |line: &str| {
        let (start, end) = line.split_whitespace().next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(start)?, number(end)?))
    };
    let code = maps.lines().find(|line| line.contains(LIBRARY) && line.contains("r-xp"));
    let Some((low, high)) = code.and_then(range) else { return };
    for line in maps.lines().filter(|line| !line.contains(LIBRARY)) {
        let path = line.find('/').map_or("", |at| &line[at..]);
        let is_object = !path.is_empty() && !path.contains("/ld-");
        let access = line.split_whitespace().nth(1).unwrap_or_default();
        // The C library's variables have handlers for forks and for threads that end, by address.
        let of_c_library = path.contains("/libc.so") && access == "rw-p";
        let Some((start, end)) = range(line) else { continue };
        if !is_object || of_c_library || !["rw-p", "r--p"].contains(&access) {
            continue;
        }
        let mut bytes = vec![0; (end - start) as usize];
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        for (at, word) in bytes.chunks_exact(8).enumerate() {
            let word = u64::from_le_bytes(word.try_into().unwrap());
            if (low..high).contains(&word) {
                let place = start + at as u64 * 8;
                println!(
                    "round {round}: process {pid} leads into the library at {place:#x}: {line}"
                );
            }
        }
    }
}

fn say(what: &str, all: &[Done], wanted: usize) {
    let milliseconds = |of: fn(&Done) -> Duration| {
        let mut all: Vec<f64> = all.iter().map(|done| of(done).as_secs_f64() * 1e3).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (stopped, used) = (milliseconds(|done| done.stopped), milliseconds(|done| done.processor));
    let (Some(longest), Some(most)) = (stopped.last(), used.last()) else { return };
    println!(
        "{what}: {} of {wanted}; stopped {:.1} ms, at most {longest:.1}; processor {:.1} ms, at \
         most {most:.1}",
        stopped.len(),
        stopped[stopped.len() / 2],
        used[used.len() / 2],
    );
}
