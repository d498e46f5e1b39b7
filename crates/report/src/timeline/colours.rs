//! Colours of what is no group of memory.

/// The colour of resident memory that is in no series.
pub(super) const REST_COLOUR: &str = "#ececec";

pub(super) const RSS_COLOUR: &str = "#333333";
pub(super) const CONNECTIONS_COLOUR: &str = "#7a3fb0";
