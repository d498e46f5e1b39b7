//! Live OpenSSL objects with the memory that they came with, and how many there are of one for
//! each of another.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;

use profile::{Frame, LocationId, Profile};

use crate::diagnosis::held_at::HeldAt;
use crate::objects::{Object, objects_in};
use crate::short_name::c_name;

/// The live objects of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// How many.
    pub count: i64,
    /// Bytes in use that were allocated under a function that makes such an object, whoever called
    /// it. Each byte counts for the innermost object: a key inside a certificate is the key's.
    /// What is allocated for an object later on (the buffers of an SSL, say) is not in it.
    pub bytes: i64,
}

impl Live {
    /// Bytes for each object; `None` without objects.
    pub fn bytes_each(self) -> Option<f64> {
        (self.count > 0).then(|| self.bytes as f64 / self.count as f64)
    }
}

/// All objects of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory(BTreeMap<Object, Live>);

/// One number of objects for each of another thing. `None` where there is nothing to divide by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratios {
    /// `SSL_CTX` for each connection.
    pub contexts_per_connection: Option<f64>,
    /// `X509_STORE` for each connection.
    pub stores_per_connection: Option<f64>,
    /// `X509` for each `X509_STORE`; certificates outside of stores are among them.
    pub certificates_per_store: Option<f64>,
    /// `SSL_SESSION` for each connection.
    pub sessions_per_connection: Option<f64>,
}

impl Inventory {
    /// Counts what is live at the capture; `None` as for [`crate::objects::objects`].
    pub fn of(profile: &Profile) -> Option<Inventory> {
        Inventory::at(profile, HeldAt::Capture)
    }

    /// Counts what was live at that moment; `None` as for [`crate::objects::objects`].
    pub fn at(profile: &Profile, at: HeldAt) -> Option<Inventory> {
        let (blocks, bytes) = (at.column().blocks(), at.column().bytes());
        let counts = objects_in(profile, blocks)?;
        let mut live: BTreeMap<Object, Live> =
            counts.into_iter().map(|(object, count)| (object, Live { count, bytes: 0 })).collect();
        if let Some(column) = profile.column(bytes) {
            // Stacks have most of their locations in common: each is looked at once.
            let mut makers: HashMap<LocationId, Option<Object>> = HashMap::new();
            let mut maker_of = |id: &LocationId| {
                let made = || profile.frames_of(*id).find_map(|frame| made_in(&frame));
                *makers.entry(*id).or_insert_with(made)
            };
            for sample in profile.samples() {
                let maker = sample.stack.iter().find_map(&mut maker_of);
                if let Some(object) = maker {
                    let bytes = &mut live.entry(object).or_default().bytes;
                    *bytes = bytes.saturating_add(sample.values[column]);
                }
            }
        }
        Some(Inventory(live))
    }

    /// The live objects of a kind.
    pub fn live(&self, object: Object) -> Live {
        self.0.get(&object).copied().unwrap_or_default()
    }

    /// What is here and was not in `before`.
    #[must_use]
    pub fn since(&self, before: &Inventory) -> Inventory {
        let less = |object: Object| {
            let (now, then) = (self.live(object), before.live(object));
            Live {
                count: now.count.saturating_sub(then.count),
                bytes: now.bytes.saturating_sub(then.bytes),
            }
        };
        Inventory(Object::ALL.map(|object| (object, less(object))).into())
    }

    /// The ratios that matter.
    pub fn ratios(&self, connections: Option<NonZeroU64>) -> Ratios {
        let count = |object| self.live(object).count as f64;
        let each = |object| connections.map(|number| count(object) / number.get() as f64);
        let stores = count(Object::X509Store);
        Ratios {
            contexts_per_connection: each(Object::SslCtx),
            stores_per_connection: each(Object::X509Store),
            certificates_per_store: (stores > 0.0).then(|| count(Object::X509) / stores),
            sessions_per_connection: each(Object::SslSession),
        }
    }
}

