//! Names of the labels that samples carry in pprof files.

/// The domain that asked for the bytes: the [word](crate::Domain::word) of a
/// [`Domain`](crate::Domain).
pub const DOMAIN: &str = "domain";

/// The OpenSSL of the process that asked, by its file and version; where there are several.
pub const OPENSSL: &str = "openssl";

/// The recorded process: its id, a blank, and the name of its program.
pub const PROCESS: &str = "process";

/// What the memory is for, such as `tls.record_buffers`.
pub const CATEGORY: &str = "category";
