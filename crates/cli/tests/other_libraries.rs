//! TLS libraries that are not OpenSSL are called by their names, by `doctor` and by `record` alike.
//! What is looked at is built here: it has what gives each library away, and nothing else of it.

mod program;
mod workshop;

use std::path::{Path, PathBuf};
use std::process::Output;

use program::{path, text, tlsheap};
use serde_json::Value;
use workshop::Workshop;

/// Options of the compiler for what gives a library away, and the library's name.
const SIGNS: [(&str, &str); 12] = [
    ("-DEXPORTS=gnutls_global_init", "GnuTLS"),
    ("-DEXPORTS=NSS_Initialize", "NSS"),
    ("-DEXPORTS=mbedtls_ssl_setup", "Mbed TLS"),
    ("-DEXPORTS=wolfSSL_new", "wolfSSL"),
    ("-DEXPORTS=s2n_connection_new", "s2n-tls"),
    ("-DTAKES_MEMORY=3", "BoringSSL"),
    ("-DTAKES_MEMORY=4", "AWS-LC"),
    ("-DSAYS=\"error:%08x:%s:OPENSSL_internal:%s\"", "BoringSSL"),
    ("-DSAYS=\"OpenSSL 1.1.1 (compatible; AWS-LC 1.30.0)\"", "AWS-LC"),
    ("-DSAYS=\"LibreSSL 3.8.2\"", "LibreSSL"),
    ("-DSAYS=\"/vendor/rustls-0.23.5/src/conn.rs\"", "rustls"),
    ("-DSAYS=\"connectedrustls::client::hs\"", "rustls"),
];

const SHARED: &[&str] = &["-shared", "-fPIC"];

fn library(workshop: &Workshop, name: &str, sign: &str) -> PathBuf {
    workshop.build(name, &["other.c"], &[SHARED, &[sign]].concat())
}

/// What the doctor says, as JSON, and as text with the exit code.
fn doctor(file: &Path) -> (Value, Output) {
    let json = tlsheap(&["doctor", path(file), "--json"]);
    let found = serde_json::from_slice(&json.stdout).unwrap();
    (found, tlsheap(&["doctor", path(file)]))
}

#[test]
fn each_library_has_something_that_gives_it_away() {
    let workshop = Workshop::new();
    for (sign, name) in SIGNS {
        let (found, output) = doctor(&library(&workshop, "library.so", sign));
        let libraries = found["libraries"].as_array().unwrap();
        assert_eq!(libraries.len(), 1, "{sign}: {found:#}");
        assert_eq!(
            (&libraries[0]["library"], &libraries[0]["recordable"]),
            (&name.into(), &false.into())
        );
        assert_eq!(output.status.code(), Some(3), "{sign}");
        let said = text(&output.stdout);
        assert!(said.contains(&format!("{name} in ")), "{sign}: {said}");
        assert!(said.contains("cannot be recorded: it is not OpenSSL, and "), "{sign}: {said}");
    }
}

#[test]
fn what_only_reads_alike_is_no_library() {
    let workshop = Workshop::new();
    for sign in [
        "-DSAYS=\"built with BoringSSL\"",
        "-DSAYS=\"LibreSSL or OpenSSL\"",
        "-DSAYS=\"/vendor/rustls-pki-types-1.16.0/src/lib.rs\"",
        "-DSAYS=\"crypto/tls.(*Conn).Handshake\"",
        "-DEXPORTS=gnutls_like",
    ] {
        let (found, output) = doctor(&library(&workshop, "library.so", sign));
        assert_eq!(found["libraries"], serde_json::json!([]), "{sign}");
        let said = text(&output.stdout);
        assert!(said.contains("there is no TLS library in it that tlsheap knows"), "{said}");
    }
}

#[test]
fn a_fork_with_openssls_names_is_neither_openssl_nor_an_old_one() {
    let workshop = Workshop::new();
    let options = ["-DTAKES_MEMORY=4", "-DTAKES_FUNCTIONS", "-DIS_PROGRAM"];
    let program = workshop.build("program", &["other.c"], &options);
    let (found, output) = doctor(&program);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(found["libraries"].as_array().unwrap().len(), 1, "{found:#}");
    assert_eq!(found["libraries"][0]["library"], "AWS-LC");

    let folder = workshop.0.path().join("recording");
    let output = tlsheap(&["record", "--out", path(&folder), "--", path(&program)]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(
        said.contains(&format!("AWS-LC in {} is not recorded: it takes", path(&program))),
        "{said}"
    );
    assert!(!said.contains("older") && !folder.exists(), "{said}");
}

#[test]
fn what_is_loaded_later_is_in_the_answer_beside_the_figures() {
    let workshop = Workshop::new();
    let tls = library(&workshop, "libtls.so", "-DEXPORTS=gnutls_global_init");
    let grpc = library(&workshop, "grpc.so", "-DTAKES_MEMORY=3");
    let plain = library(&workshop, "plain.so", "-DEXPORTS=nothing");
    let program = workshop.build("program", &["beside.c", "library.c"], &[]);
    let recorded = workshop.record(&program, &[path(&tls), path(&grpc), path(&plain)]);
    let process = recorded.process();
    assert_eq!(process["openssl"]["alloc_blocks"], 1, "{process:#}");
    let others = process["other_tls"].as_array().unwrap();
    let others: Vec<_> = others.iter().map(|other| (&other["object"], &other["library"])).collect();
    let [tls, grpc] = [("libtls.so", "GnuTLS"), ("grpc.so", "BoringSSL")]
        .map(|(object, library)| (Value::from(object), Value::from(library)));
    assert_eq!(others, [(&tls.0, &tls.1), (&grpc.0, &grpc.1)]);
    // Long lines are broken at blanks.
    let said = text(&recorded.output.stderr).replace("\n  ", " ");
    assert!(said.contains("libtls.so is not recorded: it takes memory functions"), "{said}");
    assert!(said.contains("grpc.so is not recorded: it takes no memory functions"), "{said}");
    assert!(!said.contains("plain.so"), "{said}");
    let page = tlsheap(&["report", path(&recorded.folder), "-o", "-"]);
    assert!(text(&page.stdout).contains("GnuTLS in libtls.so; BoringSSL in grpc.so"));
}

#[test]
fn where_nothing_is_known_that_is_said() {
    let workshop = Workshop::new();
    let program = workshop.build("program", &["other.c"], &["-DIS_PROGRAM"]);
    let folder = workshop.0.path().join("recording");
    let output = tlsheap(&["record", "--out", path(&folder), "--", path(&program)]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(
        said.contains("no OpenSSL was found in ")
            && said.contains("and no other TLS library that tlsheap knows"),
        "{said}"
    );
}
