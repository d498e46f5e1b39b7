//! What memory is for: each sample has one category, found from the source files on its stack.
//!
//! The facts are in tables: `categories.tsv` names the categories and says who is charged, and each
//! domain has its own that map its source paths to them, and its functions where their paths are
//! not known.

mod functions;
mod judged;
mod paths;
mod table;

use contract::Domain;
use profile::{Frame, Metric, Profile, Sample};

use crate::counts::Counts;
use crate::domain;
use crate::domain_tables;
use crate::ratio::Estimated;
use crate::short_name::is_named;

use functions::of_function_in;
pub use judged::Judged;
pub use paths::of_source;
use paths::of_source_in;
use table::known;
pub use table::{Category, all, by_name, groups, over_time};

/// The label under which samples carry the name of their category.
pub const LABEL: &str = contract::labels::CATEGORY;

/// The label under which samples carry who owns the bytes: `openssl`, `heap`, `mapping`, `python`
/// or `rust`.
pub const DOMAIN_LABEL: &str = contract::labels::DOMAIN;

/// The domain of memory that OpenSSL asked for.
pub const OPENSSL_DOMAIN: &str = Domain::Openssl.word();

/// The domain of memory that everybody else asked the malloc family for.
pub const HEAP_DOMAIN: &str = Domain::Heap.word();

/// The domain of memory that was mapped from the kernel.
pub const MAPPING_DOMAIN: &str = Domain::Mapping.word();

/// The domain of Python's objects, where they are recorded one by one.
pub const PYTHON_DOMAIN: &str = Domain::Python.word();

/// The domain of memory that the Rust side asked for.
pub const RUST_DOMAIN: &str = Domain::Rust.word();

/// Whether memory of this category is OpenSSL's.
pub fn is_openssls(category: &str) -> bool {
    let group = category.split('.').next().unwrap_or_default();
    ![HEAP_DOMAIN, MAPPING_DOMAIN, PYTHON_DOMAIN, RUST_DOMAIN].contains(&group)
}

/// The category of memory that OpenSSL allocated on the stack `frames`, innermost frame first.
///
/// The leaf's own category, unless it is generic: then that of the next frame outwards that is an
/// owner, if there is one. A leaf whose file is not OpenSSL's is `program`; one without a file, of
/// an OpenSSL built without file names, is judged by its function and those that called it, and is
/// `unknown` where none of them is OpenSSL's.
pub fn of(frames: &[Frame<'_>]) -> &'static Category {
    of_stack(Domain::Openssl, frames.iter().copied())
}

/// The category of memory that code of `domain` allocated, as [`of`] has it of OpenSSL's.
fn of_stack<'a>(domain: Domain, frames: impl IntoIterator<Item = Frame<'a>>) -> &'static Category {
    let mut frames = frames.into_iter();
    if let Some(category) = domain_tables::of(domain).category {
        // A runtime that calls a program is no owner of what the program maps: its functions are
        // the innermost ones, but for those without a name.
        let named = frames.skip_while(|frame| !is_named(frame.function));
        let claimed = named.map_while(|frame| of_function_in(domain, frame.function));
        let claimed: Vec<&'static Category> = claimed.collect();
        let owner = claimed.iter().find(|category| !category.is_generic());
        return owner.or(claimed.first()).copied().unwrap_or(known(category));
    }
    // Of most stacks the leaf is all that is looked at.
    let Some(leaf) = frames.next() else {
        return known("unknown");
    };
    let own = match of_frame(domain, &leaf) {
        Some(own) => own,
        None if leaf.file.is_empty() => known("unknown"),
        None => return known("program"),
    };
    if !own.is_generic() && own.name != "unknown" {
        return own;
    }
    let mut owners = frames.filter_map(|frame| of_frame(domain, &frame));
    owners.find(|category| !category.is_generic()).unwrap_or(own)
}

/// The category of a function by its file, or by its name where the file is not known.
fn of_frame(domain: Domain, frame: &Frame<'_>) -> Option<&'static Category> {
    if frame.file.is_empty() {
        return of_function_in(domain, frame.function);
    }
    of_source_in(domain, frame.file, frame.function)
}

/// The category of a sample: that of its domain where there is only one, such as `rust`, else that
/// of its stack.
pub fn of_sample(profile: &Profile, sample: &Sample) -> &'static Category {
    of_sample_by(profile, sample, |domain| of_frames(profile, sample, domain))
}

fn of_frames(profile: &Profile, sample: &Sample, domain: Domain) -> &'static Category {
    of_stack(domain, profile.frames(sample))
}

