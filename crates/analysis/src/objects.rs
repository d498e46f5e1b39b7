//! Live OpenSSL objects, counted from the sites that allocate their structs.

use std::collections::{BTreeMap, HashMap};

use contract::Domain;
use profile::{Frame, LocationId, Metric, Profile, Sample};

use crate::category;
use crate::domain;
use crate::domain_tables::{self, Asked, DomainTables, Maker, Struct};
use crate::short_name::{c_name, is_named};

pub use crate::domain_tables::{LEAST_SSL_BYTES, SSL_SOURCE};
pub use crate::object_kind::Object;

/// How many objects of each kind are live, or `None` when the profile has no column of blocks in
/// use, or when the recorder counted a part of the blocks: what few blocks stand for is no number
/// of objects. QUIC's are not seen.
pub fn objects(profile: &Profile) -> Option<BTreeMap<Object, i64>> {
    objects_in(profile, Metric::InuseObjects)
}

/// How many objects of each kind were ever made: [`objects`] over all allocations.
pub fn objects_made(profile: &Profile) -> Option<BTreeMap<Object, i64>> {
    objects_in(profile, Metric::AllocObjects)
}

/// How many objects of each kind a column of blocks has.
pub fn objects_in(profile: &Profile, metric: Metric) -> Option<BTreeMap<Object, i64>> {
    objects_among(profile, metric, &objects_of_samples(profile))
}

/// [`objects`] and [`objects_made`], for whoever needs both, and often.
pub fn objects_now_and_made(profile: &Profile) -> [Option<BTreeMap<Object, i64>>; 2] {
    let of_samples = objects_of_samples(profile);
    let among = |metric| objects_among(profile, metric, &of_samples);
    [among(Metric::InuseObjects), among(Metric::AllocObjects)]
}

fn objects_among(
    profile: &Profile,
    metric: Metric,
    of_samples: &[Option<Object>],
) -> Option<BTreeMap<Object, i64>> {
    let column = profile.column(metric).filter(|_| profile.sampling.is_none())?;
    let mut counts: BTreeMap<Object, i64> = Object::ALL.map(|object| (object, 0)).into();
    for (sample, object) in profile.samples().iter().zip(of_samples) {
        if let Some(object) = object {
            let count = counts.entry(*object).or_default();
            *count = count.saturating_add(sample.values[column]);
        }
    }
    Some(counts)
}

/// Which object the blocks of each sample are the structs of, in the order of the samples.
pub fn objects_of_samples(profile: &Profile) -> Vec<Option<Object>> {
    // Most leaves make no object, whoever calls them and whatever its size.
    let mut makes: HashMap<(Domain, LocationId), bool> = HashMap::new();
    let made = |sample: &Sample| {
        let (domain, leaf) = (domain::of_sample(sample), sample.stack.first()?);
        let may = makes.entry((domain, *leaf)).or_insert_with(|| may_make(profile, sample));
        if *may { made_at(profile, sample) } else { None }
    };
    let made: Vec<Option<Made>> = profile.samples().iter().map(made).collect();
    // A maker allocates its struct first and the struct's members after it, so the first line is
    // the struct's. (Size would mislead: a ticket may be larger than the session that holds it.)
    let mut first: BTreeMap<(Object, &str), u32> = BTreeMap::new();
    for (made, sample) in made.iter().zip(profile.samples()) {
        if let Some(Made { object, by: Some((function, line)) }) = made
            && sample.values.iter().any(|value| *value != 0)
        {
            let least = first.entry((*object, *function)).or_insert(*line);
            *least = (*least).min(*line);
        }
    }
    let is_struct = |made: &Made| match made.by {
        Some((function, line)) => first.get(&(made.object, function)) == Some(&line),
        None => true,
    };
    made.into_iter().map(|made| made.filter(is_struct).map(|made| made.object)).collect()
}

/// What a block may be.
struct Made {
    object: Object,
    /// The maker and its line; `None` where the size has told the object.
    by: Option<(&'static str, u32)>,
}

/// Whether the leaf of a sample's stack makes objects at all.
fn may_make(profile: &Profile, sample: &Sample) -> bool {
    let tables = domain_tables::of(domain::of_sample(sample));
    let leaf = profile.frames(sample).next();
    leaf.is_some_and(|leaf| {
        maker(tables, &leaf).is_some() || structs(tables, &leaf).next().is_some()
    })
}

fn maker(tables: &'static DomainTables, leaf: &Frame<'_>) -> Option<&'static Maker> {
    let function = c_name(leaf.function);
    tables.makers.iter().find(|maker| maker.file == leaf.file && maker.function == function)
}

