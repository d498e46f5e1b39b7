//! How recorded programs begin, go on and end: forks, other programs in the same process, signals,
//! daemons, other users, and children that cannot be recorded.

mod program;
mod recorded;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use program::{path, printed_json, signal, text};
use recorded::{Recorded, installed, tlsheap_record};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// Makes a context, and keeps it.
const CONTEXT: &str = "import os, signal, ssl, sys, time; kept = ssl.SSLContext(ssl.PROTOCOL_TLS);";

fn python(script: &str) -> Recorded {
    Recorded::of(&["python3", "-c", &format!("{CONTEXT}{script}")])
}

fn processes(record: &Value) -> &[Value] {
    record["processes"].as_array().unwrap()
}

#[test]
fn what_a_program_holds_when_it_leaves_without_cleaning_up_is_there() {
    if !installed("python3") {
        return;
    }
    for (end, code) in [
        ("os._exit(5)", Some(5)),
        ("os.abort()", Some(134)),
        ("os.kill(os.getpid(), signal.SIGKILL)", Some(137)),
    ] {
        let recorded = python(end);
        assert_eq!(recorded.output.status.code(), code, "{end}");
        let record = recorded.record();
        let held = record["openssl"]["inuse_bytes"].as_u64().unwrap();
        assert!(held > 10_000, "{end}: {held} bytes");
        let by_signal = record["exit_code"].is_null();
        assert_eq!(by_signal, code > Some(128), "{end}: {}", record["ended"]);
    }
}

/// As `nohup` leaves a program, and a shell what it starts in the background.
#[test]
fn signals_that_are_ignored_are_ignored_by_the_program_too() {
    let place = TempDir::new().unwrap();
    let ignored = "grep -E '^Sig(Ign|Blk)' /proc/self/status";
    let tlsheap = env!("CARGO_BIN_EXE_tlsheap");
    let lines = |signals: &str, record: &str| {
        let script = format!("trap '' {signals}; exec {record} sh -c \"{ignored}\"");
        text(&Command::new("sh").args(["-c", &script]).output().unwrap().stdout)
    };
    for (at, signals) in ["INT QUIT", "HUP", "USR1 USR2 TERM"].into_iter().enumerate() {
        let run = place.path().join(at.to_string());
        let record = format!("{tlsheap} record --heap --out {} --", path(&run));
        let bare = lines(signals, "");
        assert_eq!(lines(signals, &record), bare);
        assert!(bare.contains("SigIgn") && !bare.contains("SigIgn:\t0000000000000000"), "{bare}");
    }
}

#[test]
fn two_programs_in_one_process_are_two() {
    if !installed("python3") || !installed("openssl") {
        return;
    }
    let recorded = python("os.execlp('openssl', 'openssl', 'version')");
    recorded.is_transparent();
    let record = recorded.record();
    let [first, second] = processes(&record) else { panic!("two programs: {record:#}") };
    assert_eq!(first["pid"], second["pid"]);
    assert_ne!(first["profile"], second["profile"]);
    assert!(second["forked_from"].is_null());
    assert!(second["program"].as_str().unwrap().ends_with("/openssl"));
    // Neither was looked at through the other's code.
    for process in [first, second] {
        let profile = recorded.folder.join(process["profile"].as_str().unwrap());
        let top = printed_json(&["top", path(&profile), "--json"]);
        assert_eq!(top["totals"]["alloc_blocks"], process["openssl"]["alloc_blocks"]);
    }
}

#[test]
fn scripts_are_recorded_through_and_what_has_no_openssl_leaves_nothing_behind() {
    if !installed("openssl") {
        return;
    }
    let script = "true; ls / > /dev/null; openssl version; (exit 3)";
    let recorded = Recorded::of(&["sh", "-c", script]);
    recorded.is_transparent();
    assert_eq!(recorded.output.status.code(), Some(3));
    let record = recorded.record();
    let [only] = processes(&record) else { panic!("openssl alone: {record:#}") };
    assert!(only["program"].as_str().unwrap().ends_with("/openssl"));
    assert_eq!(record["problems"], Value::Array(Vec::new()));
}

#[test]
fn a_child_with_another_environment_is_said_to_be_lost() {
    if !installed("python3") || !installed("openssl") {
        return;
    }
    // It is there for some looks, whatever else the machine does.
    let lost = "import ssl, time; time.sleep(3)";
    let script = format!("env -i $(command -v python3) -c '{lost}'; openssl version");
    let recorded = Recorded::of(&["sh", "-c", &script]);
    recorded.is_transparent();
    let record = recorded.record();
    assert_eq!(processes(&record).len(), 1);
    let problem = record["problems"][0].as_str().unwrap_or_default();
    assert!(problem.contains("uses OpenSSL without the recorder"), "{record:#}");

    let place = TempDir::new().unwrap();
    let alone = ["env", "-i", "sh", "-c", &format!("python3 -c '{lost}'")];
    let output = tlsheap_record(&place.path().join("run"), &[], &alone);
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{words}");
    assert!(words.contains("was started without LD_PRELOAD and TLSHEAP_LEDGER_DIR"), "{words}");
}

