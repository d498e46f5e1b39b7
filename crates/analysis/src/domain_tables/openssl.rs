//! OpenSSL's tables.

use std::ops::RangeInclusive;

use super::maker::{Asked, Maker, Struct};
use super::tables::DomainTables;
use crate::object_kind::Object;

pub(super) static TABLES: DomainTables = DomainTables {
    category: None,
    paths: include_str!("openssl_paths.tsv"),
    functions: include_str!("openssl_functions.tsv"),
    makers: MAKERS,
    structs: STRUCTS,
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
    // There is none before 3.0, and the default one is no allocation.
    maker(Object::OsslLibCtx, "OSSL_LIB_CTX_new", "crypto/context.c"),
];

const fn maker(object: Object, function: &'static str, file: &'static str) -> Maker {
    Maker { object, function, file }
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
    "asn1_item_embed_new",
    "asn1_item_ex_d2i_intern",
    "ossl_asn1_item_ex_new_intern",
];

/// Where the structs of ASN.1 are allocated: one line for all of them. `d2i_X509` and
/// `PEM_read_bio_X509` end in tail calls, so that their names are often missing.
const ASN1: &str = "crypto/asn1/tasn_new.c";
const ASN1_MAKERS: &[&str] =
    &["ASN1_item_ex_new", "asn1_item_embed_new", "asn1_item_ex_combine_new"];

/// No SSL object is smaller, in any version.
pub const LEAST_SSL_BYTES: u64 = 3_000;

const STRUCTS: &[Struct] = &[
    // From 3.2 on, where SSL_new does not allocate by itself.
    Struct {
        object: Object::Ssl,
        file: SSL_SOURCE,
        functions: &[],
        bytes: LEAST_SSL_BYTES as i64..=LARGE,
        asked: Asked::NearIfNamed("SSL_new", 3),
    },
    Struct {
        object: Object::SslSession,
        file: "ssl/ssl_sess.c",
        functions: &[],
        bytes: 600..=LARGE,
        asked: Asked::Anybody,
    },
    // 352 bytes in 1.1.1, 384 since. What its fields are made of comes from templates.
    asn1(Object::X509, 340..=420),
    // 232 bytes in 1.1.1, 248 since. SSL_SESSION_ASN1, with 184 to 200, is near.
    asn1(Object::X509Crl, 220..=260),
    // In some builds X509_STORE_add_cert allocates by itself.
    Struct {
        object: Object::X509Object,
        file: "crypto/x509/x509_lu.c",
        functions: &[
            "X509_OBJECT_new",
            "X509_STORE_add_cert",
            "X509_STORE_add_crl",
            "x509_store_add",
        ],
        bytes: 1..=24,
        asked: Asked::Anybody,
    },
    // The entry of the hash table; the table itself is larger.
    Struct {
        object: Object::CachedSession,
        file: "crypto/lhash/lhash.c",
        functions: &["OPENSSL_LH_insert", "lh_insert"],
        bytes: 1..=32,
        asked: Asked::Near("SSL_CTX_add_session", 3),
    },
];

/// No struct is as large.
const LARGE: i64 = 1 << 20;

const fn asn1(object: Object, bytes: RangeInclusive<i64>) -> Struct {
    let asked = Asked::NoneOf("asn1_template");
    Struct { object, file: ASN1, functions: ASN1_MAKERS, bytes, asked }
}
