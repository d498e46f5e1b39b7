//! One program with OpenSSL 3.0.8 and with 4.0.3: what a connection costs more comes out by itself,
//! although every line has moved.

use std::num::NonZeroU64;
use std::path::Path;

use analysis::category::label_categories;
use analysis::diff::{Change, DiffRow, Side, by_category, diff_versions};
use analysis::group::{By, Row, group};
use analysis::moved::Versions;
use analysis::per_connection::growth;
use profile::{Content, Profile, read_any};

/// Both ends of each of 19 connections.
const SSL_OBJECTS: u64 = 38;

fn profile(name: &str) -> Profile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/versions");
    let Content::Profile(mut profile) = read_any(&folder.join(name)).unwrap() else {
        panic!("{name} is a ledger");
    };
    label_categories(&mut profile);
    profile
}

fn grown(version: &str) -> Vec<Row> {
    let rows = |moment| group(&profile(&format!("openssl-{version}-{moment}.pb.gz")), By::Site);
    growth(&rows("at-rest"), &rows("before"))
}

fn changes(versions: Versions) -> Vec<DiffRow> {
    let each = NonZeroU64::new(SSL_OBJECTS).unwrap();
    diff_versions(&grown("3.0.8"), &grown("4.0.3"), Some((each, each)), versions)
}

fn sum(rows: &[DiffRow], of: fn(&Change) -> f64) -> f64 {
    rows.iter().filter_map(|row| row.bytes.as_ref()).map(of).sum()
}

fn row<'a>(rows: &'a [DiffRow], function: &str) -> &'a DiffRow {
    let found = rows.iter().find(|row| row.key.function == function);
    found.unwrap_or_else(|| panic!("no row of {function}"))
}

#[test]
fn the_record_layer_and_ml_kem_are_what_a_connection_costs_more() {
    let rows = changes(Versions::Different);
    let more = sum(&rows, |change| change.after - change.before);
    assert!((15_000.0..16_500.0).contains(&more), "{more}");
    let categories = by_category(&rows);
    let named: Vec<&str> = categories.iter().take(2).map(|(name, _)| name.as_str()).collect();
    assert_eq!(named, ["tls.record_layer", "pkey.mlkem"]);
    assert!((categories[0].1.delta() - 8_848.0).abs() < 1e-6);
    // What the categories changed is what everything changed.
    let all: f64 = categories.iter().map(|(_, change)| change.delta()).sum();
    assert!((all - more).abs() < 1e-6);
}

#[test]
fn sites_are_followed_to_their_new_lines_files_and_functions() {
    let rows = changes(Versions::Different);
    // The same function at another line.
    let key = row(&rows, "EVP_PKEY_new");
    assert_eq!(key.side, Side::Both);
    assert_eq!(key.was.as_ref().unwrap().file, key.key.file);
    assert_ne!(key.was.as_ref().unwrap().line, key.key.line);
    // Another function in another file, told by the size of the buffer.
    let read = row(&rows, "tls_setup_read_buffer");
    assert_eq!(read.was.as_ref().unwrap().file, "ssl/record/ssl3_buffer.c");
    assert!(read.bytes.unwrap().delta().abs() < 100.0);
    // Another function of the same file, whose struct has become smaller.
    let connection = row(&rows, "ossl_ssl_connection_new_int");
    assert_eq!(connection.was.as_ref().unwrap().function, "SSL_new");
    assert_eq!(connection.bytes, Some(Change { before: 7_608.0, after: 6_016.0 }));
    // What is new is new.
    assert_eq!(row(&rows, "tls_int_new_record_layer").side, Side::OnlyAfter);
}

#[test]
fn nothing_is_lost_and_the_lines_tell_the_versions_apart() {
    let (by_line, followed) = (changes(Versions::Same), changes(Versions::Different));
    for of in [|change: &Change| change.before, |change: &Change| change.after] {
        assert!((sum(&by_line, of) - sum(&followed, of)).abs() < 1e-6);
    }
    assert!(by_line.len() > followed.len() + 20, "{} and {}", by_line.len(), followed.len());
    assert_eq!(changes(Versions::Unknown), followed);
}
