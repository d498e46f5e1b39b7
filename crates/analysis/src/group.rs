//! Rows: the samples of a profile added up by site, function, file or category.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use profile::{Frame, LocationId, Profile, Sample};

use crate::category::{self, DOMAIN_LABEL};
use crate::column::Column;
use crate::counts::Columns;
pub use crate::counts::Counts;
use crate::telling::telling;

/// By what samples are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// File, line, function and category, whatever the rest of the stack.
    Site,
    /// Function and its file.
    Function,
    /// Source file.
    File,
    /// What the memory is for.
    Category,
}

/// What a row stands for. Fields that [`By`] leaves out are empty; the domain is always there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The leaf's source file; empty when unknown.
    pub file: String,
    /// The leaf's line; 0 when unknown.
    pub line: u32,
    /// The leaf's function; empty when unknown.
    pub function: String,
    /// The category's name.
    pub category: String,
    /// `openssl`, `rust`, or empty in profiles that do not say.
    pub domain: String,
}

/// One function on a stack, on its own feet (a [`Frame`] borrows from its profile).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call {
    /// The readable function name; empty when unknown.
    pub function: String,
    /// The source file; empty when unknown.
    pub file: String,
    /// The source line; 0 when unknown.
    pub line: u32,
}

/// Samples of one key, added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// What the row stands for.
    pub key: Key,
    /// The figures that it is looked at by.
    pub column: Column,
    /// The sums of its samples.
    pub counts: Counts,
    /// The stack of its heaviest sample, innermost first. Rows share the calls that they have in
    /// common.
    pub stack: Vec<Arc<Call>>,
}

impl Row {
    /// The bytes of its column.
    pub fn bytes(&self) -> Option<i64> {
        self.counts.of(self.column.bytes())
    }

    /// The blocks of its column.
    pub fn blocks(&self) -> Option<i64> {
        self.counts.of(self.column.blocks())
    }

    /// The few functions of the heaviest stack that tell its story, outermost first.
    pub fn telling(&self) -> Vec<String> {
        telling_of(&self.stack)
    }
}

/// The few functions of `stack` (innermost first) that tell its story, outermost first.
pub fn telling_of(stack: &[impl Borrow<Call>]) -> Vec<String> {
    let frames: Vec<Frame<'_>> = stack.iter().map(|call| call.borrow().frame()).collect();
    telling(&frames)
}

/// The rows of a profile by what is in use: [`group_in`].
pub fn group(profile: &Profile, by: By) -> Vec<Row> {
    group_in(profile, by, Column::InUse)
}

/// The rows of a profile, most bytes of the column first; rows of equal figures in order of their
/// keys. The sums of the rows are the totals of the profile.
pub fn group_in(profile: &Profile, by: By, column: Column) -> Vec<Row> {
    let columns = Columns::of(profile);
    let mut sums: BTreeMap<Key, Sum<'_>> = BTreeMap::new();
    for sample in profile.samples() {
        let sum = sums
            .entry(key_of(profile, sample, by))
            .or_insert(Sum { counts: columns.zero(), heaviest: sample });
        sum.counts = sum.counts.plus(columns.read(sample));
        if columns.weight(sample, column) > columns.weight(sum.heaviest, column) {
            sum.heaviest = sample;
        }
    }
    let mut calls = Calls::in_profile(profile);
    let mut rows: Vec<Row> = sums
        .into_iter()
        .map(|(key, sum)| {
            let stack = calls.of(sum.heaviest);
            Row { key, column, counts: sum.counts, stack }
        })
        .collect();
    // The sort is stable: equal figures stay in the order of their keys.
    rows.sort_by_key(|row| std::cmp::Reverse(row.counts.weight(column)));
    rows
}

/// What a key has gathered so far.
struct Sum<'a> {
    counts: Counts,
    heaviest: &'a Sample,
}

