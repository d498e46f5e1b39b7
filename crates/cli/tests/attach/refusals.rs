//! What cannot be attached to is refused in a sentence, and unharmed.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::daemons::succeed;
use crate::process::{is_put_back, state, wait_for};
use crate::program::{self, path, text, tlsheap};
use crate::recording::Recorded;
use crate::workshop::{Asked, Workshop};

#[test]
fn what_cannot_be_attached_to_is_refused_in_a_sentence_and_unharmed() {
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let mut program = Asked::start(&counted, &[]);
    let pid = program.child.id();
    let refused = |pid: u32, why: &str| {
        let said = Recorded::of(pid, &["--for", "0s"]).refused();
        assert!(said.contains(why), "{said}");
        let doctor = text(&tlsheap(&["doctor", &pid.to_string()]).stdout);
        let doctor = doctor.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(doctor.contains("it cannot be attached to as it runs"), "{doctor}");
    };

    let tracer = workshop.build("tracer", &[], false);
    let mut tracer = Asked::start(&tracer, &[&pid.to_string()]);
    refused(pid, &format!("is traced by process {} (tracer)", tracer.child.id()));
    assert!(tracer.ends_well());
    program::signal(pid, Signal::STOP);
    wait_for(|| state(pid).contains('T').then_some(()));
    refused(pid, "is stopped: let it go on first");
    program::signal(pid, Signal::CONT);

    let mut fixed = Asked::start(&workshop.build("waits", &["-static"], false), &[]);
    refused(fixed.child.id(), "a static program");
    assert!(fixed.ends_well());
    if let Some(musl) = workshop.of_musl() {
        let mut musl = Asked::start(&musl, &[]);
        refused(musl.child.id(), "musl as its C library");
        assert!(musl.ends_well());
    }
    // The same, and nothing to be recorded.
    let mut plain = Asked::start(&workshop.build("waits", &[], false), &[]);
    let said = Recorded::of(plain.child.id(), &["--for", "0s"]).refused_by_program();
    assert!(said.contains("was not attached to: nothing can be recorded"), "{said}");
    assert!(plain.ends_well());

    let said = Recorded::of(4_194_304, &[]).refused();
    assert!(said.contains("there is no process 4194304"), "{said}");
    assert_eq!(program.ask("allocate 1"), "given 1 held 101");
    assert!(program.ends_well());
}

#[test]
fn another_user_is_told_who_may_and_filters_and_roots_are_said() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let mut program = Asked::start(&counted, &[]);
    // Where that user can reach it.
    let copy = workshop.0.path().join("tlsheap");
    fs::copy(env!("CARGO_BIN_EXE_tlsheap"), &copy).unwrap();
    fs::create_dir(workshop.0.path().join("out")).unwrap();
    succeed(&["chmod", "-R", "a+rwX", path(workshop.0.path())]);
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let attach = |pid: u32| {
        let output = Command::new("setpriv")
            .args(as_nobody)
            .args([path(&copy), "record", "--pid", &pid.to_string(), "--for", "0s"])
            .args(["--out", path(&workshop.0.path().join("out/run"))])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let said = attach(program.child.id());
    assert!(said.contains("it is of user 0, and this is user 65534"), "{said}");
    assert!(said.contains("CAP_SYS_PTRACE"), "{said}");
    assert!(program.ends_well());

    // Behind another root directory, as HAProxy with its `chroot`.
    let mut rooted = Asked::start(&counted, &["root", path(&workshop.0.path().join("out"))]);
    let said = Recorded::of(rooted.child.id(), &["--for", "0s"]).refused();
    assert!(said.contains("has no /proc where it lives"), "{said}");
    assert_eq!(rooted.ask("allocate 3"), "given 3 held 103");
    assert!(rooted.ends_well());

    // Its own program, behind a filter that takes root to suspend.
    let mut filtered =
        Asked::spawn(Command::new("setpriv").args(as_nobody).args([path(&counted), "kill"]));
    let said = attach(filtered.child.id());
    assert!(said.contains("a system-call filter") && said.contains("CAP_SYS_ADMIN"), "{said}");
    assert_eq!(filtered.ask("allocate 3"), "given 3 held 103");
    assert!(filtered.ends_well());
}

#[test]
fn inside_a_signal_handler_it_is_refused_unless_that_is_known_to_do_no_harm() {
    let workshop = Workshop::new();
    let handlers = workshop.build("handlers", &[], true);
    let mut inside = Asked::start(&handlers, &["in"]);
    let said = Recorded::of(inside.child.id(), &["--for", "0s"]).refused();
    assert!(
        said.contains("came to no point within") && said.contains("a signal handler"),
        "{said}"
    );
    assert!(inside.ends_well());
    for how in ["after", "waiting"] {
        let mut harmless = Asked::start(&handlers, &[how]);
        Recorded::of(harmless.child.id(), &["--for", "0s"]).record();
        is_put_back(harmless.child.id());
        assert!(harmless.ends_well(), "{how}");
    }
}

#[test]
fn options_that_do_not_go_with_a_process_are_refused() {
    for (options, why) in [
        (&["--pid", "1", "--", "true"][..], "leave PROGRAM out"),
        (&["--pid", "1", "--sample", "64k"], "--sample begins with the program"),
        (&["--pid", "1", "--load", "127.0.0.1:1"], "--load ends the program"),
        (&["--cgroup", "0123456789ab", "--for", "0s"], "has container 0123456789ab in its name"),
    ] {
        let output = tlsheap(&[&["record"], options].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why) && said.lines().count() == 1, "{said}");
    }
    let output = tlsheap(&["record", "--count-earlier", "--", "true"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}
