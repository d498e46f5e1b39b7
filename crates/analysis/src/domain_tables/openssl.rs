//! OpenSSL's tables.

use super::maker::{Callers, Maker, Unnamed};
use super::tables::DomainTables;
use crate::object_kind::Object;

pub(super) static TABLES: DomainTables = DomainTables {
    category: None,
    paths: include_str!("openssl_paths.tsv"),
    functions: include_str!("openssl_functions.tsv"),
    makers: MAKERS,
    unnamed: UNNAMED,
    decoding: DECODING,
};

/// OpenSSL's file in which SSL objects are made.
pub const SSL_SOURCE: &str = "ssl/ssl_lib.c";

/// The leaf functions of 1.1.1, 3.x and 4.0.
const MAKERS: &[Maker] = &[
    // From 3.2 on; before that SSL_new allocates by itself.
    maker(Object::Ssl, "ossl_ssl_connection_new_int", SSL_SOURCE),
    maker(Object::Ssl, "SSL_new", SSL_SOURCE),
    // From 3.0 on; before that SSL_CTX_new.
    maker(Object::SslCtx, "SSL_CTX_new_ex", "ssl/ssl_lib.c"),
    maker(Object::SslCtx, "SSL_CTX_new", "ssl/ssl_lib.c"),
    maker(Object::X509Store, "X509_STORE_new", "crypto/x509/x509_lu.c"),
    maker(Object::SslSession, "SSL_SESSION_new", "ssl/ssl_sess.c"),
    // From 3.0 on; ssl_session_dup before.
    maker(Object::SslSession, "ssl_session_dup_intern", "ssl/ssl_sess.c"),
    maker(Object::SslSession, "ssl_session_dup", "ssl/ssl_sess.c"),
    maker(Object::EvpPkey, "EVP_PKEY_new", "crypto/evp/p_lib.c"),
    // A certificate is one of many structs that the ASN.1 code allocates at one line. It is the
    // certificate itself when no template lies between: templates are what its fields come from.
    Maker {
        object: Object::X509,
        function: "asn1_item_embed_new",
        file: "crypto/asn1/tasn_new.c",
        callers: Callers::Through { through: DECODING, from: "d2i_X509" },
    },
    Maker {
        object: Object::X509,
        function: "asn1_item_embed_new",
        file: "crypto/asn1/tasn_new.c",
        callers: Callers::Through { through: DECODING, from: "X509_new" },
    },
    Maker {
        object: Object::X509,
        function: "asn1_item_embed_new",
        file: "crypto/asn1/tasn_new.c",
        callers: Callers::Through { through: DECODING, from: "X509_dup" },
    },
];

const fn maker(object: Object, function: &'static str, file: &'static str) -> Maker {
    Maker { object, function, file, callers: Callers::Any }
}

/// What may lie between the allocation of a struct and the function that asked for it.
const DECODING: &[&str] = &[
    "ASN1_item_d2i",
    "ASN1_item_d2i_ex",
    "ASN1_item_dup",
    "ASN1_item_ex_d2i",
    "ASN1_item_ex_new",
    "ASN1_item_new",
    "ASN1_item_new_ex",
    "asn1_item_embed_d2i",
    "asn1_item_ex_d2i_intern",
    "ossl_asn1_item_ex_new_intern",
];

/// The structs of an OpenSSL whose own functions have no names, because they are not exported.
const UNNAMED: &[Unnamed] = &[
    // From 3.2 on, where SSL_new does not allocate by itself.
    unnamed(Object::Ssl, SSL_SOURCE, 3_000, "SSL_new"),
    unnamed(Object::SslSession, "ssl/ssl_sess.c", 600, ""),
    unnamed(Object::X509, "crypto/asn1/tasn_new.c", 256, "d2i_X509"),
    unnamed(Object::X509, "crypto/asn1/tasn_new.c", 256, "X509_new"),
    unnamed(Object::X509, "crypto/asn1/tasn_new.c", 256, "X509_dup"),
];

const fn unnamed(
    object: Object,
    file: &'static str,
    least_bytes: i64,
    from: &'static str,
) -> Unnamed {
    Unnamed { object, file, least_bytes, from }
}
