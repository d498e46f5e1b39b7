//! What commands print as JSON: stable field names, documented in docs/json.md.

pub mod diagnosis;
pub mod interval;
pub mod objects;
pub mod review;
pub mod top;
pub mod watch;
