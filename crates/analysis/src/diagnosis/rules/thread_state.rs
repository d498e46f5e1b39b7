//! Every thread that uses OpenSSL has random number generators and an error queue of its own.

use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};
use crate::diagnosis::holding::Holding;

pub static RULE: Rule = Rule {
    id: "thread-state",
    look,
    remedies: &[
        remedy(
            Ecosystem::C,
            "Use fewer threads for TLS. OPENSSL_thread_stop() gives a thread's state back where \
             threads end without the C library's destructors.",
        ),
        remedy(Ecosystem::Rust, "Bound the pool of threads that do TLS, blocking ones among them."),
    ],
    trade_off: "Fewer threads do fewer handshakes at one time.",
    link: "https://docs.openssl.org/master/man3/OPENSSL_init_crypto/",
    part_of: None,
};

/// So many threads are a pool or two of a large machine.
const MANY: i64 = 64;

fn look(case: &Case) -> Option<Finding> {
    let all = |wanted: fn(&Holding) -> bool| {
        case.holdings.iter().filter(move |held| wanted(held) && held.all_bytes > 0)
    };
    // One block for each thread that did anything at all.
    let threads: i64 = all(is_error_queue).map(|held| held.all_blocks).sum();
    let with_connections = case.amount(is_error_queue).blocks;
    let each = case.per_connection(with_connections).unwrap_or_default();
    if threads < MANY && !(each >= 0.5 && with_connections >= 8) {
        return None;
    }
    let bytes: i64 = all(is_of_thread).map(|held| held.all_bytes).sum();
    let share = (each >= 0.5).then(|| case.amount(is_of_thread).bytes);
    let each_connection = share.and_then(|bytes| case.per_connection(bytes));
    Some(
        Finding {
            bytes_per_connection: each_connection,
            bytes_total: bytes,
            at_rest_per_connection: each_connection,
            // Threads may have been there before the first connection.
            ..Finding::about(
                &RULE,
                format!("{threads} threads have state of their own in OpenSSL"),
                all(is_of_thread).map(|held| Holding {
                    bytes: held.all_bytes,
                    blocks: held.all_blocks,
                    ..held.clone()
                }),
            )
        }
        .fact("threads", threads as f64)
        .fact("bytes for each thread", bytes as f64 / threads.max(1) as f64),
    )
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
