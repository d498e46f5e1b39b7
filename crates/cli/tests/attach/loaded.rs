//! Libraries that a process loads while it is recorded as a whole: what they ask for is counted from
//! the moment on at which `dlopen` returns, and names are found as they are found by themselves.

use std::fs::File;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::daemons::succeed;

use crate::process::{is_counted, is_put_back, wait_for};
use crate::program::{self, path};
use crate::recording::Recorded;
use crate::workshop::{Asked, Workshop};

const NAME: &str = "registers.so";

/// The program, with a library of that name in a folder of its own, which is in its DT_RUNPATH where
/// `options` say so.
fn loads(workshop: &Workshop, options: &[&str]) -> Command {
    let library = workshop.build("registers", &["-shared", "-fPIC", "-pthread"], false);
    let folder = workshop.0.path().join("own");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(library, folder.join(NAME)).unwrap();
    let loads = workshop.build("loads", &[&["-rdynamic"], options].concat(), true);
    let mut command = Command::new(loads);
    if options.is_empty() {
        command.env("LD_LIBRARY_PATH", folder);
    }
    command
}

/// Asks the program while it is recorded, and returns what was counted of its blocks.
fn counted(program: &mut Asked, asks: impl FnOnce(&mut Asked)) -> u64 {
    let pid = program.child.id();
    let record: Value = std::thread::scope(|scope| {
        let recording = scope.spawn(|| Recorded::of(pid, &["--heap", "--until-idle=2s"]).record());
        wait_for(|| is_counted(pid).then_some(()));
        asks(program);
        recording.join().unwrap()
    });
    is_put_back(pid);
    record["heap"]["counts"]["alloc_blocks"].as_u64().unwrap_or_else(|| panic!("{record:#}"))
}

#[test]
fn what_a_library_asks_for_is_counted_once_dlopen_has_returned() {
    let workshop = Workshop::new();
    let mut program = Asked::spawn(&mut loads(&workshop, &[]));
    let file = format!("load {}", path(&workshop.0.path().join("own").join(NAME)));
    for _ in 0..2 {
        let blocks = counted(&mut program, |program| {
            for load in [&file, &file, "load registers.so"] {
                // It comes back to where it was.
                assert!(program.ask(load).starts_with("given"), "{load}");
                program.ask("call 15");
            }
        });
        assert_eq!(blocks, 3 * 30);
    }
    // Errors are the program's own, and the C library asks for their texts.
    counted(&mut program, |program| {
        let said = program.ask("missing");
        assert!(said.starts_with("/no/such/library.so: cannot open"), "{said}");
        assert!(said.ends_with("; none"), "{said}");
        program.ask("call 0");
    });
    assert!(program.ask("load registers.so").starts_with("given"));
    assert_eq!(program.ask("call 2"), "given 184");
    assert!(program.ends_well());
}

#[test]
fn names_that_depend_on_who_asks_are_found_and_led_when_a_name_is_looked_up() {
    let workshop = Workshop::new();
    let runpath = "-Wl,--enable-new-dtags,-rpath,$ORIGIN/own";
    let mut program = Asked::spawn(&mut loads(&workshop, &[runpath]));
    let file = format!("load {}", path(&workshop.0.path().join("own").join(NAME)));
    let blocks = counted(&mut program, |program| {
        let load = |program: &mut Asked, load: &str| {
            assert!(program.ask(load).starts_with("given"), "{load}");
            // Not seen.
            program.ask("call 4");
            program.ask("look");
            program.ask("call 15");
        };
        load(program, "load registers.so");
        load(program, "load $ORIGIN/own/registers.so");
        program.ask("apart");
        load(program, &file);
    });
    assert_eq!(blocks, 3 * 30);
    assert_eq!(program.ask("call 2"), "given 118");
    assert!(program.ends_well());
}

#[test]
fn it_is_let_go_while_a_thread_is_in_dlopen_and_that_comes_back_to_it() {
    let workshop = Workshop::new();
    let (fifo, run) = (workshop.0.path().join("fifo"), workshop.0.path().join("run"));
    succeed(&["mkfifo", path(&fifo)]);
    let mut program = Asked::spawn(loads(&workshop, &[]).env("WAIT_FOR", &fifo));
    let pid = program.child.id();
    let mut tlsheap = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["record", "--pid", &pid.to_string(), "--heap", "--out", path(&run)])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(|| is_counted(pid).then_some(()));
    program.tell("load registers.so");
    // Whoever has it open is in the library's constructor.
    let writes = wait_for(|| {
        let open = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
        rustix::fs::open(&fifo, open, rustix::fs::Mode::empty()).ok().map(File::from)
    });
    program::signal(tlsheap.id(), Signal::INT);
    assert_eq!(tlsheap.wait().unwrap().code(), Some(0));
    is_put_back(pid);
    drop(writes);
    assert_eq!(program.answer(), "given 0");
    assert_eq!(program.ask("call 2"), "given 4");
    is_put_back(pid);
    assert!(program.ends_well());
}
