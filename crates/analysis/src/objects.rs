//! Live OpenSSL objects, counted from the sites that allocate their structs.

use std::collections::BTreeMap;

use profile::{Frame, Metric, Profile};

use crate::category;
use crate::domain;
use crate::domain_tables::{self, Callers, DomainTables, Maker, Unnamed};
use crate::short_name::{c_name, is_named};

pub use crate::domain_tables::SSL_SOURCE;
pub use crate::object_kind::Object;

/// How many objects of each kind are live, or `None` when the profile has no column of blocks in
/// use, or when the recorder counted a part of the blocks: what few blocks stand for is no number
/// of objects. QUIC's are not seen.
pub fn objects(profile: &Profile) -> Option<BTreeMap<Object, i64>> {
    count(profile, Metric::InuseObjects)
}

/// How many objects of each kind were ever made: [`objects`] over all allocations.
pub fn objects_made(profile: &Profile) -> Option<BTreeMap<Object, i64>> {
    count(profile, Metric::AllocObjects)
}

fn count(profile: &Profile, metric: Metric) -> Option<BTreeMap<Object, i64>> {
    let column = profile.column(metric).filter(|_| profile.sampling.is_none())?;
    // Blocks by the place that allocates them; a function may allocate more than the struct.
    let mut blocks: BTreeMap<(Object, &str), BTreeMap<u32, i64>> = BTreeMap::new();
    for sample in profile.samples() {
        let tables = domain_tables::of(domain::of_sample(sample));
        let leaf = profile.frames(sample).next();
        if !leaf.as_ref().is_some_and(|leaf| may_make(tables, leaf)) {
            continue;
        }
        let frames: Vec<Frame<'_>> = profile.frames(sample).collect();
        let made = made_by(tables, &frames).or_else(|| {
            made_without_name(tables, &frames, category::size_of_blocks(profile, sample)?)
        });
        if let Some((object, function)) = made {
            let lines = blocks.entry((object, function)).or_default();
            let live = lines.entry(frames[0].line).or_default();
            *live = live.saturating_add(sample.values[column]);
        }
    }
    let mut counts: BTreeMap<Object, i64> = Object::ALL.map(|object| (object, 0)).into();
    for ((object, _), lines) in blocks {
        // Every listed function allocates its struct first and the struct's members after it, so
        // the first line is the struct's. (Size would mislead: a ticket may be larger than the
        // session that holds it.)
        if let Some((_, live)) = lines.into_iter().find(|(_, live)| *live != 0) {
            *counts.entry(object).or_default() += live;
        }
    }
    Some(counts)
}

/// Whether the rest of the stack is worth a look: most leaves make no object, whoever calls them.
fn may_make(tables: &DomainTables, leaf: &Frame<'_>) -> bool {
    let makes = |maker: &Maker| maker.file == leaf.file && maker.function == c_name(leaf.function);
    !is_named(leaf.function) || tables.makers.iter().any(makes)
}

