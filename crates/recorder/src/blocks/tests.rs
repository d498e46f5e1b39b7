use std::cell::Cell;
use std::collections::HashMap;

use super::*;

fn block(cell: u32, bytes: u64) -> Block {
    Block::new(cell, bytes).expect("a size that fits")
}

fn insert(blocks: &Blocks, pointer: usize, block: Block) -> Inserted {
    blocks.insert(blocks.home(pointer), pointer, block, |_, _| {})
}

#[test]
fn what_goes_in_comes_out_once() {
    let blocks = Blocks::with_capacity(1_000, FirstLevel::Small).expect("a megabyte");
    assert_eq!(insert(&blocks, 0x1000, block(7, 33)), Inserted::New);
    assert_eq!(blocks.look_at(0x1000), Some(block(7, 33)));
    assert_eq!(blocks.look_at(0x2000), None);
    assert_eq!(blocks.remove(0x1000), Some(block(7, 33)));
    assert_eq!(blocks.remove(0x1000), None);
}

#[test]
fn the_largest_cell_and_size_survive_packing() {
    let blocks = Blocks::with_capacity(1, FirstLevel::Small).expect("a megabyte");
    let largest = block(ledger::Capacities::MOST_CELLS, (1 << SIZE_BITS) - 1);
    insert(&blocks, 0x20, largest);
    assert_eq!(blocks.remove(0x20), Some(largest));
    assert_eq!(Block::new(1, 1 << SIZE_BITS), None);
}

#[test]
fn an_address_that_is_live_already_gives_up_its_old_block() {
    let blocks = Blocks::with_capacity(1, FirstLevel::Small).expect("a megabyte");
    insert(&blocks, 0x40, block(1, 10));
    assert_eq!(insert(&blocks, 0x40, block(2, 20)), Inserted::Replaced(block(1, 10)));
    assert_eq!(blocks.remove(0x40), Some(block(2, 20)));
    assert_eq!(blocks.remove(0x40), None);
}

#[test]
fn it_grows_to_its_capacity_and_finds_every_block() {
    let capacity = 300_000;
    let blocks = Blocks::with_capacity(capacity, FirstLevel::Small).expect("a megabyte");
    for i in 1..=capacity as usize {
        assert_eq!(insert(&blocks, i * 48, block(i as u32 % 99, i as u64)), Inserted::New);
    }
    let mut sum = (0, 0);
    blocks.for_each_size(|bytes| sum = (sum.0 + 1, sum.1 + bytes));
    assert_eq!(sum, (capacity, capacity * (capacity + 1) / 2));
    for i in 1..=capacity as usize {
        assert_eq!(blocks.remove(i * 48), Some(block(i as u32 % 99, i as u64)));
    }
}

/// Numbers that look like chance, the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % end
    }

    /// A size such as a TLS server asks for: mostly small, some buffers.
    fn size(&mut self) -> usize {
        match self.below(100) {
            0..40 => 16 + self.below(48),
            40..75 => 64 + self.below(192),
            75..95 => 256 + self.below(1024),
            95..99 => 1_280 + self.below(4_096),
            _ => 16_384 + self.below(1_024),
        }
    }
}

/// Addresses as heaps give them, without end.
type Layout = fn() -> Box<dyn Iterator<Item = usize>>;

/// The C library's malloc: one block after the other.
fn one_heap() -> Box<dyn Iterator<Item = usize>> {
    let (mut chance, mut next) = (Chance(1), 0x5555_5560_0010);
    Box::new(std::iter::from_fn(move || {
        let pointer = next;
        next += (chance.size() + 8).next_multiple_of(16).max(32);
        Some(pointer)
    }))
}

/// Addresses in arenas of 64 MiB that threads begin to fill at the same time.
fn arenas(count: usize) -> Box<dyn Iterator<Item = usize>> {
    let mut chance = Chance(1);
    let mut ends: Vec<usize> = (0..count).map(|arena| 0x7f00_0000_08a0 + (arena << 26)).collect();
    Box::new(std::iter::from_fn(move || {
        let arena = chance.below(count);
        let pointer = ends[arena];
        ends[arena] += (chance.size() + 8).next_multiple_of(16).max(32);
        Some(pointer)
    }))
}

