//! Values on the command line: times, sizes, numbers of connections.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use ledger::Sampling;

/// Reads `500ms`, `5s`, `2m`, or a bare number of seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        other => return Err(format!("unknown unit {other:?}: use ms, s, m or h, as in 500ms")),
    };
    let number: f64 =
        number.parse().map_err(|_| "expected a number and a unit, as in 5s or 500ms".to_owned())?;
    Duration::try_from_secs_f64(number * scale).map_err(|e| e.to_string())
}

/// The average distance between samples: bytes, or with k and m units of 1,024 and 1,048,576.
pub fn sampling(text: &str) -> Result<Sampling, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" | "kib" => Some(1_u64 << 10),
        "m" | "mb" | "mib" => Some(1_u64 << 20),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
    match bytes {
        Some(0) => Err("0 bytes between samples would be every block: leave --sample out, and \
                        every block is counted"
            .to_owned()),
        Some(bytes) => Sampling::every(bytes)
            .ok_or_else(|| format!("at most {} MiB lie between samples", Sampling::MOST >> 20)),
        None => Err("expected a number of bytes, as in 65536 or 64k".to_owned()),
    }
}

/// An IP address or a host's name, and a port.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    addresses(text).map(|found| found[0])
}

/// All addresses that the text stands for, at least one.
fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    let expected = "expected a host and a port, as in 127.0.0.1:4433 or localhost:4433";
    match text.to_socket_addrs().map(Iterator::collect::<Vec<_>>) {
        Ok(found) if found.is_empty() => Err(format!("{text} has no address")),
        Ok(found) => Ok(found),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(expected.to_owned()),
        Err(error) => Err(format!("{error}; {expected}")),
    }
}

/// A server, by its address or by its name.
#[derive(Clone, Debug)]
pub struct Server {
    /// The name, where it is no address.
    pub name: Option<String>,
    /// Where it may be, at least one: a name may stand for several addresses.
    addresses: Vec<SocketAddr>,
}

/// How long one of several addresses may take to answer.
const ANSWER: Duration = Duration::from_secs(1);

impl Server {
    /// Where it is: of several addresses, the first that somebody listens at. A name that the
    /// machine has for IPv6 too may be served on IPv4 alone.
    pub fn address(&self) -> SocketAddr {
        let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, ANSWER).is_ok();
        match self.addresses.as_slice() {
            [only] => *only,
            several => *several.iter().find(answers).unwrap_or(&several[0]),
        }
    }
}

/// The IP address or the name of a server, and its port.
pub fn server(text: &str) -> Result<Server, String> {
    let is_address = text.parse::<SocketAddr>().is_ok();
    let name = text.rsplit_once(':').map(|(name, _)| name.to_owned()).filter(|_| !is_address);
    Ok(Server { name, addresses: addresses(text)? })
}

/// A number of connections: at least one.
pub fn connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a load without connections measures nothing: ask for at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err("expected a whole number of connections".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_between_samples_have_units() {
        let bytes = |text| sampling(text).map(Sampling::interval);
        assert_eq!(bytes("65536"), Ok(65_536));
        for text in ["64k", "64K", "64 KiB", "64kb"] {
            assert_eq!(bytes(text), Ok(65_536), "{text}");
        }
        assert_eq!(bytes("1m"), Ok(1 << 20));
        assert!(bytes("0").is_err_and(|why| why.contains("leave --sample out")));
        assert!(bytes("2000m").is_err_and(|why| why.contains("at most 1024 MiB")));
        for text in ["", "k", "-1", "1.5k", "64 KiBit", "99999999999999999999"] {
            assert!(bytes(text).is_err_and(|why| why.contains("as in 65536 or 64k")), "{text}");
        }
    }

    #[test]
    fn addresses_have_a_port() {
        assert_eq!(address("127.0.0.1:4433").map(|found| found.port()), Ok(4433));
        assert_eq!(address("[::1]:1").map(|found| found.is_ipv6()), Ok(true));
        for text in ["", "4433", "127.0.0.1", "127.0.0.1:http"] {
            assert!(address(text).is_err_and(|why| why.contains("as in 127.0.0.1:4433")), "{text}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(duration("5 fortnights").expect_err("no unit").contains("fortnights"));
        assert!(duration("soon").is_err());
    }
}
