//! How large live blocks are: a histogram by powers of two.

use std::collections::BTreeMap;
use std::ops::Range;

use contract::Domain;

/// Live blocks by who asked for them and by how much was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockSizes(BTreeMap<(Domain, u64), Blocks>);

/// Blocks of one class of sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// How many.
    pub blocks: u64,
    /// Requested bytes in them.
    pub bytes: u64,
}

/// The sizes of a class: from half of it, less one byte, up to a power of two.
pub fn class_of(bytes: u64) -> u64 {
    bytes.checked_next_power_of_two().unwrap_or(u64::MAX)
}

impl BlockSizes {
    /// Counts a block that lies there.
    pub fn add(&mut self, domain: Domain, addresses: &Range<u64>) {
        let bytes = addresses.end.saturating_sub(addresses.start);
        let class = self.0.entry((domain, class_of(bytes))).or_default();
        class.blocks += 1;
        class.bytes = class.bytes.saturating_add(bytes);
    }

    /// Adds those of another process.
    pub fn add_all(&mut self, more: BlockSizes) {
        for (class, Blocks { blocks, bytes }) in more.0 {
            let all = self.0.entry(class).or_default();
            all.blocks = all.blocks.saturating_add(blocks);
            all.bytes = all.bytes.saturating_add(bytes);
        }
    }

    /// Each class in which there are blocks: whose they are, the largest size of the class, and the
    /// blocks; the small ones of each domain first.
    pub fn classes(&self) -> impl Iterator<Item = (Domain, u64, Blocks)> + '_ {
        self.0.iter().map(|((domain, up_to), blocks)| (*domain, *up_to, *blocks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_is_in_the_class_that_its_size_just_fits() {
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 4_096, 4_097].map(class_of),
            [1, 1, 2, 4, 4, 8, 4_096, 8_192]
        );
        assert_eq!(class_of(u64::MAX), u64::MAX);
        let mut sizes = BlockSizes::default();
        for bytes in [3, 4, 5, 0] {
            sizes.add(Domain::Heap, &(16..16 + bytes));
        }
        let mut others = BlockSizes::default();
        others.add(Domain::Heap, &(0..4));
        others.add(Domain::Openssl, &(0..4));
        sizes.add_all(others);
        let of = |blocks, bytes| Blocks { blocks, bytes };
        let expected = [
            (Domain::Openssl, 4, of(1, 4)),
            (Domain::Heap, 1, of(1, 0)),
            (Domain::Heap, 4, of(3, 11)),
            (Domain::Heap, 8, of(1, 5)),
        ];
        assert_eq!(sizes.classes().collect::<Vec<_>>(), expected);
    }
}
