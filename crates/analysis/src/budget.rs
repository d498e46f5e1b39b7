//! A budget: what a program's TLS memory may be, and whether a capture keeps to it.
//!
//! ```toml
//! [baseline]
//! profile = "profiles/main"                 # a capture, named from the budget's folder
//!
//! [total]
//! bytes_per_connection = 57_000             # absolute, or against the baseline:
//! allocations_per_handshake = "baseline + 5 %"
//!
//! [resident]                                # of the whole process, in no file
//! bytes_per_connection = 300_000
//!
//! [domain.heap]                             # what others than OpenSSL ask malloc for
//! bytes_per_connection = 262_145
//!
//! [category."tls.record_buffers"]
//! bytes_per_connection = 0
//!
//! [site."ssl/ssl_lib.c:4234"]
//! blocks_per_connection = 0.1
//!
//! [function.SSL_CTX_new_ex]
//! blocks = 8
//!
//! [objects]
//! SSL_CTX = 0.1                             # for each connection
//!
//! [findings]
//! allow = ["record-buffers-kept"]           # every other finding is a breach
//! ```

mod error;
mod first;
mod limit;
mod others;
mod reader;
mod verdict;

pub use error::BudgetError;
pub use first::first_budget;
pub use limit::{Budget, Figure, Limit, Most, Scope};
pub use others::{Each, Extent, Others};
pub use verdict::{Cause, Measured, Review, Reviewed, Unmeasurable, Verdict, review};

impl Budget {
    /// Reads a budget from TOML text; `file` is what errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Budget, BudgetError> {
        reader::read(text, file)
    }
}
