//! Over several captures, something only grows, and not because there are more connections.

use std::collections::BTreeMap;

use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};
use crate::diagnosis::holding::Holding;
use crate::group::Call;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "only-grows",
    look,
    remedies: &[
        remedy(
            Ecosystem::C,
            "Look at the stacks: every call there needs the free function of what it makes. What \
             is kept on purpose needs a bound.",
        ),
        remedy(
            Ecosystem::Python,
            "A cycle of objects with a connection in it is freed by the garbage collector only: \
             close connections, and break the cycle.",
        ),
    ],
    trade_off: "None if it is a leak. A cache that grows to its bound looks the same until it is \
                full.",
    link: "https://docs.openssl.org/master/man7/ossl-guide-libssl-introduction/",
    part_of: None,
};

/// Less than this over a whole series is noise of caches.
const LEAST: i64 = 4 * 1024;

fn look(case: &Case) -> Option<Finding> {
    let captures = &case.series.0;
    let mut bytes: BTreeMap<(&[Call], &str), Vec<i64>> = BTreeMap::new();
    for (at, capture) in captures.iter().enumerate() {
        for held in &capture.holdings {
            let key = (held.calls.as_slice(), held.category);
            bytes.entry(key).or_insert_with(|| vec![0; captures.len()])[at] = held.all_bytes;
        }
    }
    let growing = |held: &&Holding| {
        let values = bytes.get(&(held.calls.as_slice(), held.category));
        values.is_some_and(|values| case.series.confidence_of_growth(values).is_some())
    };
    let last = captures.last()?;
    let held: Vec<Holding> = last
        .holdings
        .iter()
        .filter(growing)
        .map(|held| {
            let first = bytes[&(held.calls.as_slice(), held.category)][0];
            // What is told is the growth over the series.
            Holding { bytes: held.all_bytes - first, blocks: held.all_blocks, ..held.clone() }
        })
        .collect();
    let grown: i64 = held.iter().map(|held| held.bytes).sum();
    let objects = growing_objects(case);
    // The whole of what grows is surer than each of its stacks.
    let sums: Vec<i64> = (0..captures.len())
        .map(|at| held.iter().map(|held| bytes[&(held.calls.as_slice(), held.category)][at]).sum())
        .collect();
    let of_bytes = case.series.confidence_of_growth(&sums).filter(|_| grown >= LEAST);
    let of_objects = objects.iter().filter_map(|object| case.series.confidence_of_count(*object));
    let confidence = of_bytes.or_else(|| of_objects.max_by(f64::total_cmp))?;
    let what = match objects.as_slice() {
        [] => "memory only grows".to_owned(),
        objects => {
            let names: Vec<&str> = objects.iter().map(|object| object.name()).collect();
            format!("{} only grow", names.join(", "))
        }
    };
    let mut finding = Finding {
        bytes_total: grown,
        ..Finding::about(&RULE, format!("{what}, over {} captures", captures.len()), held)
    }
    .fact("confidence that it is no chance", confidence)
    .fact("bytes grown from the first capture to the last", grown as f64);
    for object in objects {
        let count = last.objects.live(object).count - captures[0].objects.live(object).count;
        finding = finding.fact(
            match object {
                Object::Ssl => "SSL more than at first",
                Object::SslCtx => "SSL_CTX more than at first",
                Object::X509Store => "X509_STORE more than at first",
                Object::X509Object => "X509_OBJECT more than at first",
                Object::X509 => "X509 more than at first",
                Object::X509Crl => "X509_CRL more than at first",
                Object::SslSession => "SSL_SESSION more than at first",
                Object::CachedSession => "cached SSL_SESSION more than at first",
                Object::OsslLibCtx => "OSSL_LIB_CTX more than at first",
                Object::EvpPkey => "EVP_PKEY more than at first",
            },
            count as f64,
        );
    }
    Some(finding)
}

/// Kinds of objects whose number only grows. For SSL that may be a load that still grows; for all
/// others it is more than the connections explain.
fn growing_objects(case: &Case) -> Vec<Object> {
    let grows = |object: &Object| case.series.confidence_of_count(*object).is_some();
    Object::ALL.into_iter().filter(grows).collect()
}
