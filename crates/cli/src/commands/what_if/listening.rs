//! Whether a program listens on a port, without a connection to it: that would be one more than
//! those that are measured, and programs keep some of what it took.

use std::fs;

/// Somebody listens on the TCP port, on whatever address of this machine.
pub fn is_taken(port: u16) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .any(|table| fs::read_to_string(table).is_ok_and(|table| has_listener(&table, port)))
}

/// The kernel's number for a socket that listens.
const LISTENS: &str = "0A";

/// A line of the table is for a socket that listens on the port: behind its number and a colon come
/// the own address, the other's, and the state.
fn has_listener(table: &str, port: u16) -> bool {
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().take(4).collect();
        let [_, own, _, state] = fields[..] else { return false };
        let own = own.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        state == LISTENS && own == Some(port)
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, TcpListener};

    use super::*;

    #[test]
    fn a_port_is_taken_while_somebody_listens() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        assert!(is_taken(port));
        drop(first);
        assert!(!is_taken(port));
        // A machine may have no IPv6.
        if let Ok(second) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            assert!(is_taken(second.local_addr().unwrap().port()));
        }
    }

    #[test]
    fn a_connection_is_no_listener_and_a_strange_table_has_none() {
        let line = "   0: 0100007F:115C 0100007F:D431 01 00000000:00000000 00:00000000";
        assert!(!has_listener(&format!("head\n{line}\n"), 0x115c));
        assert!(has_listener(&format!("head\n{}\n", line.replace(" 01 ", " 0A ")), 0x115c));
        for strange in ["", "head", "head\n\n:\n0: x 0A", "head\n0: 1 2 0A"] {
            assert!(!has_listener(strange, 1));
        }
    }
}
