//! What memory is for: each sample has one category, found from the source files on its stack.
//!
//! The facts are in three tables beside this file: `categories.tsv` names the categories and says
//! who is charged, `paths.tsv` maps OpenSSL's source paths to them, and `functions.tsv` its
//! functions where their paths are not known.

use std::collections::HashMap;
use std::sync::LazyLock;

use profile::{Frame, Metric, Profile, Sample};

use crate::function_category;
use crate::group::Counts;
use crate::ratio::Estimated;
use crate::short_name::is_named;

/// The label under which samples carry the name of their category.
pub const LABEL: &str = contract::labels::CATEGORY;

/// The label under which samples carry who owns the bytes: `openssl` or `rust`.
pub const DOMAIN_LABEL: &str = contract::labels::DOMAIN;

/// The domain of memory that OpenSSL asked for.
pub const OPENSSL_DOMAIN: &str = contract::Domain::Openssl.word();

/// The domain of memory that the Rust side asked for.
pub const RUST_DOMAIN: &str = contract::Domain::Rust.word();

/// One purpose of memory, e.g. `tls.record_buffers`.
#[derive(Debug, PartialEq, Eq)]
pub struct Category {
    /// The name: a top-level group, or a group and a word with a dot between.
    pub name: &'static str,
    /// One phrase for readers who do not know OpenSSL's sources.
    pub description: &'static str,
    charged: Charged,
}

/// Who pays for memory of a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charged {
    /// The category itself.
    Owner,
    /// The next caller on the stack that is an owner: stacks and locks say nothing by themselves.
    Caller,
}

impl Category {
    /// The top-level group: the name up to its dot.
    pub fn group(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(group, _)| group)
    }

    /// The category is made on behalf of a caller (a container, a lock, a buffer) and is kept
    /// only where no caller on the stack is an owner.
    pub fn is_generic(&self) -> bool {
        self.charged == Charged::Caller
    }
}

/// Every category, groups before what belongs to them, in the order of the table.
pub fn all() -> &'static [Category] {
    &TABLES.categories
}

/// The top-level groups in the order of the table; each is a category too.
pub fn groups() -> impl Iterator<Item = &'static Category> {
    all().iter().filter(|category| !category.name.contains('.'))
}

/// The category of that name.
pub fn by_name(name: &str) -> Option<&'static Category> {
    TABLES.by_name.get(name).map(|at| &all()[*at])
}

/// The category of a source file by itself, whoever called; `None` when the file is not one of
/// OpenSSL's. `function` decides where a file serves several owners.
pub fn of_source(file: &str, function: &str) -> Option<&'static Category> {
    let function = crate::short_name::c_name(function);
    // Files have few prefixes of their own; from the longest down, the first that is listed wins.
    (1..=file.len())
        .rev()
        .filter_map(|end| TABLES.paths.get(file.get(..end)?))
        .flatten()
        .find(|rule| rule.functions.matches(function))
        .filter(|_| !is_rust(file))
        .map(|rule| &all()[rule.category])
}

