//! Handshakes one after another.

mod server;

use std::time::Duration;

use load::{ClosedLoopOptions, ClosedLoopReport, FailureKind, Goal, closed_loop};
use server::{Behaviour, TestServer, speak_tls12};

fn loop_with(options: ClosedLoopOptions) -> ClosedLoopReport {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(closed_loop(options)).unwrap()
}

#[test]
fn as_many_handshakes_are_made_as_are_asked_for_and_none_is_resumed() {
    for adapt in [|_: &mut _| {}, speak_tls12] {
        let server = TestServer::start_with(Behaviour::Honest, adapt);
        let mut options = ClosedLoopOptions::to(server.address);
        options.goal = Goal::Count(50);
        options.workers = 4;
        let report = loop_with(options);
        assert_eq!((report.handshakes, report.handshake_latency.count), (50, 50));
        assert_eq!(report.failures, []);
        assert!(report.handshakes_per_second > 0.0);
        let seen = server.seen();
        assert_eq!(seen.len(), 50);
        assert!(seen.iter().all(|it| !it.reused));
    }
}

#[test]
fn a_time_as_the_goal_ends_the_loop() {
    let server = TestServer::start(Behaviour::Honest);
    let mut options = ClosedLoopOptions::to(server.address);
    options.goal = Goal::Time(Duration::from_millis(100));
    let report = loop_with(options);
    assert!(report.handshakes > 0);
    assert!(report.seconds >= 0.1);
    assert_eq!(report.failures, []);
}

#[test]
fn handshakes_that_fail_are_counted_apart() {
    let server = TestServer::start(Behaviour::SpeaksNoTls);
    let mut options = ClosedLoopOptions::to(server.address);
    options.goal = Goal::Count(5);
    let report = loop_with(options);
    assert_eq!(report.handshakes, 0);
    assert_eq!((report.failures[0].kind, report.failures[0].count), (FailureKind::Handshake, 5));
}
