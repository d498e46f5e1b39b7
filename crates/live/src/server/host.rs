//! Whether a request's Host may be meant for this server.

use std::net::{IpAddr, Ipv6Addr};

/// Whether the Host of a request is an address or `localhost`, with a port or without: a name that
/// somebody else has made lead here is neither.
pub(crate) fn is_address(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<Ipv6Addr>().is_ok() && is_port(port);
    }
    let (name, port) = match host.find(':') {
        Some(at) => host.split_at(at),
        None => (host, ""),
    };
    let is_known = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4());
    is_known && is_port(port)
}

/// Nothing, or a colon and a number.
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        None => text.is_empty(),
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_meant_and_names_are_not() {
        for host in ["127.0.0.1", "127.0.0.1:46000", "localhost", "LocalHost:1", "[::1]:8", "[::1]"]
        {
            assert!(is_address(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "127.0.0.1:",
            "127.0.0.1:x",
            "127.0.0.1:99999",
            "[::1",
            "[::1]x",
            "::1",
            "user@localhost",
            "0x7f000001",
        ] {
            assert!(!is_address(host), "{host}");
        }
    }
}
