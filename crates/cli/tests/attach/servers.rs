//! Servers that people run, under load: attached to and let go again, and again.

use rustix::process::Signal;

use crate::clients::Talk;
use crate::daemons::{self, Root};
use crate::needed;
use crate::process::{child, is_put_back, mappings};
use crate::program;
use crate::recording::Recorded;
use crate::rounds::{ROUNDS, rounds};
use crate::workshop::{Asked, Workshop};

#[test]
fn openssl_s_server() {
    let Some(daemon) = daemons::s_server() else { return };
    let server = daemon.start();
    rounds(&server, server.pid(), Talk::Printed, 1);
    let before = mappings(server.pid());
    rounds(&server, server.pid(), Talk::Printed, 1);
    // Its heap may have grown.
    assert!(mappings(server.pid()) <= before + 4, "{before} before");
}

#[test]
fn a_worker_of_nginx() {
    // One worker, which has all connections.
    let Some(daemon) = daemons::nginx(1) else { return };
    let server = daemon.start();
    rounds(&server, child(server.pid()), Talk::Http, 2);
}

#[test]
fn haproxy() {
    let Some(daemon) = daemons::haproxy(Root::Own) else { return };
    let server = daemon.start();
    rounds(&server, child(server.pid()), Talk::Http, 2);
}

#[test]
fn a_server_of_rusts_on_tokio() {
    let daemon = daemons::tokio();
    let server = daemon.start();
    rounds(&server, server.pid(), Talk::Echo, 2);
}

#[test]
fn python_asyncio() {
    let Some(python) = needed::program("python3") else { return };
    let daemon = daemons::echo_server(&python, "echo_asyncio.py");
    let server = daemon.start();
    rounds(&server, server.pid(), Talk::Echo, 2);
}

#[test]
fn twisted_with_the_openssl_of_a_wheel() {
    let Some(python) = needed::python_of_environment() else { return };
    let daemon = daemons::echo_server(&python, "echo_twisted.py");
    let server = daemon.start();
    rounds(&server, server.pid(), Talk::Echo, 2);
}

#[test]
fn node() {
    let Some(node) = needed::program("node") else { return };
    let daemon = daemons::echo_server(&node, "echo.js");
    let server = daemon.start();
    rounds(&server, server.pid(), Talk::Echo, 2);
}

#[test]
fn redis() {
    let Some(daemon) = daemons::redis() else { return };
    let server = daemon.start();
    rounds(&server, server.pid(), Talk::Redis, 2);
}

#[test]
fn postgresql_whose_next_backends_are_recorded_too() {
    let Some(daemon) = daemons::postgresql() else { return };
    let server = daemon.start();
    rounds(&server, server.pid(), Talk::Postgres, 2);
}

#[test]
fn a_program_that_is_nearly_always_in_malloc_and_in_the_loader() {
    let workshop = Workshop::new();
    let churn = workshop.build("churn", &["-pthread"], true);
    let mut churning = Asked::start(&churn, &[]);
    let pid = churning.child.id();
    for _ in 0..ROUNDS {
        let record = Recorded::of(pid, &["--for", "500ms"]).record();
        assert!(record["openssl"]["alloc_blocks"].as_u64() > Some(0), "{record:#}");
        is_put_back(pid);
    }
    program::signal(pid, Signal::TERM);
    assert_eq!(churning.child.wait().unwrap().code(), Some(0), "each block was as it was left");
}
