//! Programs that are started, and processes that come into a control group, while others are
//! recorded: they are attached to as well.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::daemons::succeed;
use crate::process::{is_counted, is_put_back, wait_for};
use crate::program::{path, text, tlsheap};
use crate::workshop::{Asked, Workshop};

/// What `record` says of those in a group, during which `work` is done.
fn recorded(group: &Path, run: &Path, options: &[&str], work: impl FnOnce()) -> (Value, String) {
    let options = [&["record", "--out", path(run)], options, &["--cgroup", path(group)]].concat();
    let output = std::thread::scope(|scope| {
        let recording = scope.spawn(|| tlsheap(&options));
        work();
        recording.join().unwrap()
    });
    let said = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(output.status.success(), "{said}");
    let record = fs::read_to_string(run.join("run.json")).unwrap();
    (serde_json::from_str(&record).unwrap(), said)
}

fn allocated(pid: u32, record: &Value) -> u64 {
    let processes = record["processes"].as_array().unwrap().iter();
    let counted = processes.filter(|it| it["pid"] == pid);
    counted.map(|it| it["openssl"]["alloc_blocks"].as_u64().unwrap()).sum()
}

/// Puts processes into a group: a folder with this file.
fn put(group: &Path, pids: &[u32]) {
    let ids = pids.iter().map(u32::to_string).collect::<Vec<_>>().join("\n");
    // Not for a moment with half of them.
    fs::write(group.join("next"), ids).unwrap();
    fs::rename(group.join("next"), group.join("cgroup.procs")).unwrap();
}

#[test]
fn a_process_that_comes_into_a_group_is_recorded_from_then_on() {
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    // At the beginning it is looked three times: the last one comes later than that.
    let mut all = [(); 4].map(|()| Asked::start(&counted, &[]));
    let mut other = Asked::start(&workshop.build("waits", &[], false), &[]);
    let pids = all.each_ref().map(|program| program.child.id());
    let group = workshop.0.path().join("group");
    fs::create_dir(&group).unwrap();
    put(&group, &pids[..1]);
    let run = workshop.0.path().join("run");
    let (record, said) = recorded(&group, &run, &["--until-idle=4s"], || {
        for (at, program) in all.iter_mut().enumerate() {
            put(&group, &[&[other.child.id()], &pids[..=at]].concat());
            wait_for(|| is_counted(pids[at]).then_some(()));
            program.ask("allocate 30");
        }
    });
    assert_eq!(pids.map(|pid| allocated(pid, &record)), [30; 4], "{record:#}");
    let visited = record["attached"]["processes"].as_array().unwrap();
    let after = |at: usize| visited[at]["after_seconds"].as_f64().unwrap();
    assert_eq!(visited.len(), pids.len(), "{record:#}");
    assert!(after(0) == 0.0 && after(3) > 0.0, "{record:#}");
    assert!(said.contains("One thread of each of the 4 stood still"), "{said}");
    assert!(!said.contains("not seen"), "{said}");
    pids.into_iter().for_each(is_put_back);
    assert!(all.iter_mut().all(Asked::ends_well) && other.ends_well());
}

#[test]
fn a_program_that_is_started_below_a_tree_is_recorded_and_one_that_a_process_becomes() {
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let [one, two] = ["one", "two"].map(|name| workshop.0.path().join(name));
    succeed(&["mkfifo", path(&one), path(&two)]);
    // A shell is no program with OpenSSL: what it starts is. The last program is the shell itself.
    let script = format!(
        "{0} <{1} >/dev/null & echo ready; read order; {0} <{2} >/dev/null & echo started; \
         read order; exec {0}",
        path(&counted),
        path(&one),
        path(&two)
    );
    let mut shell = Asked::spawn(Command::new("sh").args(["-c", &script]));
    let pid = shell.child.id();
    let open = |fifo: &Path| fs::File::options().write(true).open(fifo).unwrap();
    let mut first = open(&one);
    let children = || crate::process::children(pid);
    let first_pid = wait_for(|| children().first().copied());
    wait_for(|| has_openssl(first_pid).then_some(()));
    let run = workshop.0.path().join("run");
    let started = std::cell::Cell::new(0);
    let id = pid.to_string();
    let options = ["record", "--pid", &id, "--children", "--until-idle=4s", "--out", path(&run)];
    let output = std::thread::scope(|scope| {
        let recording = scope.spawn(|| tlsheap(&options));
        wait_for(|| is_counted(first_pid).then_some(()));
        writeln!(first, "allocate 20").unwrap();
        assert_eq!(shell.ask("go on"), "started");
        let mut second = open(&two);
        let second_pid = wait_for(|| children().into_iter().find(|it| *it != first_pid));
        started.set(second_pid);
        wait_for(|| is_counted(second_pid).then_some(()));
        writeln!(second, "allocate 40").unwrap();
        assert_eq!(shell.ask("go on"), "ready");
        wait_for(|| is_counted(pid).then_some(()));
        shell.ask("allocate 60");
        let output = recording.join().unwrap();
        [first_pid, second_pid, pid].into_iter().for_each(is_put_back);
        output
    });
    let said = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(output.status.success(), "{said}");
    let record: Value =
        serde_json::from_str(&fs::read_to_string(run.join("run.json")).unwrap()).unwrap();
    let counts = [first_pid, started.get(), pid].map(|pid| allocated(pid, &record));
    assert_eq!(counts, [20, 40, 60], "{record:#}");
    assert!(!said.contains("not seen"), "{said}");
    drop(first);
    assert!(shell.ends_well());
}

#[test]
fn a_process_that_becomes_another_program_is_not_said_to_have_the_recorder_in_it() {
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let mut program = Asked::start(&counted, &[]);
    let pid = program.child.id();
    let run = workshop.0.path().join("run");
    let id = pid.to_string();
    let options = ["record", "--pid", &id, "--for", "3s", "--out", path(&run)];
    let output = std::thread::scope(|scope| {
        let recording = scope.spawn(|| tlsheap(&options));
        wait_for(|| is_counted(pid).then_some(()));
        program.ask("allocate 10");
        // It is the same program, begun anew.
        assert_eq!(program.ask("become 1"), "ready");
        recording.join().unwrap()
    });
    let said = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(output.status.success(), "{said}");
    assert!(said.contains("has become another program"), "{said}");
    assert!(said.contains("uses OpenSSL without the recorder: it came after"), "{said}");
    assert!(!said.contains("has the recorder in it still"), "{said}");
    let record: Value =
        serde_json::from_str(&fs::read_to_string(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(allocated(pid, &record), 10, "{record:#}");
    assert!(program.ends_well());
}

fn has_openssl(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.contains("libcrypto"))
}
