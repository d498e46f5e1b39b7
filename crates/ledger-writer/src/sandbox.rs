//! What has to happen before a process shuts itself in with a system-call filter.

use ledger::Statistic;

use crate::{Ledger, fences, permit};

/// Before a filter comes up around the process, which counts in `ledger` if in any: makes the
/// system calls that will be needed, and no [`Permit`](crate::Permit) is given from then on. The
/// ledger has room for some further sites; what does not fit there is counted as dropped.
pub fn prepare_for_sandbox(ledger: Option<&Ledger>) {
    if let Some(ledger) = ledger {
        ledger.make_room();
        ledger.set(Statistic::Sandboxed, 1);
    }
    // First: who is refused a permit knows that owners make their own fences.
    fences::leave_to_owners();
    permit::refuse();
}

/// The filter did not come up: the kernel has refused it.
pub fn give_up_sandbox(ledger: Option<&Ledger>) {
    if let Some(ledger) = ledger {
        ledger.set(Statistic::Sandboxed, 0);
    }
    permit::grant();
}
