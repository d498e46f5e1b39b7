//! Every thread that uses OpenSSL has random number generators and an error queue of its own.

use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::unclaimed::Unclaimed;

pub static RULE: Rule = Rule {
    id: "thread-state",
    look,
    trade_off: "Fewer threads do fewer handshakes at one time.",
    link: "https://docs.openssl.org/master/man3/OPENSSL_init_crypto/",
    part_of: None,
};

/// So many threads are a pool or two of a large machine.
const MANY: i64 = 64;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    // One block for each thread that did anything at all.
    let threads = unclaimed.amount(is_error_queue).blocks;
    let before = case.amount(is_error_queue).blocks - grown_threads(case);
    let with_connections = threads - before;
    let each = case.of_each(with_connections).unwrap_or_default();
    let comes_with_connections = each >= 0.5 && with_connections >= 8;
    if threads < MANY && !comes_with_connections {
        return None;
    }
    let places = unclaimed.pick(is_of_thread);
    let bytes = unclaimed.amount_at(&places).bytes;
    let title = format!("{threads} threads have state of their own in OpenSSL");
    let finding = Finding::claiming(&RULE, case, title, places)
        .saving(bytes)
        .fact("threads", threads as f64)
        .fact("bytes for each thread", bytes as f64 / threads.max(1) as f64);
    Some(if each >= 0.5 { finding.for_each_connection(case) } else { finding })
}

/// Threads that came since the baseline.
fn grown_threads(case: &Case) -> i64 {
    case.holdings.iter().filter(|held| is_error_queue(held)).map(|held| held.blocks).sum()
}

/// `ERR_STATE` has 600 to 1,000 bytes by version; the texts in it are smaller.
fn is_error_queue(held: &Holding) -> bool {
    is_of_error_queue(held)
        && held.leaf().file.starts_with("crypto/err/")
        && held.block_size().is_some_and(|size| (400..=1_500).contains(&size))
}

/// Not the table of messages, which the process has once.
fn is_of_error_queue(held: &Holding) -> bool {
    held.category == "err.queue" && !held.passes_function(&["ERR_load_*", "err_load_strings"])
}

fn is_of_thread(held: &Holding) -> bool {
    /// Each thread's own generators, and from 4.0 on its table of such state.
    const MAKERS: [&str; 3] =
        ["CRYPTO_THREAD_set_local_ex", "RAND_get0_private", "RAND_get0_public"];
    is_of_error_queue(held)
        || held.category == "process.threads"
        || held.passes_function(&MAKERS)
        || held.passes_function(&["rand_get0_private", "rand_get0_public"])
}
