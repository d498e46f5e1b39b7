use super::*;

fn block(cell: u32, bytes: u64) -> Block {
    Block::new(cell, bytes).expect("a size that fits")
}

fn insert(blocks: &Blocks, pointer: usize, block: Block) -> Inserted {
    blocks.insert(blocks.home(pointer), pointer, block, |_| {})
}

#[test]
fn what_goes_in_comes_out_once() {
    let blocks = Blocks::with_capacity(1_000).expect("a megabyte");
    assert_eq!(insert(&blocks, 0x1000, block(7, 33)), Inserted::New);
    assert_eq!(blocks.remove(0x1000), Some(block(7, 33)));
    assert_eq!(blocks.remove(0x1000), None);
}

#[test]
fn the_largest_cell_and_size_survive_packing() {
    let blocks = Blocks::with_capacity(1).expect("a megabyte");
    let largest = block(ledger::Capacities::MOST_CELLS, (1 << SIZE_BITS) - 1);
    insert(&blocks, 0x20, largest);
    assert_eq!(blocks.remove(0x20), Some(largest));
    assert_eq!(Block::new(1, 1 << SIZE_BITS), None);
}

#[test]
fn an_address_that_is_live_already_gives_up_its_old_block() {
    let blocks = Blocks::with_capacity(1).expect("a megabyte");
    insert(&blocks, 0x40, block(1, 10));
    assert_eq!(insert(&blocks, 0x40, block(2, 20)), Inserted::Replaced(block(1, 10)));
    assert_eq!(blocks.remove(0x40), Some(block(2, 20)));
    assert_eq!(blocks.remove(0x40), None);
}

#[test]
fn it_grows_to_its_capacity_and_finds_every_block() {
    let capacity = 300_000;
    let blocks = Blocks::with_capacity(capacity).expect("a megabyte");
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

#[test]
fn a_level_fills_to_more_than_half_before_the_next_is_added() {
    let blocks = Blocks::with_capacity(1_000_000).expect("some megabytes");
    let (mut pointer, mut random, mut entered) = (0x5555_5560_0000_usize, 1_u64, 0);
    while blocks.built.load(Ordering::Relaxed) == 1 {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        // Like a heap of small blocks with larger ones between them.
        let size = if random >> 60 == 0 { 16_384 } else { 32 + (random >> 33) as usize % 640 };
        pointer += size.next_multiple_of(16);
        assert_eq!(insert(&blocks, pointer, block(1, 1)), Inserted::New);
        entered += 1;
    }
    let slots = slots(0);
    assert!(entered * 2 > slots, "{entered} blocks in {slots} slots");
}

#[test]
fn beyond_its_capacity_it_says_full() {
    let blocks = Blocks::with_capacity(1).expect("a megabyte");
    let full = (1..200_000).any(|i| insert(&blocks, i * 16, block(1, 1)) == Inserted::Full);
    assert!(full, "one level of 65,536 slots took 200,000 blocks");
}
