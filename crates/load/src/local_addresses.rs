//! Where connections come from: the local addresses, and how many ports there are for them.
//!
//! A connection is known by both ends' addresses and ports. Towards one port of one server each
//! local address has as many connections as there are ports that the system gives out, 28,232 with
//! Linux's defaults. All of 127.0.0.0/8 is this machine, so a server there can be come to from as
//! many addresses as it takes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

use crate::client_error::ClientError;

/// What Linux gives out unless it is told otherwise.
const USUAL_PORTS: usize = 28_232;

/// The addresses that connections come from, in turn.
#[derive(Debug)]
pub(crate) struct LocalAddresses(Vec<IpAddr>);

impl LocalAddresses {
    /// The addresses that were asked for, or else as few as will do; an empty list leaves it to the
    /// system.
    pub(crate) fn choose(
        asked_for: &[IpAddr],
        server: SocketAddr,
        connections: usize,
    ) -> Result<LocalAddresses, ClientError> {
        choose(asked_for, server, connections, ports_of_an_address()).map(LocalAddresses)
    }

    /// Connects to `server` from the address whose turn it is.
    pub(crate) async fn connect(&self, server: SocketAddr, turn: usize) -> io::Result<TcpStream> {
        if self.0.is_empty() {
            return TcpStream::connect(server).await;
        }
        let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        leave_port_to_connect(&socket)?;
        socket.bind(SocketAddr::new(self.0[turn % self.0.len()], 0))?;
        socket.connect(server).await
    }
}

fn choose(
    asked_for: &[IpAddr],
    server: SocketAddr,
    connections: usize,
    ports: usize,
) -> Result<Vec<IpAddr>, ClientError> {
    if let Some(other) = asked_for.iter().find(|local| local.is_ipv4() != server.is_ipv4()) {
        return Err(ClientError::OtherFamily { local: *other, server });
    }
    if asked_for.is_empty() && server.ip().is_loopback() && server.is_ipv4() {
        // At most half of an address's ports, since the system tries them one by one until it
        // finds one that is free.
        let addresses = connections.div_ceil((ports / 2).max(1));
        return Ok(if addresses > 1 { loopback(addresses) } else { Vec::new() });
    }
    let possible = ports.saturating_mul(asked_for.len().max(1));
    if connections > possible {
        return Err(ClientError::TooFewPorts { connections, server, possible });
    }
    Ok(asked_for.to_vec())
}

/// 127.0.0.1 and those after it.
fn loopback(count: usize) -> Vec<IpAddr> {
    let last = Ipv4Addr::new(127, 255, 255, 254);
    (Ipv4Addr::LOCALHOST.to_bits()..=last.to_bits())
        .take(count)
        .map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
        .collect()
}

/// How many ports the system gives out for one address; it is the same for IPv6.
fn ports_of_an_address() -> usize {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    text.ok().and_then(|text| count_ports(&text)).unwrap_or(USUAL_PORTS)
}

/// The number of ports from the first number to the second.
fn count_ports(text: &str) -> Option<usize> {
    let mut words = text.split_whitespace().map(str::parse::<usize>);
    let (first, last) = (words.next()?.ok()?, words.next()?.ok()?);
    Some(last.checked_sub(first)? + 1)
}

/// Without it, `bind` would take a port that nobody else has towards any server, and pass over
/// those of connections that have just been closed.
fn leave_port_to_connect(socket: &TcpSocket) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let yes: libc::c_int = 1;
    // SAFETY: the descriptor is the live socket's, and the pointer is to a live value of the
    // length that is said, which the call only reads.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const yes).cast(),
            size_of_val(&yes) as libc::socklen_t,
        )
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    fn addresses(texts: [&str; 2]) -> Vec<IpAddr> {
        texts.map(|text| text.parse().unwrap()).into()
    }

    #[test]
    fn few_connections_come_from_wherever_the_system_says() {
        for address in ["127.0.0.1:4433", "[::1]:4433", "192.0.2.1:4433"] {
            assert_eq!(choose(&[], server(address), 1000, 2000).unwrap(), [] as [IpAddr; 0]);
        }
    }

    #[test]
    fn many_to_a_server_on_loopback_come_from_as_many_addresses_as_they_need() {
        let chosen = |n| choose(&[], server("127.0.0.1:4433"), n, 2000).unwrap();
        assert_eq!(chosen(1001), addresses(["127.0.0.1", "127.0.0.2"]));
        assert_eq!(chosen(100_000).len(), 100);
        assert_eq!(chosen(300_000)[299].to_string(), "127.0.1.44");
    }

    #[test]
    fn many_to_another_server_need_addresses_that_were_asked_for() {
        let far = server("192.0.2.1:4433");
        let local = addresses(["192.0.2.7", "192.0.2.8"]);
        assert_eq!(choose(&local, far, 4000, 2000).unwrap(), local);
        let error = choose(&local[..1], far, 2001, 2000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2001 connections to 192.0.2.1:4433 need as many local ports, and there are 2000: ask \
             for at most that many, connect from more addresses, or widen \
             net.ipv4.ip_local_port_range"
        );
        let error = choose(&local, server("[::1]:4433"), 1, 2000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nobody gets from 192.0.2.7 to [::1]:4433: one is IPv4, the \
                                       other IPv6"
        );
    }

    #[test]
    fn a_range_of_ports_has_both_its_ends() {
        assert_eq!(count_ports("32768\t60999\n"), Some(28_232));
        assert_eq!(count_ports("60999 32768"), None);
        assert_eq!(count_ports(""), None);
    }
}
