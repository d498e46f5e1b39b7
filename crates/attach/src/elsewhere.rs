//! Where nothing can be attached to: the other processors.

use std::os::fd::BorrowedFd;
use std::path::Path;

use contract::Scope;

use crate::{AttachError, Done};

/// Refuses.
pub fn attach(
    _pid: u32,
    _library: &[u8],
    _scope: Scope,
    _ledger: BorrowedFd,
    _folder: &Path,
) -> Result<Done, AttachError> {
    Err(AttachError::Processor)
}

/// Refuses.
pub fn detach(_pid: u32, _library: &[u8]) -> Result<Done, AttachError> {
    Err(AttachError::Processor)
}
