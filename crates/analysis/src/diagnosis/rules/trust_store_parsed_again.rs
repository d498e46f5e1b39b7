//! Trusted certificates are parsed again and again, and each copy is kept.

use super::is_of_trust_store;
use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};
use crate::diagnosis::holding::Holding;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "trust-store-parsed-again",
    look,
    remedies: &[
        remedy(
            Ecosystem::C,
            "Parse the certificates once, and give every context the same store: \
             SSL_CTX_set1_cert_store(ctx, store). Or share the SSL_CTX.",
        ),
        remedy(
            Ecosystem::Rust,
            "Share the SslContext. set_cert_store takes a store that cannot be cloned; sharing one \
             between contexts needs SSL_CTX_set1_cert_store, declared by yourself.",
        ),
        remedy(
            Ecosystem::Python,
            "Make one ssl.SSLContext and share it: create_default_context() loads the \
             certificates each time.",
        ),
        remedy(
            Ecosystem::Node,
            "Pass one secureContext instead of ca: a list of certificates is parsed for each \
             connection.",
        ),
        remedy(
            Ecosystem::Nginx,
            "Since 1.27, ssl_object_cache_inheritable shares the certificates between \
             configurations, though not the stores.",
        ),
    ],
    trade_off: "A shared store must not be changed for one connection alone: all of them see it.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_set_cert_store/",
    part_of: None,
};

/// Fewer certificates are a private authority's, not a bundle.
const BUNDLE: f64 = 10.0;

fn look(case: &Case) -> Option<Finding> {
    let certificates = case.holdings.iter().filter(|held| is_of_trust_store(held));
    let held: Vec<Holding> = certificates.filter(|held| held.bytes != 0).cloned().collect();
    let stores = case.objects.live(Object::X509Store).count;
    let each_store = case.objects.ratios(None).certificates_per_store?;
    if stores < 2 || each_store < BUNDLE {
        return None;
    }
    let bytes: i64 = held.iter().map(|held| held.bytes).sum();
    if bytes <= 0 {
        return None;
    }
    // One copy is needed. Where stores come with the connections, the one may be there before.
    let wasted = bytes - bytes / stores;
    let comes_with_connections = case.each(Object::X509Store) >= 0.5;
    let each = case.per_connection(bytes).filter(|_| comes_with_connections);
    Some(
        Finding {
            bytes_per_connection: each,
            bytes_total: wasted,
            at_rest_per_connection: each,
            ..Finding::about(&RULE, format!("the same trust store was parsed {stores} times"), held)
        }
        .fact("X509_STORE", stores as f64)
        .fact("X509 for each X509_STORE", each_store)
        .fact("bytes of one copy", (bytes / stores) as f64),
    )
}
