//! A recorded server with connections.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{CONNECTIONS, until};
use crate::program::{Running, path, printed_json};

/// A recorded server with connections that nothing happens on.
pub struct AtRest {
    pub folder: TempDir,
    pub address: String,
    pub loads: Vec<Running>,
    pub server: Running,
}

impl AtRest {
    pub fn with_connections() -> AtRest {
        let folder = TempDir::new().unwrap();
        let ledger = folder.path().join("server.ledger");
        let options = ["serve", "--config=tls13", "--listen=127.0.0.1:0", "--json", "--ledger"];
        let mut server = Running::start(&[&options[..], &[path(&ledger)]].concat());
        let listening = server.next_json().expect("a server says where it listens");
        let address = listening["address"].as_str().unwrap().to_owned();
        let mut at_rest = AtRest { folder, address, loads: Vec::new(), server };
        at_rest.connect(CONNECTIONS);
        at_rest
    }

    pub fn ledger(&self) -> PathBuf {
        self.folder.path().join("server.ledger")
    }

    /// Opens so many connections more, and waits until nothing moves.
    pub fn connect(&mut self, connections: u64) {
        let wanted = self.live() + connections;
        let number = connections.to_string();
        let options = ["load", &self.address, "-n", &number, "--hold=1h", "--interval=1h"];
        self.loads.push(Running::start(&[&options[..], &["--json"]].concat()));
        let mut last = Value::Null;
        until("connections at rest", || {
            let top = self.top(&[]);
            let is_still = top == last && live_ssl(&top) == wanted;
            last = top;
            // Longer than a handshake takes a pause.
            sleep(Duration::from_millis(200));
            is_still.then_some(())
        });
    }

    pub fn live(&self) -> u64 {
        live_ssl(&self.top(&[]))
    }

    pub fn top(&self, options: &[&str]) -> Value {
        printed_json(&[&["top", path(&self.ledger()), "--json", "-n=0"], options].concat())
    }

    pub fn total(&self, figure: &str) -> i64 {
        self.top(&[])["totals"][figure].as_i64().unwrap()
    }
}

pub fn live_ssl(top: &Value) -> u64 {
    let live = top["objects"]["live"].as_array().into_iter().flatten();
    let mut of_ssl = live.filter(|it| it["object"] == "SSL");
    of_ssl.next().and_then(|it| it["count"].as_u64()).unwrap_or_default()
}
