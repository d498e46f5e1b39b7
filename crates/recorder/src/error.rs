//! Why there is no recorder.

use ledger_writer::CreateError;

/// The recorder cannot be installed. The program can go on without it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// There is a recorder in this process.
    #[error("a recorder is installed in this process already")]
    AlreadyInstalled,
    /// OpenSSL takes no functions after its first allocation.
    #[error(
        "OpenSSL refused the recorder's functions because it has allocated memory already: \
         install the recorder before the first call into OpenSSL"
    )]
    Refused,
    /// There are more OpenSSLs in the process than can be told apart.
    #[error("the recorder can tell {0} OpenSSLs in one process apart, and this is a further one")]
    TooMany(usize),
    /// The ledger's file cannot be made.
    #[error(transparent)]
    Ledger(#[from] CreateError),
    /// Stacks cannot be read in the way that was asked for.
    #[error(
        "this processor or C library gives no unwind tables to read stacks through: \
         take StackSource::best() instead"
    )]
    NoUnwindTables,
    /// [`install()`](crate::install()) comes first.
    #[error("no recorder is installed in this process")]
    NotInstalled,
    /// The kernel or the C library gave no memory, key or handler.
    #[error("no {0} left for the recorder in this process")]
    Exhausted(&'static str),
}
