//! The call stack, read through unwind tables: for programs and an OpenSSL that were built
//! without frame pointers, as distributions build theirs.
//!
//! ```text
//! return address ─ cache of rules ─► rule ─► next frame
//!                └ new ─► tables (the loader's list of objects, .eh_frame_hdr, .eh_frame) ─► rule
//! ```
//!
//! Nothing here allocates or takes a lock. What is read beside the tables lies on the calling
//! thread's own stack, within its bounds and further out at each step, whatever the tables say.

mod cache;
mod rule;
mod section;
mod tables;

use ledger_writer::StackEnd;

use crate::bounds::Bounds;
use crate::memory::Table;
use crate::trace::Trace;
use crate::unwind::rule::{Cfa, Rule};

/// What has to be known of a frame to find the next one.
#[derive(Clone, Copy, Debug)]
struct Registers {
    /// Where the frame goes on.
    address: usize,
    stack: usize,
    /// rbp. It need not hold a frame pointer.
    base: usize,
    /// Where on the stack the function called had saved it, or a function called by that.
    base_place: usize,
}

/// Gets ready. `false` when unwind tables cannot be used on this processor or C library.
pub(crate) fn prepare() -> bool {
    cfg!(target_arch = "x86_64") && tables::prepare() && cache::prepare()
}

/// What is remembered of unwind tables, for the ledger to list.
pub(crate) fn table() -> Option<Table> {
    cache::table()
}

/// Forgets every rule.
pub(crate) fn forget() {
    cache::forget();
}

/// How often rules were forgotten: what was learnt through them may not hold any more.
#[inline]
pub(crate) fn generation() -> u64 {
    cache::generation()
}

/// Walks outwards from the function whose frame pointer is `frame` (this library's own code has
/// frame pointers), whose return address comes first.
pub(crate) fn walk(frame: usize, bounds: Bounds, trace: &mut Trace) {
    let Some(mut at) = caller(frame, bounds) else {
        trace.not_repeatable();
        trace.finish(StackEnd::Lost);
        return;
    };
    // The instruction that a frame is at: the call before its return address, or, where a signal
    // interrupted it, the address itself.
    let mut instruction = at.address.wrapping_sub(1);
    let end = loop {
        if !trace.push(at.address, at.stack.wrapping_sub(8)) {
            trace.not_repeatable();
            break StackEnd::Cut;
        }
        let rule = cache::rule(instruction);
        let next = match rule {
            Rule::Root => break StackEnd::Root,
            Rule::Unknown => break StackEnd::Lost,
            Rule::Frame { cfa, saved_base } => at.outwards(cfa, saved_base, bounds, trace),
            Rule::Aligned { cfa_at } => at.out_of_aligned(cfa_at, bounds, trace),
            Rule::NoTable => at.framed(bounds, trace),
            Rule::Signal => {
                // It goes on from registers that the kernel has stored in a way of its own.
                trace.not_repeatable();
                at.interrupted(bounds)
            }
        };
        let Some(next) = next else {
            // Something else than words of the stack said so: its bounds.
            trace.not_repeatable();
            break StackEnd::Lost;
        };
        // Programs and libraries in assembly mark their root so, where they have no table.
        if next.address == 0 {
            trace.zero_at(next.stack.wrapping_sub(8));
            break StackEnd::Root;
        }
        at = next;
        instruction = match rule {
            Rule::Signal => at.address,
            _ => at.address.wrapping_sub(1),
        };
    };
    trace.finish(end);
}

/// The registers of the function that called the one with this frame pointer.
fn caller(frame: usize, bounds: Bounds) -> Option<Registers> {
    Some(Registers {
        address: read(frame.wrapping_add(8), bounds)?,
        stack: frame.wrapping_add(16),
        base: read(frame, bounds)?,
        base_place: frame,
    })
}

impl Registers {
    /// The caller's registers, by the rule of this frame.
    fn outwards(
        self,
        cfa: Cfa,
        saved_base: Option<i32>,
        bounds: Bounds,
        trace: &mut Trace,
    ) -> Option<Registers> {
        let cfa = match cfa {
            Cfa::Stack(offset) => moved(self.stack, offset),
            Cfa::Base(offset) => {
                trace.link(self.base_place, self.base);
                moved(self.base, offset)
            }
        };
        match saved_base {
            Some(offset) => self.called_from(cfa, moved(cfa, offset), bounds),
            None => Registers { address: 0, stack: cfa, ..self }.with_address(self, bounds),
        }
    }

    /// The caller's registers, through a frame pointer that nothing vouches for: code without
    /// tables may keep anything else in rbp. So where it leads must be known code, or further code
    /// without tables whose frame pointer leads further out still.
    #[cold]
    fn framed(self, bounds: Bounds, trace: &mut Trace) -> Option<Registers> {
        if self.base < self.stack {
            return None;
        }
        let next = self.outwards(Cfa::Base(16), Some(-16), bounds, trace)?;
        let known =
            !matches!(cache::rule(next.address.wrapping_sub(1)), Rule::NoTable | Rule::Unknown);
        if known || next.address == 0 {
            return Some(next);
        }
        let chained = next.base > self.base && bounds.holds(next.base);
        chained.then(|| {
            trace.link(next.base_place, next.base);
            next
        })
    }

    fn out_of_aligned(self, cfa_at: i32, bounds: Bounds, trace: &mut Trace) -> Option<Registers> {
        trace.link(self.base_place, self.base);
        let place = moved(self.base, cfa_at);
        let cfa = read(place, bounds)?;
        trace.link(place, cfa);
        self.called_from(cfa, self.base, bounds)
    }

    /// The registers of the caller, which has saved its rbp at `base_place`.
    fn called_from(self, cfa: usize, base_place: usize, bounds: Bounds) -> Option<Registers> {
        let base = read(base_place, bounds)?;
        Registers { address: 0, stack: cfa, base, base_place }.with_address(self, bounds)
    }

    /// These registers with the return address that lies below their stack pointer.
    fn with_address(self, called: Registers, bounds: Bounds) -> Option<Registers> {
        // Each frame lies further out than the one it called.
        if self.stack <= called.stack {
            return None;
        }
        Some(Registers { address: read(self.stack.wrapping_sub(8), bounds)?, ..self })
    }

    /// The registers that a signal interrupted, as the kernel has put them on the stack: its
    /// `ucontext` lies where the handler's stack begins.
    fn interrupted(self, bounds: Bounds) -> Option<Registers> {
        const BASE: usize = 120;
        const STACK: usize = 160;
        const ADDRESS: usize = 168;
        let word = |offset: usize| read(self.stack.wrapping_add(offset), bounds);
        let registers = Registers {
            address: word(ADDRESS)?,
            stack: word(STACK)?,
            base: word(BASE)?,
            base_place: self.stack.wrapping_add(BASE),
        };
        (registers.stack > self.stack).then_some(registers)
    }
}

#[inline]
fn moved(address: usize, offset: i32) -> usize {
    address.wrapping_add_signed(offset as isize)
}

/// A word of the calling thread's stack.
#[inline]
fn read(address: usize, bounds: Bounds) -> Option<usize> {
    if !bounds.holds(address) {
        return None;
    }
    // SAFETY: aligned and within the calling thread's stack, as `holds` says; that is mapped from
    // the current stack pointer outwards, and each step leads further out.
    Some(unsafe { (address as *const usize).read() })
}
