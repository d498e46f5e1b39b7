//! How daemons are started whose settings lie in `fixtures/programs`: in a folder of their own, on
//! a port that is free, with a certificate of that folder.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::certificate;
use crate::clients::Talk;
use crate::needed::{self, FIXTURES};
use crate::program::path;
use crate::server::{Ready, Server, free_port};

/// A daemon that is not started yet.
pub struct Daemon {
    pub command: Vec<String>,
    pub ready: Ready,
    pub talk: Talk,
    /// Its folder.
    pub place: TempDir,
}

impl Daemon {
    fn new(place: TempDir, command: &[&str], ready: Ready, talk: Talk) -> Daemon {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Daemon { command, ready, talk, place }
    }

    /// Where it listens, if it was told.
    pub fn port(&self) -> Option<u16> {
        match self.ready {
            Ready::Port(port) | Ready::Said(_, port) => Some(port),
            Ready::Line(_) => None,
        }
    }

    /// Starts it by itself.
    pub fn start(&self) -> Server {
        Server::start(&self.command, self.ready, self.place.path())
    }
}

/// One of our echo servers, which takes the certificate and the key as its arguments.
pub fn echo_server(interpreter: &str, file: &str) -> Daemon {
    let file = format!("{FIXTURES}/{file}");
    let command = [interpreter, &file, "certificate.pem", "key.pem"];
    Daemon::new(certificate::place(), &command, Ready::Line("ready"), Talk::Echo)
}

/// The same at a port that is chosen before it starts.
pub fn echo_server_at_a_port(interpreter: &str, file: &str) -> Daemon {
    at_a_port(&[interpreter, &format!("{FIXTURES}/{file}"), "certificate.pem", "key.pem"])
}

/// An echo server whose last argument is the port.
pub fn at_a_port(command: &[&str]) -> Daemon {
    let port = free_port();
    let word = port.to_string();
    let command = [command, &[&word[..]]].concat();
    Daemon::new(certificate::place(), &command, Ready::Port(port), Talk::Echo)
}

/// nginx with so many workers.
pub fn nginx(workers: usize) -> Option<Daemon> {
    let nginx = needed::program("nginx")?;
    let (place, port) = (certificate::place(), free_port());
    // It looks for what its settings name beside them.
    let settings = place.path().join("nginx.conf");
    let text = fs::read_to_string(format!("{FIXTURES}/nginx.conf")).unwrap();
    let wanted = text.replace("worker_processes 2", &format!("worker_processes {workers}"));
    fs::write(&settings, wanted).unwrap();
    let listen = format!("listen 127.0.0.1:{port} ssl reuseport;\n");
    fs::write(place.path().join("listen.conf"), listen).unwrap();
    let folder = format!("{}/", path(place.path()));
    let command = [&nginx, "-p", &folder, "-c", path(&settings), "-g", "pid nginx.pid;"];
    Some(Daemon::new(place, &command, Ready::Port(port), Talk::Http))
}

/// What HAProxy's worker has for its root directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Root {
    Own,
    /// Another one, if this user may.
    Changed,
}

/// HAProxy with a master and one worker.
pub fn haproxy(root: Root) -> Option<Daemon> {
    let haproxy = needed::program("haproxy")?;
    let (place, port) = (certificate::place(), free_port());
    let file = |name: &str| place.path().join(name);
    let both = ["certificate.pem", "key.pem"].map(|name| fs::read_to_string(file(name)).unwrap());
    fs::write(file("both.pem"), both.concat()).unwrap();
    let changes = root == Root::Changed && rustix::process::geteuid().is_root();
    let root = if changes {
        fs::create_dir(file("root")).unwrap();
        format!("global\n    chroot {}\n", path(&file("root")))
    } else {
        String::new()
    };
    let bind = format!("frontend answering\n    bind 127.0.0.1:{port} ssl crt both.pem\n");
    fs::write(file("listen.cfg"), root + &bind).unwrap();
    let settings = format!("{FIXTURES}/haproxy.cfg");
    let command = [&haproxy, "-W", "-f", &settings, "-f", "listen.cfg"];
    Some(Daemon::new(place, &command, Ready::Port(port), Talk::Http))
}