/// As [`of_sample`], where `of_stack` says what the stack is for in a domain.
fn of_sample_by(
    profile: &Profile,
    sample: &Sample,
    of_stack: impl FnOnce(Domain) -> &'static Category,
) -> &'static Category {
    let domain = domain::of_sample(sample);
    let tables = domain_tables::of(domain);
    if let Some(category) = tables.category.filter(|_| tables.functions.is_empty()) {
        return known(category);
    }
    let category = of_stack(domain);
    if category.name == "tls.record_buffers"
        && profile.frames(sample).next().is_some_and(|leaf| is_record_layer(&leaf, profile, sample))
    {
        return known("tls.record_layer");
    }
    category
}

/// From OpenSSL 3.2 on, one file allocates the buffers and the record layer's struct. Where its
/// functions have no names, the size of a block tells: the struct, with its inline arrays, has 4.4
/// KB, and a buffer 16 KB unless records were made smaller.
fn is_record_layer(leaf: &Frame<'_>, profile: &Profile, sample: &Sample) -> bool {
    const STRUCT: std::ops::RangeInclusive<i64> = 4_400..=4_700;
    !is_named(leaf.function)
        && leaf.file == "ssl/record/methods/tls_common.c"
        && size_of_blocks(profile, sample).is_some_and(|bytes| STRUCT.contains(&bytes))
}

/// How large the blocks of a sample are on average; `None` when nothing was ever allocated there.
pub fn size_of_blocks(profile: &Profile, sample: &Sample) -> Option<i64> {
    if let Some(bytes) = sample.block_bytes().filter(|_| profile.sampling.is_some()) {
        return i64::try_from(bytes).ok();
    }
    let value = |metric| profile.column(metric).map(|column| sample.values[column]);
    let pairs = [
        (Metric::InuseObjects, Metric::InuseSpace),
        (Metric::AllocObjects, Metric::AllocSpace),
        (Metric::PeakObjects, Metric::PeakSpace),
    ];
    pairs.into_iter().find_map(|(blocks, bytes)| value(bytes)?.checked_div(value(blocks)?))
}

/// The part of all bytes in use whose category is unknown, from 0 to 1; 0 without such a column.
pub fn unknown_share(profile: &Profile) -> Estimated {
    let of = |counts: Counts| Estimated {
        figure: counts.inuse_bytes.unwrap_or_default() as f64,
        margin: counts.margin(Metric::InuseSpace),
    };
    let samples = profile.samples().iter();
    let unknown = samples.filter(|sample| of_sample(profile, sample).name == "unknown");
    let all = Counts::total(profile);
    let unknown = all.none().plus(Counts::total_of(profile, unknown));
    let (unknown, all) = (of(unknown), of(all));
    if all.figure <= 0.0 {
        return Estimated { figure: 0.0, margin: all.margin.map(|_| 1.0) };
    }
    // A part of what may be nothing may be any.
    let any = Estimated { figure: unknown.figure / all.figure, margin: Some(1.0) };
    unknown.part_of(all).unwrap_or(any)
}

