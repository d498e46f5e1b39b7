//! TLS clients that keep every byte they are answered, so that two runs can be compared.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode, SslVersion};

/// Longer than any answer takes: only a server that hangs is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a server is told, and what it has to answer.
#[derive(Clone, Copy, Debug)]
pub enum Talk {
    /// A welcome without being asked, then an echo.
    Echo,
    /// Something that it prints, and nothing comes back.
    Printed,
    /// One HTTP request on a connection that is kept.
    Http,
    /// Redis's PING.
    Redis,
    /// PostgreSQL's start and one query, behind its own request for TLS.
    Postgres,
}

/// One connection that was answered.
pub struct Client {
    stream: SslStream<TcpStream>,
    /// All that the server said.
    pub answer: Vec<u8>,
}

impl Client {
    /// Connects with TLS 1.3, talks, and stays.
    pub fn open(port: u16, talk: Talk) -> Client {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a server");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        if let Talk::Postgres = talk {
            socket.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap(); // its SSLRequest
            let mut consent = [0; 1];
            socket.read_exact(&mut consent).unwrap();
            assert_eq!(&consent, b"S", "PostgreSQL consents to TLS");
        }
        let mut client = Client { stream: handshake(socket), answer: Vec::new() };
        client.talk(talk);
        client
    }

    /// Says goodbye, and waits until the server has closed too.
    pub fn close(mut self, talk: Talk) {
        // Not all servers answer a goodbye with one: the end of the connection is what counts.
        match talk {
            Talk::Postgres => self.stream.write_all(b"X\0\0\0\x04").unwrap(),
            _ => drop(self.stream.shutdown()),
        }
        let mut rest = [0; 256];
        while self.stream.get_mut().read(&mut rest).is_ok_and(|bytes| bytes > 0) {}
    }

    fn talk(&mut self, talk: Talk) {
        match talk {
            Talk::Echo => {
                self.hear(|heard| heard.ends_with(b"welcome!\n"));
                self.say(b"hello\n");
                self.hear(|heard| heard.ends_with(b"hello\n"));
            }
            Talk::Printed => self.say(b"hello\n"),
            Talk::Http => {
                self.say(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
                self.hear(|heard| heard.ends_with(b"\r\n\r\nwelcome!\n"));
                self.mask(b"\r\nDate: ", b"Mon, 01 Jan 2001 00:00:00 GMT".len());
            }
            Talk::Redis => {
                self.say(b"PING\r\n");
                self.hear(|heard| heard == b"+PONG\r\n");
            }
            Talk::Postgres => {
                self.say(b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0");
                self.hear(|heard| heard.ends_with(READY));
                self.say(b"Q\0\0\0\x16select 'welcome!'\0");
                self.hear(|heard| {
                    heard.ends_with(READY) && heard.windows(8).any(|it| it == b"welcome!")
                });
                // The number of the process and the secret to cancel it with are its own.
                self.mask(b"K\0\0\0\x0c", 8);
            }
        }
    }

    /// Takes out the bytes behind `mark`, which no two answers have in common, if it is there.
    fn mask(&mut self, mark: &[u8], bytes: usize) {
        if let Some(at) = self.answer.windows(mark.len()).position(|it| it == mark) {
            self.answer[at + mark.len()..][..bytes].fill(0);
        }
    }

    fn say(&mut self, words: &[u8]) {
        self.stream.write_all(words).unwrap();
    }

    /// Reads until all that was heard so far is `enough`.
    fn hear(&mut self, enough: impl Fn(&[u8]) -> bool) {
        let mut some = [0; 4096];
        while !enough(&self.answer) {
            let bytes = self.stream.read(&mut some).unwrap();
            assert!(
                bytes > 0,
                "the server closed after {:?}",
                String::from_utf8_lossy(&self.answer)
            );
            self.answer.extend_from_slice(&some[..bytes]);
        }
    }
}

/// PostgreSQL's ReadyForQuery, outside of a transaction.
const READY: &[u8] = b"Z\0\0\0\x05I";

fn handshake(socket: TcpStream) -> SslStream<TcpStream> {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
    connector.set_verify(SslVerifyMode::NONE); // the certificate was made for this test
    connector.set_min_proto_version(Some(SslVersion::TLS1_3)).unwrap();
    // What every server has: the newest OpenSSL's first choice makes for longer messages.
    connector.set_groups_list("X25519:P-256").unwrap();
    let mut connection = connector.build().configure().unwrap();
    connection.set_verify_hostname(false);
    connection.connect("localhost", socket).expect("a handshake of TLS 1.3")
}
