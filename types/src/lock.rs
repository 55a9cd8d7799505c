//! What a lock file holds: the catalogs and prices that the plans of a folder stand on, by digest and date.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format that this version writes.
pub const LOCK_FORMAT: u32 = 1;

/// One file that is pinned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Pin {
    /// What it is: `catalog`, `prices` or `model`.
    pub role: String,
    /// Path from the folder of the lock, or `built-in`.
    pub path: String,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
    /// Date of the newest price in it; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub newest_price: Option<Date>,
}

/// Everything that is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lock {
    /// Format of this document.
    pub format: u32,
    /// In order of role and path.
    pub pins: Vec<Pin>,
}
