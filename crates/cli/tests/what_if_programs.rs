//! `tlsheap what-if` and `tlsheap diagnose` on programs of the distribution: redis keeps its record
//! buffers, nginx and Node do not.

mod program;
mod recorded;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

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
        let out = self.file("what-if");
        let start = ["what-if", "--json", "-n", CONNECTIONS, "--interval=200ms", "--out"];
        let load = ["--port", &self.port, "--protocol", protocol, "--try", fix, "--"];
        printed_json(&[&start[..], &[path(&out)], &load, command].concat())
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
    let predicted = outcome["fixes"][0]["predicted_bytes_per_connection"].as_f64().unwrap();
    assert!((predicted / saved(&outcome) - 1.0).abs() < 0.1, "{outcome:#}");
}

#[test]
fn nginx_releases_its_record_buffers_by_itself() {
    if !installed("openssl") || !installed("nginx") {
        return;
    }
    let place = Place::make();
    let folder = path(place.folder.path());
    let port = &place.port;
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
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
    assert!(!place.findings().contains(&"record-buffers-kept".to_owned()));
    assert!(saved(&outcome).abs() < 1_000.0, "{outcome:#}");
}

#[test]
fn node_releases_its_record_buffers_by_itself() {
    if !installed("openssl") || !installed("node") {
        return;
    }
    let place = Place::make();
    let script = "const fs = require('fs'), [key, cert, port] = process.argv.slice(1);\n\
                  const options = { key: fs.readFileSync(key), cert: fs.readFileSync(cert) };\n\
                  const server = require('https').createServer(options, (q, a) => a.end('hello'));\n\
                  server.keepAliveTimeout = 600000;\n\
                  server.listen(Number(port), '127.0.0.1');\n";
    let (certificate, key) = (place.file("certificate.pem"), place.file("key.pem"));
    let command = ["node", "-e", script, path(&key), path(&certificate), &place.port];
    place.what_if("release-buffers", "http", &command);
    assert!(!place.findings().contains(&"record-buffers-kept".to_owned()));
}
