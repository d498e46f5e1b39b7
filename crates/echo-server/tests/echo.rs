//! What goes in comes out.

mod harness;

use std::pin::Pin;
use std::time::Duration;

use harness::{Running, check_echo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::time::timeout;

const SIZES: [usize; 15] =
    [1, 2, 9, 100, 1000, 4095, 4096, 4097, 16_383, 16_384, 16_385, 32_768, 50_001, 65_536, 70_000];

#[test]
fn every_size_is_echoed_byte_for_byte() {
    for name in ["shared-context", "release-buffers", "tls13", "small-fragments"] {
        let server = Running::standard(name);
        let (mut stream, _) = server.connect();
        for size in SIZES {
            check_echo(&mut stream, size);
        }
        stream.shutdown().unwrap();
        assert_eq!(server.stop().errors, []);
    }
}

/// The client sends without reading until nothing more goes in: the server is then stuck in the
/// middle of a write, and has to go on from there.
#[test]
fn an_echo_that_the_client_does_not_take_at_once_is_whole() {
    for name in ["shared-context", "tls13", "tls13-release-buffers"] {
        let server = Running::standard(name);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ssl = server.client(None);
        let tcp = server.tcp();
        tcp.set_nonblocking(true).unwrap();
        runtime.block_on(async {
            let tcp = tokio::net::TcpStream::from_std(tcp).unwrap();
            let mut stream = tokio_openssl::SslStream::new(ssl, tcp).unwrap();
            Pin::new(&mut stream).connect().await.unwrap();
            let mut welcome = [0; 9];
            stream.read_exact(&mut welcome).await.unwrap();

            let sent = incompressible(64 << 20);
            let (mut reader, mut writer) = split(stream);
            let mut written = 0;
            // No event says that the other end is stuck; that nothing goes in for a while does.
            let stuck = Duration::from_millis(200);
            while let Ok(n) = timeout(stuck, writer.write(&sent[written..][..16_384])).await {
                written += n.unwrap();
            }

            let all = written + (1 << 20);
            let mut echo = vec![0; all];
            let (writing, reading) =
                tokio::join!(writer.write_all(&sent[written..all]), reader.read_exact(&mut echo));
            writing.unwrap();
            reading.unwrap();
            assert!(echo == sent[..all], "{name}");
            reader.unsplit(writer).shutdown().await.unwrap();
        });
        assert_eq!(server.stop().errors, []);
    }
}

/// Bytes that zlib cannot make fewer: the sockets have to fill up.
fn incompressible(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    for chunk in bytes.chunks_mut(1 << 20) {
        openssl::rand::rand_bytes(chunk).unwrap();
    }
    bytes
}
