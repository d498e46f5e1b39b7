//! What a figure is made of: its parts by top-level group of categories.

use crate::category;
use crate::group::Counts;
use crate::per_connection::margin;
use crate::ratio::Estimated;
use crate::top::Top;

/// The part of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// The group's name; a category of another version that is not known here is its own group.
    pub group: String,
    /// Its bytes, in the meaning of [`Top::figures`].
    pub bytes: f64,
    /// Half the width of the 95 % interval of `bytes`; `None` where that is exact.
    pub bytes_margin: Option<f64>,
    /// Its blocks; `None` when the profile has no such column.
    pub blocks: Option<f64>,
    /// Half the width of the 95 % interval of `blocks`; `None` where that is exact.
    pub blocks_margin: Option<f64>,
    /// Its part of all bytes, like [`crate::top::TopRow::share`].
    pub share: Option<f64>,
    /// Half the width of the 95 % interval of `share`; `None` where that is exact.
    pub share_margin: Option<f64>,
}

/// Adds rows that know their categories up by group: groups in the order of the table of
/// categories, so that each stands at the same place for every profile. Groups without bytes and
/// blocks are left out.
pub fn composition(top: &Top) -> Vec<Part> {
    let mut sums: Vec<(&str, Sum)> = Vec::new();
    for row in &top.rows {
        let name = &row.key.category;
        let group = name.split_once('.').map_or(name.as_str(), |(group, _)| group);
        let at = sums.iter().position(|(of, _)| *of == group).unwrap_or_else(|| {
            let blocks = row.blocks.map(|_| 0.0);
            sums.push((group, Sum { bytes: 0.0, blocks, growth: row.growth.zeroed() }));
            sums.len() - 1
        });
        let sum = &mut sums[at].1;
        sum.bytes += row.bytes.unwrap_or_default();
        sum.blocks = sum.blocks.zip(row.blocks).map(|(sum, blocks)| sum + blocks);
        sum.growth = sum.growth.plus(row.growth);
    }
    let place = |name: &str| category::groups().position(|group| group.name == name);
    sums.retain(|(_, sum)| sum.bytes != 0.0 || sum.blocks.is_some_and(|blocks| blocks != 0.0));
    sums.sort_by_key(|(group, _)| (place(group).unwrap_or(usize::MAX), *group));
    sums.into_iter().map(|(group, sum)| sum.part(group, top)).collect()
}

/// What a group has gathered.
struct Sum {
    bytes: f64,
    blocks: Option<f64>,
    /// Undivided, for how far off they may be.
    growth: Counts,
}

impl Sum {
    fn part(self, group: &str, top: &Top) -> Part {
        let margin = |metric| margin(&self.growth, metric, top.connections());
        let bytes = Estimated { figure: self.bytes, margin: margin(top.column.bytes()) };
        let share = top.whole().and_then(|whole| bytes.part_of(whole));
        Part {
            group: group.to_owned(),
            bytes: self.bytes,
            bytes_margin: bytes.margin,
            blocks: self.blocks,
            blocks_margin: margin(top.column.blocks()),
            share: share.map(|share| share.figure),
            share_margin: share.and_then(|share| share.margin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::{By, group};
    use crate::sample_profile;

    #[test]
    fn parts_add_up_to_the_whole_and_stand_in_the_order_of_the_table() {
        let top = Top::of_process(&group(&sample_profile::echo_server(), By::Site));
        let parts = composition(&top);
        let groups: Vec<&str> = parts.iter().map(|part| part.group.as_str()).collect();
        let mut sorted = groups.clone();
        sorted.sort_by_key(|name| category::groups().position(|group| group.name == *name));
        assert_eq!(groups, sorted);
        let bytes: f64 = parts.iter().map(|part| part.bytes).sum();
        assert_eq!(Some(bytes), top.bytes);
        let shares: f64 = parts.iter().filter_map(|part| part.share).sum();
        assert!((shares - 1.0).abs() < 1e-9);
    }

    #[test]
    fn parts_of_a_sample_have_the_margins_of_their_blocks() {
        let mut profile = sample_profile::echo_server();
        // Two sites of one group.
        let name = sample_profile::stack(&[("x509_name_canon", "crypto/x509/x_name.c")]);
        sample_profile::push(&mut profile, "openssl", &name, 90, 9_000);
        let exact = composition(&Top::of_process(&group(&profile, By::Site)));
        assert!(exact.iter().all(|part| part.bytes_margin.or(part.share_margin).is_none()));
        profile.sampling = profile::Sampling::every(1_000);
        profile.samples_mut().iter_mut().for_each(|sample| sample.set_block_bytes(100));
        let top = Top::of_process(&group(&profile, By::Site));
        let parts = composition(&top);
        let mut variances = 0.0;
        for part in &parts {
            let margin = part.bytes_margin.expect("an estimate");
            // Of blocks of one size the margin follows from the bytes, however many sites hold
            // them.
            let sampling = profile.sampling.expect("set above");
            let expected = sampling.uncertainty_of_bytes(100, part.bytes);
            assert!((margin / expected.margin() - 1.0).abs() < 1e-9, "{part:?}");
            assert!(part.share_margin.is_some_and(|margin| margin < 1.0), "{part:?}");
            assert!(part.blocks_margin.is_some());
            variances += expected.variance;
        }
        let total = top.bytes_margin.expect("an estimate");
        assert!(variances.sqrt() * 1.96 < total && total < 1.1 * variances.sqrt() * 1.96);
        // Nothing but the largest rows: the same as the margin of their sum.
        assert_eq!(top.rest_margin(0), top.bytes_margin);
    }

    #[test]
    fn nothing_has_no_parts() {
        assert_eq!(composition(&Top::of_process(&[])), []);
    }
}
