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
    /// A certificate's or a list's place in a trust store. Stores may share what lies there.
    X509Object,
    /// A certificate.
    X509,
    /// A list of revoked certificates.
    X509Crl,
    /// A session that can be resumed, or that a live connection belongs to.
    SslSession,
    /// A session's place in the cache of a context.
    CachedSession,
    /// A key.
    EvpPkey,
    /// A library context: algorithms and random numbers of their own.
    OsslLibCtx,
}

impl Object {
    /// Every kind, in the order in which reports list them.
    pub const ALL: [Object; 10] = [
        Object::Ssl,
        Object::SslCtx,
        Object::X509Store,
        Object::X509Object,
        Object::X509,
        Object::X509Crl,
        Object::SslSession,
        Object::CachedSession,
        Object::EvpPkey,
        Object::OsslLibCtx,
    ];

    /// OpenSSL's name of the type. A cached session has none of its own.
    pub fn name(self) -> &'static str {
        match self {
            Object::Ssl => "SSL",
            Object::SslCtx => "SSL_CTX",
            Object::X509Store => "X509_STORE",
            Object::X509Object => "X509_OBJECT",
            Object::X509 => "X509",
            Object::X509Crl => "X509_CRL",
            Object::SslSession => "SSL_SESSION",
            Object::CachedSession => "cached SSL_SESSION",
            Object::EvpPkey => "EVP_PKEY",
            Object::OsslLibCtx => "OSSL_LIB_CTX",
        }
    }
}
