//! What a figure is made of: its parts by top-level group of categories.

use crate::category;
use crate::top::Top;

/// The part of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The group's name; a category of another version that is not known here is its own group.
    pub group: String,
    /// Its bytes, in the meaning of [`Top::figures`].
    pub bytes: f64,
    /// Its blocks; `None` when the profile has no such column.
    pub blocks: Option<f64>,
    /// Its part of all bytes, like [`crate::top::TopRow::share`].
    pub share: Option<f64>,
}

/// Adds rows that know their categories up by group: groups in the order of the table of
/// categories, so that each stands at the same place for every profile. Groups without bytes and
/// blocks are left out.
pub fn composition(top: &Top) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for row in &top.rows {
        let name = &row.key.category;
        let group = name.split_once('.').map_or(name.as_str(), |(group, _)| group);
        let at = parts.iter().position(|part| part.group == group).unwrap_or_else(|| {
            let blocks = row.blocks.map(|_| 0.0);
            parts.push(Part { group: group.to_owned(), bytes: 0.0, blocks, share: None });
            parts.len() - 1
        });
        let part = &mut parts[at];
        part.bytes += row.bytes.unwrap_or_default();
        part.blocks = part.blocks.zip(row.blocks).map(|(sum, blocks)| sum + blocks);
    }
    let total = top.bytes.filter(|total| *total > 0.0);
    for part in &mut parts {
        part.share = total.map(|total| part.bytes / total);
    }
    parts.retain(|part| part.bytes != 0.0 || part.blocks.is_some_and(|blocks| blocks != 0.0));
    let place = |part: &Part| category::groups().position(|group| group.name == part.group);
    parts.sort_by_key(|part| (place(part).unwrap_or(usize::MAX), part.group.clone()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::{By, group};
    use crate::sample_profile;

    #[test]
    fn parts_add_up_to_the_whole_and_stand_in_the_order_of_the_table() {
        let top = Top::in_use(&group(&sample_profile::echo_server(), By::Site));
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
    fn nothing_has_no_parts() {
        assert_eq!(composition(&Top::in_use(&[])), []);
    }
}
