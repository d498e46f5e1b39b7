//! What is written of a capture as JSON in its folder, and read again: typed both ways.

pub mod comparison;
pub mod counts;
pub mod recorder;
pub mod recording;
pub mod resident;
pub mod run;
pub mod scale;
pub mod what_if;

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::CaptureError;

/// Reads a record that is `what`, as "a run", of this version of its shape.
pub(crate) fn read_json<T: DeserializeOwned>(
    path: &Path,
    what: &'static str,
    schema: u32,
) -> Result<T, CaptureError> {
    let value = read_value(path)?;
    let found = value["schema"].as_u64();
    if found != Some(u64::from(schema)) {
        return Err(CaptureError::Schema {
            path: path.to_owned(),
            what,
            expected: schema,
            found: found.map_or("none".to_owned(), |found| found.to_string()),
        });
    }
    serde_json::from_value(value)
        .map_err(|source| CaptureError::Shape { path: path.to_owned(), source })
}

/// Reads a file of JSON, whatever it says.
pub(crate) fn read_value(path: &Path) -> Result<Value, CaptureError> {
    let text = std::fs::read_to_string(path).map_err(CaptureError::reading(path))?;
    serde_json::from_str(&text).map_err(|source| CaptureError::Json {
        path: path.to_owned(),
        what: "not JSON",
        source,
    })
}
