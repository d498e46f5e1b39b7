//! What a server has to live with: clients that do not behave, ports that are taken, bad files.

mod harness;

use std::fs;
use std::io::{Read, Write};
use std::time::Duration;

use echo_server::configuration::Configuration;
use echo_server::{CertificateSource, ErrorKind, Options, Server};
use harness::{Running, check_echo};

fn tls13() -> Options {
    Options::new(Configuration::standard("tls13").unwrap())
}

/// Whether the other end has closed: an end or a reset, whichever comes first.
fn is_closed(tcp: &mut impl Read) -> bool {
    tcp.read(&mut [0; 1]).map_or(true, |read| read == 0)
}

#[test]
fn clients_beyond_the_limit_are_hung_up_on_and_room_is_taken_again() {
    let mut options = tls13();
    options.connection_limit = 1;
    let server = Running::with(options);
    let (mut first, _) = server.connect();
    for _ in 0..2 {
        assert!(is_closed(&mut server.tcp()));
    }
    check_echo(&mut first, 10);
    first.shutdown().unwrap();
    assert_eq!(first.read(&mut [0; 1]).unwrap(), 0);
    while server.counters.open() > 0 {
        std::thread::yield_now();
    }
    let (mut second, _) = server.connect();
    check_echo(&mut second, 10);
    let refusals: Vec<_> =
        server.events().into_iter().filter(|it| it.starts_with("refused")).collect();
    assert_eq!(refusals, ["refused, limit 1"], "said once for both");
    drop(second);
    let totals = server.stop();
    assert_eq!((totals.accepted, totals.refused), (2, 2));
}

#[test]
fn a_client_that_says_nothing_is_hung_up_on_after_the_handshake_timeout() {
    let mut options = tls13();
    options.handshake_timeout = Duration::from_millis(20);
    let server = Running::with(options);
    assert!(is_closed(&mut server.tcp()));
    server.await_event("handshake not finished in time");
    let totals = server.stop();
    assert_eq!(totals.errors.len(), 1);
    assert_eq!((totals.errors[0].kind, totals.errors[0].count), (ErrorKind::HandshakeTimeout, 1));
}

#[test]
fn a_client_that_speaks_no_tls_is_told_off_and_others_are_served() {
    let server = Running::standard("tls13");
    let mut tcp = server.tcp();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    server.await_event("handshake failed");
    drop(tcp);
    let (mut stream, _) = server.connect();
    check_echo(&mut stream, 10);
    drop(stream);
    let totals = server.stop();
    assert_eq!(totals.errors[0].kind, ErrorKind::HandshakeFailed);
}

#[test]
fn a_client_that_hangs_up_before_the_handshake_is_counted_as_that() {
    let server = Running::standard("tls13");
    drop(server.tcp());
    server.await_event("client hung up during the handshake");
    assert_eq!(server.stop().errors[0].kind, ErrorKind::HandshakeAborted);
}

#[test]
fn a_client_that_is_gone_without_a_goodbye_frees_its_place() {
    let server = Running::standard("tls13");
    let (stream, _) = server.connect();
    drop(stream);
    while server.counters.open() > 0 {
        std::thread::yield_now();
    }
    server.stop();
}

#[test]
fn a_stopping_server_says_goodbye_to_the_connections_it_has() {
    let server = Running::standard("tls13");
    let (mut stream, _) = server.connect();
    check_echo(&mut stream, 100);
    let silent = server.tcp();
    let thread = server.begin_stop();
    // 0 is a TLS goodbye: a connection that was merely cut reads as an error.
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    let totals = thread.join().unwrap();
    assert_eq!((totals.open, totals.handshakes, totals.errors), (0, 1, vec![]));
    drop(silent);
}

#[test]
fn a_port_in_use_is_said() {
    let server = Running::standard("tls13");
    let mut options = tls13();
    options.listen = server.address;
    let error = Server::bind(options).err().unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on {}: another program already does; \
             choose another port, or port 0 for one that is free",
            server.address
        )
    );
    server.stop();
}

#[test]
fn groups_that_openssl_does_not_know_are_refused_at_the_start() {
    let mut options = tls13();
    options.listen.set_port(0);
    options.configuration.groups = Some("X25520".into());
    let error = Server::bind(options).err().unwrap();
    assert_eq!(error.to_string(), "OpenSSL does not take the configuration tls13");
}

#[test]
fn certificate_and_key_are_read_from_files_and_mistakes_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // A certificate with its chain and key, and those of somebody else.
    for name in ["own.pem", "foreign.pem"] {
        let server = Running::standard("mutual-tls");
        fs::write(path(name), server.client_identity.as_ref().unwrap()).unwrap();
        server.stop();
    }
    fs::write(path("empty.pem"), "").unwrap();
    let options = |certificate: &str, key: &str| {
        let mut options = tls13();
        options.listen.set_port(0);
        options.certificate =
            CertificateSource::Files { certificate: path(certificate), key: path(key) };
        options
    };
    let error = |certificate: &str, key: &str| {
        let error = Server::bind(options(certificate, key)).err().unwrap().to_string();
        error.replace(&folder.path().display().to_string(), "…")
    };
    assert_eq!(error("none.pem", "own.pem"), "cannot read the certificate …/none.pem");
    assert_eq!(error("own.pem", "none.pem"), "cannot read the private key …/none.pem");
    assert_eq!(
        error("empty.pem", "own.pem"),
        "…/empty.pem holds no certificate that OpenSSL can read: expected PEM text (-----BEGIN \
         …-----)"
    );
    assert_eq!(
        error("own.pem", "empty.pem"),
        "…/empty.pem holds no private key that OpenSSL can read: expected PEM text (-----BEGIN \
         …-----)"
    );
    assert_eq!(
        error("own.pem", "foreign.pem"),
        "the private key …/foreign.pem does not belong to the certificate …/own.pem"
    );

    let server = Running::with(options("own.pem", "own.pem"));
    let (stream, _) = server.connect();
    let shown = stream.ssl().peer_certificate().unwrap();
    assert!(format!("{:?}", shown.subject_name()).contains("tlsheap test client"));
    assert_eq!(server.authority, None);
    drop(stream);
    server.stop();
}

#[test]
fn the_certificate_made_at_start_leads_to_its_authority_and_is_for_this_host() {
    use openssl::ssl::{SslConnector, SslMethod};
    use openssl::x509::X509;

    let server = Running::standard("tls13");
    let mut connector = SslConnector::builder(SslMethod::tls()).unwrap();
    let authority = X509::from_pem(server.authority.as_ref().unwrap().as_bytes()).unwrap();
    connector.cert_store_mut().add_cert(authority).unwrap();
    let connector = connector.build();
    for name in ["localhost", "127.0.0.1"] {
        let mut stream = connector.connect(name, server.tcp()).unwrap();
        harness::read_welcome(&mut stream);
    }
    assert!(connector.connect("example.org", server.tcp()).is_err());
    server.stop();
}
