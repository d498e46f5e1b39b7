//! A load on servers of other protocols than the echo.

mod server;

use std::time::Duration;

use load::{
    ClosedLoopOptions, Control, Conversation, Event, FailureKind, Goal, Options, Report,
    Verification, closed_loop, run,
};
use server::{Behaviour, Partner, TestServer};

/// Longer than anything here takes, so that a fault fails a test and does not hang it.
const PATIENCE: Duration = Duration::from_secs(60);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}

fn http() -> Conversation {
    Conversation::Http { path: "/index.html".to_owned() }
}

fn postgres() -> Conversation {
    Conversation::Postgres { user: "tester".to_owned() }
}

fn options(server: &TestServer, conversation: Conversation) -> Options {
    let mut options = Options::to(server.address);
    options.conversation = conversation;
    options.connections = 3;
    options.hold = Some(Duration::ZERO);
    options.patience = PATIENCE;
    options
}

/// Goes on until each connection has asked more than once, or something went wrong.
fn several_rounds(mut options: Options) -> Report {
    options.interval = Duration::from_millis(5);
    options.hold = Some(Duration::from_millis(200));
    load(options)
}

fn load(options: Options) -> Report {
    let (_closer, control) = Control::new();
    block_on(run(options, control, |_: Event<'_>| {})).unwrap()
}

fn only_failure(report: &Report) -> (FailureKind, &str) {
    assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
    (report.failures[0].kind, &report.failures[0].example)
}

#[test]
fn each_protocol_is_answered_again_and_again() {
    for (partner, conversation) in [
        (Partner::Http, http()),
        (Partner::Redis, Conversation::Redis),
        (Partner::Postgres, postgres()),
    ] {
        let server = TestServer::start(Behaviour::Converses(partner));
        let report = several_rounds(options(&server, conversation));
        assert!(report.is_clean(), "{partner:?}: {:?}", report.failures);
        assert_eq!((report.connected, report.echoed), (3, 3), "{partner:?}");
        assert!(report.echoes > 6, "{partner:?}: {} answers", report.echoes);
    }
}

#[test]
fn who_is_asked_for_a_password_is_held() {
    let server = TestServer::start(Behaviour::Converses(Partner::PostgresWithPassword));
    let report = several_rounds(options(&server, postgres()));
    assert!(report.is_clean(), "{:?}", report.failures);
    assert_eq!((report.connected, report.echoed, report.echoes), (3, 3, 0));
}

#[test]
fn the_handshake_alone_listens_to_nobody() {
    let server = TestServer::start(Behaviour::Converses(Partner::Banner));
    let report = several_rounds(options(&server, Conversation::Tls));
    assert!(report.is_clean(), "{:?}", report.failures);
    assert_eq!((report.connected, report.echoed, report.echoes), (3, 3, 0));
}

#[test]
fn a_document_that_changes_is_found() {
    let server = TestServer::start(Behaviour::Converses(Partner::HttpThatChanges));
    let mut options = options(&server, http());
    options.connections = 1;
    let report = several_rounds(options);
    let (kind, detail) = only_failure(&report);
    assert_eq!(kind, FailureKind::AnswerWrong);
    assert_eq!(detail, "a document of 3 bytes that differs from the first one, of 3, at byte 0");
    assert_eq!(report.echoes, 1);
}

#[test]
fn a_server_that_does_not_do_as_it_is_asked_is_found() {
    for (partner, conversation, kind, words) in [
        (Partner::HttpNotFound, http(), FailureKind::AnswerWrong, "404 Not Found"),
        (Partner::RedisWithPassword, Conversation::Redis, FailureKind::AnswerWrong, "NOAUTH"),
        (Partner::PostgresWithoutTls, postgres(), FailureKind::WelcomeWrong, "has no TLS"),
        (Partner::PostgresThatRefuses, postgres(), FailureKind::WelcomeWrong, "role \"tester\""),
    ] {
        let server = TestServer::start(Behaviour::Converses(partner));
        let report = load(options(&server, conversation));
        let (found, detail) = only_failure(&report);
        assert_eq!(found, kind, "{partner:?}: {detail}");
        assert!(detail.contains(words), "{partner:?}: {detail}");
    }
}

#[test]
fn handshakes_in_a_row_wait_for_a_first_answer() {
    for (partner, conversation) in [
        (Partner::Http, http()),
        (Partner::Redis, Conversation::Redis),
        (Partner::Postgres, postgres()),
        (Partner::Banner, Conversation::Tls),
    ] {
        let server = TestServer::start(Behaviour::Converses(partner));
        let mut options = ClosedLoopOptions::to(server.address);
        options.goal = Goal::Count(6);
        options.workers = 2;
        options.conversation = conversation;
        let report = block_on(closed_loop(options)).unwrap();
        assert_eq!((report.handshakes, &report.failures[..]), (6, &[][..]), "{partner:?}");
    }
}

#[test]
fn the_server_is_asked_for_by_name() {
    let server = TestServer::start(Behaviour::Honest);
    let mut options = options(&server, Conversation::Echo);
    options.client.verification = Verification::Authorities(server.authority_pem.clone().into());
    options.client.server_name = Some("server.example.org".to_owned());
    assert!(load(options.clone()).is_clean());
    assert_eq!(server.seen()[0].server_name.as_deref(), Some("server.example.org"));
    options.client.server_name = Some("other.example.org".to_owned());
    assert_eq!(only_failure(&load(options)).0, FailureKind::Handshake);
}

#[test]
fn names_that_cannot_be_sent_are_refused() {
    let server = TestServer::start(Behaviour::Honest);
    let refused = |change: &dyn Fn(&mut Options)| {
        let mut options = options(&server, Conversation::Echo);
        change(&mut options);
        let (_closer, control) = Control::new();
        block_on(run(options, control, |_: Event<'_>| {})).unwrap_err().to_string()
    };
    let name = refused(&|options| options.client.server_name = Some("a b".to_owned()));
    assert_eq!(name, "\"a b\" cannot be asked for as a server's name");
    let path = refused(&|options| {
        options.conversation = Conversation::Http { path: "index".to_owned() };
    });
    assert!(path.starts_with("\"index\" is no path"), "{path}");
    let user = refused(&|options| {
        options.conversation = Conversation::Postgres { user: String::new() };
    });
    assert!(user.contains("no name of a PostgreSQL user"), "{user}");
}