/// The structs that a leaf may allocate.
fn structs<'a>(
    tables: &'static DomainTables,
    leaf: &'a Frame<'_>,
) -> impl Iterator<Item = &'static Struct> + use<'a> {
    let (named, function) = (is_named(leaf.function), c_name(leaf.function));
    // A library that was built without file names tells who asked, and how large it is.
    let of_file = |one: &Struct| {
        one.file == leaf.file || (leaf.file.is_empty() && one.asked.names_somebody())
    };
    let may_be = move |one: &&Struct| of_file(one) && (!named || one.functions.contains(&function));
    tables.structs.iter().filter(may_be)
}

fn made_at(profile: &Profile, sample: &Sample) -> Option<Made> {
    let tables = domain_tables::of(domain::of_sample(sample));
    let leaf = profile.frames(sample).next()?;
    if let Some(maker) = maker(tables, &leaf) {
        return Some(Made { object: maker.object, by: Some((maker.function, leaf.line)) });
    }
    let bytes = category::size_of_blocks(profile, sample)?;
    structs(tables, &leaf)
        .find(|one| one.bytes.contains(&bytes) && one.asked.of(profile, sample, tables))
        .map(|one| Made { object: one.object, by: None })
}

impl Asked {
    /// Whether a name tells who asked.
    fn names_somebody(&self) -> bool {
        matches!(self, Asked::Near(..) | Asked::NearIfNamed(..))
    }

