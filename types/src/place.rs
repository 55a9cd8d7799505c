//! Where something stands in a text: file and byte range.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A range of bytes in a file; lines and columns are found by whoever shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Path as the user gave it.
    pub file: String,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}
