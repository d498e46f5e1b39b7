//! Who holds what ledgers hold and did not before, by function.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use analysis::category::{MAPPING_DOMAIN, by_name};
use analysis::column::Column;
use analysis::group::{By, group, group_in};
use analysis::top::{Top, TopRow};
use capture::records::account::ResidentHolderRecord;
use capture::records::heap::HolderRecord;
use profile::Symbols;

use crate::profiles;
use crate::watch::Ledgers;

/// Functions named.
const HOLDERS: usize = 8;

/// Of what was requested, for each of so many connections.
pub(crate) fn requested(
    now: &Ledgers,
    before: &Ledgers,
    connections: NonZeroU64,
    symbols: &mut Symbols,
) -> Vec<HolderRecord> {
    grown(now, before, connections, symbols).map(asking).collect()
}

fn asking(row: TopRow) -> HolderRecord {
    HolderRecord {
        function: row.key.function,
        through: row.telling,
        bytes: row.bytes.unwrap_or_default(),
        blocks: row.blocks.unwrap_or_default(),
    }
}

/// Of what was requested at the highest total of each process, in all.
pub(crate) fn requested_at_peak(ledgers: &Ledgers, symbols: &mut Symbols) -> Vec<HolderRecord> {
    let rows = group_in(&profiles::merged(ledgers, symbols), By::Site, Column::Peak);
    largest(Top::of_process(&rows)).map(asking).collect()
}

/// The same of ledgers that say what is resident.
pub(crate) fn resident(
    now: &Ledgers,
    before: &Ledgers,
    connections: NonZeroU64,
    symbols: &mut Symbols,
) -> Vec<ResidentHolderRecord> {
    let holder = |row: TopRow| ResidentHolderRecord {
        function: row.key.function,
        through: row.telling,
        bytes: row.bytes.unwrap_or_default(),
    };
    grown(now, before, connections, symbols).map(holder).collect()
}

/// The functions that hold most of it.
fn grown(
    now: &Ledgers,
    before: &Ledgers,
    connections: NonZeroU64,
    symbols: &mut Symbols,
) -> impl Iterator<Item = TopRow> {
    let [now, before] =
        [now, before].map(|ledgers| group(&profiles::merged(ledgers, symbols), By::Site));
    largest(Top::per_connection(&now, Some(&before), connections))
}

/// The first few of these, a byte at least, each one for a function: those without a name are one
/// for each file, and what a runtime maps for itself is one for each of its parts.
fn largest(top: Top) -> impl Iterator<Item = TopRow> {
    let mut all: BTreeMap<String, TopRow> = BTreeMap::new();
    for mut row in top.rows {
        let name = if let Some(part) = part_of_runtime(&row.key.category) {
            row.telling.clear();
            part.to_owned()
        } else {
            for function in &mut row.telling {
                if let Some(file) = file_of_nameless(function) {
                    *function = file.to_owned();
                }
            }
            row.telling.dedup();
            file_of_nameless(&row.key.function).unwrap_or(&row.key.function).to_owned()
        };
        // Rows come largest first: the story of all is that of the largest.
        if let Some(all) = all.get_mut(&name) {
            let add = |one: Option<f64>, other: Option<f64>| Some(one? + other?);
            all.bytes = add(all.bytes, row.bytes);
            all.blocks = add(all.blocks, row.blocks);
            continue;
        }
        row.key.function.clone_from(&name);
        all.insert(name, row);
    }
    let bytes = |row: &TopRow| row.bytes.unwrap_or_default();
    let mut rows: Vec<TopRow> = all.into_values().filter(|row| bytes(row) >= 1.0).collect();
    rows.sort_by(|one, other| bytes(other).total_cmp(&bytes(one)));
    rows.into_iter().take(HOLDERS)
}

/// What a category of mappings is, where it is a runtime's.
fn part_of_runtime(category: &str) -> Option<&'static str> {
    let is_part = category.strip_prefix(MAPPING_DOMAIN).is_some_and(|rest| rest.starts_with('.'));
    by_name(category).filter(|_| is_part).map(|category| category.description)
}

/// The file of a function that has no name in it, as `libssl.so.3` of `libssl.so.3+0x2be89`.
fn file_of_nameless(function: &str) -> Option<&str> {
    function.split_once("+0x").map(|(file, _)| file)
}

#[cfg(test)]
mod tests {
    use analysis::counts::Counts;
    use analysis::group::Key;

    use super::*;

    #[test]
    fn what_has_no_name_is_one_for_each_file_and_a_runtimes_one_for_each_part() {
        let of = |function: &str, category: &str, bytes| TopRow {
            key: Key {
                function: function.to_owned(),
                category: category.to_owned(),
                ..Key::default()
            },
            bytes: Some(bytes),
            blocks: Some(1.0),
            bytes_margin: None,
            blocks_margin: None,
            share: None,
            share_margin: None,
            growth: Counts::default(),
            telling: vec!["start_thread".to_owned(), function.to_owned()],
        };
        let row = |function: &str, bytes| of(function, "heap", bytes);
        let young = |bytes| of("OS::SetPermissions", "mapping.v8_young", bytes);
        let rows = vec![
            row("grow", 50.0),
            row("a.so+0x1", 40.0),
            row("a.so+0x2", 30.0),
            young(20.0),
            of("mapped", "mapping", 10.0),
            young(5.0),
            row("f", 0.5),
        ];
        let rows: Vec<TopRow> = largest(Top { rows, ..Top::of_process(&[]) }).collect();
        let told: Vec<_> =
            rows.iter().map(|row| (row.key.function.as_str(), row.bytes, row.blocks)).collect();
        assert_eq!(
            told,
            [
                ("a.so", Some(70.0), Some(2.0)),
                ("grow", Some(50.0), Some(1.0)),
                ("V8's heap (new objects)", Some(25.0), Some(2.0)),
                ("mapped", Some(10.0), Some(1.0)),
            ]
        );
        assert_eq!(rows[0].telling, ["start_thread", "a.so"]);
        assert!(rows[2].telling.is_empty());
    }
}
