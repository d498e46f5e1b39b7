//! There are many library contexts, each with algorithms and random numbers of its own.

use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::unclaimed::Unclaimed;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "library-contexts",
    look,
    trade_off: "What shares a library context shares its providers, properties and random \
                numbers.",
    link: "https://docs.openssl.org/master/man3/OSSL_LIB_CTX/",
    part_of: None,
};

/// Fewer are some libraries in one process, each with its own.
const MANY: i64 = 4;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let contexts = case.live(Object::OsslLibCtx);
    if contexts < MANY {
        return None;
    }
    let places = unclaimed.pick(|held| is_of_library(held) && held.all_blocks * 2 >= contexts);
    let bytes = unclaimed.amount_at(&places).bytes;
    let title = format!("{contexts} OSSL_LIB_CTX have algorithms of their own");
    let mut finding = Finding::claiming(&RULE, case, title, places)
        .saving(bytes - bytes / contexts)
        .fact("OSSL_LIB_CTX", contexts as f64)
        .fact("OSSL_LIB_CTX ever made", case.ever_made(Object::OsslLibCtx) as f64)
        .fact("bytes of each", bytes as f64 / contexts as f64);
    if let Some(growth) = case.series.growth_of(Object::OsslLibCtx) {
        finding = finding.fact("OSSL_LIB_CTX more than at first", growth.grown as f64);
    }
    Some(finding)
}

/// Algorithms that were fetched, providers and random numbers: neither of a connection, nor of what
/// it trusts.
fn is_of_library(held: &Holding) -> bool {
    let file = held.leaf().file.as_str();
    let of_library = file.starts_with("crypto/") || file.starts_with("providers/");
    of_library
        && !file.starts_with("crypto/err/")
        && !file.starts_with("crypto/conf/")
        && held.reading.is_none()
        && !held.passes_function(&["SSL_*", "X509_*"])
}
