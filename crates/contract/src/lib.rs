//! The words that the tool and the code inside a profiled process must agree on: names of
//! environment variables, of fixes, of ways into an OpenSSL, of other TLS libraries, of pprof
//! labels and their values.
//!
//! The two sides are different programs that may be built at different times, and meet in an
//! environment, a ledger and two small text files. A word that one of them writes and the other
//! reads stands here once, and nowhere else. The crate depends on nothing, and does nothing.
//!
//! ```
//! use contract::{Domain, Fix, Outcome, labels};
//!
//! assert_eq!(Fix::from_name("no-tickets"), Some(Fix::NoTickets));
//! assert_eq!(Outcome::from_word("late").map(Outcome::is_recorded), Some(true));
//! assert_eq!((labels::DOMAIN, Domain::Openssl.word()), ("domain", "openssl"));
//! ```

#![forbid(unsafe_code)]

pub mod attach;
pub mod environment;
pub mod labels;

mod coverage;
mod fix;
mod fix_line;
mod scope;
mod source;
mod tls_library;

pub use coverage::{NO_HEAP, NO_LEDGER, Outcome, Way};
pub use fix::Fix;
pub use fix_line::FixLine;
pub use scope::{PeakOf, Scope};
pub use source::{Domain, Source};
pub use tls_library::TlsLibrary;
