//! `tlsheap what-if` and `tlsheap diagnose` on programs that people really run: Redis and Twisted
//! keep their record buffers, nginx and Node do not.

#[path = "programs/needed.rs"]
mod needed;
mod program;
mod recorded;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use needed::FIXTURES;
use program::{path, printed_json};
use recorded::installed;
use serde_json::Value;
use tempfile::TempDir;

const CONNECTIONS: &str = "20";

/// A folder with a certificate and its key, and a port that was free a moment ago.
struct Place {
    folder: TempDir,
    port: String,
}

impl Place {
    fn make() -> Place {
        let folder = TempDir::new().unwrap();
        let certificate = ["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"];
        let made = Command::new("openssl")
            .args(certificate)
            .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=localhost"])
            .args(["-keyout", "key.pem", "-out", "certificate.pem"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        Place { folder, port }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program as it is and with the fix, under the load of our own clients.
    fn what_if(&self, fix: &str, protocol: &str, command: &[&str]) -> Value {
        self.what_if_with(&["--repeat=0", "--try", fix], protocol, command)
    }

    fn what_if_with(&self, options: &[&str], protocol: &str, command: &[&str]) -> Value {
        let out = self.file("what-if");
        let start = ["what-if", "--json", "-n", CONNECTIONS, "--interval=200ms", "--out"];
        let load = ["--port", &self.port, "--protocol", protocol];
        printed_json(&[&start[..], &[path(&out)], &load, options, &["--"], command].concat())
    }

    /// One of our echo servers.
    fn echo_server(&self, interpreter: &str, file: &str) -> Vec<String> {
        let file = format!("{FIXTURES}/{file}");
        let (certificate, key) = (self.file("certificate.pem"), self.file("key.pem"));
        [interpreter, &file, path(&certificate), path(&key), &self.port].map(str::to_owned).to_vec()
    }

    /// The findings in the program as it is.
    fn findings(&self) -> Vec<String> {
        let run = self.file("what-if/as-it-is");
        let diagnosis = printed_json(&["diagnose", path(&run), "--json"]);
        let findings = diagnosis["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn saved(outcome: &Value) -> f64 {
    let saved = &outcome["fixes"][0]["saved_bytes_per_connection"];
    saved.as_f64().unwrap_or_else(|| panic!("nothing was saved: {outcome:#}"))
}

/// The fix saves what was predicted, to a tenth.
fn saves_what_was_predicted(outcome: &Value) {
    let predicted = outcome["fixes"][0]["predicted_bytes_per_connection"].as_f64().unwrap();
    assert!((predicted / saved(outcome) - 1.0).abs() < 0.1, "{outcome:#}");
}

/// The one OpenSSL that a fix reached, as the file's name and the way.
fn reached(outcome: &Value) -> (String, String) {
    let places = outcome["fixes"][0]["reached"].as_array().unwrap();
    assert_eq!(places.len(), 1, "{outcome:#}");
    let word = |field: &str| places[0][field].as_str().unwrap().to_owned();
    (word("object").rsplit('/').next().unwrap().to_owned(), word("way"))
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

/// What the allocator is told by its variables needs no OpenSSL to be reached, and what it saves is
/// the whole program's.
#[test]
fn settings_of_the_allocator_are_measured_by_what_is_resident() {
    let Some(python) = needed::program("python3") else { return };
    let place = Place::make();
    let command = place.echo_server(&python, "echo_collected.py");
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let options = ["--repeat=0", "--try=one-arena", "--try=early-trim"];
    let outcome = place.what_if_with(&options, "echo", &command);
    let before = outcome["as_it_is"]["resident_bytes"].as_f64().unwrap();
    let fixes = outcome["fixes"].as_array().unwrap();
    assert_eq!(fixes.len(), 2, "{outcome:#}");
    for fix in fixes {
        assert_eq!(fix["not_applied"], Value::Null, "{fix:#}");
        let with_it = fix["cost"]["resident_bytes"].as_f64().unwrap();
        assert_eq!(fix["saved_resident_bytes"].as_f64().unwrap(), before - with_it, "{fix:#}");
        // OpenSSL asks for as much as before.
        let saved = fix["saved_bytes_per_connection"].as_f64().unwrap();
        assert!(saved.abs() < 100.0, "{fix:#}");
    }
    // Twenty threads have heaps of their own otherwise.
    let one = fixes.iter().find(|fix| fix["name"] == "one-arena").unwrap();
    assert!(one["saved_resident_bytes"].as_f64().unwrap() > 0.0, "{outcome:#}");
}

#[test]
fn redis_saves_what_was_predicted_when_its_record_buffers_are_released() {
    if !installed("openssl") || !installed("redis-server") {
        return;
    }
    let place = Place::make();
    let (certificate, key) = (place.file("certificate.pem"), place.file("key.pem"));
    let outcome = place.what_if(
        "release-buffers",
        "redis",
        &[
            "redis-server",
            "--bind",
            "127.0.0.1",
            "--port",
            "0",
            "--tls-port",
            &place.port,
            "--tls-cert-file",
            path(&certificate),
            "--tls-key-file",
            path(&key),
            "--tls-ca-cert-file",
            path(&certificate),
            "--tls-auth-clients",
            "no",
            "--save",
            "",
        ],
    );
    assert_eq!(place.findings(), ["record-buffers-kept"]);
    saves_what_was_predicted(&outcome);
    let slots = "the slots that lead to SSL_new".to_owned();
    assert_eq!(reached(&outcome), ("libssl.so.3".to_owned(), slots));
}

#[test]
fn twisted_saves_what_was_predicted_in_the_openssl_hidden_in_a_wheel() {
    let Some(python) = needed::python_of_environment() else { return };
    if !installed("openssl") {
        return;
    }
    let place = Place::make();
    let command = place.echo_server(&python, "echo_twisted.py");
    let outcome = place.what_if("release-buffers", "echo", &words(&command));
    // The wheel's OpenSSL has ML-KEM, and so have our clients.
    assert_eq!(place.findings(), ["record-buffers-kept", "mlkem-key-kept"]);
    saves_what_was_predicted(&outcome);
    // The buffers of this version's two directions.
    assert!((saved(&outcome) - 33_285.0).abs() < 200.0, "{outcome:#}");
    let jump = "a jump over SSL_CTX_new".to_owned();
    assert_eq!(reached(&outcome), ("_rust.abi3.so".to_owned(), jump));
}

#[test]
fn twisted_saves_what_was_predicted_with_the_openssl_of_the_distribution() {
    let Some(python) = needed::python_with_twisted() else { return };
    if !installed("openssl") {
        return;
    }
    let place = Place::make();
    let command = place.echo_server(&python, "echo_twisted.py");
    let outcome = place.what_if("release-buffers", "echo", &words(&command));
    assert_eq!(place.findings(), ["record-buffers-kept"]);
    saves_what_was_predicted(&outcome);
    assert_eq!(reached(&outcome).0, "libssl.so.3");
}

#[test]
fn nginx_releases_its_record_buffers_by_itself() {
    if !installed("openssl") || !installed("nginx") {
        return;
    }
    let place = Place::make();
    let folder = path(place.folder.path());
    let port = &place.port;
    // As root it gives its privileges up, as it does by itself.
    let user = if rustix::process::geteuid().is_root() { "user nobody nogroup;" } else { "" };
    if user.is_empty() {
        println!("not root: nginx's workers have the user of the master");
    }
    let configuration = format!(
        "{user} daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n  access_log off; keepalive_timeout 600; keepalive_requests 100000;\n  \
         client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n  \
         fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n  \
         server {{\n    listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/certificate.pem;\n    \
         ssl_certificate_key {folder}/key.pem; location / {{ return 200 hello; }}\n  }}\n}}\n"
    );
    std::fs::write(place.file("nginx.conf"), configuration).unwrap();
    let file = place.file("nginx.conf");
    let command = ["nginx", "-p", folder, "-e", "stderr", "-c", path(&file)];
    let outcome = place.what_if("release-buffers", "http", &command);
    assert_eq!(place.findings(), [""; 0], "{outcome:#}");
    assert!(saved(&outcome).abs() < 1_000.0, "{outcome:#}");
    let slots = "the slots that lead to SSL_new".to_owned();
    assert_eq!(reached(&outcome), ("libssl.so.3".to_owned(), slots));
}

#[test]
fn node_releases_its_record_buffers_by_itself() {
    if !installed("openssl") || !installed("node") {
        return;
    }
    let place = Place::make();
    let command = place.echo_server("node", "echo.js");
    let options = ["--repeat=1", "--rate-time=300ms", "--try=release-buffers", "--try=no-tickets"];
    let outcome = place.what_if_with(&options, "echo", &words(&command));
    assert_eq!(place.findings(), [""; 0], "{outcome:#}");
    // One linked in is reached, and one that is shared.
    let fixes = outcome["fixes"].as_array().unwrap();
    assert!(fixes.iter().all(|fix| fix["not_applied"].is_null()), "{outcome:#}");
    let fix = |name: &str| fixes.iter().find(|fix| fix["name"] == name).unwrap();
    let released = fix("release-buffers");
    assert!(released["saved_bytes_per_connection"].as_f64().unwrap().abs() < 100.0);
    let remark = released["remarks"][0].as_str().unwrap();
    assert!(remark.contains("nothing to remove"), "{remark}");
    // A ticket is made of some hundred allocations.
    let allocations = |cost: &Value| cost["allocs_per_handshake"].as_f64().unwrap();
    let before = &outcome["as_it_is"];
    assert!(allocations(before) - allocations(&fix("no-tickets")["cost"]) > 50.0, "{outcome:#}");
    for cost in fixes.iter().map(|fix| &fix["cost"]).chain([before]) {
        assert!(cost["handshakes_per_second"].as_f64().unwrap() > 0.0, "{outcome:#}");
    }
    // The first use of OpenSSL is no part of what a connection costs.
    assert!((10_000.0..20_000.0).contains(&before["bytes_per_connection"].as_f64().unwrap()));
}

#[test]
fn a_program_that_undoes_the_fix_is_told() {
    let Some(python) = needed::python_of_environment() else { return };
    if !installed("openssl") {
        return;
    }
    let place = Place::make();
    let (certificate, key) = (place.file("certificate.pem"), place.file("key.pem"));
    // Both ends in one process; the mode is cleared on the context behind the fix.
    let script = "import sys, time\n\
                  from OpenSSL import SSL\n\
                  context = SSL.Context(SSL.TLS_METHOD)\n\
                  context.clear_mode(SSL.MODE_RELEASE_BUFFERS)\n\
                  context.use_certificate_file(sys.argv[1])\n\
                  context.use_privatekey_file(sys.argv[2])\n\
                  def carry(one, other):\n\
                  \x20   try: other.bio_write(one.bio_read(65536))\n\
                  \x20   except SSL.WantReadError: pass\n\
                  def step(one, other, work):\n\
                  \x20   try: work()\n\
                  \x20   except SSL.WantReadError: pass\n\
                  \x20   carry(one, other)\n\
                  def pair():\n\
                  \x20   server, client = (SSL.Connection(context, None) for _ in range(2))\n\
                  \x20   server.set_accept_state()\n\
                  \x20   client.set_connect_state()\n\
                  \x20   for _ in range(5):\n\
                  \x20       step(client, server, client.do_handshake)\n\
                  \x20       step(server, client, server.do_handshake)\n\
                  \x20   step(client, server, lambda: client.send(b'hello'))\n\
                  \x20   assert server.recv(9) == b'hello'\n\
                  \x20   return server, client\n\
                  kept = [pair() for _ in range(10)]\n\
                  time.sleep(60)\n";
    let out = place.file("what-if");
    let options = ["what-if", "--json", "-n=20", "--try=release-buffers", "--load"];
    let program = ["--", &python, "-c", script, path(&certificate), path(&key)];
    let arguments = [&options[..], &["exec sleep 60", "--out", path(&out)], &program].concat();
    let outcome = printed_json(&arguments);
    // The baseline is wherever the program has paused: what remains is far from what was hoped.
    let predicted = outcome["fixes"][0]["predicted_bytes_per_connection"].as_f64().unwrap();
    assert!(saved(&outcome) < 0.5 * predicted, "{outcome:#}");
    let remark = outcome["fixes"][0]["remarks"][0].as_str().unwrap();
    assert!(remark.contains("still there with it: record-buffers-kept"), "{remark}");
}

#[test]
fn each_openssl_of_a_process_is_reached() {
    let Some(python) = needed::python_of_environment() else { return };
    // Connections of the wheel's OpenSSL, and of the one that Python's own module has.
    let script = "import ssl, time\n\
                  from OpenSSL import SSL\n\
                  context = SSL.Context(SSL.TLS_METHOD)\n\
                  kept = [SSL.Connection(context, None) for _ in range(10)]\n\
                  own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n\
                  own.check_hostname = False\n\
                  pair = lambda: own.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())\n\
                  kept += [pair() for _ in range(10)]\n\
                  time.sleep(60)\n";
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("what-if");
    let options = ["what-if", "--json", "-n=20", "--try=no-tickets", "--load", "exec sleep 60"];
    let outcome =
        printed_json(&[&options[..], &["--out", path(&out), "--", &python, "-c", script]].concat());
    let places = outcome["fixes"][0]["reached"].as_array().unwrap();
    let ways: Vec<&str> = places.iter().map(|it| it["way"].as_str().unwrap()).collect();
    assert!(ways.contains(&"a jump over SSL_CTX_new"), "{outcome:#}");
    assert!(ways.contains(&"the slots that lead to SSL_new"), "{outcome:#}");
}

#[test]
fn a_program_without_connections_says_what_was_waited_for() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("what-if");
    let options = ["what-if", "-n=5", "--patience=1s", "--load", "exec sleep 60", "--out"];
    let output = program::tlsheap(&[&options[..], &[path(&out), "--", "sleep", "60"]].concat());
    assert_eq!(output.status.code(), Some(3));
    let words = program::text(&output.stderr);
    assert!(words.contains("5 connections did not come to rest within 1s"), "{words}");
    assert!(!out.exists());
}
