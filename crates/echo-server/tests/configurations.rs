//! Every standard configuration does what it says: asked of OpenSSL about live connections.

mod harness;

use harness::{Facts, RELEASE_BUFFERS, Running, check_echo};
use openssl::ssl::SslOptions;

const ZLIB: &str = "zlib compression";

/// Two connections that are open at once, both echoed, and the server's totals.
fn two_connections(name: &str) -> (Facts, Facts) {
    let server = Running::standard(name);
    let (mut first, first_facts) = server.connect();
    let (mut second, second_facts) = server.connect();
    check_echo(&mut first, 1000);
    check_echo(&mut second, 1000);
    assert_eq!(server.counters.open(), 2);
    first.shutdown().unwrap();
    second.shutdown().unwrap();
    let totals = server.stop();
    assert_eq!((totals.handshakes, totals.open), (2, 0));
    assert_eq!(totals.errors, [], "{name}");
    (first_facts, second_facts)
}

fn roots() -> usize {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.len();
    assert!(roots > 100);
    roots
}

#[test]
fn node_0_4_makes_everything_for_each_connection_and_compresses() {
    let (first, second) = two_connections("node-0.4");
    assert_eq!(first.negotiation.protocol, "TLSv1.2");
    assert_eq!(first.negotiation.compression, ZLIB);
    assert_eq!(first.mode & RELEASE_BUFFERS, 0);
    assert_ne!(first.context, second.context);
    assert_ne!(first.store, second.store);
    assert_eq!((first.trusted, second.trusted), (roots(), roots()));
}

#[test]
fn shared_store_makes_contexts_that_point_to_one_store() {
    let (first, second) = two_connections("shared-store");
    assert_eq!(first.negotiation.compression, ZLIB);
    assert_ne!(first.context, second.context);
    assert_eq!(first.store, second.store);
    assert_eq!(first.trusted, roots());
}

#[test]
fn shared_context_makes_one_context() {
    let (first, second) = two_connections("shared-context");
    assert_eq!(first.negotiation.protocol, "TLSv1.2");
    assert_eq!(first.negotiation.compression, ZLIB);
    assert_eq!(first.context, second.context);
    assert_eq!(first.trusted, roots());
}

#[test]
fn no_compression_declines_what_the_client_offers() {
    let (first, second) = two_connections("no-compression");
    assert_eq!(first.negotiation.protocol, "TLSv1.2");
    assert_eq!(first.negotiation.compression, "none");
    assert!(first.context_options.contains(SslOptions::NO_COMPRESSION));
    assert_eq!(first.context, second.context);
    assert_eq!(first.mode & RELEASE_BUFFERS, 0);
}

#[test]
fn release_buffers_is_on_where_it_says_so() {
    for (name, protocol) in [("release-buffers", "TLSv1.2"), ("tls13-release-buffers", "TLSv1.3")] {
        let (facts, _) = two_connections(name);
        assert_eq!(facts.mode & RELEASE_BUFFERS, RELEASE_BUFFERS, "{name}");
        assert_eq!(facts.negotiation.protocol, protocol);
        assert_eq!(facts.negotiation.compression, "none");
    }
}

#[test]
fn tls13_is_what_openssl_does_by_itself() {
    let (facts, other) = two_connections("tls13");
    assert_eq!(facts.negotiation.protocol, "TLSv1.3");
    assert_eq!(facts.negotiation.group, "X25519MLKEM768");
    assert_eq!(facts.mode & RELEASE_BUFFERS, 0);
    assert_eq!(other.cached_sessions, 0);
    assert_eq!(facts.peer_certificates, 0);
}

#[test]
fn tls13_x25519_has_no_ml_kem() {
    let (facts, _) = two_connections("tls13-x25519");
    assert_eq!(facts.negotiation.protocol, "TLSv1.3");
    assert_eq!(facts.negotiation.group, "x25519");
}

#[test]
fn mutual_tls_verifies_the_clients_chain() {
    let (facts, _) = two_connections("mutual-tls");
    assert_eq!(facts.peer_certificates, 2);
    assert!(facts.peer_name.unwrap().contains("tlsheap test client"));
    assert!(facts.verified);
}

#[test]
fn mutual_tls_refuses_a_client_that_shows_nothing_or_another_authoritys_certificate() {
    let server = Running::standard("mutual-tls");
    let stranger = Running::standard("mutual-tls");
    for identity in [None, stranger.client_identity.as_deref()] {
        // In TLS 1.3 a client learns from its first read that it was not let in.
        let refused = match server.handshake(identity) {
            Ok(mut stream) => std::io::Read::read(&mut stream, &mut [0; 9]).is_err(),
            Err(_) => true,
        };
        assert!(refused, "let in with {identity:?}");
    }
    stranger.stop();
    let totals = server.stop();
    assert_eq!((totals.handshakes, totals.errors.len()), (0, 1));
    assert_eq!(totals.errors[0].count, 2);
}

#[test]
fn session_cache_keeps_the_sessions_itself() {
    let (first, second) = two_connections("session-cache");
    assert!(first.context_options.contains(SslOptions::NO_TICKET));
    // TLS 1.3 hands out two sessions a connection.
    assert_eq!((first.cached_sessions, second.cached_sessions), (2, 4));
}

#[test]
fn small_fragments_sends_records_of_at_most_4_kb() {
    assert_eq!(largest_record("small-fragments"), 4096);
    assert_eq!(largest_record("tls13"), 16_384);
}

/// The largest record that comes back when much is sent: one read returns one record at most.
fn largest_record(name: &str) -> usize {
    let server = Running::standard(name);
    let (mut stream, _) = server.connect();
    let size = 64 * 1024;
    stream.ssl_write(&harness::pattern(size)).unwrap();
    let (mut received, mut largest, mut buffer) = (0, 0, vec![0; size]);
    while received < size {
        let read = stream.ssl_read(&mut buffer).unwrap();
        received += read;
        largest = largest.max(read);
    }
    stream.shutdown().unwrap();
    server.stop();
    largest
}

#[test]
fn what_was_agreed_on_is_counted_by_kind() {
    let server = Running::standard("shared-context");
    let (first, _) = server.connect();
    let (second, _) = server.connect();
    drop((first, second));
    let totals = server.stop();
    assert_eq!(totals.negotiated.len(), 1);
    assert_eq!(totals.negotiated[0].connections, 2);
    assert_eq!(totals.negotiated[0].negotiation.compression, ZLIB);
}