/// The category of memory that OpenSSL allocated on the stack `frames`, innermost frame first.
///
/// The leaf's own category, unless it is generic: then that of the next frame outwards that is an
/// owner, if there is one. A leaf whose file is not OpenSSL's is `program`; one without a file, of
/// an OpenSSL built without file names, is judged by its function and those that called it, and is
/// `unknown` where none of them is OpenSSL's.
pub fn of(frames: &[Frame<'_>]) -> &'static Category {
    let Some(leaf) = frames.first() else {
        return known("unknown");
    };
    let own = match of_frame(leaf) {
        Some(own) => own,
        None if leaf.file.is_empty() => known("unknown"),
        None => return known("program"),
    };
    if !own.is_generic() && own.name != "unknown" {
        return own;
    }
    frames[1..].iter().filter_map(of_frame).find(|category| !category.is_generic()).unwrap_or(own)
}

/// The category of a function by its file, or by its name where the file is not known.
fn of_frame(frame: &Frame<'_>) -> Option<&'static Category> {
    if frame.file.is_empty() {
        return function_category::of_function(frame.function);
    }
    of_source(frame.file, frame.function)
}

/// The category of a sample: `rust` when its domain is Rust's, else that of its stack.
pub fn of_sample(profile: &Profile, sample: &Sample) -> &'static Category {
    if sample.label(DOMAIN_LABEL) == Some(RUST_DOMAIN) {
        return known("rust");
    }
    let frames: Vec<Frame<'_>> = profile.frames(sample).collect();
    let category = of(&frames);
    if category.name == "tls.record_buffers" && is_record_layer(&frames[0], profile, sample) {
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
    let categories: Vec<_> =
        profile.samples().iter().map(|sample| of_sample(profile, sample)).collect();
    for (sample, category) in profile.samples_mut().iter_mut().zip(categories) {
        sample.set_label(LABEL, category.name);
    }
}

/// A category that this module itself speaks of.
fn known(name: &str) -> &'static Category {
    by_name(name).expect("a test holds that the table names every category the code names")
}

/// Rust's sources may live under `crypto/` or `include/` too; OpenSSL has none.
fn is_rust(file: &str) -> bool {
    file.rsplit_once('.').is_some_and(|(_, ending)| ending == "rs")
}

/// Both tables, parsed.
struct Tables {
    categories: Vec<Category>,
    by_name: HashMap<&'static str, usize>,
    /// Rules by prefix; those that name functions stand first.
    paths: HashMap<&'static str, Vec<PathRule>>,
}

/// One row of `paths.tsv`.
struct PathRule {
    functions: Functions,
    category: usize,
}

/// The functions of a file to which a row applies.
enum Functions {
    Any,
    Named(Vec<&'static str>),
}

impl Functions {
    fn matches(&self, function: &str) -> bool {
        match self {
            Functions::Any => true,
            Functions::Named(names) => names.iter().any(|name| match name.strip_suffix('*') {
                Some(beginning) => function.starts_with(beginning),
                None => function == *name,
            }),
        }
    }
}

const CATEGORIES_TABLE: &str = include_str!("categories.tsv");
const PATHS_TABLE: &str = include_str!("paths.tsv");

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let categories: Vec<Category> = rows(CATEGORIES_TABLE)
        .map(|[name, charged, description, _]| Category {
            name,
            description,
            charged: if charged == "generic" { Charged::Caller } else { Charged::Owner },
        })
        .collect();
    let by_name: HashMap<_, _> =
        categories.iter().enumerate().map(|(at, category)| (category.name, at)).collect();
    let mut paths: HashMap<_, Vec<PathRule>> = HashMap::new();
    for [prefix, functions, category, _note] in rows(PATHS_TABLE) {
        let category = *by_name.get(category).expect("a test holds that paths name categories");
        let rules = paths.entry(prefix).or_default();
        if functions == "*" {
            rules.push(PathRule { functions: Functions::Any, category });
        } else {
            let functions = Functions::Named(functions.split(',').collect());
            rules.insert(0, PathRule { functions, category });
        }
    }
    Tables { categories, by_name, paths }
});

/// The rows of a table, columns that are not there empty.
fn rows(table: &'static str) -> impl Iterator<Item = [&'static str; 4]> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split('\t');
        [(); 4].map(|()| columns.next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::sample_profile::stack;

    fn name_of(frames: &[(&str, &str)]) -> &'static str {
        of(&stack(frames)).name
    }

    #[test]
    fn every_category_has_a_name_a_description_and_a_listed_group() {
        let groups: HashSet<_> = groups().map(|group| group.name).collect();
        let mut names = HashSet::new();
        for [name, charged, description, more] in rows(CATEGORIES_TABLE) {
            assert!(names.insert(name), "{name} is listed twice");
            assert!(matches!(charged, "owner" | "generic"), "{name} is charged to {charged:?}");
            assert!(description.len() > 3, "{name} has no description");
            assert_eq!(more, "", "{name} has a column too many");
            assert!(groups.contains(by_name(name).unwrap().group()), "{name} has no group");
        }
    }

    #[test]
    fn no_prefix_is_listed_twice_and_every_one_names_a_category() {
        let mut seen = HashSet::new();
        for [prefix, functions, category, _note] in rows(PATHS_TABLE) {
            assert!(seen.insert((prefix, functions)), "{prefix} {functions} is listed twice");
            assert!(by_name(category).is_some(), "{prefix} names {category:?}");
            assert!(!prefix.is_empty() && !functions.is_empty(), "{prefix:?} {functions:?}");
        }
        for (prefix, _) in &seen {
            assert!(seen.contains(&(*prefix, "*")), "{prefix} has no row for its other functions");
        }
    }

    #[test]
    fn every_category_is_reachable_from_a_path_or_from_the_code() {
        let listed: HashSet<_> = rows(PATHS_TABLE).map(|row| row[2]).collect();
        // Groups whose members cover all of their paths, and categories the code sets by itself.
        let unlisted = ["bio.buffers", "containers", "program", "rust", "unknown"];
        for category in all() {
            let name = category.name;
            assert!(listed.contains(name) || unlisted.contains(&name), "nothing leads to {name}");
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        assert_eq!(of_source("crypto/bio/bio_lib.c", "BIO_new").unwrap().name, "bio");
        assert_eq!(of_source("crypto/bio/bss_bio.c", "bio_new").unwrap().name, "bio.buffers");
        assert_eq!(of_source("crypto/threads_pthread.c", "").unwrap().name, "containers.lock");
        assert_eq!(of_source("crypto/thread/arch.c", "").unwrap().name, "process.threads");
        assert_eq!(of_source("ssl/a_file_of_the_future.c", "").unwrap().name, "tls");
        assert_eq!(of_source("crypto/src/aead.rs", ""), None);
        assert_eq!(of_source("src/main.c", "main"), None);
        assert_eq!(of_source("", ""), None);
        assert_eq!(of_source("ünicode/crypto/", ""), None);
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

    /// Files that ask for memory, by OpenSSL's version: `fixtures/openssl-sources`.
    #[test]
    fn every_allocating_file_of_every_version_has_a_category_of_its_own() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/openssl-sources");
        let versions = ["1.1.1w", "3.0.8", "3.2.1", "3.5.5", "3.6.3", "4.0.3"];
        for version in versions {
            let list = std::fs::read_to_string(format!("{folder}/{version}.txt")).unwrap();
            assert!(list.lines().count() > 200, "{version}");
            for file in list.lines() {
                let category = of_source(file, "").map(|category| category.name);
                // These three catch what no row of their parts claims.
                let caught = matches!(category, None | Some("tls" | "crypto" | "provider"));
                assert!(!caught, "{version}: {file} is {category:?}");
            }
        }
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
