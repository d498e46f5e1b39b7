//! Why no client was made.

use std::net::{IpAddr, SocketAddr};

use openssl::error::ErrorStack;

/// Why clients cannot be set up as the options say.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Compression goes with TLS 1.2 alone.
    #[error(
        "compression can be offered with TLS 1.2 only; choose that protocol, or no compression"
    )]
    CompressionNeedsTls12,
    /// A client's certificates cannot be read.
    #[error("the client's certificate chain is not PEM text that OpenSSL can read")]
    Chain(#[source] ErrorStack),
    /// There is no certificate in the text.
    #[error("the client's certificate chain holds no certificate (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// A client's private key cannot be read.
    #[error("the client's private key is not PEM text that OpenSSL can read")]
    Key(#[source] ErrorStack),
    /// The authorities cannot be read.
    #[error("the authorities are not PEM certificates that OpenSSL can read")]
    Authorities(#[source] ErrorStack),
    /// There is no authority in the text.
    #[error("the file of authorities holds no certificate (-----BEGIN CERTIFICATE-----)")]
    NoAuthority,
    /// The name is none that a server can have.
    #[error("{0:?} cannot be asked for as a server's name")]
    ServerName(String),
    /// The document's path would be no line of HTTP.
    #[error("{0:?} is no path of a document: it begins with / and has no blanks in it")]
    Path(String),
    /// The user's name cannot be sent.
    #[error("{0:?} is no name of a PostgreSQL user")]
    User(String),
    /// An address cannot be reached from another.
    #[error("nobody gets from {local} to {server}: one is IPv4, the other IPv6")]
    OtherFamily {
        /// Where connections were to come from.
        local: IpAddr,
        /// Where they were to go.
        server: SocketAddr,
    },
    /// There is no local port for each connection.
    #[error(
        "{connections} connections to {server} need as many local ports, and there are {possible}: \
         ask for at most that many, connect from more addresses, or widen \
         net.ipv4.ip_local_port_range"
    )]
    TooFewPorts {
        /// How many connections are wanted.
        connections: usize,
        /// The server.
        server: SocketAddr,
        /// How many local ports there are.
        possible: usize,
    },
    /// OpenSSL does not take the options, for example a key that does not belong to a certificate.
    #[error("OpenSSL does not take the client's options")]
    NotTaken(#[from] ErrorStack),
}
