//! `tlsheap record` on servers that people really run, with fifty connections each: what one
//! connection costs, how the recorder got in, and that neither clients nor the shell notice.
//!
//! The figures to compare with were measured by other means, on the versions that Debian 12 has;
//! docs/programs.md has the table.

use load as _; // for the zlib that OpenSSL calls

#[path = "programs/certificate.rs"]
mod certificate;
#[path = "programs/clients.rs"]
mod clients;
#[path = "programs/daemons.rs"]
mod daemons;
#[path = "programs/measured.rs"]
mod measured;
#[path = "programs/needed.rs"]
mod needed;
mod program;
#[path = "programs/server.rs"]
mod server;

use std::fs;
use std::process::Command;

use daemons::{Daemon, Root};
use measured::{Measured, Subject};
use rustix::process::Signal;
use tempfile::TempDir;

/// What every program is held to.
fn holds(measured: &Measured, bytes: f64, ways: &[&str]) {
    measured.is_transparent();
    measured.lost_nothing();
    assert_eq!(measured.ways(), ways);
    measured.costs(bytes);
}

/// Every stack begins where the process began, has a name for each frame, and one leads through
/// all of `names`, outermost first.
fn names_the_way(stacks: &[Vec<String>], names: &[&str]) {
    assert!(!stacks.is_empty());
    for stack in stacks {
        assert_eq!(stack[0], "_start", "{stack:#?}");
        assert!(stack.iter().all(|frame| !frame.is_empty() && frame != "??"), "{stack:#?}");
    }
    let leads = |stack: &Vec<String>| {
        let mut frames = stack.iter();
        names.iter().all(|name| frames.any(|frame| frame == name))
    };
    assert!(stacks.iter().any(leads), "{names:?}: {stacks:#?}");
}

/// A daemon as a subject, and its folder.
fn subject(daemon: Daemon) -> (Subject, TempDir) {
    let Daemon { command, ready, talk, place } = daemon;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    (Subject::new(&command, ready, talk), place)
}

/// One of our echo servers.
fn echo_server(interpreter: &str, file: &str) -> (Subject, TempDir) {
    let (mut subject, place) = subject(daemons::echo_server(interpreter, file));
    if file.ends_with("twisted.py") {
        subject.tidy = Some(Signal::USR1); // it collects its garbage then
    }
    (subject, place)
}

#[test]
fn node_with_its_own_openssl_or_the_distributions() {
    let Some(node) = needed::program("node") else { return };
    let (subject, place) = echo_server(&node, "echo.js");
    let measured = subject.measure(place);
    // Debian builds its Node on the shared library, all others have one linked in.
    let asked = ["-p", "process.config.variables.node_shared_openssl"];
    let shared = Command::new(&node).args(asked).output().unwrap().stdout == b"true\n";
    let object = if shared { "libcrypto.so.3" } else { "node" };
    holds(&measured, 13_930.0, &[&format!("{object} exported recorded")]);
    // V8 runs functions of JavaScript that have no names outside of it.
    let stacks = measured.stacks_of("SSL_new");
    names_the_way(&stacks, &["node::Start(int, char**)", "[JIT]", "SSL_new"]);
}

#[test]
fn functions_of_javascript_have_names_when_node_writes_them_down() {
    let Some(node) = needed::program("node") else { return };
    let (mut subject, place) = echo_server(&node, "echo.js");
    let options = ["--perf-basic-prof", "--interpreted-frames-native-stack"];
    subject.command.splice(1..1, options.map(str::to_owned));
    (subject.before, subject.open) = (0, 5);
    let measured = subject.measure(place);
    measured.is_transparent();
    let names = ["onconnection", "tlsConnectionListener", "TLSSocket", "SSL_new"];
    names_the_way(&measured.stacks_of("SSL_new"), &names);
    // Our own function, which has only written: nothing of that is left.
    let ours = measured.top(&["--under", "echo.js"]);
    let allocated = ours["totals"]["alloc_blocks"].as_u64();
    assert!(allocated.is_some_and(|blocks| blocks > 0), "{ours:#}");
    for pid in &measured.processes {
        fs::remove_file(format!("/tmp/perf-{pid}.map")).unwrap();
    }
}