/// Sets the label [`LABEL`] on every sample.
pub fn label_categories(profile: &mut Profile) {
    Judged::default().label(profile);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_profile::stack;

    fn name_of(frames: &[(&str, &str)]) -> &'static str {
        of(&stack(frames)).name
    }

    #[test]
    fn a_file_of_several_owners_is_split_by_function() {
        let records = "ssl/record/methods/tls_common.c";
        assert_eq!(name_of(&[("tls_setup_write_buffer", records)]), "tls.record_buffers");
        assert_eq!(name_of(&[("tls_setup_read_buffer", records)]), "tls.record_buffers");
        assert_eq!(name_of(&[("tls_int_new_record_layer", records)]), "tls.record_layer");
        assert_eq!(name_of(&[("tls_int_new_record_layer.isra.0", records)]), "tls.record_layer");
        assert_eq!(name_of(&[("SSL_CTX_new_ex", "ssl/ssl_lib.c")]), "tls.context");
        assert_eq!(name_of(&[("ossl_ssl_connection_new_int", "ssl/ssl_lib.c")]), "tls.connection");
    }

    #[test]
    fn what_a_runtime_maps_is_told_by_its_functions() {
        let name = |functions: &[&str]| {
            let frames: Vec<_> = functions.iter().map(|function| (*function, "")).collect();
            of_stack(Domain::Mapping, stack(&frames)).name
        };
        let page = "v8::internal::MemoryAllocator::AllocatePage(v8::internal::MemoryAllocator)";
        assert_eq!(
            name(&[
                "v8::base::OS::SetPermissions(void*)",
                page,
                "v8::internal::SemiSpace::Commit()"
            ]),
            "mapping.v8_young"
        );
        assert_eq!(name(&["_PyObject_ArenaMmap", "new_arena"]), "mapping.python");
        assert_eq!(name(&["libapr-1.so.0.7.2+0x21b36", "apr_palloc"]), "mapping.apr");
        assert_eq!(name(&["v8::base::OS::Allocate(void*)", "node::Start"]), "mapping.v8");
        assert_eq!(name(&["shctx_init", "v8::internal::SemiSpace::Commit()"]), "mapping");
        assert_eq!(of_stack(Domain::Heap, stack(&[("apr_palloc", "")])).name, "heap");
    }

    #[test]
    fn a_container_is_charged_to_the_first_owner_that_called_it() {
        let lock = ("CRYPTO_THREAD_lock_new", "crypto/threads_pthread.c");
        let stack = ("sk_reserve", "crypto/stack/stack.c");
        assert_eq!(
            name_of(&[
                lock,
                stack,
                ("X509_STORE_new", "crypto/x509/x509_lu.c"),
                ("SSL_CTX_new_ex", "ssl/ssl_lib.c"),
            ]),
            "x509.store"
        );
        assert_eq!(
            name_of(&[lock, ("echo_server::main", "crates/echo-server/src/main.rs")]),
            "containers.lock"
        );
        assert_eq!(
            name_of(&[
                ("asn1_item_embed_new", "crypto/asn1/tasn_new.c"),
                ("asn1_item_embed_d2i", "crypto/asn1/tasn_dec.c"),
                ("d2i_X509", "crypto/x509/x_x509.c"),
            ]),
            "x509"
        );
    }

    #[test]
    fn the_numbers_of_a_certificates_key_stay_big_numbers() {
        assert_eq!(
            name_of(&[
                ("bn_expand_internal", "crypto/bn/bn_lib.c"),
                ("x509_pubkey_ex_d2i_ex", "crypto/x509/x_pubkey.c"),
            ]),
            "pkey.bignum"
        );
    }

    #[test]
    fn a_leaf_that_is_not_openssls_is_the_programs_and_one_that_nothing_names_is_unknown() {
        assert_eq!(name_of(&[("main", "src/main.c")]), "program");
        assert_eq!(name_of(&[("", "")]), "unknown");
        assert_eq!(name_of(&[("", ""), ("main", "src/main.c")]), "unknown");
        assert_eq!(name_of(&[]), "unknown");
        assert_eq!(name_of(&[("err_set_debug", "crypto/err/err_local.h")]), "err.queue");
    }

    #[test]
    fn without_debug_information_names_of_callers_decide() {
        let stack = ("", "crypto/stack/stack.c");
        let exported = [stack, ("OPENSSL_sk_push", ""), ("", ""), ("X509_STORE_add_cert", "")];
        assert_eq!(name_of(&exported), "x509.store");
        assert_eq!(name_of(&[stack, ("OPENSSL_sk_push", ""), ("main", "")]), "containers.stack");
        // An OpenSSL that was built without file names.
        assert_eq!(name_of(&[("SSL_new", "")]), "tls.connection");
        assert_eq!(name_of(&[("", ""), ("SSL_CTX_new_ex", "")]), "tls.context");
        assert_eq!(name_of(&[("ERR_set_debug", ""), ("EVP_PKEY_new", "")]), "err.queue");
    }

    #[test]
    fn without_names_the_record_layers_struct_is_told_by_its_size() {
        let frames = stack(&[("", "ssl/record/methods/tls_common.c"), ("SSL_accept", "")]);
        let mut profile = Profile::of_heap();
        crate::sample_profile::push(&mut profile, OPENSSL_DOMAIN, &frames, 2, 8_864);
        crate::sample_profile::push(&mut profile, OPENSSL_DOMAIN, &frames, 2, 33_285);
        let names: Vec<_> =
            profile.samples().iter().map(|sample| of_sample(&profile, sample).name).collect();
        assert_eq!(names, ["tls.record_layer", "tls.record_buffers"]);
    }

    #[test]
    fn labelling_sets_every_sample_and_leaves_rust_to_rust() {
        let mut profile = crate::sample_profile::echo_server();
        label_categories(&mut profile);
        assert!(profile.samples().iter().all(|sample| sample.label(LABEL).is_some()));
        let rust = profile.samples().iter().find(|s| s.label(DOMAIN_LABEL) == Some(RUST_DOMAIN));
        assert_eq!(rust.unwrap().label(LABEL), Some("rust"));
    }
}