    /// Whether the sample's leaf was called by somebody who may ask.
    fn of(&self, profile: &Profile, sample: &Sample, tables: &DomainTables) -> bool {
        let callers = || profile.frames(sample).skip(1);
        let near = |function: &str, calls: usize| {
            callers().take(calls).any(|frame| c_name(frame.function) == function)
        };
        match self {
            Asked::Anybody => true,
            Asked::Near(function, calls) => near(function, *calls),
            Asked::NearIfNamed(function, calls) => {
                let nameless = || !callers().take(*calls).any(|frame| is_named(frame.function));
                let has_file = profile.frames(sample).next().is_some_and(|it| !it.file.is_empty());
                near(function, *calls) || (has_file && nameless())
            }
            Asked::NoneOf(beginning) => !callers()
                .filter(|frame| is_named(frame.function))
                .map(|frame| c_name(frame.function))
                .find(|name| !tables.decoding.contains(name))
                .is_some_and(|name| name.starts_with(beginning)),
        }
    }
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
                ("X509_OBJECT", 0),
                ("X509", 0),
                ("X509_CRL", 0),
                ("SSL_SESSION", 205),
                ("cached SSL_SESSION", 0),
                ("EVP_PKEY", 7),
                ("OSSL_LIB_CTX", 0),
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
            (&[new, fresh, made], 135, 2, 768),
            // As large as a certificate, but a field of one.
            (&[new, template, new, fresh, made], 135, 9, 9 * 384),
            (&[new, ("asn1_item_embed_d2i", ""), revoked], 135, 3, 3 * 248),
            (&[new, ("asn1_item_embed_d2i", ""), ("d2i_SSL_SESSION", "")], 135, 5, 5 * 192),
        ]);
        assert_eq!((counts[&Object::X509], counts[&Object::X509Crl]), (146, 3));
    }

    #[test]
    fn without_names_the_largest_struct_of_a_file_is_the_object() {
        let place = "libcrypto.so.3+0xfe073";
        let new = (place, "crypto/asn1/tasn_new.c");
        let decode = [(place, ""), ("ASN1_item_d2i", ""), ("d2i_X509", ""), ("PEM_read", "")];
        let counts = count(&[
            (&[&[new], &decode[..]].concat(), 135, 144, 144 * 376),
            (&[&[new, (place, "")], &decode[..]].concat(), 135, 700, 700 * 40),
            // Its reader's name is lost in a tail call.
            (&[new, (place, ""), ("PEM_ASN1_read_bio", "")], 135, 3, 3 * 248),
            (&[("libssl.so.3+0x10", "ssl/ssl_lib.c"), ("SSL_new", "")], 737, 7, 7 * 5_576),
            (&[("libssl.so.3+0x90", "ssl/ssl_lib.c"), ("SSL_new", "")], 892, 7, 7 * 12),
            (&[("libssl.so.3+0x50", "ssl/ssl_sess.c"), ("libssl.so.3+0x60", "")], 140, 8, 8 * 928),
        ]);
        let made = [Object::X509, Object::X509Crl, Object::Ssl, Object::SslSession];
        assert_eq!(made.map(|object| counts[&object]), [144, 3, 7, 8]);
    }

    #[test]
    fn in_a_stripped_program_an_ssl_is_told_by_its_size_and_its_file() {
        let place = |at: u32| format!("nginx+0x{at:x}");
        let names: Vec<String> = (0..4).map(place).collect();
        let stack = |file| {
            let frame = |name| (name, if name == &names[0] { file } else { "" });
            names.iter().map(frame).map(|(name, file)| (name.as_str(), file)).collect::<Vec<_>>()
        };
        let (ssl, other) = (stack("ssl/ssl_lib.c"), stack("ssl/s3_lib.c"));
        let counts = count(&[
            (&ssl, 737, 7, 7 * 5_576),
            (&ssl, 892, 7, 7 * 1_200),
            (&other, 50, 7, 7 * 5_576),
            // Its caller has a name, and is another.
            (&[ssl[0], ("ngx_main", "")], 1_000, 2, 2 * 5_576),
        ]);
        assert_eq!(counts[&Object::Ssl], 7);
    }

    #[test]
    fn without_names_of_files_an_ssl_is_told_by_who_asked_and_its_size() {
        let nameless = ("libssl.so.3+0x10", "");
        let counts = count(&[
            (&[nameless, ("SSL_new", ""), ("main", "")], 0, 9, 9 * 7_608),
            (&[nameless, ("SSL_new", ""), ("main", "")], 0, 9, 9 * 600),
            (&[nameless, nameless, nameless, nameless, ("SSL_new", "")], 0, 9, 9 * 4_500),
            (&[nameless, nameless], 0, 9, 9 * 7_608),
        ]);
        assert_eq!(counts[&Object::Ssl], 9);
    }

    #[test]
    fn in_1_1_1_a_certificate_is_smaller_and_another_function_makes_it() {
        let new = ("ASN1_item_ex_new", "crypto/asn1/tasn_new.c");
        let decode = [("ASN1_item_ex_d2i", ""), ("ASN1_item_d2i", ""), ("PEM_ASN1_read_bio", "")];
        let counts = count(&[
            (&[&[new], &decode[..]].concat(), 84, 144, 144 * 352),
            (&[&[new, ("asn1_template_ex_d2i", "")], &decode[..]].concat(), 84, 9, 9 * 40),
            (&[new, ("ASN1_item_ex_d2i", ""), ("d2i_X509_CRL", "")], 84, 3, 3 * 232),
        ]);
        assert_eq!((counts[&Object::X509], counts[&Object::X509Crl]), (144, 3));
    }

    #[test]
    fn a_session_in_a_cache_and_a_certificate_in_a_store_are_the_entries_there() {
        let entry = ("OPENSSL_LH_insert", "crypto/lhash/lhash.c");
        let add = ("SSL_CTX_add_session", "ssl/ssl_sess.c");
        let unnamed = ("libcrypto.so.3+0x1b3a20", "crypto/x509/x509_lu.c");
        let counts = count(&[
            (&[entry, add, ("ssl_update_cache", "ssl/ssl_lib.c")], 107, 40, 40 * 24),
            (&[entry, ("lh_SSL_SESSION_insert", "ssl/ssl_local.h"), add], 107, 2, 48),
            // The table behind the entries, and an entry of another table.
            (&[entry, add], 190, 1, 256),
            (&[entry, ("OBJ_NAME_add", "crypto/objects/o_names.c")], 107, 70, 70 * 24),
            (&[("X509_OBJECT_new", "crypto/x509/x509_lu.c"), ("x509_store_add", "")], 420, 3, 48),
            (&[unnamed, ("X509_STORE_add_cert", "")], 447, 5, 80),
            (&[("X509_LOOKUP_new", "crypto/x509/x509_lu.c")], 30, 9, 9 * 32),
            (&[("OSSL_LIB_CTX_new", "crypto/context.c"), ("work", "src/main.c")], 192, 4, 1_600),
        ]);
        let made = [Object::CachedSession, Object::X509Object, Object::OsslLibCtx];
        assert_eq!(made.map(|object| counts[&object]), [42, 8, 4]);
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
