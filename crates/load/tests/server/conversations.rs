//! Servers of other protocols, as much of them as a load talks to.

use std::io::{Read, Write};
use std::net::TcpStream;

use openssl::ssl::SslStream;

/// What the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partner {
    /// One document, every time.
    Http,
    /// The second document of a connection is another one.
    HttpThatChanges,
    HttpNotFound,
    Redis,
    RedisWithPassword,
    Postgres,
    PostgresWithPassword,
    PostgresWithoutTls,
    PostgresThatRefuses,
    /// Says something that nobody listens to, and then nothing.
    Banner,
}

impl Partner {
    pub fn before_tls(self, tcp: &mut TcpStream) -> Option<()> {
        match self {
            Partner::PostgresWithoutTls => answer_request(tcp, b"N"),
            Partner::Postgres | Partner::PostgresWithPassword | Partner::PostgresThatRefuses => {
                answer_request(tcp, b"S")
            }
            _ => Some(()),
        }
    }

    pub fn converse(self, stream: &mut SslStream<TcpStream>) -> Option<()> {
        match self {
            Partner::Http => http(stream, |_| "200 OK", |_| "<p>the document"),
            Partner::HttpThatChanges => http(stream, |_| "200 OK", |n| ["one", "two"][n.min(1)]),
            Partner::HttpNotFound => http(stream, |_| "404 Not Found", |_| ""),
            Partner::Redis => redis(stream, b"+PONG\r\n"),
            Partner::RedisWithPassword => redis(stream, b"-NOAUTH Authentication required.\r\n"),
            Partner::Postgres => postgres(stream, &[0, 0, 0, 0]),
            Partner::PostgresWithPassword => postgres(stream, &[0, 0, 0, 10]),
            Partner::PostgresThatRefuses => {
                read_startup(stream)?;
                say(stream, b'E', b"SFATAL\0C28000\0Mrole \"tester\" does not exist\0\0")
            }
            Partner::PostgresWithoutTls => None,
            Partner::Banner => {
                stream.write_all(b"220 good day\r\n").ok()?;
                while stream.read(&mut [0; 64]).ok()? > 0 {}
                stream.shutdown().ok()?;
                None
            }
        }
    }
}

fn http(
    stream: &mut SslStream<TcpStream>,
    status: impl Fn(usize) -> &'static str,
    document: impl Fn(usize) -> &'static str,
) -> Option<()> {
    for number in 0.. {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0; 1];
            if stream.read(&mut byte).ok()? == 0 {
                stream.shutdown().ok()?;
                return None;
            }
            request.push(byte[0]);
        }
        assert!(request.starts_with(b"GET /index.html HTTP/1.1\r\nHost: "));
        let (status, document) = (status(number), document(number));
        let length = document.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{document}");
        stream.write_all(answer.as_bytes()).ok()?;
    }
    None
}

fn redis(stream: &mut SslStream<TcpStream>, answer: &[u8]) -> Option<()> {
    let mut request = [0; 14];
    loop {
        if stream.read_exact(&mut request).is_err() {
            stream.shutdown().ok()?;
            return None;
        }
        assert_eq!(&request, b"*1\r\n$4\r\nPING\r\n");
        stream.write_all(answer).ok()?;
    }
}

fn answer_request(tcp: &mut TcpStream, answer: &[u8]) -> Option<()> {
    let mut request = [0; 8];
    tcp.read_exact(&mut request).ok()?;
    assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47]);
    tcp.write_all(answer).ok()
}

fn read_startup(stream: &mut SslStream<TcpStream>) -> Option<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut startup = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut startup).ok()?;
    assert!(startup.starts_with(b"\0\x03\0\0user\0tester\0database\0tester\0"));
    Some(())
}

fn postgres(stream: &mut SslStream<TcpStream>, authentication: &[u8]) -> Option<()> {
    read_startup(stream)?;
    say(stream, b'R', authentication)?;
    if authentication == [0; 4] {
        say(stream, b'S', b"server_version\x0015\0")?;
        say(stream, b'Z', b"I")?;
    }
    let mut head = [0; 5];
    while stream.read_exact(&mut head).is_ok() && head[0] == b'Q' {
        assert_eq!(head, [b'Q', 0, 0, 0, 5]);
        stream.read_exact(&mut [0; 1]).ok()?;
        say(stream, b'I', b"")?;
        say(stream, b'Z', b"I")?;
    }
    assert_eq!(head, [b'X', 0, 0, 0, 4], "a load says goodbye");
    // Postgres closes the connection and says nothing more.
    None
}

fn say(stream: &mut SslStream<TcpStream>, kind: u8, body: &[u8]) -> Option<()> {
    let mut message = vec![kind];
    message.extend((body.len() as u32 + 4).to_be_bytes());
    message.extend(body);
    stream.write_all(&message).ok()
}
