//! A process in a container: with other mounts, other process ids, nothing that it could write, or
//! without `/proc`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::clients::Talk;
use crate::counts::is_counted_exactly;
use crate::daemons;
use crate::process::{child, has_library, is_counted, is_put_back, wait_for};
use crate::program::{path, text, tlsheap};
use crate::recording::Recorded;
use crate::rounds::rounds;
use crate::workshop::{Asked, Workshop};

#[test]
fn in_other_mount_and_process_namespaces_with_a_root_that_is_read_only() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can make namespaces");
        return;
    }
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let script = format!("mount -o remount,bind,ro / && exec {}", path(&counted));
    let inside = ["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", &script];
    let mut program = Asked::spawn(Command::new("unshare").args(inside));
    let pid = child(program.child.id());
    is_counted_exactly(&mut program, pid, "a container");
    is_put_back(pid);
    assert_eq!(program.ask("again 5"), "given 1705 held 50");
    assert!(program.ends_well());
}

/// A command in namespaces of its own without `/proc`, with a /tmp that is empty but for `place`, and
/// with more that is done there before.
fn without_proc(place: &Path, more: &str, command: &[&str]) -> Vec<String> {
    const EMPTY: &str = "set -e; mount --bind \"$0\" /mnt; mount -t tmpfs -o mode=1777 tmpfs /tmp; \
                         mkdir -p \"$0\"; mount --move /mnt \"$0\"; cd \"$0\"; ";
    let script = format!("{EMPTY}{more}; umount -l /proc; exec \"$@\"");
    let unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c"];
    let words = [&unshare[..], &[&script, path(place)], command].concat();
    words.into_iter().map(str::to_owned).collect()
}

/// Nothing of tlsheap's lies where the process could have been given its library.
fn nothing_is_left(pid: u32) {
    for place in ["tmp", "var/tmp", "dev/shm", "run", "var/lib", ""] {
        let files = fs::read_dir(format!("/proc/{pid}/root/{place}")).into_iter().flatten();
        for name in files.map(|file| file.unwrap().file_name()) {
            assert!(
                !name.to_string_lossy().starts_with(".tlsheap"),
                "{} in /{place}",
                name.display()
            );
        }
    }
}

#[test]
fn without_proc_the_library_is_put_where_the_process_lives_and_nothing_of_it_stays() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can make namespaces");
        return;
    }
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let start = |more: &str, as_user: &[&str]| {
        let command = without_proc(workshop.0.path(), more, &[as_user, &[path(&counted)]].concat());
        let program = Asked::spawn(Command::new(&command[0]).args(&command[1..]));
        let pid = child(program.child.id());
        assert!(!Path::new(&format!("/proc/{pid}/root/proc/self")).exists());
        (program, pid)
    };

    // Another user's: it can read the file, too.
    let (mut program, pid) = start("chmod a+rx .", &["setpriv", "--reuid=65534"]);
    is_counted_exactly(&mut program, pid, "without /proc");
    is_put_back(pid);
    nothing_is_left(pid);
    // Again, with the library in it.
    let record = Recorded::of(pid, &["--heap", "--for", "0s"]).record();
    assert_eq!(record["processes"][0]["program"], path(&counted), "{record:#}");
    is_put_back(pid);
    assert_eq!(program.ask("again 5"), "given 1705 held 50");
    assert!(program.ends_well());

    // What the library needs cannot be loaded.
    let broken = "for it in /lib/*/libgcc_s.so.1; do mount --bind /dev/null $it; done";
    let (mut program, pid) = start(broken, &[]);
    let said = Recorded::of(pid, &["--for", "0s"]).refused();
    assert!(said.contains("cannot load tlsheap's library"), "{said}");
    nothing_is_left(pid);
    assert!(!has_library(pid));
    assert_eq!(program.ask("allocate 3"), "given 3 held 103");
    assert!(program.ends_well());

    // There is no place for it.
    let closed = "for it in /tmp /var/tmp /run /var/lib; do mount --rbind $it $it; \
                  mount -o remount,bind,ro $it; done; mount -t tmpfs -o noexec tmpfs /dev/shm; \
                  mount -o remount,bind,ro /";
    let (mut program, pid) = start(closed, &[]);
    let said = Recorded::of(pid, &["--for", "0s"]).refused();
    assert!(said.contains("has no /proc where it lives"), "{said}");
    assert!(said.contains("/tmp is read-only, /var/tmp is read-only"), "{said}");
    assert!(said.contains("/dev/shm is mounted with noexec"), "{said}");
    let doctor = text(&tlsheap(&["doctor", &pid.to_string()]).stdout);
    assert!(doctor.contains("it cannot be attached to as it runs"), "{doctor}");
    assert_eq!(program.ask("allocate 3"), "given 3 held 103");
    assert!(program.ends_well());
}

