//! `compression-zeroed` empties a stack of the whole process, so it has a process of its own.

mod harness;

use std::io::{Read, Write};
use std::net::Shutdown;

use harness::Running;
use openssl::ssl::{Ssl, SslOptions};

#[test]
fn the_stack_is_empty_and_a_client_that_offers_zlib_is_declined() {
    let before = Running::standard("shared-context");
    assert!(echo_server::compression_methods() > 0);
    // Taken while this process can still offer compression.
    let client_hello = client_hello(before.client(None));
    assert_eq!(chosen_compression(&before, &client_hello), 1, "the offer is a real one");
    before.stop();

    let server = Running::standard("compression-zeroed");
    assert_eq!(echo_server::compression_methods(), 0);
    assert_eq!(chosen_compression(&server, &client_hello), 0);

    let (_stream, facts) = server.connect();
    assert!(!facts.context_options.contains(SslOptions::NO_COMPRESSION), "no option, the stack");
    assert_eq!(facts.negotiation.compression, "none");
    assert_eq!(facts.negotiation.protocol, "TLSv1.2");
}

/// The first bytes a client sends.
fn client_hello(ssl: Ssl) -> Vec<u8> {
    #[derive(Debug, Default)]
    struct Recorder(Vec<u8>);
    impl Write for Recorder {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl Read for Recorder {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::WouldBlock.into())
        }
    }
    match ssl.connect(Recorder::default()) {
        Err(openssl::ssl::HandshakeError::WouldBlock(waiting)) => waiting.get_ref().0.clone(),
        other => panic!("a client without a server waits, but: {other:?}"),
    }
}

/// The compression method in the server's answer: 0 for none, 1 for DEFLATE.
fn chosen_compression(server: &Running, client_hello: &[u8]) -> u8 {
    let mut tcp = server.tcp();
    tcp.write_all(client_hello).unwrap();
    // Record header 5, handshake header 4, version 2, random 32; then the session's id.
    let mut start = [0; 5 + 4 + 2 + 32 + 1];
    tcp.read_exact(&mut start).unwrap();
    assert_eq!((start[0], start[5]), (22, 2), "a ServerHello");
    let mut rest = vec![0; usize::from(start[43]) + 2 + 1];
    tcp.read_exact(&mut rest).unwrap();
    tcp.shutdown(Shutdown::Both).unwrap();
    *rest.last().unwrap()
}
