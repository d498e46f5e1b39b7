//! From Python 3.11 on, asyncio gives each TLS connection a buffer of 256 KiB for what it reads,
//! and fills it with zeros.

use crate::diagnosis::finding::{Finding, Rule, Site};
use crate::diagnosis::unclaimed::Unclaimed;
use crate::diagnosis::whole::Holder;
use crate::notation::rounded;

pub static RULE: Rule = Rule {
    id: "asyncio-read-buffer",
    look,
    trade_off: "What comes in larger pieces than the buffer is read in several steps.",
    link: "https://github.com/python/cpython/issues/109534",
    part_of: None,
};

/// `SSLProtocol.max_size`; a bytearray has one more.
const BUFFER: f64 = 256.0 * 1024.0 + 1.0;

/// A record of TLS and one more: what the remedy leaves.
const REMEDY_LEAVES: f64 = 16.0 * 1024.0 + 1.0;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let whole = case.whole.as_ref()?;
    if !case.program.as_deref().is_some_and(is_python) {
        return None;
    }
    let each = buffer(&whole.grown, 1.0).or_else(|| {
        // One look has no growth: then all of it is divided.
        let connections = case.connections.filter(|_| case.has_connections())?.get() as f64;
        buffer(&whole.resident, connections)
    });
    let (holder, bytes) = each?;
    let connections = case.connections?.get() as f64;
    let saved = (bytes - REMEDY_LEAVES).max(0.0);
    let title = format!("asyncio keeps {} bytes for what each connection reads", rounded(bytes));
    let finding = Finding::about(&RULE, title, []).saving((saved * connections) as i64);
    Some(Finding {
        bytes_per_connection: Some(saved),
        sites: vec![Site {
            file: String::new(),
            line: 0,
            function: holder.function.clone(),
            bytes: (bytes * connections) as i64,
            blocks: case.connections.map_or(0, |n| n.get() as i64),
            telling: holder.through.clone(),
        }],
        ..finding.fact("resident bytes for each connection", bytes)
    })
}

/// The holder that has such a buffer for nearly each of so many connections, and its bytes for one.
fn buffer(holders: &[Holder], connections: f64) -> Option<(&Holder, f64)> {
    /// What asks in asyncio's C part, and where that has no names its file.
    const ASKS: [&str; 4] =
        ["PyByteArray_*", "TaskStepMethWrapper_call", "task_step_impl", "_asyncio*"];
    let is_near = |bytes: f64| (0.8..=1.05).contains(&(bytes / BUFFER));
    let of = |it: &Holder| is_near(it.bytes / connections) && it.passes(&ASKS);
    holders.iter().find(|it| of(it)).map(|it| (it, it.bytes / connections))
}

fn is_python(program: &str) -> bool {
    program.rsplit('/').next().is_some_and(|name| name.starts_with("python"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(function: &str, bytes: f64) -> Holder {
        Holder { function: function.to_owned(), through: Vec::new(), bytes, blocks: None }
    }

    #[test]
    fn a_buffer_of_that_size_is_asyncios_where_asyncio_asks() {
        let all = [holder("new_keys_object", 262_145.0), holder("PyByteArray_Resize", 262_145.0)];
        assert_eq!(
            buffer(&all, 1.0).map(|(it, _)| it.function.as_str()),
            Some("PyByteArray_Resize")
        );
        // uvloop's is asked for and never touched.
        assert_eq!(buffer(&[holder("PyByteArray_Resize", 4_096.0)], 1.0), None);
        assert!(buffer(&[holder("PyByteArray_Resize", 26_214_500.0)], 100.0).is_some());
        assert!(is_python("/usr/bin/python3.11") && !is_python("/usr/sbin/nginx"));
    }
}
