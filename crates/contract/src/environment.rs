//! Environment variables that the tool sets for a program, and that the preloaded library reads
//! when the program starts.

/// What the dynamic loader is to load first: the library.
pub const PRELOAD: &str = "LD_PRELOAD";

/// The folder for ledgers, an absolute path. Without it nothing is recorded.
pub const LEDGER_FOLDER: &str = "TLSHEAP_LEDGER_DIR";

/// The id of the process whose child is the program to be recorded: that child reports what was
/// found in it even when it never allocates.
pub const MAIN_PARENT: &str = "TLSHEAP_MAIN_PARENT";

/// What is recorded, as [`Scope::word`](crate::Scope::word). Without it, or with a word that is not
/// known, it is what OpenSSL asks for.
pub const SCOPE: &str = "TLSHEAP_SCOPE";

/// Set to 1, Python's objects are recorded one by one, where more is recorded than OpenSSL's memory.
pub const PYTHON: &str = "TLSHEAP_PYTHON";

/// How many bytes lie between samples on average, in decimal digits. Without it every block is
/// counted.
pub const SAMPLE: &str = "TLSHEAP_SAMPLE";

/// A number that chance begins with, in decimal digits, to have the same samples again.
pub const SAMPLE_SEED: &str = "TLSHEAP_SAMPLE_SEED";

/// [Names](crate::Fix::name) of the fixes to apply, with commas between. Without it the program's
/// settings are left alone.
pub const FIXES: &str = "TLSHEAP_FIXES";
