//! The figures that a recorder keeps of itself, by their places in the header.

use crate::layout::STATISTICS;

/// A figure that the recorder keeps of itself. The discriminants are part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Statistic {
    /// Blocks that could not be tracked.
    UntrackedBlocks = 0,
    /// Bytes in them.
    UntrackedBytes = 1,
    /// Frees and reallocs of blocks never seen allocated.
    ForeignFrees = 2,
    /// Allocations at an address still held as live.
    StaleBlocks = 3,
    /// Calls of the hook from within the hook.
    NestedCalls = 4,
    /// Sites whose stack is cut.
    TruncatedStacks = 5,
    /// Bytes mapped for private tables.
    PrivateBytes = 6,
    /// 1 once somebody else's functions were found in OpenSSL in place of the recorder's.
    HookReplaced = 7,
    /// Blocks without a site that were freed by threads for which no cell was left.
    SpilledDroppedBlocks = 8,
    /// Bytes in them.
    SpilledDroppedBytes = 9,
    /// Blocks that the process had from its parent when this ledger began.
    InheritedBlocks = 10,
    /// Bytes in them.
    InheritedBytes = 11,
    /// Inherited blocks that this process has freed.
    InheritedFreedBlocks = 12,
    /// Bytes in them.
    InheritedFreedBytes = 13,
    /// Sites whose stack ends where the unwind tables could not be followed.
    BrokenStacks = 14,
    /// 1 once the process has put up a system-call filter.
    Sandboxed = 15,
    /// Processes that were forked from this one, or from those, and could not get a ledger.
    UnrecordedChildren = 16,
    /// Events that the peak could not be told of, because other threads' came between each time.
    UnsettledEvents = 17,
    /// Blocks of the malloc family that were freed or moved without having been seen allocated:
    /// they are from before the recorder came.
    EarlierBlocks = 18,
}

const _: () = assert!((Statistic::EarlierBlocks as usize) < STATISTICS);
