//! The kinds of objects that can be counted.

/// A kind of OpenSSL object that can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    /// One end of a connection.
    Ssl,
    /// A context that connections are made from.
    SslCtx,
    /// A trust store.
    X509Store,
    /// A certificate.
    X509,
    /// A session that can be resumed, or that a live connection belongs to.
    SslSession,
    /// A key.
    EvpPkey,
}

impl Object {
    /// Every kind, in the order in which reports list them.
    pub const ALL: [Object; 6] = [
        Object::Ssl,
        Object::SslCtx,
        Object::X509Store,
        Object::X509,
        Object::SslSession,
        Object::EvpPkey,
    ];

    /// OpenSSL's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Object::Ssl => "SSL",
            Object::SslCtx => "SSL_CTX",
            Object::X509Store => "X509_STORE",
            Object::X509 => "X509",
            Object::SslSession => "SSL_SESSION",
            Object::EvpPkey => "EVP_PKEY",
        }
    }
}
