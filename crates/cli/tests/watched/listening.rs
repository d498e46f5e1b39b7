//! `watch --listen`, and what it answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use profile::{Metric, Profile, pprof};

use super::PATIENCE;
use crate::program::text;

/// `watch --listen`; killed when dropped.
pub struct Listening {
    pub child: Child,
    pub address: SocketAddr,
}

impl Listening {
    pub fn on(target: &str) -> Listening {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
            .args(["watch", target, "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let address = url.trim().strip_prefix("http://").and_then(|it| it.strip_suffix('/'));
        let address = address.unwrap_or_else(|| panic!("it says where it listens: {url}"));
        Listening { child, address: address.parse().unwrap() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends this, and reads all that comes.
    pub fn ask(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // It may be refused before all of it is sent.
        let _ = stream.write_all(request.as_bytes());
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        Answer(bytes)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    pub fn profile(&self, path: &str) -> Profile {
        let answer = self.get(path);
        assert_eq!(answer.status(), 200, "{}", answer.head());
        pprof::read(answer.body(), "answer").unwrap()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back.
pub struct Answer(pub Vec<u8>);

impl Answer {
    pub fn split(&self) -> (&[u8], &[u8]) {
        let end = self.0.windows(4).position(|it| it == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(&self.0)));
        (&self.0[..end], &self.0[end + 4..])
    }

    pub fn head(&self) -> String {
        String::from_utf8_lossy(self.split().0).to_ascii_lowercase()
    }

    pub fn status(&self) -> u16 {
        self.head().split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn body(&self) -> &[u8] {
        self.split().1
    }

    pub fn text(&self) -> String {
        text(self.body())
    }
}

pub fn total(profile: &Profile, metric: Metric) -> i64 {
    profile.total(profile.column(metric).expect("it has the column"))
}
