//! Bytes in use by top-level category, and of mappings by category, at several moments, and how far
//! they may be off.

use std::collections::BTreeMap;

use profile::{Profile, Uncertainty};

use crate::category::Judged;

/// One group of memory over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// The top-level category, and of mappings the category.
    pub group: String,
    /// Bytes in use at each moment.
    pub bytes: Vec<u64>,
    /// Half the width of the interval that holds the true bytes 95 times in 100, for each moment;
    /// `None` where they are exact.
    pub margins: Option<Vec<u64>>,
}

impl Series {
    /// Several series of `moments` values each as one. Variances add up; each series reckons with
    /// one more block of its own, which makes the margins of the sum a little too wide. The sum is
    /// exact where all are.
    pub fn together(group: &str, moments: usize, series: &[&Series]) -> Series {
        let sum = |at: usize| series.iter().map(|one| one.bytes[at]).fold(0, u64::saturating_add);
        let estimated: Vec<&Vec<u64>> =
            series.iter().filter_map(|one| one.margins.as_ref()).collect();
        let square = |margin: u64| (margin as f64).powi(2);
        let margin = |at: usize| {
            let variance: f64 = estimated.iter().map(|margins| square(margins[at])).sum();
            variance.sqrt().round() as u64
        };
        Series {
            group: group.to_owned(),
            bytes: (0..moments).map(sum).collect(),
            margins: (!estimated.is_empty()).then(|| (0..moments).map(margin).collect()),
        }
    }
}

/// The sums of profiles that have one column of bytes for each moment: one profile for each
/// process.
#[derive(Clone, Debug)]
pub struct Groups {
    moments: usize,
    sums: BTreeMap<&'static str, Vec<Sum>>,
    /// How far off all groups together may be; `None` where all are exact.
    off: Option<Vec<Uncertainty>>,
    judged: Judged,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    bytes: u64,
    off: Uncertainty,
}

impl Groups {
    /// Nothing at all of those moments.
    pub fn of(moments: usize) -> Groups {
        Groups { moments, sums: BTreeMap::new(), off: None, judged: Judged::default() }
    }

    /// How many moments there are.
    pub fn moments(&self) -> usize {
        self.moments
    }

    /// Adds a process whose profile has a column for each moment.
    pub fn add(&mut self, profile: &Profile) {
        let each: Vec<usize> = (0..self.moments).collect();
        self.add_from(profile, &each);
    }

    /// Adds a process whose profile has a column for each of some moments, in order: what it holds
    /// from that moment on, up to the next of them. Before the first it holds nothing.
    ///
    /// A sample that knows the size of its blocks in a sampled profile is an estimate at each
    /// moment from the first one on, even where nothing of it was counted.
    pub fn add_from(&mut self, profile: &Profile, moments: &[usize]) {
        if let Some(sampling) = profile.sampling {
            // Where nothing was counted there may still be bytes: one sample more, in small blocks.
            let unseen = sampling.uncertainty_of_bytes(1, 0.0);
            for off in self.off.get_or_insert_with(|| vec![Uncertainty::default(); self.moments]) {
                *off = off.and(unseen);
            }
        }
        let mut own: BTreeMap<&'static str, Vec<Sum>> = BTreeMap::new();
        let categories = self.judged.of_samples(profile);
        for (sample, category) in profile.samples().iter().zip(categories) {
            let group = category.over_time();
            let sums = own.entry(group).or_insert_with(|| vec![Sum::default(); moments.len()]);
            for (sum, value) in sums.iter_mut().zip(&sample.values) {
                sum.bytes = sum.bytes.saturating_add_signed(*value);
            }
            let (Some(sampling), Some(size)) = (profile.sampling, sample.block_bytes()) else {
                continue;
            };
            // The variance of so many bytes is so many times that of one.
            let of_one = sampling.uncertainty_of_bytes(size, 1.0);
            for (sum, value) in sums.iter_mut().zip(&sample.values) {
                let variance = of_one.variance * *value as f64;
                sum.off = sum.off.and(Uncertainty { variance, ..of_one });
            }
        }
        for (group, own) in own {
            let sums = self.sums.entry(group).or_insert_with(|| vec![Sum::default(); self.moments]);
            let ends = moments.iter().skip(1).chain([&self.moments]);
            for ((own, from), to) in own.into_iter().zip(moments).zip(ends) {
                for sum in &mut sums[*from..*to] {
                    sum.bytes = sum.bytes.saturating_add(own.bytes);
                    sum.off = sum.off.and(own.off);
                }
                for whole in self.off.iter_mut().flat_map(|whole| &mut whole[*from..*to]) {
                    *whole = whole.and(own.off);
                }
            }
        }
    }

    /// The groups that there are, in the order of their names.
    pub fn series(&self) -> Vec<Series> {
        let series = |(group, sums): (&&'static str, &Vec<Sum>)| Series {
            group: (*group).to_owned(),
            bytes: sums.iter().map(|sum| sum.bytes).collect(),
            margins: self.off.as_ref().map(|_| margins(sums.iter().map(|sum| sum.off))),
        };
        self.sums.iter().map(series).collect()
    }

    /// Half the widths of the 95 % intervals of all groups together, one for each moment; `None`
    /// where they are exact. They are smaller than those of the groups added up.
    pub fn margins(&self) -> Option<Vec<u64>> {
        Some(margins(self.off.as_ref()?.iter().copied()))
    }
}

