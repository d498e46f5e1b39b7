//! Rules of what is kept for nothing, on small profiles: each takes its own, and nothing else's.

use super::*;

/// A certificate of a bundle that a function of the program loads into its context.
fn loaded<'a>(leaf: &'a str, file: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (leaf, file),
        ("libcrypto.so.3+0xfe073", ""),
        ("X509_load_cert_crl_file_ex", ""),
        ("SSL_CTX_load_verify_locations", ""),
        ("make_client", "src/client.c"),
        ("main", "src/client.c"),
    ]
}

const ASN1: &str = "crypto/asn1/tasn_new.c";
const CONTEXT: Calls<'_> = &[("SSL_CTX_new_ex", "ssl/ssl_lib.c"), ("make_client", "src/client.c")];
const STORE: Calls<'_> = &[
    ("X509_STORE_new", "crypto/x509/x509_lu.c"),
    ("SSL_CTX_new_ex", "ssl/ssl_lib.c"),
    ("make_client", "src/client.c"),
];

/// So many contexts, each with a bundle of 140 certificates, and so many bundles of another file.
fn clients(contexts: i64, connections: i64) -> Case {
    let certificate = loaded("libcrypto.so.3+0x10", ASN1);
    let name = loaded("libcrypto.so.3+0x20", "crypto/x509/x_name.c");
    let extension = loaded("libcrypto.so.3+0x30", "crypto/asn1/tasn_utl.c");
    case(&[
        (&certificate, 140 * contexts, 140 * contexts * 384),
        (&name, 280 * contexts, 280 * contexts * 900),
        (&extension, 743 * contexts, 743 * contexts * 120),
        (CONTEXT, contexts, contexts * 1_616),
        (STORE, contexts, contexts * 152),
        (NEW, connections, connections * 7_608),
    ])
}

#[test]
fn a_bundle_for_each_context_is_found_with_its_copies_whatever_connections_there_are() {
    for connections in [0, 3, 40] {
        let case = clients(40, connections);
        let bundle = finding(&case, "bundle-parsed-again");
        assert_eq!(bundle.title, "the same 140 certificates are in memory 40 times");
        let copy = 140 * 384 + 280 * 900 + 743 * 120;
        assert_eq!(bundle.bytes_total, 39 * copy, "one is needed");
        let each = bundle.bytes_per_connection.is_some();
        assert_eq!(each, connections == 40);
        assert!(diagnose(&case).rest_share() < 0.05);
    }
}

#[test]
fn one_bundle_and_a_librarys_beside_it_are_no_finding() {
    for contexts in [1, 2] {
        assert_eq!(found(&clients(contexts, 20)), [""; 0]);
    }
}

#[test]
fn sessions_in_a_clients_cache_take_the_chains_that_they_have() {
    let session = [("libssl.so.3+0x10", "ssl/ssl_sess.c"), ("SSL_read", "")];
    let entry = [
        ("OPENSSL_LH_insert", "crypto/lhash/lhash.c"),
        ("SSL_CTX_add_session", ""),
        ("libssl.so.3+0x30", "ssl/statem/statem_clnt.c"),
        ("SSL_read", ""),
    ];
    let peer = [("libcrypto.so.3+0x10", ASN1), ("X509_new_ex", ""), ("SSL_connect", "")];
    let case = case(&[
        (&session, 1_000, 928_000),
        (&entry, 1_000, 24_000),
        (&peer, 1_000, 384_000),
        (NEW, 2, 15_216),
    ]);
    let diagnosis = diagnose(&case);
    let [cache] = &diagnosis.findings[..] else { panic!("{:?}", diagnosis.findings) };
    assert_eq!(cache.rule.id, "session-cache-filling");
    assert_eq!(cache.title, "1000 sessions of a client are in the cache of its SSL_CTX");
    // Two of them belong to connections.
    let all = 928_000 + 24_000 + 384_000;
    assert_eq!(cache.bytes_total, all - all * 2 / 1_000);
}

