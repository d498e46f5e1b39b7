//! pprof's protobuf, our native format: gzip around one message.
//!
//! What is read is checked throughout: every index, every id, the number of values. What is
//! written satisfies the strictest consumers known: ids run from 1 without gaps, the first string
//! is empty, every label has a key, and nothing is in the tables that no sample uses. The same
//! profile always gives the same bytes.
//!
//! Lost in writing: labels whose key or text is empty, which the format cannot express.

mod fields;
mod ids;
mod proto;
mod reader;
mod source;
mod unpack;
mod writer;

pub use self::reader::read;
pub(crate) use self::reader::read_unpacked;
pub(crate) use self::unpack::is_gzip;
pub use self::unpack::{MAX_UNPACKED_BYTES, unpack};
pub use self::writer::write;

#[cfg(test)]
mod tests;
