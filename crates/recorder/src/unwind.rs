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
mod tables;

use ledger::StackEnd;

use crate::stack::{Bounds, Room, Stack};
use crate::unwind::rule::{Cfa, Rule};

/// What has to be known of a frame to find the next one.
#[derive(Clone, Copy, Debug)]
struct Registers {
    /// Where the frame goes on.
    address: usize,
    stack: usize,
    /// rbp. It need not hold a frame pointer.
    base: usize,
}

/// Gets ready. `false` when unwind tables cannot be used on this processor or C library.
pub(crate) fn prepare() -> bool {
    cfg!(target_arch = "x86_64") && tables::prepare() && cache::prepare()
}

/// Forgets every rule.
pub(crate) fn forget() {
    cache::forget();
}

/// Walks outwards from the function whose frame pointer is `frame` (this library's own code has
/// frame pointers), whose return address comes first.
pub(crate) fn walk(frame: usize, bounds: Bounds, room: &mut Room) -> Stack<'_> {
    let Some(mut at) = caller(frame, bounds) else {
        // SAFETY: no place needs to be written.
        return unsafe { Stack::of(room, 0, StackEnd::Lost) };
    };
    let mut depth = 0;
    // The instruction that a frame is at: the call before its return address, or, where a signal
    // interrupted it, the address itself.
    let mut instruction = at.address.wrapping_sub(1);
    let end = loop {
        let Some(place) = room.get_mut(depth) else { break StackEnd::Cut };
        place.write(at.address);
        depth += 1;
        let rule = cache::rule(instruction);
        let next = match rule {
            Rule::Root => break StackEnd::Root,
            Rule::Unknown => break StackEnd::Lost,
            Rule::Frame { cfa, saved_base } => at.outwards(cfa, saved_base, bounds),
            Rule::Aligned { cfa_at } => at.out_of_aligned(cfa_at, bounds),
            Rule::Signal => at.interrupted(bounds),
            Rule::NoTable => at.framed(bounds),
        };
        let Some(next) = next else { break StackEnd::Lost };
        // Programs and libraries in assembly mark their root so, where they have no table.
        if next.address == 0 {
            break StackEnd::Root;
        }
        at = next;
        instruction = match rule {
            Rule::Signal => at.address,
            _ => at.address.wrapping_sub(1),
        };
    };
    // SAFETY: the first `depth` places were written above.
    unsafe { Stack::of(room, depth, end) }
}

/// The registers of the function that called the one with this frame pointer.
fn caller(frame: usize, bounds: Bounds) -> Option<Registers> {
    Some(Registers {
        address: read(frame.wrapping_add(8), bounds)?,
        stack: frame.wrapping_add(16),
        base: read(frame, bounds)?,
    })
}

impl Registers {
    /// The caller's registers, by the rule of this frame.
    #[inline]
    fn outwards(self, cfa: Cfa, saved_base: Option<i32>, bounds: Bounds) -> Option<Registers> {
        let cfa = match cfa {
            Cfa::Stack(offset) => moved(self.stack, offset),
            Cfa::Base(offset) => moved(self.base, offset),
        };
        let base = match saved_base {
            Some(offset) => read(moved(cfa, offset), bounds)?,
            None => self.base,
        };
        self.called_from(cfa, base, bounds)
    }

    /// The caller's registers, through a frame pointer that nothing vouches for: code without
    /// tables may keep anything else in rbp. So where it leads must be known code, or further code
    /// without tables whose frame pointer leads further out still.
    #[cold]
    fn framed(self, bounds: Bounds) -> Option<Registers> {
        if self.base < self.stack {
            return None;
        }
        let next = self.outwards(Cfa::Base(16), Some(-16), bounds)?;
        let known =
            !matches!(cache::rule(next.address.wrapping_sub(1)), Rule::NoTable | Rule::Unknown);
        let chained = next.base > self.base && bounds.holds(next.base);
        (known || chained || next.address == 0).then_some(next)
    }

    fn out_of_aligned(self, cfa_at: i32, bounds: Bounds) -> Option<Registers> {
        let cfa = read(moved(self.base, cfa_at), bounds)?;
        self.called_from(cfa, read(self.base, bounds)?, bounds)
    }

    #[inline]
    fn called_from(self, cfa: usize, base: usize, bounds: Bounds) -> Option<Registers> {
        // Each frame lies further out than the one it called.
        if cfa <= self.stack {
            return None;
        }
        Some(Registers { address: read(cfa.wrapping_sub(8), bounds)?, stack: cfa, base })
    }

    /// The registers that a signal interrupted, as the kernel has put them on the stack: its
    /// `ucontext` lies where the handler's stack begins.
    fn interrupted(self, bounds: Bounds) -> Option<Registers> {
        const BASE: usize = 120;
        const STACK: usize = 160;
        const ADDRESS: usize = 168;
        let word = |offset: usize| read(self.stack.wrapping_add(offset), bounds);
        let registers =
            Registers { address: word(ADDRESS)?, stack: word(STACK)?, base: word(BASE)? };
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