#[test]
fn a_worker_of_nginx_without_proc() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can make namespaces");
        return;
    }
    let Some(mut daemon) = daemons::nginx(1) else { return };
    let command: Vec<&str> = daemon.command.iter().map(String::as_str).collect();
    daemon.command = without_proc(daemon.place.path(), ":", &command);
    let server = daemon.start();
    let pid = child(child(server.pid()));
    rounds(&server, pid, Talk::Http, 2);
    nothing_is_left(pid);
}

/// What containers are given by Docker and containerd, which Kubernetes leaves as it is.
const CAPABILITIES: &str = "-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,\
                            +setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill,+audit_write";

/// `tlsheap record --pid 1`, and what it writes, in a debug container by hand: the target's process
/// namespace, mounts of its own, and these capabilities.
fn from_a_debug_container(target: u32, capabilities: &str) -> Output {
    // Not over /tmp, in which this program may lie.
    let script = "mount -t tmpfs tmpfs /mnt && mount -t proc proc /proc && \
                  setpriv --bounding-set=\"$0\" \"$@\" && cat /mnt/run/run.json";
    let record = ["record", "--pid", "1", "--until-idle=2s", "--out", "/mnt/run"];
    let mut command = Command::new("nsenter");
    command.args(["--pid", "--target", &target.to_string(), "unshare", "--mount", "sh", "-c"]);
    command.args([script, capabilities, env!("CARGO_BIN_EXE_tlsheap")]).args(record);
    command.env("TMPDIR", "/mnt").output().unwrap()
}

#[test]
fn from_a_debug_container_with_one_capability_more_than_containers_have() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can make namespaces");
        return;
    }
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let start = |filter: &[&str]| {
        let place = path(workshop.0.path());
        let script = format!(
            "set -e; mount --bind {place} /mnt; mount -t tmpfs -o mode=1777 tmpfs /tmp; \
             mkdir -p {place}; mount --move /mnt {place}; chmod a+rx {place}; \
             mount -t proc proc /proc; mount -o remount,bind,ro /; exec \"$@\""
        );
        let as_user = ["setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all"];
        let inside = ["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &script, "target"];
        let words = [&inside[..], &as_user, &[path(&counted)], filter].concat();
        let program = Asked::spawn(Command::new("unshare").args(words));
        let pid = child(program.child.id());
        (program, pid)
    };
    let refused = |output: Output, why: &str| {
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
    };
    let (mut program, pid) = start(&[]);
    refused(from_a_debug_container(pid, CAPABILITIES), "or the capability CAP_SYS_PTRACE");
    refused(from_a_debug_container(pid, "-all,+sys_ptrace"), "CAP_DAC_OVERRIDE beside");
    let with = |more: &str| format!("{CAPABILITIES}{more}");
    let counts = |program: &mut Asked, pid: u32, capabilities: &str| {
        let output = std::thread::scope(|scope| {
            let recording = scope.spawn(|| from_a_debug_container(pid, capabilities));
            wait_for(|| is_counted(pid).then_some(()));
            program.ask("allocate 70");
            recording.join().unwrap()
        });
        assert!(output.status.success(), "{}", text(&output.stderr));
        is_put_back(pid);
        let record: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
        assert_eq!(record["openssl"]["alloc_blocks"], 70, "{record:#}");
    };
    counts(&mut program, pid, &with(",+sys_ptrace"));
    assert_eq!(program.ask("again 5"), "given 75 held 170");
    assert!(program.ends_well());

    // As with a runtime's filter.
    let (mut program, pid) = start(&["errno"]);
    refused(
        from_a_debug_container(pid, &with(",+sys_ptrace")),
        "to attach all the same takes CAP_SYS_ADMIN",
    );
    counts(&mut program, pid, &with(",+sys_ptrace,+sys_admin"));
    assert_eq!(program.ask("again 5"), "given 75 held 170");
    assert!(program.ends_well());
}
