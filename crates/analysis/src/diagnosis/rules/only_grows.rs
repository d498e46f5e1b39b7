//! Over several captures, something only grows, and nothing else explains it.

use std::collections::BTreeMap;

use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Finding, Rule, sites_of};
use crate::diagnosis::growth::{Growth, growth};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::rest::{Rest, held_by};
use crate::diagnosis::unclaimed::Unclaimed;
use crate::group::Call;
use crate::notation::{exact, human};
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "only-grows",
    look,
    trade_off: "None if it is a leak. A cache that grows to its bound looks the same until it is \
                full.",
    link: "https://docs.openssl.org/master/man7/ossl-guide-libssl-introduction/",
    part_of: None,
};

/// Less than this over a whole series is noise of caches.
const LEAST: i64 = 4 * 1024;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    if let Some(growth) = case.series.growth_of(Object::Ssl) {
        // All that connections have grows with them: a load that grows, or a leak of connections.
        unclaimed.note(&RULE, connections_grow(case, growth));
        return None;
    }
    let over_time = bytes_over_time(case);
    let grown: BTreeMap<usize, Growth> = unclaimed
        .holdings()
        .filter_map(|(at, held)| {
            let growth = growth(over_time.get(&key(held))?)?;
            (growth.grown >= LEAST).then_some((at, growth))
        })
        .collect();
    let places: Vec<usize> = grown.keys().copied().collect();
    let bytes: i64 = grown.values().fold(0, |sum, growth| sum.saturating_add(growth.grown));
    if bytes.saturating_mul(10) < case.all_bytes() || bytes == 0 {
        return None;
    }
    let objects: Vec<(Object, Growth)> = Object::ALL
        .into_iter()
        .filter_map(|object| Some((object, case.series.growth_of(object)?)))
        .collect();
    let what = match objects.as_slice() {
        [] => "memory only grows".to_owned(),
        objects => {
            let names: Vec<&str> = objects.iter().map(|(object, _)| object.name()).collect();
            format!("{} only grow", names.join(", "))
        }
    };
    let most = grown.values().max_by_key(|growth| growth.grown)?;
    let captures = case.series.0.len();
    // What is told is the growth over the series.
    let sites = sites_of(grown.iter().map(|(at, growth)| {
        let held = &case.holdings[*at];
        (held, (growth.grown, held.all_blocks))
    }));
    let mut finding = Finding {
        sites,
        ..Finding::claiming(&RULE, case, format!("{what}, over {captures} captures"), places)
    }
    .saving(bytes)
    .fact("steps up of the heaviest site", most.ups as f64)
    .fact("steps down", most.downs as f64)
    .fact("bytes grown from the first capture to the last", bytes as f64);
    for (object, growth) in objects {
        finding =
            finding.fact(format!("{} more than at first", object.name()), growth.grown as f64);
    }
    Some(finding)
}

fn key(held: &Holding) -> (&[Call], &'static str) {
    (held.calls.as_slice(), held.category)
}

/// What each stack held at each capture of the series.
fn bytes_over_time(case: &Case) -> BTreeMap<(&[Call], &str), Vec<i64>> {
    let captures = &case.series.0;
    let mut bytes: BTreeMap<(&[Call], &str), Vec<i64>> = BTreeMap::new();
    for (at, capture) in captures.iter().enumerate() {
        for held in &capture.holdings {
            let values = bytes.entry(key(held)).or_insert_with(|| vec![0; captures.len()]);
            values[at] = held.all_bytes;
        }
    }
    bytes
}

fn connections_grow(case: &Case, growth: Growth) -> String {
    let Growth { ups, downs, grown } = growth;
    let ever = case.ever_made(Object::Ssl);
    let live = case.live(Object::Ssl);
    let of_connections = case
        .holdings
        .iter()
        .filter(|held| held.calls.iter().any(|call| is_of_connection(&call.function)));
    let Rest { bytes, holders } = held_by(of_connections);
    let most: Vec<String> = holders
        .iter()
        .take(HOLDERS)
        .map(|holder| format!("{} by {}", human(holder.bytes as f64), holder.path))
        .collect();
    format!(
        "SSL only grow over the captures: {} more, in {ups} steps up and {downs} down; of {} ever \
         made {} are live, and {} are held under SSL_new and handshakes ({}): a load that grows, or \
         connections that nobody frees",
        exact(grown),
        exact(ever),
        exact(live),
        human(bytes as f64),
        most.join(", ")
    )
}

/// Those that are named in a sentence.
const HOLDERS: usize = 2;

fn is_of_connection(function: &str) -> bool {
    matches!(function, "SSL_new" | "SSL_accept" | "SSL_connect" | "SSL_do_handshake")
}