#[test]
fn twisted_with_the_openssl_hidden_in_a_wheel() {
    let Some(python) = needed::python_of_environment() else { return };
    let (subject, place) = echo_server(&python, "echo_twisted.py");
    let measured = subject.measure(place);
    // The other one is that of Python's own modules.
    let ways = ["_rust.abi3.so symbol-table recorded", "libcrypto.so.3 exported recorded"];
    holds(&measured, 56_704.0, &ways);
    let names = ["Py_BytesMain", "_PyEval_EvalFrameDefault", "_cffi_f_SSL_new"];
    names_the_way(&measured.stacks_of("_cffi_f_SSL_new"), &names);
}

#[test]
fn twisted_that_releases_its_buffers_holds_less_than_half() {
    let Some(python) = needed::python_of_environment() else { return };
    let (mut subject, place) = echo_server(&python, "echo_twisted.py");
    subject.command.insert(2, "--release-buffers".to_owned());
    let measured = subject.measure(place);
    measured.is_transparent();
    measured.costs(23_872.0);
}

#[test]
fn twisted_with_the_openssl_of_the_distribution() {
    let Some(python) = needed::python_with_twisted() else { return };
    let (subject, place) = echo_server(&python, "echo_twisted.py");
    let measured = subject.measure(place);
    holds(&measured, 49_240.0, &["libcrypto.so.3 exported recorded"]);
    names_the_way(&measured.stacks_of("SSL_new"), &["Py_BytesMain", "_PyEval_EvalFrameDefault"]);
}

#[test]
fn python_with_its_own_ssl() {
    let Some(python) = needed::program("python3") else { return };
    let (subject, place) = echo_server(&python, "echo_asyncio.py");
    let measured = subject.measure(place);
    holds(&measured, 16_606.0, &["libcrypto.so.3 exported recorded"]);
}

#[test]
fn nginx_with_two_workers() {
    let Some(daemon) = daemons::nginx(2) else { return };
    let (subject, place) = subject(daemon);
    holds(&subject.measure(place), 13_600.0, &["libcrypto.so.3 exported recorded"]);
}

#[test]
fn haproxy_whose_worker_changes_its_root_before_it_allocates() {
    let Some(daemon) = daemons::haproxy(Root::Changed) else { return };
    let (subject, place) = subject(daemon);
    holds(&subject.measure(place), 13_632.0, &["libcrypto.so.3 exported recorded"]);
}

#[test]
fn redis() {
    let Some(daemon) = daemons::redis() else { return };
    let (subject, place) = subject(daemon);
    holds(&subject.measure(place), 46_878.0, &["libcrypto.so.3 exported recorded"]);
}

#[test]
fn postgresql() {
    let Some(daemon) = daemons::postgresql() else { return };
    let (mut subject, place) = subject(daemon);
    subject.end = Signal::INT; // at a SIGTERM it waits for its clients to go
    holds(&subject.measure(place), 69_000.0, &["libcrypto.so.3 exported recorded"]);
}

#[test]
fn openssl_s_server_which_takes_one_connection_at_a_time() {
    let Some(daemon) = daemons::s_server() else { return };
    let (mut subject, place) = subject(daemon);
    // All but the last one are gone before it comes.
    (subject.before, subject.open) = (49, 1);
    let measured = subject.measure(place);
    assert_eq!(measured.recorded.printed, b"hello\n".repeat(50));
    assert_eq!(measured.plain.printed, measured.recorded.printed);
    holds(&measured, 63_283.0, &["libcrypto.so.3 exported recorded"]);
}
