//! Whose fault a failure is: what exit codes are made of.

/// Whose fault a failure is. Every engine's error says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The user can put it right: wrong use, bad input, a folder that cannot be written to.
    User,
    /// The profiled program, or the load on it, failed.
    Program,
    /// Nobody's: somebody pressed Ctrl-C.
    Interrupted,
}
