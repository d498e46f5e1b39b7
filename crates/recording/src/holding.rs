//! Who holds what ledgers hold and did not before, by function.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

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
    let rows = group_in(&profiles::merged(ledgers, symbols), By::Function, Column::Peak);
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
        [now, before].map(|ledgers| group(&profiles::merged(ledgers, symbols), By::Function));
    largest(Top::per_connection(&now, Some(&before), connections))
}

/// The first few of these, a byte at least. Functions without a name are one for each file.
fn largest(top: Top) -> impl Iterator<Item = TopRow> {
    let mut nameless: BTreeMap<String, TopRow> = BTreeMap::new();
    let mut rows = Vec::new();
    for mut row in top.rows {
        let Some(file) = file_of_nameless(&row.key.function) else {
            rows.push(row);
            continue;
        };
        // Rows come largest first: the story of all is that of the largest.
        if let Some(all) = nameless.get_mut(file) {
            let add = |one: Option<f64>, other: Option<f64>| Some(one? + other?);
            all.bytes = add(all.bytes, row.bytes);
            all.blocks = add(all.blocks, row.blocks);
            continue;
        }
        let file = file.to_owned();
        for function in &mut row.telling {
            if file_of_nameless(function) == Some(&file) {
                function.clone_from(&file);
            }
        }
        row.telling.dedup();
        row.key.function.clone_from(&file);
        nameless.insert(file, row);
    }
    rows.extend(nameless.into_values());
    let bytes = |row: &TopRow| row.bytes.unwrap_or_default();
    rows.retain(|row| bytes(row) >= 1.0);
    rows.sort_by(|one, other| bytes(other).total_cmp(&bytes(one)));
    rows.into_iter().take(HOLDERS)
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
    fn what_has_no_name_is_one_for_each_file() {
        let row = |function: &str, bytes| TopRow {
            key: Key { function: function.to_owned(), ..Key::default() },
            bytes: Some(bytes),
            blocks: Some(1.0),
            bytes_margin: None,
            blocks_margin: None,
            share: None,
            share_margin: None,
            growth: Counts::default(),
            telling: vec!["start_thread".to_owned(), function.to_owned()],
        };
        let rows =
            vec![row("grow", 50.0), row("a.so+0x1", 40.0), row("a.so+0x2", 30.0), row("f", 0.5)];
        let rows: Vec<TopRow> = largest(Top { rows, ..Top::of_process(&[]) }).collect();
        let told: Vec<_> =
            rows.iter().map(|row| (row.key.function.as_str(), row.bytes, row.blocks)).collect();
        assert_eq!(told, [("a.so", Some(70.0), Some(2.0)), ("grow", Some(50.0), Some(1.0))]);
        assert_eq!(rows[0].telling, ["start_thread", "a.so"]);
    }
}