/// The key of the row that a sample belongs to: fields that `by` leaves out stay empty.
pub fn key_of(profile: &Profile, sample: &Sample, by: By) -> Key {
    let domain = sample.label(DOMAIN_LABEL).unwrap_or_default().to_owned();
    let leaf = profile.frames(sample).next();
    let file = || leaf.map(|leaf| leaf.file.to_owned()).unwrap_or_default();
    let function = || leaf.map(|leaf| leaf.function.to_owned()).unwrap_or_default();
    // A profile of ours says the category; others are judged here.
    let category = || match sample.label(category::LABEL) {
        Some(name) => name.to_owned(),
        None => category::of_sample(profile, sample).name.to_owned(),
    };
    match by {
        By::Site => Key {
            file: file(),
            line: leaf.map_or(0, |leaf| leaf.line),
            function: function(),
            category: category(),
            domain,
        },
        By::Function => Key { file: file(), function: function(), domain, ..Key::default() },
        By::File => Key { file: file(), domain, ..Key::default() },
        By::Category => Key { category: category(), domain, ..Key::default() },
    }
}

/// The calls of a profile, each once however many stacks it is on.
pub struct Calls<'a> {
    profile: &'a Profile,
    known: HashMap<LocationId, Vec<Arc<Call>>>,
}

impl<'a> Calls<'a> {
    /// Those of this profile.
    pub fn in_profile(profile: &'a Profile) -> Calls<'a> {
        Calls { profile, known: HashMap::new() }
    }

    /// The calls of a sample, innermost first.
    pub fn of(&mut self, sample: &Sample) -> Vec<Arc<Call>> {
        let Calls { profile, known } = self;
        let of_location = |id: &LocationId| {
            let made = || profile.frames_of(*id).map(|frame| Arc::new(Call::from(frame))).collect();
            known.entry(*id).or_insert_with(made).clone()
        };
        sample.stack.iter().flat_map(of_location).collect()
    }
}

impl Call {
    /// The call as a frame of a profile, without an address.
    pub fn frame(&self) -> Frame<'_> {
        Frame { function: &self.function, file: &self.file, line: self.line, address: 0 }
    }
}