#[test]
fn a_process_that_becomes_another_user_is_recorded() {
    if !installed("python3") || !installed("setpriv") {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    // The folder is one that the other user cannot enter, and the program may be too: then
    // Python cannot be started by that user at all.
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let script = "import os, ssl; kept = ssl.SSLContext(ssl.PROTOCOL_TLS); print(os.getuid())";
    let python = ["/usr/bin/python3", "-c", script];
    if !Path::new(python[0]).exists() {
        println!("skipped: {} is not installed", python[0]);
        return;
    }
    let recorded = Recorded::of(&[&user[..], &python].concat());
    recorded.is_transparent();
    assert_eq!(text(&recorded.output.stdout), "65534\n");
    let record = recorded.record();
    assert!(record["openssl"]["alloc_blocks"].as_u64().unwrap() > 0, "{record:#}");
    assert_eq!(record["problems"], Value::Array(Vec::new()));

    // Also when it gives its rights away by itself, after it has begun.
    let script = format!(
        "{CONTEXT}os.setgid(65534); os.setuid(65534); \
                          os.fork() or ssl.SSLContext(ssl.PROTOCOL_TLS); os._exit(0)"
    );
    let recorded = Recorded::of(&[python[0], "-c", &script]);
    let record = recorded.record();
    assert_eq!(processes(&record).len(), 2, "{record:#}");
}

/// Becomes a daemon that holds a context; its id is printed first.
const DAEMON: &str = "\
import os, ssl, sys, time
child = os.fork()
if child:
    print(child, flush=True)
    os._exit(0)
os.setsid()
kept = ssl.SSLContext(ssl.PROTOCOL_TLS)
nothing = os.open('/dev/null', os.O_RDWR)
for descriptor in range(3):
    os.dup2(nothing, descriptor)
time.sleep(60)
";

#[test]
fn a_daemon_is_waited_for_and_ended() {
    if !installed("python3") {
        return;
    }
    let place = TempDir::new().unwrap();
    let folder = place.path().join("run");
    let output = tlsheap_record(&folder, &["--until-idle=1s"], &["python3", "-c", DAEMON]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let daemon = text(&output.stdout).trim().to_owned();
    assert!(!Path::new("/proc").join(&daemon).join("exe").exists(), "{daemon} goes on");
    let top = printed_json(&["top", path(&folder), "--process", &daemon, "--json"]);
    assert!(top["totals"]["inuse_bytes"].as_u64().unwrap() > 10_000, "{top:#}");
}

#[test]
fn a_daemon_that_goes_on_keeps_the_library() {
    if !installed("python3") {
        return;
    }
    let place = TempDir::new().unwrap();
    // Where the library is put.
    let temporary = place.path().join("temporary");
    fs::create_dir(&temporary).unwrap();
    make_enterable(place.path());
    let output = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["record", "--out", path(&place.path().join("run")), "--"])
        .args(["python3", "-c", &DAEMON.replace("os._exit(0)", "time.sleep(2); os._exit(0)")])
        .env("TMPDIR", &temporary)
        .output()
        .unwrap();
    let words = text(&output.stderr);
    let daemon = text(&output.stdout).trim().to_owned();
    let maps = fs::read_to_string(format!("/proc/{daemon}/maps")).unwrap_or_default();
    signal(daemon.parse().unwrap(), Signal::KILL);
    assert!(words.contains(&format!("not recorded any more: process {daemon}")), "{words}");
    let mut mapped = maps.lines().filter_map(|line| Some(&line[line.find(path(&temporary))?..]));
    let library = mapped.find(|path| path.contains("libtlsheap"));
    assert!(library.is_some_and(|path| Path::new(path).exists()), "{words}");
}

/// A folder for temporary files that root's recordings can use.
fn make_enterable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_interrupt_is_passed_on_after_the_capture() {
    if !installed("python3") {
        return;
    }
    let place = TempDir::new().unwrap();
    let folder = place.path().join("run");
    let script = format!("{CONTEXT}print('ready', flush=True); time.sleep(600)");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["record", "--out", path(&folder), "--", "python3", "-c", &script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    signal(child.id(), Signal::INT);
    let output = child.wait_with_output().unwrap();
    let words = text(&output.stderr);
    assert!(words.contains("KeyboardInterrupt") && words.contains("at an interrupt"), "{words}");
    assert_eq!(output.status.code(), Some(130), "{words}");
    let top = printed_json(&["top", path(&folder), "--json"]);
    assert!(top["totals"]["inuse_bytes"].as_u64().unwrap() > 10_000, "{top:#}");
}