#[test]
fn certificates_of_peers_that_nobody_gives_back_are_found_and_chains_of_connections_are_not() {
    let peer = [("libcrypto.so.3+0x10", ASN1), ("X509_new_ex", ""), ("SSL_connect", "")];
    let of = |certificates: i64, connections: i64| {
        let all = [(&peer[..], certificates, certificates * 384), (NEW, connections, 70_000)];
        found(&case(&all)).contains(&"peer-certificates-outlive")
    };
    assert!(of(1_500, 0) && of(1_500, 10));
    assert!(!of(60, 0) && !of(400, 100));
}

#[test]
fn a_hundred_certificates_of_a_servers_own_are_nobodys_leak() {
    let own = [
        ("libcrypto.so.3+0x10", ASN1),
        ("PEM_ASN1_read_bio", ""),
        ("libssl.so.3+0x1c0", ""),
        ("serve_name", "src/server.c"),
        ("main", "src/server.c"),
    ];
    let key = [
        ("EVP_PKEY_new", "crypto/evp/p_lib.c"),
        ("OSSL_DECODER_from_bio", ""),
        ("SSL_CTX_use_PrivateKey_file", ""),
        ("serve_name", "src/server.c"),
    ];
    for connections in [0, 12] {
        let case = case(&[
            (&own, 100, 38_400),
            (&key, 100, 15_200),
            (CONTEXT, 100, 161_600),
            (NEW, connections, connections * 7_608),
        ]);
        assert_eq!(found(&case), [""; 0], "{connections}");
    }
}

#[test]
fn connections_that_never_began_are_told_from_those_that_wait() {
    let of = |connections: i64, sessions: i64| {
        let session = [("SSL_SESSION_new", "ssl/ssl_sess.c"), ("SSL_accept", "")];
        let all = [(NEW, connections, connections * 7_608), (&session, sessions, sessions * 900)];
        let diagnosis = diagnose(&case(&all));
        diagnosis.findings.iter().map(|it| (it.rule.id, it.bytes_total)).next()
    };
    assert_eq!(of(2_000, 0), Some(("ssl-without-handshake", 2_000 * 7_608)));
    assert_eq!(of(2_000, 1_500), None);
    assert_eq!(of(40, 0), None);
}

#[test]
fn contexts_without_connections_are_found_and_few_are_not() {
    let of = |contexts: i64| found(&case(&[(CONTEXT, contexts, contexts * 12_000)]));
    assert_eq!(of(600), ["contexts-outlive"]);
    assert_eq!(of(7), [""; 0]);
}

#[test]
fn a_baseline_that_no_connection_followed_says_nothing_of_contexts() {
    let at_end = case(&[(CONTEXT, 150, 150 * 12_000)]);
    let late = Case { objects_before: Some(at_end.all_objects.clone()), ..at_end.clone() };
    assert_eq!(found(&late), ["contexts-outlive"]);
}

#[test]
fn library_contexts_take_what_each_of_them_has() {
    let library = [("OSSL_LIB_CTX_new", "crypto/context.c"), ("work", "src/pool.c")];
    let fetched = [("libcrypto.so.3+0x10", "crypto/evp/digest.c"), ("EVP_MD_fetch", "")];
    let once = [("libcrypto.so.3+0x20", "crypto/evp/digest.c"), ("OPENSSL_init_crypto", "")];
    let case = case(&[(&library, 60, 24_000), (&fetched, 600, 6_000_000), (&once, 1, 9_000)]);
    let found = finding(&case, "library-contexts");
    assert_eq!(found.bytes_total, 6_024_000 - 6_024_000 / 60);
    assert_eq!(diagnose(&case).rest.bytes, 9_000);
}