/// Redis.
pub fn redis() -> Option<Daemon> {
    let redis = needed::program("redis-server")?;
    let (place, port) = (certificate::place(), free_port());
    let (settings, listen) = (format!("{FIXTURES}/redis.conf"), port.to_string());
    let tls = ["--tls-cert-file", "certificate.pem", "--tls-key-file", "key.pem"];
    let command = [&[&redis[..], &settings, "--tls-port", &listen], &tls[..]].concat();
    Some(Daemon::new(place, &command, Ready::Port(port), Talk::Redis))
}

/// PostgreSQL, with a new cluster. It refuses to be root, and becomes another user then.
pub fn postgresql() -> Option<Daemon> {
    let programs = needed::postgresql()?;
    let (place, port) = (certificate::place(), free_port());
    let folder = path(place.path()).to_owned();
    let data = format!("{folder}/data");
    let mut as_user = Vec::new();
    if rustix::process::geteuid().is_root() {
        as_user = vec!["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"];
        succeed(&["chown", "-R", "postgres:", &folder]);
    }
    let initdb = programs.join("initdb");
    let made = [path(&initdb), "-A", "trust", "-U", "postgres", "-N", &data];
    succeed(&[&as_user[..], &made].concat());
    let postgres = programs.join("postgres");
    let settings = [
        format!("config_file={FIXTURES}/postgresql.conf"),
        format!("port={port}"),
        format!("ssl_cert_file={folder}/certificate.pem"),
        format!("ssl_key_file={folder}/key.pem"),
    ];
    let mut command = [&as_user[..], &[path(&postgres), "-D", &data]].concat();
    for setting in &settings {
        command.extend(["-c", setting]);
    }
    let ready = Ready::Said("ready to accept connections", port);
    Some(Daemon::new(place, &command, ready, Talk::Postgres))
}

/// Apache with one process of 150 threads (its module for events).
pub fn apache() -> Option<Daemon> {
    let apache = needed::program("apache2")?;
    let (place, port) = (certificate::place(), free_port());
    let folder = path(place.path()).to_owned();
    fs::write(place.path().join("index.html"), "welcome!\n").unwrap();
    let settings = format!("{FIXTURES}/apache.conf");
    let as_user =
        if rustix::process::geteuid().is_root() { "User www-data\nGroup www-data\n" } else { "" };
    let own = format!(
        "ServerRoot {folder}\nPidFile {folder}/pid\nErrorLog {folder}/error\nDocumentRoot \
         {folder}\n{as_user}Include {settings}\nListen 127.0.0.1:{port}\n<VirtualHost \
         127.0.0.1:{port}>\nSSLEngine on\nSSLCertificateFile {folder}/certificate.pem\n\
         SSLCertificateKeyFile {folder}/key.pem\n</VirtualHost>\n"
    );
    let file = place.path().join("apache2.conf");
    fs::write(&file, own).unwrap();
    let command = [&apache, "-f", path(&file), "-DFOREGROUND"];
    Some(Daemon::new(place, &command, Ready::Port(port), Talk::Http))
}

/// OpenSSL's server, which takes one connection at a time.
pub fn s_server() -> Option<Daemon> {
    let openssl = needed::program("openssl")?;
    let (place, port) = (certificate::place(), free_port());
    let listen = format!("127.0.0.1:{port}");
    let command = [&openssl, "s_server", "-quiet", "-accept", &listen];
    let files = ["-cert", "certificate.pem", "-key", "key.pem"];
    let command = [&command[..], &files].concat();
    Some(Daemon::new(place, &command, Ready::Port(port), Talk::Printed))
}

/// The reference server, on tokio, with OpenSSL linked into it and jemalloc for what is Rust's.
pub fn tokio() -> Daemon {
    let (place, port) = (certificate::place(), free_port());
    let listen = format!("127.0.0.1:{port}");
    let command =
        [env!("CARGO_BIN_EXE_tlsheap"), "serve", "--config", "tls13", "--listen", &listen];
    let files = ["--cert", "certificate.pem", "--key", "key.pem"];
    Daemon::new(place, &[&command[..], &files].concat(), Ready::Port(port), Talk::Echo)
}

/// Runs a command that has to succeed.
pub fn succeed(command: &[&str]) {
    let output = Command::new(command[0]).args(&command[1..]).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