/// Which object a block allocated on this stack is the struct of, and in which function.
fn made_by(tables: &DomainTables, frames: &[Frame<'_>]) -> Option<(Object, &'static str)> {
    let leaf = frames.first()?;
    let function = c_name(leaf.function);
    tables
        .makers
        .iter()
        .filter(|maker| maker.function == function && maker.file == leaf.file)
        .find(|maker| maker.callers.are(&frames[1..]))
        .map(|maker| (maker.object, maker.function))
}

/// Which object it is where the library's own functions have no names, because they are not
/// exported: the file is known, and the struct is by far the largest block that is allocated there.
fn made_without_name(
    tables: &DomainTables,
    frames: &[Frame<'_>],
    bytes: i64,
) -> Option<(Object, &'static str)> {
    let leaf = frames.first().filter(|leaf| !is_named(leaf.function))?;
    let caller = frames[1..]
        .iter()
        .filter(|frame| is_named(frame.function))
        .map(|frame| c_name(frame.function))
        .find(|name| !tables.decoding.contains(name))
        .unwrap_or_default();
    let is_struct = |one: &&Unnamed| leaf.file == one.file && bytes >= one.least_bytes;
    tables
        .unnamed
        .iter()
        .filter(is_struct)
        .find(|one| one.from.is_empty() || is_of(caller, one.from))
        .map(|one| (one.object, ""))
}

impl Callers {
    fn are(&self, frames: &[Frame<'_>]) -> bool {
        match self {
            Callers::Any => true,
            Callers::Through { through, from } => frames
                .iter()
                .map(|frame| c_name(frame.function))
                .find(|name| !through.contains(name))
                .is_some_and(|name| is_of(name, from)),
        }
    }
}

/// `d2i_X509` and its variants (`_AUX`, `_ex`), but not `d2i_X509_CRL` and other types.
fn is_of(name: &str, function: &str) -> bool {
    let Some(ending) = name.strip_prefix(function) else { return false };
    matches!(ending, "" | "_AUX" | "_bio" | "_ex" | "_fp")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_profile;

    /// Calls (innermost first), the leaf's line, blocks and bytes.
    type Made<'a> = (&'a [(&'a str, &'a str)], u32, i64, i64);

    fn count(samples: &[Made<'_>]) -> BTreeMap<Object, i64> {
        let mut profile = Profile::of_heap();
        for (calls, line, blocks, bytes) in samples {
            let mut frames = sample_profile::stack(calls);
            frames[0].line = *line;
            sample_profile::push(&mut profile, "openssl", &frames, *blocks, *bytes);
        }
        objects(&profile).unwrap()
    }

    #[test]
    fn each_struct_is_counted_at_its_own_site() {
        let counts = count(&[
            (&[("ossl_ssl_connection_new_int", "ssl/ssl_lib.c")], 730, 200, 1_115_200),
            (&[("SSL_CTX_new_ex", "ssl/ssl_lib.c")], 4234, 3, 4_000),
            (&[("X509_STORE_new", "crypto/x509/x509_lu.c")], 202, 2, 400),
            (&[("SSL_SESSION_new", "ssl/ssl_sess.c")], 108, 200, 185_600),
            (&[("ssl_session_dup_intern", "ssl/ssl_sess.c")], 139, 5, 4_640),
            (&[("EVP_PKEY_new", "crypto/evp/p_lib.c")], 1437, 7, 700),
        ]);
        let named: Vec<_> = counts.iter().map(|(object, count)| (object.name(), *count)).collect();
        assert_eq!(
            named,
            [
                ("SSL", 200),
                ("SSL_CTX", 3),
                ("X509_STORE", 2),
                ("X509", 0),
                ("SSL_SESSION", 205),
                ("EVP_PKEY", 7),
            ]
        );
    }

    #[test]
    fn members_allocated_by_the_same_function_are_not_objects() {
        let new = ("ossl_ssl_connection_new_int", "ssl/ssl_lib.c");
        let duplicate = ("ssl_session_dup_intern", "ssl/ssl_sess.c");
        let counts = count(&[
            (&[new], 885, 150, 3_000),
            (&[new], 730, 200, 1_115_200),
            // A ticket with a client's certificate in it is larger than the session.
            (&[duplicate], 232, 4, 8_000),
            (&[duplicate], 139, 5, 4_640),
        ]);
        assert_eq!(counts[&Object::Ssl], 200);
        assert_eq!(counts[&Object::SslSession], 5);
    }

    #[test]
    fn one_site_reached_over_several_stacks_is_added_up() {
        let new = ("SSL_CTX_new_ex", "ssl/ssl_lib.c");
        let counts = count(&[
            (&[new, ("main", "src/main.c")], 4234, 1, 1_400),
            (&[new, ("per_connection", "src/main.c")], 4234, 9, 12_600),
        ]);
        assert_eq!(counts[&Object::SslCtx], 10);
    }

    #[test]
    fn a_certificate_is_counted_and_its_fields_are_not() {
        let new = ("asn1_item_embed_new", "crypto/asn1/tasn_new.c");
        let template = ("asn1_template_new", "crypto/asn1/tasn_new.c");
        let made = ("X509_new_ex", "crypto/x509/x_x509.c");
        let fresh = ("ASN1_item_new_ex", "crypto/asn1/tasn_new.c");
        let revoked = ("d2i_X509_CRL", "crypto/x509/x_crl.c");
        let decode = sample_profile::CERTIFICATE;
        let mut field = vec![new, template];
        field.extend(decode);
        let counts = count(&[
            (&decode, 135, 144, 144 * 400),
            (&field, 135, 700, 700 * 40),
            (&[new, fresh, made], 135, 2, 800),
            (&[new, template, new, fresh, made], 135, 9, 900),
            (&[new, ("asn1_item_embed_d2i", ""), revoked], 135, 3, 300),
        ]);
        assert_eq!(counts[&Object::X509], 146);
    }

    #[test]
    fn without_names_the_largest_struct_of_a_file_is_the_object() {
        let place = "libcrypto.so.3+0xfe073";
        let new = (place, "crypto/asn1/tasn_new.c");
        let decode = [(place, ""), ("ASN1_item_d2i", ""), ("d2i_X509", ""), ("PEM_read", "")];
        let counts = count(&[
            (&[&[new], &decode[..]].concat(), 135, 144, 144 * 376),
            (&[&[new, (place, "")], &decode[..]].concat(), 135, 700, 700 * 40),
            (&[new, (place, ""), ("d2i_X509_CRL", "")], 135, 3, 3 * 300),
            (&[("libssl.so.3+0x10", "ssl/ssl_lib.c"), ("SSL_new", "")], 737, 7, 7 * 5_576),
            (&[("libssl.so.3+0x90", "ssl/ssl_lib.c"), ("SSL_new", "")], 892, 7, 7 * 12),
            (&[("libssl.so.3+0x50", "ssl/ssl_sess.c"), ("libssl.so.3+0x60", "")], 140, 8, 8 * 928),
        ]);
        let made = [Object::X509, Object::Ssl, Object::SslSession].map(|object| counts[&object]);
        assert_eq!(made, [144, 7, 8]);
    }

    #[test]
    fn what_was_made_is_counted_apart_from_what_is_live() {
        let mut profile = Profile::of_heap();
        let new = sample_profile::stack(&[("SSL_new", "ssl/ssl_lib.c")]);
        sample_profile::push(&mut profile, "openssl", &new, 3, 3 * 7_608);
        let made = profile.column(Metric::AllocObjects).unwrap();
        profile.samples_mut()[0].values[made] = 50;
        assert_eq!(objects(&profile).unwrap()[&Object::Ssl], 3);
        assert_eq!(objects_made(&profile).unwrap()[&Object::Ssl], 50);
    }

    #[test]
    fn without_blocks_in_use_there_is_no_count() {
        assert_eq!(objects(&Profile::new(Vec::new(), None)), None);
    }
}