/// The object that a function makes.
fn made_in(frame: &Frame<'_>) -> Option<Object> {
    MAKERS.iter().find(|(_, names)| names.contains(&c_name(frame.function))).map(|(made, _)| *made)
}

/// Functions that make objects and nothing else. A server's certificate is read by `d2i_X509` as
/// well as one of a trust store.
const MAKERS: [(Object, &[&str]); 10] = [
    (Object::Ssl, &["SSL_new", "ossl_ssl_connection_new", "ossl_ssl_connection_new_int"]),
    (Object::SslCtx, &["SSL_CTX_new", "SSL_CTX_new_ex"]),
    (Object::X509Store, &["X509_STORE_new"]),
    (
        Object::X509,
        &["X509_dup", "X509_new", "X509_new_ex", "d2i_X509", "d2i_X509_AUX", "d2i_X509_bio"],
    ),
    (Object::X509Object, &["X509_OBJECT_new"]),
    (
        Object::X509Crl,
        &["X509_CRL_dup", "X509_CRL_new", "X509_CRL_new_ex", "d2i_X509_CRL", "d2i_X509_CRL_bio"],
    ),
    (Object::CachedSession, &["SSL_CTX_add_session"]),
    (Object::OsslLibCtx, &["OSSL_LIB_CTX_new"]),
    (
        Object::SslSession,
        &[
            "SSL_SESSION_dup",
            "SSL_SESSION_new",
            "d2i_SSL_SESSION",
            "d2i_SSL_SESSION_ex",
            "ssl_session_dup",
            "ssl_session_dup_intern",
        ],
    ),
    (Object::EvpPkey, &["EVP_PKEY_new"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_profile::{CERTIFICATE, push, stack};

    /// Calls (innermost first), blocks and bytes.
    type Made<'a> = (&'a [(&'a str, &'a str)], i64, i64);

    fn inventory(samples: &[Made<'_>]) -> Inventory {
        let mut profile = Profile::of_heap();
        for (calls, blocks, bytes) in samples {
            push(&mut profile, "openssl", &stack(calls), *blocks, *bytes);
        }
        Inventory::of(&profile).unwrap()
    }

    const CONTEXT: (&str, &str) = ("SSL_CTX_new_ex", "ssl/ssl_lib.c");
    const STORE: (&str, &str) = ("X509_STORE_new", "crypto/x509/x509_lu.c");

    #[test]
    fn each_byte_counts_for_the_innermost_object() {
        let found = inventory(&[
            (&[CONTEXT], 2, 2_800),
            (&[STORE, CONTEXT], 2, 304),
            (&[("CRYPTO_THREAD_lock_new", "crypto/threads_pthread.c"), STORE, CONTEXT], 2, 112),
            (&[("main", "src/main.c")], 1, 9),
        ]);
        assert_eq!(found.live(Object::SslCtx), Live { count: 2, bytes: 2_800 });
        assert_eq!(found.live(Object::X509Store), Live { count: 2, bytes: 416 });
        assert_eq!(found.live(Object::X509Store).bytes_each(), Some(208.0));
        assert_eq!(found.live(Object::Ssl).bytes_each(), None);
    }

    #[test]
    fn ratios_are_of_what_came_with_the_connections() {
        let before = inventory(&[(&[CONTEXT], 1, 1_400)]);
        let rest = inventory(&[
            (&[CONTEXT], 5, 7_000),
            (&[STORE], 4, 600),
            (&CERTIFICATE, 472, 472 * 376),
        ]);
        let ratios = rest.since(&before).ratios(NonZeroU64::new(4));
        assert_eq!(ratios.contexts_per_connection, Some(1.0));
        assert_eq!(ratios.stores_per_connection, Some(1.0));
        assert_eq!(ratios.certificates_per_store, Some(118.0));
        assert_eq!(ratios.sessions_per_connection, Some(0.0));
        assert_eq!(rest.ratios(None).contexts_per_connection, None);
    }

    #[test]
    fn without_blocks_there_is_no_inventory() {
        assert_eq!(Inventory::of(&Profile::new(Vec::new(), None)), None);
    }
}