/// jemalloc: slabs for each of its sizes.
fn slabs() -> Box<dyn Iterator<Item = usize>> {
    let mut chance = Chance(1);
    let class = |size: usize| match size {
        0..=128 => size.next_multiple_of(16),
        _ => size.next_multiple_of((size - 1).next_power_of_two() / 8),
    };
    let (mut fresh, mut slabs) = (0x7fff_f000_0000_usize, HashMap::<usize, (usize, usize)>::new());
    Box::new(std::iter::from_fn(move || {
        let size = class(chance.size());
        let (next, end) = slabs.entry(size).or_default();
        if *next + size > *end {
            // A slab is a whole number of blocks and of pages; large ones have their own pages.
            let pages =
                (1..8).find(|pages| pages * 4096 % size == 0).unwrap_or(size.div_ceil(4096));
            (*next, *end) = (fresh, fresh + pages * 4096);
            fresh += pages * 4096;
        }
        let pointer = *next;
        *next += size;
        Some(pointer)
    }))
}

/// Blocks of one size, one after the other.
fn one_size(size: usize) -> Box<dyn Iterator<Item = usize>> {
    Box::new((0..).map(move |number| 0x7f12_3400_0000 + number * size))
}

#[test]
fn a_live_block_costs_no_more_than_48_bytes_wherever_heaps_put_them() {
    let layouts: [(&str, Layout); 9] = [
        ("one heap", one_heap),
        ("32 arenas", || arenas(32)),
        ("128 arenas", || arenas(128)),
        ("slabs", slabs),
        ("32 bytes each", || one_size(32)),
        ("48 bytes each", || one_size(48)),
        ("256 bytes each", || one_size(256)),
        ("1,024 bytes each", || one_size(1_024)),
        ("1,280 bytes each", || one_size(1_280)),
    ];
    for (name, layout) in layouts {
        let blocks = Blocks::with_capacity(100_000_000, FirstLevel::Small).expect("a megabyte");
        let bytes = Cell::new(blocks.first_level().bytes);
        let mut worst = 0;
        for (number, pointer) in layout().take(1_000_000).enumerate() {
            let home = blocks.home(pointer);
            let before = bytes.get();
            let grown = |_, table: Table| bytes.set(bytes.get() + table.bytes);
            let entered = blocks.insert(home, pointer, block(1, 1), grown);
            assert_eq!(entered, Inserted::New, "{name}: {pointer:#x}");
            if bytes.get() > before {
                let each = bytes.get() / number;
                worst = worst.max(each);
                println!("{name}: {each} bytes each with {number} blocks");
            }
        }
        assert!(worst <= 48, "{name}: {worst} bytes for each block");
        assert!(layout().take(1_000_000).all(|pointer| blocks.remove(pointer).is_some()), "{name}");
        give_back(&blocks);
    }
}

/// A table of millions of blocks is not left behind by a test.
fn give_back(blocks: &Blocks) {
    for number in 0..blocks.built.load(Ordering::Relaxed) {
        // SAFETY: the test's own, which uses it no more.
        unsafe { blocks.level(number).unmap() };
    }
}

#[test]
fn levels_that_were_emptied_are_filled_again_before_there_are_more() {
    let blocks = Blocks::with_capacity(100_000_000, FirstLevel::Small).expect("a megabyte");
    // As many are live at each moment, but none for long.
    let live = 300_000;
    let (mut added, mut oldest) = (0, one_heap());
    for (number, pointer) in one_heap().take(20 * live).enumerate() {
        let home = blocks.home(pointer);
        assert_eq!(blocks.insert(home, pointer, block(1, 1), |_, _| ()), Inserted::New);
        if number < 2 * live {
            added = blocks.built.load(Ordering::Relaxed);
        }
        if number >= live {
            assert!(oldest.next().is_some_and(|oldest| blocks.remove(oldest).is_some()));
        }
    }
    let built = blocks.built.load(Ordering::Relaxed);
    assert!(built <= added + 1, "{added} levels held them, and then there were {built}");
}

#[test]
fn beyond_its_capacity_it_says_full() {
    let blocks = Blocks::with_capacity(1, FirstLevel::Small).expect("a megabyte");
    let full = (1..200_000).any(|i| insert(&blocks, i * 16, block(1, 1)) == Inserted::Full);
    assert!(full, "one level of 65,536 slots took 200,000 blocks");
}