/// In whole bytes.
fn margins(off: impl Iterator<Item = Uncertainty>) -> Vec<u64> {
    off.map(|off| off.margin().round() as u64).collect()
}

#[cfg(test)]
mod tests {
    use profile::{Sampling, ValueType};

    use super::*;
    use crate::sample_profile;

    const EVERY: u64 = 65_536;

    /// Samples of a function, a file, the size of blocks and bytes at two moments.
    fn profile(sampling: Option<Sampling>, blocks: &[(&str, &str, u64, [i64; 2])]) -> Profile {
        let column = ValueType { kind: "inuse_space".to_owned(), unit: "bytes".to_owned() };
        let mut profile = Profile::new(vec![column; 2], None);
        profile.sampling = sampling;
        for (function, file, size, bytes) in blocks {
            let frames = sample_profile::stack(&[(function, file)]);
            sample_profile::push_values(&mut profile, "openssl", &frames, bytes.to_vec());
            if sampling.is_some() {
                profile.samples_mut().last_mut().expect("just pushed").set_block_bytes(*size);
            }
        }
        profile
    }

    const CONTEXT: (&str, &str) = ("SSL_CTX_new_ex", "ssl/ssl_lib.c");
    const STORE: (&str, &str) = ("X509_STORE_new", "crypto/x509/x509_lu.c");

    #[test]
    fn series_together_add_up_and_their_margins_as_squares() {
        let series = |bytes: u64, margin: Option<u64>| Series {
            group: "any".to_owned(),
            bytes: vec![0, bytes],
            margins: margin.map(|margin| vec![0, margin]),
        };
        let (three, four, exact) = (series(10, Some(3)), series(20, Some(4)), series(5, None));
        let all = Series::together("all", 2, &[&three, &four, &exact]);
        let expected =
            Series { group: "all".to_owned(), bytes: vec![0, 35], margins: Some(vec![0, 5]) };
        assert_eq!(all, expected);
        assert_eq!(Series::together("all", 2, &[&exact, &exact]).margins, None);
    }

    #[test]
    fn processes_add_up_and_exact_ones_have_no_margins() {
        let mut groups = Groups::of(2);
        groups.add(&profile(None, &[(CONTEXT.0, CONTEXT.1, 100, [5, 7])]));
        groups.add(&profile(
            None,
            &[(CONTEXT.0, CONTEXT.1, 100, [1, 0]), (STORE.0, STORE.1, 100, [0, 9])],
        ));
        let series = |group: &str, bytes: [u64; 2]| Series {
            group: group.to_owned(),
            bytes: bytes.to_vec(),
            margins: None,
        };
        assert_eq!(groups.series(), [series("tls", [6, 7]), series("x509", [0, 9])]);
        assert_eq!(groups.margins(), None);
    }

    #[test]
    fn what_holds_from_some_moments_on_holds_up_to_the_next() {
        let mut groups = Groups::of(5);
        groups.add_from(&profile(None, &[(STORE.0, STORE.1, 100, [5, 7])]), &[1, 3]);
        groups.add_from(&profile(None, &[(STORE.0, STORE.1, 100, [1, 0])]), &[0, 1]);
        assert_eq!(groups.series()[0].bytes, [1, 5, 5, 7, 7]);
    }

    #[test]
    fn margins_follow_from_the_sizes_of_blocks() {
        let (small, large) = (100, 1_000_000);
        let mut groups = Groups::of(2);
        groups.add(&profile(
            Sampling::every(EVERY),
            &[
                (CONTEXT.0, CONTEXT.1, small, [0, 655_360]),
                (CONTEXT.0, CONTEXT.1, large, [0, 3_000_000]),
                (STORE.0, STORE.1, large, [1_000_000, 1_000_000]),
            ],
        ));
        // One more block of 100 bytes stands for 65,586 bytes, and the variance of as many is
        // 65,486 times that.
        let one_more = 65_586.0 * 65_486.0;
        let margin = |variance: f64| 1.96 * (variance + one_more).sqrt();
        let expected = [margin(0.0), margin(655_360.0 * 65_486.0)];
        let [tls, x509] = &groups.series()[..] else { panic!("two groups") };
        for (margin, expected) in tls.margins.as_ref().unwrap().iter().zip(expected) {
            assert!((*margin as f64 - expected).abs() < 2_000.0, "{margin} for {expected}");
        }
        // What is counted almost always is almost exact.
        assert!(x509.margins.as_ref().unwrap().iter().all(|margin| *margin < 5_000));
        // Together, one more block is reckoned with, not two.
        for (margin, expected) in groups.margins().unwrap().iter().zip(expected) {
            assert!((*margin as f64 - expected).abs() < 2_000.0, "{margin} for {expected}");
        }
    }

    #[test]
    fn a_sampled_process_of_which_nothing_was_counted_may_hold_a_sample_in_all() {
        let mut groups = Groups::of(2);
        groups.add(&profile(Sampling::every(EVERY), &[]));
        assert_eq!(groups.series(), []);
        let one = (1.96 * EVERY as f64).round() as u64;
        assert_eq!(groups.margins(), Some(vec![one; 2]));
    }
}
