//! A program has ended, OpenSSL has cleaned up behind itself, and blocks are left that the program
//! has allocated again and again.

use std::collections::BTreeMap;

use crate::diagnosis::case::{Case, Ending};
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::held_at::HeldAt;
use crate::diagnosis::holding::Holding;
use crate::diagnosis::repeats::Repeats;
use crate::diagnosis::unclaimed::Unclaimed;
use crate::group::Call;
use crate::origin::Origin;

pub static RULE: Rule = Rule {
    id: "never-freed",
    look,
    trade_off: "None.",
    link: "https://docs.openssl.org/master/man7/ossl-guide-libssl-introduction/",
    part_of: None,
};

/// What is there so often was not kept on purpose until the end.
const MANY: i64 = 8;

/// So many calls of the program tell where a block came from.
const TELLING_CALLS: usize = 4;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    if case.ending != Ending::ByItself || !has_cleaned_up(case) {
        return None;
    }
    let mut places: Vec<usize> = Vec::new();
    for (at, _) in repeated(unclaimed) {
        places.push(at);
    }
    places.sort_unstable();
    let held = || places.iter().map(|at| &left(case)[*at]);
    let bytes: i64 = held().fold(0, |sum, held| sum.saturating_add(held.all_bytes));
    if bytes <= 0 {
        return None;
    }
    let blocks: i64 = held().fold(0, |sum, held| sum.saturating_add(held.all_blocks));
    let title = "blocks were never freed when the program had ended";
    let finding = Finding::about(&RULE, title, held()).saving(bytes).fact("blocks", blocks as f64);
    let at_end = case.at == HeldAt::Capture;
    Some(Finding { claimed: if at_end { places } else { Vec::new() }, ..finding })
}

/// What is left: where the peak is judged, it is beside that.
fn left(case: &Case) -> &[Holding] {
    case.left.as_deref().unwrap_or(&case.holdings)
}

/// Whether OpenSSL has freed what is its own, as it does when a program returns from `main` or
/// calls `exit`.
fn has_cleaned_up(case: &Case) -> bool {
    const ALMOST_NOTHING: i64 = 4 * 1024;
    let own = |held: &&Holding| matches!(held.group(), "process" | "err");
    let bytes = left(case).iter().filter(own).map(|held| held.all_bytes).sum::<i64>();
    bytes < ALMOST_NOTHING
}

/// The holdings that one path of the program's calls has made again and again, with their places.
fn repeated<'a>(unclaimed: &Unclaimed<'a>) -> impl Iterator<Item = (usize, &'a Holding)> {
    let mut paths: BTreeMap<Vec<&str>, Vec<(usize, &Holding)>> = BTreeMap::new();
    let case = unclaimed.case;
    let is_free = |at: &usize| case.left.is_some() || unclaimed.is_free(*at);
    let held = left(case).iter().enumerate().filter(|(at, held)| held.all_bytes > 0 && is_free(at));
    for (at, held) in held {
        paths.entry(callers(held)).or_default().push((at, held));
    }
    paths.into_values().filter(|path| is_repeated(path)).flatten()
}

fn is_repeated(path: &[(usize, &Holding)]) -> bool {
    let mut repeats = Repeats::default();
    for (at, held) in path {
        repeats.add(*at, held.all_blocks, held.all_bytes);
    }
    let counts = path.iter().map(|(_, held)| held.all_blocks).filter(|blocks| *blocks >= MANY);
    counts.into_iter().any(|blocks| repeats.are_multiples_of(blocks))
}

/// The few functions of the program that have called OpenSSL.
fn callers(held: &Holding) -> Vec<&str> {
    let of_program = |call: &&Call| Origin::of(&call.frame()) == Origin::Program;
    let calls = held.calls.iter().filter(of_program).take(TELLING_CALLS);
    calls.map(|call| call.function.as_str()).collect()
}