#[test]
fn lists_of_a_directory_are_found_and_lists_of_different_authorities_are_not() {
    let list = [
        ("libcrypto.so.3+0x10", ASN1),
        ("PEM_ASN1_read_bio", ""),
        ("X509_load_crl_file", ""),
        ("X509_STORE_CTX_get1_crls", ""),
        ("verify", "src/verify.c"),
    ];
    let entry = [&[("libcrypto.so.3+0x20", "crypto/asn1/a_int.c")], &list[1..]].concat();
    let directory = case(&[(&list, 40, 40 * 248), (&entry, 61_234, 61_234 * 100)]);
    let lists = finding(&directory, "crls-kept");
    let all = 40 * 248 + 61_234 * 100;
    assert_eq!(lists.bytes_total, all - all / 40);
    // At the start, from files that are named: nothing says that any of them is old.
    let named = [&list[..3], &list[4..]].concat();
    let entry = [&entry[..3], &entry[4..]].concat();
    let different = case(&[(&named, 40, 40 * 248), (&entry, 61_234, 61_234 * 100)]);
    assert_eq!(found(&different), [""; 0]);
    let the_same = case(&[(&named, 40, 40 * 248), (&entry, 60_000, 60_000 * 100)]);
    assert_eq!(found(&the_same), ["crls-kept"]);
}

#[test]
fn what_a_program_never_freed_is_found_when_it_has_ended_by_itself() {
    let leak = [("EVP_PKEY_new", "crypto/evp/p_lib.c"), ("sign", "src/sign.c")];
    let bundle = loaded("libcrypto.so.3+0x10", ASN1);
    let parts = loaded("libcrypto.so.3+0x20", ASN1);
    // A bundle that was loaded once and lives as long as the program.
    let samples =
        [(&leak[..], 900, 900 * 152), (&bundle, 140, 140 * 384), (&parts, 743, 743 * 120)];
    let mut case = case(&samples);
    assert_eq!(found(&case), [""; 0], "it may run yet");
    case.ending = Ending::ByItself;
    let never = finding(&case, "never-freed");
    assert_eq!((never.bytes_total, never.sites.len()), (900 * 152, 1));
    // The process was stopped before OpenSSL could clean up.
    let strings = [("ERR_load_strings", "crypto/err/err.c"), ("OPENSSL_init_crypto", "")];
    let mut stopped = super::case(&[&samples[..], &[(&strings, 300, 30_000)]].concat());
    stopped.ending = Ending::ByItself;
    assert_eq!(found(&stopped), [""; 0]);
}

#[test]
fn processes_are_judged_each_for_itself() {
    let one = case(&[(CONTEXT, 1, 900_000)]);
    let twelve = case(&[(CONTEXT, 12, 10_800_000)]);
    assert_eq!(found(&twelve), ["contexts-outlive"]);
    let diagnosis = diagnose_processes(&twelve, &vec![one; 12]);
    assert!(diagnosis.findings.is_empty(), "{:?}", diagnosis.findings);
    assert_eq!((diagnosis.looked_at, diagnosis.rest.bytes), (10_800_000, 10_800_000));
    // Of two processes with the same fault one finding is made.
    let two = diagnose_processes(&clients(80, 80), &[clients(40, 40), clients(40, 40)]);
    let bundle = &two.findings[0];
    assert_eq!(bundle.rule.id, "bundle-parsed-again");
    let half = finding(&clients(40, 40), "bundle-parsed-again");
    assert_eq!(bundle.bytes_total, 2 * half.bytes_total);
    assert_eq!(bundle.bytes_per_connection, half.bytes_per_connection);
}

#[test]
fn chains_of_clients_are_found_and_what_a_connection_has_to_have_is_a_note() {
    let of = |certificates: i64, entry: &str| {
        let peer = [("libcrypto.so.3+0x10", ASN1), ("X509_new_ex", ""), (entry, "")];
        let session = [("SSL_SESSION_new", "ssl/ssl_sess.c"), (entry, "")];
        let all = [
            (NEW, 100, 760_800),
            (&session[..], 100, 92_800),
            (&peer, certificates, certificates * 384),
        ];
        let diagnosis = diagnose(&case(&all));
        (diagnosis.findings.len(), diagnosis.notes.len())
    };
    assert_eq!(of(200, "SSL_accept"), (1, 0));
    assert_eq!(of(100, "SSL_accept"), (0, 1));
    assert_eq!(of(200, "SSL_connect"), (0, 1));
    assert_eq!(of(20, "SSL_accept"), (0, 0));
}