impl From<Frame<'_>> for Call {
    fn from(frame: Frame<'_>) -> Call {
        Call { function: frame.function.to_owned(), file: frame.file.to_owned(), line: frame.line }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use profile::{Metric, ValueType};

    use super::*;
    use crate::sample_profile::{self, stack};

    #[test]
    fn a_site_adds_up_over_the_stacks_that_reach_it_and_keeps_the_heaviest() {
        let mut profile = Profile::of_heap();
        let leaf = ("zlib_zalloc", "crypto/comp/c_zlib.c");
        let light = [leaf, ("inflateInit2_", "")];
        let heavy = [leaf, ("deflateInit2_", "")];
        sample_profile::push(&mut profile, "openssl", &stack(&light), 2, 7_160);
        sample_profile::push(&mut profile, "openssl", &stack(&heavy), 5, 268_000);
        let rows = group(&profile, By::Site);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].counts.inuse_blocks, Some(7));
        assert_eq!(rows[0].counts.inuse_bytes, Some(275_160));
        assert_eq!(rows[0].counts.alloc_bytes, Some(550_320));
        assert_eq!(rows[0].key.line, 100);
        assert_eq!(rows[0].key.category, "compression.zlib");
        assert_eq!(rows[0].stack[1].function, "deflateInit2_");
        assert_eq!(rows[0].telling(), ["deflateInit2_", "zlib_zalloc"]);
    }

    #[test]
    fn one_site_serving_two_categories_makes_two_rows() {
        let mut profile = Profile::of_heap();
        let leaf = ("sk_reserve", "crypto/stack/stack.c");
        let store = [leaf, ("X509_STORE_new", "crypto/x509/x509_lu.c")];
        let context = [leaf, ("SSL_CTX_new_ex", "ssl/ssl_lib.c")];
        sample_profile::push(&mut profile, "openssl", &stack(&store), 1, 32);
        sample_profile::push(&mut profile, "openssl", &stack(&context), 1, 64);
        let categories: Vec<_> =
            group(&profile, By::Site).into_iter().map(|row| row.key.category).collect();
        assert_eq!(categories, ["tls.context", "x509.store"]);
        assert_eq!(group(&profile, By::File).len(), 1);
        assert_eq!(group(&profile, By::Function).len(), 1);
        assert_eq!(group(&profile, By::Category).len(), 2);
    }

    #[test]
    fn a_column_that_is_not_there_is_none_and_not_zero() {
        let bytes = ValueType { kind: "inuse_space".to_owned(), unit: "bytes".to_owned() };
        let mut profile = Profile::new(vec![bytes], None);
        let frames = stack(&[("SSL_CTX_new_ex", "ssl/ssl_lib.c")]);
        sample_profile::push_values(&mut profile, "openssl", &frames, vec![1_000]);
        let row = &group(&profile, By::Site)[0];
        assert_eq!(row.counts.inuse_bytes, Some(1_000));
        assert_eq!(row.counts.inuse_blocks, None);
        assert_eq!(Counts::total(&profile).peak_bytes, None);
    }

    #[test]
    fn a_sample_without_frames_still_counts() {
        let mut profile = Profile::of_heap();
        sample_profile::push(&mut profile, "openssl", &[], 3, 30);
        let rows = group(&profile, By::Site);
        assert_eq!(rows[0].key.category, "unknown");
        assert_eq!(rows[0].counts.inuse_bytes, Some(30));
    }

    #[test]
    fn rows_are_told_and_ordered_by_the_column_that_is_looked_at() {
        let mut profile = Profile::of_heap();
        let leaf = ("BUF_MEM_grow", "crypto/buffer/buffer.c");
        let one = stack(&[leaf, ("parse", "")]);
        let other = stack(&[leaf, ("serve", "")]);
        let kept = stack(&[("SSL_new", "ssl/ssl_lib.c")]);
        sample_profile::push_values(&mut profile, "openssl", &one, vec![0, 0, 1, 900, 1, 900]);
        sample_profile::push_values(&mut profile, "openssl", &other, vec![1, 50, 1, 50, 1, 50]);
        sample_profile::push_values(&mut profile, "openssl", &kept, vec![2, 60, 2, 60, 2, 60]);
        let first = |column| {
            let row = group_in(&profile, By::Site, column).swap_remove(0);
            (row.key.function.clone(), row.bytes(), row.blocks(), row.stack.len())
        };
        assert_eq!(first(Column::InUse), ("SSL_new".to_owned(), Some(60), Some(2), 1));
        assert_eq!(first(Column::Peak), ("BUF_MEM_grow".to_owned(), Some(950), Some(2), 2));
        let row = &group_in(&profile, By::Site, Column::Peak)[0];
        assert_eq!(row.stack[1].function, "parse", "the heaviest at the peak");
        assert_eq!(row.counts.inuse_bytes, Some(50), "all figures are kept");
    }

    proptest! {
        #[test]
        fn the_sum_of_the_rows_is_the_total(profile in sample_profile::any()) {
            for by in [By::Site, By::Function, By::File, By::Category] {
                let total = Counts::total(&profile);
                let rows = group(&profile, by);
                let sum = rows.iter().fold(total.zeroed(), |sum, row| sum.plus(row.counts));
                prop_assert_eq!(sum, total);
                for metric in Metric::ALL {
                    let column = profile.column(metric).unwrap();
                    prop_assert_eq!(total.of(metric), Some(profile.total(column)));
                }
                let mut keys: Vec<_> = rows.iter().map(|row| &row.key).collect();
                keys.sort();
                keys.dedup();
                prop_assert_eq!(keys.len(), rows.len(), "each key makes one row");
            }
        }
    }
}
