//! The tables of a recorder, put together.

use std::sync::atomic::{AtomicBool, Ordering};

use ledger::{Sampling, Statistic};
use ledger_writer::Ledger;

use crate::blocks::{Block, Blocks};
use crate::error::InstallError;
use crate::mappings::Mappings;
use crate::memory::Table;
use crate::options::Options;
use crate::segments::Segments;
use crate::sites::Sites;
use crate::stack::StackSource;
use crate::threads::Threads;
use crate::{deep, sampling, start, unwind};

/// The recorder of this process. It goes away only where
/// its process is let go: hooks may run until the very end.
#[repr(C)] // what each event needs comes first
pub(crate) struct Recorder {
    pub blocks: Blocks,
    pub ledger: Ledger,
    pub sites: Sites,
    pub segments: Segments,
    pub threads: Threads,
    pub stacks: StackSource,
    /// `None` where none are counted.
    pub mappings: Option<Mappings>,
    /// How blocks are chosen to be counted; `None` when every one is.
    pub sampling: Option<Sampling>,
    /// Set in a forked child that gets no ledger of its own: this one belongs to its parent.
    pub detached: AtomicBool,
    /// The recorder of the process that this one was forked from, as it was at that moment: its
    /// table knows the blocks that this process has from there. Nothing is counted in it any more.
    pub inherited: Option<&'static Recorder>,
}

impl Recorder {
    /// A recorder that counts in `ledger`. `inherited` is, in a forked child, its parent's.
    pub(crate) fn new(
        ledger: Ledger,
        options: &Options,
        inherited: Option<&'static Recorder>,
    ) -> Result<Box<Recorder>, InstallError> {
        let sampling = sampling::current();
        if let Some(sampling) = sampling {
            ledger.set_sampling(sampling);
        }
        ledger.set_peak_of(options.peak_of);
        if start::is_late() {
            ledger.set_late();
        }
        // The tool needs the map to name addresses, also after the process has gone. A process that
        // may not read its own map has what it was handed, or its parent's, or no names.
        match (std::fs::read("/proc/self/maps"), inherited) {
            (Ok(map), _) => ledger.store_modules(&map),
            (Err(_), Some(parent)) => ledger.store_modules(parent.ledger.modules()),
            (Err(_), None) => {}
        }
        let sites = ledger.capacities().sites;
        let threads = match inherited {
            Some(parent) => parent.threads.after_fork(),
            None => Threads::new(sites, options.stacks)
                .ok_or(InstallError::Exhausted("thread-specific key"))?,
        };
        let recorder = Box::new(Recorder {
            blocks: Blocks::with_capacity(options.blocks, options.first_level)
                .ok_or(InstallError::Exhausted("memory"))?,
            sites: Sites::new().ok_or(InstallError::Exhausted("memory"))?,
            segments: Segments::for_sites(sites).ok_or(InstallError::Exhausted("memory"))?,
            threads,
            stacks: options.stacks,
            mappings: Mappings::new(),
            sampling,
            detached: AtomicBool::new(false),
            inherited,
            ledger,
        });
        let tables = [recorder.blocks.first_level()].into_iter().chain(recorder.sites.tables());
        let tables = tables.chain(recorder.segments.tables()).chain(deep::tables());
        let tables = tables.chain(unwind::table());
        recorder.ledger.add_level(0, recorder.blocks.first_level().start);
        if let Some(table) = recorder.mappings.as_ref().and_then(Mappings::table) {
            recorder.ledger.set_mappings(table.start);
        }
        for table in tables.chain(recorder.mappings.as_ref().and_then(Mappings::table)) {
            recorder.ledger.add_table(table.start, table.bytes);
        }
        Ok(recorder)
    }

    /// Gives back all that it has of memory, but for itself.
    ///
    /// # Safety
    ///
    /// No thread uses it any more, nor will.
    pub(crate) unsafe fn unmap(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            self.threads.unmap();
            self.blocks.unmap();
            self.sites.unmap();
            self.segments.unmap();
            if let Some(mappings) = &self.mappings {
                mappings.unmap();
            }
            self.ledger.unmap();
        }
    }

    /// Whether this process was forked from the recorder's, and gets no ledger of its own.
    pub(crate) fn is_detached(&self) -> bool {
        self.detached.load(Ordering::Relaxed)
    }

    /// Says in the ledger that an OpenSSL does not call the recorder any more.
    pub(crate) fn report_replaced(&self) {
        self.ledger.set(Statistic::HookReplaced, 1);
    }

    /// Says in the ledger that the table of blocks has grown by a level.
    pub(crate) fn report_level(&self, number: usize, level: Table) {
        self.report_memory(level);
        self.ledger.add_level(number, level.start);
    }

    /// Says in the ledger that a private table has more memory.
    pub(crate) fn report_memory(&self, table: Table) {
        self.ledger.add_table(table.start, table.bytes);
    }

    #[cold]
    pub(crate) fn untracked(&self, bytes: u64) {
        self.ledger.add(Statistic::UntrackedBlocks, 1);
        self.ledger.add(Statistic::UntrackedBytes, bytes);
    }

    #[cold]
    pub(crate) fn spill_free(&self, block: Block) {
        self.ledger.spill_free(self.ledger.cells().cell(block.cell()).site(), block.bytes());
    }
}
