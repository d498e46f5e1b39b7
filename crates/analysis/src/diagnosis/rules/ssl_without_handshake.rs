//! Connections that have never begun a handshake are kept.

use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::reading::is_in_handshake;
use crate::diagnosis::unclaimed::Unclaimed;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "ssl-without-handshake",
    look,
    trade_off: "None: a connection that never came to be is of no use.",
    link: "https://docs.openssl.org/master/man3/SSL_free/",
    part_of: None,
};

/// Fewer may wait for their first message.
const MANY: i64 = 64;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let [connections, sessions] = [Object::Ssl, Object::SslSession].map(|object| case.live(object));
    // The first message of a handshake brings a session.
    let without = connections - sessions;
    if without < MANY || without / 2 < connections / 4 {
        return None;
    }
    // Where sessions cannot be told, what else handshakes make speaks against it.
    let shaken =
        unclaimed.amount(|held| held.group() == "tls" && is_in_handshake(&held.calls)).blocks;
    if shaken >= without / 4 {
        return None;
    }
    // All that hangs on such a connection; from 3.2 on, its record layers come after SSL_new.
    let is_of_each = |held: &Holding| {
        held.all_blocks >= without / 2
            && held.calls.iter().any(|call| {
                call.function.starts_with("SSL_") && !call.function.starts_with("SSL_CTX_")
            })
    };
    let places = unclaimed.pick(is_of_each);
    let bytes = unclaimed.amount_at(&places).bytes;
    let saved = (bytes as f64 * without as f64 / connections as f64) as i64;
    let title = format!("{without} of {connections} SSL have never begun a handshake");
    let finding = Finding::claiming(&RULE, case, title, places)
        .saving(saved)
        .for_each_connection(case)
        .fact("SSL without a session", without as f64)
        .fact("SSL ever made", case.ever_made(Object::Ssl) as f64)
        .fact("bytes of each", bytes as f64 / connections as f64);
    Some(finding)
}
