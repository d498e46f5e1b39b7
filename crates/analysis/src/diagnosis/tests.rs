//! Rules on small profiles, for what no configuration of the reference server shows.

use std::collections::HashSet;

use profile::Profile;

use super::case::{Case, Ending, Profiles};
use super::holding::holdings;
use super::series::{Capture, Series};
use super::*;
use crate::inventory::Inventory;
use crate::sample_profile::{push, stack};

type Calls<'a> = &'a [(&'a str, &'a str)];

const NEW: Calls<'_> = &[("SSL_new", "ssl/ssl_lib.c")];
const READ_BUFFER: Calls<'_> =
    &[("tls_setup_read_buffer", "ssl/record/methods/tls_common.c"), ("SSL_read", "ssl/ssl_lib.c")];

const WRITE_BUFFER: Calls<'_> = &[
    ("tls_setup_write_buffer", "ssl/record/methods/tls_common.c"),
    ("SSL_write", "ssl/ssl_lib.c"),
];

/// A profile of stacks with their blocks and bytes; `NEW` makes connections.
fn profile(samples: &[(Calls<'_>, i64, i64)]) -> Profile {
    let mut profile = Profile::of_heap();
    for (calls, blocks, bytes) in samples {
        push(&mut profile, "openssl", &stack(calls), *blocks, *bytes);
    }
    profile
}

fn case(samples: &[(Calls<'_>, i64, i64)]) -> Case {
    let at_rest = profile(samples);
    let profiles = Profiles { at_rest: &at_rest, baseline: None, closed: None };
    Case::new(profiles, None, HeldAt::Capture).unwrap()
}

fn found(case: &Case) -> Vec<&'static str> {
    diagnose(case).findings.iter().map(|finding| finding.rule.id).collect()
}

fn finding(case: &Case, id: &str) -> Finding {
    let mut findings = diagnose(case).findings;
    let at = findings.iter().position(|finding| finding.rule.id == id);
    findings.swap_remove(at.unwrap_or_else(|| panic!("no {id} in {findings:?}")))
}

#[test]
fn nothing_is_found_in_nothing() {
    assert_eq!(found(&case(&[])), [""; 0]);
    assert_eq!(found(&case(&[(NEW, 10, 60_000)])), [""; 0]);
    let diagnosis = diagnose(&case(&[(NEW, 10, 60_000)]));
    assert_eq!(diagnosis.bytes_per_connection, Some(6_000.0));
    assert_eq!(diagnosis.floor_per_connection, Some(6_000.0));
}

#[test]
fn a_large_read_buffer_is_part_of_the_buffers_that_are_kept() {
    let case =
        case(&[(NEW, 10, 60_000), (READ_BUFFER, 10, 10 * 65_536), (WRITE_BUFFER, 10, 10 * 16_584)]);
    assert_eq!(found(&case), ["record-buffers-kept", "oversized-read-buffer"]);
    let excess = finding(&case, "oversized-read-buffer");
    assert_eq!(excess.bytes_per_connection, Some(65_536.0 - 16_716.0));
    let diagnosis = diagnose(&case);
    // What is in both is taken off once.
    assert_eq!(diagnosis.floor_per_connection, Some(6_000.0));
    assert_eq!(diagnosis.left_of(100_000.0), 100_000.0 - 65_536.0 - 16_584.0);
    let of_the_excess = diagnosis.saved_at_rest_by(&["oversized-read-buffer", "bio-pairs"]);
    assert_eq!(of_the_excess, Some(65_536.0 - 16_716.0));
    assert_eq!(diagnosis.saved_at_rest_by(&["bio-pairs"]), None, "it was not found");
    assert_eq!(diagnosis.rest.bytes, 60_000);
    assert_eq!(diagnosis.rest.holders[0].path, "SSL_new");
}

#[test]
fn buffers_of_one_direction_alone_are_given_back_already() {
    for buffer in [READ_BUFFER, WRITE_BUFFER] {
        let case = case(&[(NEW, 10, 60_000), (buffer, 10, 10 * 16_716)]);
        assert_eq!(found(&case), [""; 0]);
        let notes = diagnose(&case).notes;
        assert!(notes[0].text.contains("SSL_MODE_RELEASE_BUFFERS is on already"), "{notes:?}");
    }
}

#[test]
fn a_few_connections_in_the_middle_of_a_record_are_no_finding() {
    assert_eq!(found(&case(&[(NEW, 100, 600_000), (READ_BUFFER, 40, 40 * 16_716)])), [""; 0]);
}

#[test]
fn bio_pairs_are_told_by_their_buffers() {
    let half = [("bio_make_pair", "crypto/bio/bss_bio.c"), ("main", "src/main.c")];
    let small = [("bio_new", "crypto/bio/bss_bio.c"), ("main", "src/main.c")];
    let case = case(&[(NEW, 10, 60_000), (&half, 20, 20 * 17_408), (&small, 20, 20 * 56)]);
    assert_eq!(finding(&case, "bio-pairs").bytes_per_connection, Some(34_816.0));
}

#[test]
fn the_buffer_of_a_dtls_handshake_is_found_and_that_of_a_tls_handshake_is_not() {
    let buffer = [
        ("BUF_MEM_grow", "crypto/buffer/buffer.c"),
        ("state_machine", "ssl/statem/statem.c"),
        ("SSL_accept", "ssl/ssl_lib.c"),
    ];
    let dtls = [("dtls1_new", "ssl/d1_lib.c"), ("SSL_new", "ssl/ssl_lib.c")];
    let tls = case(&[(NEW, 10, 60_000), (&buffer, 10, 10 * 21_848)]);
    assert_eq!(found(&tls), [""; 0]);
    let case = case(&[(NEW, 10, 60_000), (&buffer, 10, 10 * 21_848), (&dtls, 10, 3_000)]);
    let kept = finding(&case, "dtls-handshake-buffer-kept");
    assert_eq!(kept.bytes_per_connection, Some(21_848.0));
}

#[test]
fn many_threads_are_counted_by_their_error_queues() {
    let queue = [("OSSL_ERR_STATE_new", "crypto/err/err_save.c"), ("SSL_accept", "")];
    let table = [("err_load_strings", "crypto/err/err.c"), ("ERR_load_SSL_strings", "")];
    let rand = [("rand_new_drbg", "crypto/rand/rand_lib.c"), ("RAND_get0_public", "")];
    let case = case(&[
        (NEW, 10, 60_000),
        (&queue, 200, 200 * 904),
        (&table, 300, 300 * 600),
        (&rand, 400, 400 * 800),
    ]);
    let threads = finding(&case, "thread-state");
    assert_eq!(threads.facts[0].value, 200.0);
    assert_eq!(threads.bytes_total, 200 * 904 + 400 * 800);
}

#[test]
fn what_outlives_the_connections_is_found_after_their_end() {
    let kept = [("X509_NAME_dup", "crypto/x509/x_name.c"), ("verified", "src/main.c")];
    let before = profile(&[]);
    let at_rest = profile(&[(NEW, 100, 600_000), (&kept, 100, 100_000)]);
    let closed = profile(&[(&kept, 100, 100_000)]);
    let profiles = Profiles { at_rest: &at_rest, baseline: Some(&before), closed: Some(&closed) };
    let case = Case::new(profiles, None, HeldAt::Capture).unwrap();
    let stays = finding(&case, "stays-after-close");
    assert_eq!((stays.bytes_total, stays.bytes_per_connection), (100_000, Some(1_000.0)));
    assert_eq!(stays.sites[0].telling.first().map(String::as_str), Some("verified"));
}

/// A server whose connections come and go, and captures of it.
fn series(connections: &[i64], leaked: &[i64]) -> Case {
    let leak = [("EVP_PKEY_new", "crypto/evp/p_lib.c"), ("ask_for_key", "src/keys.c")];
    let captures = connections.iter().zip(leaked).map(|(connections, leaked)| {
        let samples = [
            (NEW, *connections, connections * 6_000),
            (READ_BUFFER, *connections, connections * 16_716),
            (&leak[..], *leaked, leaked * 152),
        ];
        let profile = profile(&samples);
        let held = holdings(&profile, None, HeldAt::Capture).unwrap();
        (Capture { holdings: held, objects: Inventory::of(&profile).unwrap() }, profile)
    });
    let (captures, profiles): (Vec<Capture>, Vec<Profile>) = captures.unzip();
    let profiles = Profiles { at_rest: profiles.last().unwrap(), baseline: None, closed: None };
    Case { series: Series(captures), ..Case::new(profiles, None, HeldAt::Capture).unwrap() }
}

/// Connections that come and go.
const COMING_AND_GOING: [i64; 12] = [10, 12, 9, 11, 10, 12, 9, 11, 10, 12, 9, 10];

#[test]
fn a_leak_is_found_over_several_captures_with_its_stack() {
    let leaked: Vec<i64> = (1..=12).map(|at| at * 1_000).collect();
    let case = series(&COMING_AND_GOING, &leaked);
    let leak = finding(&case, "only-grows");
    assert_eq!(leak.title, "EVP_PKEY only grow, over 12 captures");
    // The first capture is a program's start.
    assert_eq!(leak.bytes_total, 10_000 * 152);
    assert_eq!((leak.facts[0].value, leak.facts[1].value), (10.0, 0.0));
    assert_eq!(leak.sites.len(), 1);
    assert_eq!(leak.sites[0].telling, ["ask_for_key", "EVP_PKEY_new"]);
}

#[test]
fn more_connections_are_no_leak_of_what_they_hold_but_worth_a_word() {
    let connections: Vec<i64> = (1..=12).map(|at| at * 10).collect();
    let case = series(&connections, &[0; 12]);
    assert_eq!(found(&case), [""; 0]);
    let notes = diagnose(&case).notes;
    let last = &notes.last().unwrap().text;
    assert!(last.starts_with("SSL only grow over the captures: 100 more"), "{notes:?}");
    assert!(!found(&series(&COMING_AND_GOING, &[7_000; 12])).contains(&"only-grows"));
}

#[test]
fn two_captures_prove_nothing() {
    assert!(!found(&series(&[10, 10], &[10_000, 50_000])).contains(&"only-grows"));
}

#[test]
fn no_figure_of_a_made_up_profile_breaks_a_rule() {
    let most = i64::MAX / 8;
    let case = case(&[
        (NEW, -5, -100),
        (READ_BUFFER, most, most),
        (&[("COMP_CTX_new", "crypto/comp/comp_lib.c")], 0, most),
        (&[("X509_STORE_new", "crypto/x509/x509_lu.c")], most, -most),
    ]);
    diagnose(&case);
}

#[test]
fn every_rule_has_its_own_name_and_says_its_price() {
    let mut ids = HashSet::new();
    for rule in RULES {
        assert!(ids.insert(rule.id), "{} is listed twice", rule.id);
        assert!(rule.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", rule.id);
        assert!(rule.trade_off.len() > 4, "{} has no price", rule.id);
        assert!(rule.link.starts_with("https://"), "{} links to nothing", rule.id);
    }
    for rule in RULES {
        assert!(rule.part_of.is_none_or(|whole| ids.contains(whole)), "{}", rule.id);
    }
}

#[test]
fn a_cache_is_projected_to_its_bound_and_no_further() {
    let session = [("SSL_SESSION_new", "ssl/ssl_sess.c"), ("SSL_accept", "ssl/ssl_lib.c")];
    let case = case(&[(NEW, 100, 600_000), (&session, 300, 300 * 1_000)]);
    let filling = finding(&case, "session-cache-filling");
    assert_eq!(filling.projected(1_000), Some(2_000.0 * 1_000.0));
    assert_eq!(filling.projected(1_000_000), Some(20_480.0 * 1_000.0));
}

mod kept;
