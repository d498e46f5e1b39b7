//! `tlsheap record` on a client: curl, which makes a context of its own for each connection.

use load as _; // for the zlib that OpenSSL calls

#[path = "programs/certificate.rs"]
mod certificate;
#[path = "programs/needed.rs"]
mod needed;
mod program;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Condvar, Mutex};

use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
use program::{path, text};
use serde_json::Value;

const CONNECTIONS: usize = 50;

/// A web server in this process, which answers nobody before it has so many requests.
struct Web {
    port: u16,
}

impl Web {
    fn start(place: &Path, requests_before_answers: usize) -> Web {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        acceptor.set_certificate_chain_file(place.join("certificate.pem")).unwrap();
        acceptor.set_private_key_file(place.join("key.pem"), SslFiletype::PEM).unwrap();
        let acceptor = Arc::new(acceptor.build());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new((Mutex::new(0), Condvar::new()));
        // Both end with the test's process.
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (acceptor, asked) = (Arc::clone(&acceptor), Arc::clone(&asked));
                std::thread::spawn(move || {
                    answer(&acceptor, socket, || {
                        let (requests, changed) = &*asked;
                        let mut requests = requests.lock().unwrap();
                        *requests += 1;
                        changed.notify_all();
                        let early = |requests: &mut usize| *requests < requests_before_answers;
                        drop(changed.wait_while(requests, early).unwrap());
                    })
                });
            }
        });
        Web { port }
    }

    /// curl's command for so many requests at a time.
    fn curl(&self, curl: &str, requests: usize) -> Vec<String> {
        let address = format!("https://127.0.0.1:{}/[1-{requests}]", self.port);
        let most = requests.to_string();
        ["--silent", "--insecure", "--tlsv1.3", "--parallel", "--parallel-immediate"]
            .into_iter()
            .chain(["--parallel-max", &most, &address])
            .fold(vec![curl.to_owned()], |mut command, word| {
                command.push(word.to_owned());
                command
            })
    }
}

/// Reads a request, and answers it once `turn` has returned.
fn answer(acceptor: &SslAcceptor, socket: TcpStream, turn: impl FnOnce()) -> Option<()> {
    let mut stream = acceptor.accept(socket).ok()?;
    let (mut request, mut some) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        let bytes = stream.read(&mut some).ok().filter(|bytes| *bytes > 0)?;
        request.extend_from_slice(&some[..bytes]);
    }
    turn();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwelcome!\n").ok()?;
    stream.read(&mut some).ok().map(drop) // the client closes
}

fn record(folder: &Path, options: &[&str], command: &[String]) -> Output {
    let start = ["record", "--out", path(folder)];
    let words = start.iter().chain(options).chain(&["--"]).map(|word| (*word).to_owned());
    program::tlsheap(&words.chain(command.iter().cloned()).collect::<Vec<_>>())
}

fn record_of(folder: &Path, output: &Output) -> Value {
    let json = std::fs::read(folder.join("run.json"))
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    let record: Value = serde_json::from_slice(&json).unwrap();
    assert!(record["heap"]["counts"]["alloc_blocks"].as_u64() > Some(0), "all of it is recorded");
    record
}

#[test]
fn curl_gets_and_says_the_same_with_and_without_the_recorder() {
    let Some(curl) = needed::program("curl") else { return };
    let place = certificate::place();
    let folder = place.path().join("run");
    let command = |web: &Web| web.curl(&curl, CONNECTIONS);
    let web = Web::start(place.path(), CONNECTIONS);
    let plain = command(&web);
    let plain = Command::new(&plain[0]).args(&plain[1..]).output().unwrap();
    let recorded = record(&folder, &[], &command(&Web::start(place.path(), CONNECTIONS)));
    assert_eq!(text(&recorded.stdout), "welcome!\n".repeat(CONNECTIONS));
    assert_eq!(text(&plain.stdout), text(&recorded.stdout));
    assert_eq!(plain.status.code(), Some(0));
    assert_eq!(recorded.status.code(), Some(0));

    let record = record_of(&folder, &recorded);
    let process = &record["processes"][0];
    let openssl = &process["openssls"][0];
    assert_eq!((&openssl["way"], &openssl["outcome"]), (&"exported".into(), &"recorded".into()));
    assert_eq!(process["recorder"]["foreign_frees"], 0);
    assert_eq!(process["openssl_at_end"]["inuse_blocks"], 0, "curl cleans up");
}

#[test]
fn one_request_of_curl_allocates_what_it_did_elsewhere() {
    let Some(curl) = needed::program("curl") else { return };
    let place = certificate::place();
    let folder = place.path().join("run");
    let web = Web::start(place.path(), 1);
    let output = record(&folder, &[], &web.curl(&curl, 1));
    let allocated = record_of(&folder, &output)["openssl"].clone();
    println!("{allocated}");
    let within = |name: &str, expected: f64| {
        let found = allocated[name].as_f64().unwrap();
        assert!((found - expected).abs() <= expected * 0.05, "{name}: {found}");
    };
    within("alloc_blocks", 12_400.0);
    within("alloc_bytes", 1_340_000.0);
}

#[test]
fn a_connection_of_curl_has_a_context_of_its_own() {
    let Some(curl) = needed::program("curl") else { return };
    let place = certificate::place();
    let folder = place.path().join("run");
    // It waits for an answer until the recording ends.
    let web = Web::start(place.path(), CONNECTIONS + 1);
    let at_rest = format!("{CONNECTIONS} connections");
    let output = record(&folder, &["--at-rest", &at_rest], &web.curl(&curl, CONNECTIONS));
    let record = record_of(&folder, &output);
    println!("{}", record["per_connection"]);
    assert_eq!(record["connections"], CONNECTIONS);
    assert_eq!(record["objects"]["SSL_CTX"], CONNECTIONS);
    // No moment comes before its connections: what it holds anyway is in the figure.
    let bytes = record["per_connection"]["bytes"].as_f64().unwrap();
    println!("{}", record["steps"]);
    assert!((EACH * 0.6..=EACH * 1.1).contains(&bytes), "{bytes}, not {EACH}");
}

/// Bytes of one transfer, with its part of what is paid once.
const EACH: f64 = 48_800.0;
