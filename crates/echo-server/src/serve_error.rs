//! Why the server cannot start.

use std::io;
use std::net::SocketAddr;

use openssl::error::ErrorStack;

use crate::certificate::CertificateError;

/// Why the server cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Something listens there already.
    #[error(
        "cannot listen on {0}: another program already does; \
         choose another port, or port 0 for one that is free"
    )]
    AddressInUse(SocketAddr),
    /// The system does not let the server listen there.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// OpenSSL has no zlib.
    #[error(
        "the OpenSSL in this program was built without zlib, so record compression cannot be \
         measured; build the program in its workspace, whose openssl-src puts zlib in"
    )]
    ZlibMissing,
    /// There is no certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// OpenSSL does not take the configuration.
    #[error("OpenSSL does not take the configuration {configuration}")]
    Context {
        /// The configuration's name.
        configuration: String,
        /// OpenSSL's own words.
        source: ErrorStack,
    },
    /// The listening socket cannot be watched.
    #[error("cannot wait for connections on {address}")]
    Wait {
        /// Where the server listens.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}
