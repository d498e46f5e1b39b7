//! The ledger's figures against a second count: of what Debian's libcrypto allocates, by a library
//! that stands in for the functions it allocates with (fixtures/programs/count.c).

#[path = "programs/certificate.rs"]
mod certificate;
#[path = "programs/needed.rs"]
mod needed;
mod program;

use std::fs;
use std::path::Path;
use std::process::Command;

use needed::FIXTURES;
use program::{path, text, tlsheap_in};
use serde_json::Value;

/// Allocations, bytes in them, frees.
type Count = [u64; 3];

#[test]
fn every_allocation_and_every_free_of_openssl_is_counted_once() {
    let (Some(openssl), Some(_)) = (needed::program("openssl"), needed::program("cc")) else {
        return;
    };
    let place = certificate::place();
    for command in [
        &["dgst", "-sha256", "certificate.pem"][..],
        &["x509", "-in", "certificate.pem", "-noout", "-text"],
        &["verify", "-CAfile", "certificate.pem", "certificate.pem"],
        &["pkey", "-in", "key.pem", "-noout", "-text"],
    ] {
        let command = [&[&openssl[..]], command].concat();
        let counted = count(&command, place.path());
        println!("{command:?}: {counted:?}");
        if counted == [0; 3] {
            // A libcrypto that was linked with -Bsymbolic calls its functions directly.
            assert!(std::env::var_os("CI").is_none(), "nothing can be counted");
            println!("skipped: this libcrypto cannot be counted from outside");
            return;
        }
        assert_eq!(recorded(&command, place.path()), counted, "{command:?}");
    }
}

/// By the library.
fn count(command: &[&str], place: &Path) -> Count {
    let library = place.join("count.so");
    if !library.exists() {
        let source = format!("{FIXTURES}/count.c");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o", path(&library), &source, "-ldl"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
    }
    let figures = place.join("figures");
    let output = Command::new(command[0])
        .args(&command[1..])
        .current_dir(place)
        .env("LD_PRELOAD", &library)
        .env("COUNT_FILE", &figures)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let figures = fs::read_to_string(figures).unwrap();
    let figures: Vec<u64> = figures.split_whitespace().map(|word| word.parse().unwrap()).collect();
    figures.try_into().expect("three figures")
}

/// By the recorder.
fn recorded(command: &[&str], place: &Path) -> Count {
    let folder = place.join("run");
    let output = tlsheap_in(place, &[&["record", "--out", "run", "--"], command].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json = fs::read(folder.join("run.json")).unwrap();
    fs::remove_dir_all(folder).unwrap();
    let record: Value = serde_json::from_slice(&json).unwrap();
    assert!(record["heap"]["counts"]["alloc_blocks"].as_u64() > Some(0), "all of it is recorded");
    let process = &record["processes"][0];
    assert_eq!(process["recorder"]["foreign_frees"], 0);
    let figure = |name: &str| process["openssl_at_end"][name].as_u64().unwrap();
    let allocations = figure("alloc_blocks");
    [allocations, figure("alloc_bytes"), allocations - figure("inuse_blocks")]
}
