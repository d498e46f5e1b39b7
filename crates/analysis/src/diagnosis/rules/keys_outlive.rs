//! Keys are read for connections or tasks, and are still there when these are gone.

use super::contexts::KEYS;
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::{Holding, is_one_of};
use crate::diagnosis::reading::reads_certificates;
use crate::diagnosis::unclaimed::Unclaimed;
use crate::group::Call;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "keys-outlive",
    look,
    trade_off: "None: a key may be used by all threads at once.",
    link: "https://docs.openssl.org/master/man3/EVP_PKEY_free/",
    part_of: None,
};

/// Fewer are the keys of a configuration.
const MANY: i64 = 16;

/// Functions that read keys beside those that read private ones.
const PUBLIC_KEYS: [&str; 6] = [
    "PEM_read_PUBKEY*",
    "PEM_read_bio_PUBKEY*",
    "d2i_AutoPrivateKey*",
    "d2i_PUBKEY*",
    "d2i_PrivateKey*",
    "d2i_PublicKey*",
];

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let structs = unclaimed.pick(|held| held.object == Some(Object::EvpPkey) && is_read(held));
    let live = unclaimed.amount_at(&structs).blocks;
    let made: i64 = structs.iter().map(|at| case.holdings[*at].made_blocks).sum();
    // A context may have a key of each kind.
    if live < MANY || live <= 3 * case.live(Object::SslCtx) {
        return None;
    }
    // Keys that were there at the start are somebody's configuration: these came with connections,
    // or go on coming.
    let growth = case.series.growth_of(Object::EvpPkey);
    let connections = case.ever_made(Object::Ssl);
    let for_connections = connections >= MANY && made / 2 <= connections && connections / 2 <= made;
    if growth.is_none() && !for_connections {
        return None;
    }
    let places = unclaimed.pick(|held| is_read(held) && held.may_be_of_each(live, made));
    let bytes = unclaimed.amount_at(&places).bytes;
    let title = format!("{live} keys that were read are live, with {} SSL", case.live(Object::Ssl));
    let mut finding = Finding::claiming(&RULE, case, title, places)
        .saving(bytes - bytes / live)
        .fact("EVP_PKEY that were read", live as f64)
        .fact("ever read", made as f64)
        .fact("SSL ever made", connections as f64)
        .fact("bytes of each", (bytes / live) as f64);
    if let Some(growth) = growth {
        finding = finding.fact("EVP_PKEY more than at first", growth.grown as f64);
    }
    Some(finding)
}

/// Read by the program for itself, and not for a context or with a certificate.
fn is_read(held: &Holding) -> bool {
    let is_reader =
        |call: &Call| is_one_of(&call.function, &KEYS) || is_one_of(&call.function, &PUBLIC_KEYS);
    let Some(reader) = held.calls.iter().rposition(is_reader) else { return false };
    !reads_certificates(&held.calls[reader + 1..])
        && !held.passes_function(&["SSL_CTX_*", "SSL_use_*"])
}
