//! A load against servers that behave, and servers that do not.

mod server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use load::{
    CompressionOffer, Control, Event, FailureKind, Identity, Options, Protocol, Report,
    Verification, run,
};
use server::{Behaviour, Seen, TestServer, require_certificates, speak_tls12};

/// Longer than anything here takes, so that a fault fails a test and does not hang it.
const PATIENCE: Duration = Duration::from_secs(60);
/// For tests in which the server keeps the client waiting for ever.
const IMPATIENCE: Duration = Duration::from_millis(50);

fn options(server: &TestServer, connections: usize) -> Options {
    let mut options = Options::to(server.address);
    options.connections = connections;
    options.hold = Some(Duration::ZERO);
    options.patience = PATIENCE;
    options
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}

fn load(options: Options) -> Report {
    let (_closer, control) = Control::new();
    block_on(run(options, control, |_: Event<'_>| {})).unwrap()
}

/// The one kind of failure in a report, and how often it occurred.
fn only_failure(report: &Report) -> (FailureKind, u64) {
    assert!(!report.is_clean());
    assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
    assert!(!report.failures[0].example.is_empty());
    (report.failures[0].kind, report.failures[0].count)
}

#[test]
fn an_honest_server_gives_a_clean_report() {
    let server = TestServer::start(Behaviour::Honest);
    let report = load(options(&server, 40));
    assert!(report.is_clean(), "{:?}", report.failures);
    assert_eq!((report.connections, report.connected, report.echoed), (40, 40, 40));
    assert_eq!((report.echoes, report.echo_latency.count), (40, 40));
    assert_eq!(report.handshake_latency.count, 40);
    assert!(report.handshake_latency.p50_us <= report.handshake_latency.max_us);
    assert!(report.handshakes_per_second > 0.0);
    assert_eq!(server.seen().len(), 40);
}

#[test]
fn a_load_without_an_end_ends_when_no_connection_is_left() {
    let server = TestServer::start(Behaviour::CorruptsTheSecondEcho);
    let mut options = options(&server, 3);
    options.hold = None;
    options.interval = Duration::from_millis(10);
    let (_closer, control) = Control::new();
    let report = block_on(async {
        tokio::time::timeout(PATIENCE, run(options, control, |_: Event<'_>| {})).await
    });
    let report = report.expect("it ends by itself").unwrap();
    assert_eq!(report.echoed, 3);
    assert_eq!(only_failure(&report), (FailureKind::EchoWrong, 3));
}

#[test]
fn events_come_in_order_and_at_rest_after_the_last_first_echo() {
    let server = TestServer::start(Behaviour::Honest);
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let (_closer, control) = Control::new();
    let observer = move |event: Event<'_>| {
        heard.lock().unwrap().push(match event {
            Event::Progress { connected, echoed, failed } => {
                format!("{connected} connected, {echoed} echoed, {failed} failed")
            }
            Event::AtRest { connections } => format!("at rest with {connections}"),
            Event::Closing => "closing".into(),
            Event::Finished(report) => format!("finished, clean: {}", report.is_clean()),
            other => format!("{other:?}"),
        });
    };
    block_on(run(options(&server, 5), control, observer)).unwrap();
    let events = events.lock().unwrap();
    assert_eq!(events[0], "1 connected, 0 echoed, 0 failed");
    assert_eq!(
        events[events.len() - 4..],
        ["5 connected, 5 echoed, 0 failed", "at rest with 5", "closing", "finished, clean: true"]
    );
}

#[test]
fn every_connection_says_hello_again_and_again_until_told_to_close() {
    let server = TestServer::start(Behaviour::Honest);
    let mut options = options(&server, 10);
    options.hold = None;
    options.interval = Duration::from_millis(5);
    let (closer, control) = Control::new();
    let report = block_on(async {
        let run = run(options, control, |_: Event<'_>| {});
        tokio::pin!(run);
        // The load has no event for each echo: it is left alone for some intervals.
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut run).await.is_err());
        closer.close();
        run.await.unwrap()
    });
    assert!(report.is_clean(), "{:?}", report.failures);
    assert!(report.echoes > 20, "{} echoes", report.echoes);
}

#[test]
fn one_wrong_byte_is_found() {
    let server = TestServer::start(Behaviour::CorruptsTheSecondEcho);
    let mut options = options(&server, 3);
    options.interval = Duration::from_millis(10);
    options.hold = Some(PATIENCE);
    let (closer, control) = Control::new();
    let observer = move |event: Event<'_>| {
        if matches!(event, Event::Progress { failed: 3, .. }) {
            closer.close();
        }
    };
    let report = block_on(run(options, control, observer)).unwrap();
    assert_eq!(only_failure(&report), (FailureKind::EchoWrong, 3));
    assert_eq!(report.failures[0].example, "byte 5: sent 0x0a, got back 0x2a");
    assert_eq!((report.echoed, report.echoes), (3, 3));
}

#[test]
fn a_server_that_closes_early_is_found() {
    for behaviour in [Behaviour::ClosesAfterTheWelcome, Behaviour::CutsOffAfterTheWelcome] {
        let server = TestServer::start(behaviour);
        let report = load(options(&server, 4));
        assert_eq!(only_failure(&report), (FailureKind::ClosedByServer, 4), "{behaviour:?}");
        assert_eq!((report.connected, report.echoed), (4, 0));
    }
}

#[test]
fn a_server_that_does_not_do_its_part_is_found() {
    for (behaviour, kind) in [
        (Behaviour::NeverSaysWelcome, FailureKind::WelcomeTimeout),
        (Behaviour::NeverEchoes, FailureKind::EchoTimeout),
        (Behaviour::NeverSaysGoodbye, FailureKind::CloseTimeout),
    ] {
        let server = TestServer::start(behaviour);
        let mut options = options(&server, 2);
        options.patience = IMPATIENCE;
        assert_eq!(only_failure(&load(options)), (kind, 2), "{behaviour:?}");
    }
}

#[test]
fn a_server_that_says_something_else_is_found() {
    let server = TestServer::start(Behaviour::SaysSomethingElse);
    let report = load(options(&server, 2));
    assert_eq!(only_failure(&report), (FailureKind::WelcomeWrong, 2));
    assert_eq!(report.failures[0].example, r#"expected "welcome!\n", found "good day\n""#);
}

#[test]
fn a_server_that_speaks_without_being_asked_is_found() {
    let server = TestServer::start(Behaviour::SpeaksWithoutBeingAsked);
    let mut options = options(&server, 1);
    options.hold = Some(PATIENCE);
    let (closer, control) = Control::new();
    let observer = move |event: Event<'_>| {
        if matches!(event, Event::Progress { failed: 1, .. }) {
            closer.close();
        }
    };
    let report = block_on(run(options, control, observer)).unwrap();
    assert_eq!(only_failure(&report), (FailureKind::EchoWrong, 1));
}

#[test]
fn no_server_and_no_tls_are_told_apart() {
    let server = TestServer::start(Behaviour::SpeaksNoTls);
    assert_eq!(only_failure(&load(options(&server, 2))), (FailureKind::Handshake, 2));

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut options = options(&server, 2);
    options.address = free;
    assert_eq!(only_failure(&load(options)), (FailureKind::Connect, 2));
}

#[test]
fn the_protocol_and_the_offer_of_compression_are_those_of_the_options() {
    for (protocol, compression, expected) in [
        (Protocol::Any, CompressionOffer::None, ("TLSv1.3", false)),
        (Protocol::Tls13, CompressionOffer::None, ("TLSv1.3", false)),
        (Protocol::Tls12, CompressionOffer::None, ("TLSv1.2", false)),
        (Protocol::Tls12, CompressionOffer::Zlib, ("TLSv1.2", true)),
    ] {
        let server = TestServer::start(Behaviour::Honest);
        let mut options = options(&server, 1);
        options.client.protocol = protocol;
        options.client.compression = compression;
        assert!(load(options).is_clean());
        let seen: Vec<Seen> = server.seen();
        assert_eq!((seen[0].protocol.as_str(), seen[0].compressed), expected);
    }
}

#[test]
fn compression_is_refused_where_openssl_would_not_offer_it() {
    let server = TestServer::start(Behaviour::Honest);
    let mut options = options(&server, 1);
    options.client.compression = CompressionOffer::Zlib;
    let (_closer, control) = Control::new();
    let error = block_on(run(options, control, |_: Event<'_>| {})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "compression can be offered with TLS 1.2 only; choose that protocol, or no compression"
    );
}

#[test]
fn a_client_shows_its_chain_to_a_server_that_asks() {
    for adapt in [require_certificates, |context: &mut _| {
        require_certificates(context);
        speak_tls12(context);
    }] {
        let server = TestServer::start_with(Behaviour::Honest, adapt);
        let mut options = options(&server, 1);
        assert!(!load(options.clone()).is_clean(), "let in without a certificate");
        let pem = server.client_identity_pem.as_bytes();
        options.client.identity = Some(Identity::from_pem(pem, pem).unwrap());
        assert!(load(options).is_clean());
        assert_eq!(server.seen().pop().unwrap().peer_certificates, 2);
    }
}

#[test]
fn an_identity_without_certificate_or_key_is_refused() {
    let server = TestServer::start(Behaviour::Honest);
    let pem = server.client_identity_pem.as_bytes();
    let error = |chain: &[u8], key: &[u8]| Identity::from_pem(chain, key).unwrap_err().to_string();
    assert!(error(b"", pem).contains("holds no certificate"));
    assert!(error(pem, server.authority_pem.as_bytes()).contains("private key is not PEM"));
}

#[test]
fn the_servers_certificate_is_checked_when_asked_for() {
    let server = TestServer::start(Behaviour::Honest);
    let other = TestServer::start(Behaviour::Honest);
    let mut options = options(&server, 1);
    options.client.verification = Verification::Authorities(server.authority_pem.clone().into());
    assert!(load(options.clone()).is_clean());
    options.client.verification = Verification::Authorities(other.authority_pem.clone().into());
    assert_eq!(only_failure(&load(options)), (FailureKind::Handshake, 1));
}

#[test]
fn told_to_close_at_once_a_load_closes_at_once() {
    let server = TestServer::start(Behaviour::Honest);
    let mut options = options(&server, 50);
    options.hold = None;
    let (closer, control) = Control::new();
    closer.close();
    let report = block_on(run(options, control, |_: Event<'_>| {})).unwrap();
    assert!(report.is_clean(), "{:?}", report.failures);
}

#[test]
fn a_load_of_no_connections_is_over_at_once() {
    let server = TestServer::start(Behaviour::Honest);
    let report = load(options(&server, 0));
    assert_eq!((report.connected, report.is_clean()), (0, true));
}

#[test]
fn the_report_keeps_its_field_names() {
    let server = TestServer::start(Behaviour::CutsOffAfterTheWelcome);
    let report = serde_json::to_value(load(options(&server, 1))).unwrap();
    let names = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(
        names(&report),
        [
            "connections",
            "connected",
            "echoed",
            "echoes",
            "connecting_seconds",
            "handshakes_per_second",
            "handshake_latency",
            "echo_latency",
            "failures"
        ]
    );
    assert_eq!(
        names(&report["echo_latency"]),
        ["count", "p50_us", "p90_us", "p99_us", "p999_us", "max_us"]
    );
    assert_eq!(names(&report["failures"][0]), ["kind", "count", "example"]);
    assert_eq!(report["failures"][0]["kind"], "closed_by_server");
}

#[test]
fn connections_come_from_the_addresses_that_are_asked_for_in_turn() {
    let server = TestServer::start(Behaviour::Honest);
    let mut options = options(&server, 6);
    let from = |last: u8| std::net::IpAddr::from([127, 0, 0, last]);
    options.from = vec![from(7), from(8), from(9)];
    assert!(load(options).is_clean());
    let mut peers: Vec<_> = server.seen().into_iter().map(|seen| seen.peer).collect();
    peers.sort_unstable();
    assert_eq!(peers, [from(7), from(7), from(8), from(8), from(9), from(9)]);
}
