//! What the page says of how large a recording's live blocks are.

use std::collections::BTreeMap;

use analysis::category::{HEAP_DOMAIN, OPENSSL_DOMAIN, PYTHON_DOMAIN, RUST_DOMAIN};
use analysis::notation::percent;
use capture::records::account::SizesRecord;
use capture::records::recording::Recording;

use super::subject::moment_of_account;
use crate::html::{BlockSizes, SizeClass};

const UNKNOWN: &str = "How large live blocks are is not known of this recording: it is read from \
                       processes of which all was recorded from their start, while they run (not \
                       with --only openssl, --sample or --pid).";

/// The classes of all domains together.
pub(super) fn block_sizes(recording: &Recording) -> BlockSizes {
    match &recording.account {
        Some(account) if !account.sizes.is_empty() => BlockSizes::Known {
            moment: moment_of_account(recording).to_owned(),
            classes: classes(&account.sizes),
        },
        _ => BlockSizes::Unknown(UNKNOWN),
    }
}

/// Those of processes that run.
pub(super) fn live_blocks(sizes: &analysis::block_sizes::BlockSizes, moment: String) -> BlockSizes {
    let records: Vec<SizesRecord> = sizes.classes().map(SizesRecord::of).collect();
    if records.is_empty() {
        return BlockSizes::OutOfPlace;
    }
    BlockSizes::Known { moment, classes: classes(&records) }
}

fn classes(sizes: &[SizesRecord]) -> Vec<SizeClass> {
    let mut by_size: BTreeMap<u64, Vec<&SizesRecord>> = BTreeMap::new();
    for record in sizes {
        by_size.entry(record.up_to_bytes).or_default().push(record);
    }
    let class = |(up_to, records): (u64, Vec<&SizesRecord>)| SizeClass {
        up_to,
        blocks: records.iter().map(|record| record.blocks).sum(),
        bytes: records.iter().map(|record| record.bytes).sum(),
        owners: owners(records),
    };
    by_size.into_iter().map(class).collect()
}

/// Whose the bytes of a class are, those with most of them first.
fn owners(mut records: Vec<&SizesRecord>) -> String {
    records.sort_by_key(|record| std::cmp::Reverse(record.bytes));
    let sum: u64 = records.iter().map(|record| record.bytes).sum();
    let owner = |record: &&SizesRecord| match record.domain.as_str() {
        OPENSSL_DOMAIN => "OpenSSL's",
        HEAP_DOMAIN => "malloc's",
        PYTHON_DOMAIN => "Python's",
        RUST_DOMAIN => "Rust's",
        _ => "others'",
    };
    let part = |record: &&SizesRecord| match records.len() {
        1 => owner(record).to_owned(),
        _ => format!("{} {}", percent(record.bytes as f64 / sum.max(1) as f64), owner(record)),
    };
    records.iter().map(part).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_several_domains_are_one_row_that_says_whose_it_is() {
        let record = |domain: &str, up_to_bytes, blocks, bytes| SizesRecord {
            domain: domain.to_owned(),
            up_to_bytes,
            blocks,
            bytes,
        };
        let sizes = [
            record(OPENSSL_DOMAIN, 64, 2, 100),
            record(OPENSSL_DOMAIN, 32, 1, 20),
            record(HEAP_DOMAIN, 64, 5, 300),
        ];
        let row = |up_to, blocks, bytes, owners: &str| SizeClass {
            up_to,
            blocks,
            bytes,
            owners: owners.to_owned(),
        };
        let expected =
            [row(32, 1, 20, "OpenSSL's"), row(64, 7, 400, "75.0 % malloc's, 25.0 % OpenSSL's")];
        assert_eq!(classes(&sizes), expected);
    }
}
