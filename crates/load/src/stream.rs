//! The TLS connection that clients talk on.

use std::io;

use tokio::net::TcpStream;
use tokio_openssl::SslStream;

/// A connection whose handshake is done.
pub(crate) type Stream = SslStream<TcpStream>;

/// Whether anything can be asked on an opened connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    /// Questions are answered.
    Ready,
    /// The connection stays as it is.
    Held,
}

/// Whether a read ended because the other end is gone, with or without a goodbye.
pub(crate) fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    ) || error.to_string().contains("unexpected eof")
}
