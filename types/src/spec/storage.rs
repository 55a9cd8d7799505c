//! What the plan says about data and where it lies.

use crate::place::Place;
use crate::spec::Limit;
use crate::storage::{Protection, StorageKind, Tier};
use crate::units::{Bytes, BytesPerSecond, Seconds, Tokens};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Preferences for the storage of a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StorageWish {
    /// Its name; empty where the plan says nothing and defaults hold.
    pub name: String,
    /// Where it is declared.
    pub place: Place,
    /// The site.
    pub site: String,
    /// What lies on it.
    #[serde(default)]
    pub tier: Tier,
    /// Row of the catalog that it is made of.
    pub system: Option<String>,
    /// What it is for.
    pub kind: Option<StorageKind>,
    /// How data survives the loss of a node.
    pub protection: Option<Protection>,
    /// Share of the usable capacity that may be filled.
    pub fill: Option<f64>,
    /// Capacity that it must have beside what is known to lie there.
    pub capacity: Option<Limit<Bytes>>,
    /// Rate at which it must be read.
    #[serde(rename = "read_bytes_per_s")]
    pub read: Option<Limit<BytesPerSecond>>,
    /// Rate at which it must be written.
    #[serde(rename = "write_bytes_per_s")]
    pub write: Option<Limit<BytesPerSecond>>,
    /// Small random reads that it must answer a second.
    #[serde(default, rename = "operations_per_s", skip_serializing_if = "Option::is_none")]
    pub operations: Option<Limit<f64>>,
    /// How long a training may stand still while it writes a checkpoint.
    #[serde(rename = "stall_s")]
    pub stall: Option<Limit<Seconds>>,
}

/// Data that must lie somewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub place: Place,
    /// The site.
    pub site: String,
    /// Where in the site it lies.
    #[serde(default)]
    pub tier: Tier,
    /// Its size on the first day.
    #[serde(rename = "size_bytes")]
    pub size: Bytes,
    /// Mean size of its files; unknown where so few are opened that it does not count.
    #[serde(default, rename = "file_bytes", skip_serializing_if = "Option::is_none")]
    pub file: Option<Limit<Bytes>>,
    /// Tokens that it holds, where the plan says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Growth of the size in a month.
    pub growth_per_month: f64,
    /// Rate at which it must be read.
    #[serde(rename = "read_bytes_per_s")]
    pub read: Option<Limit<BytesPerSecond>>,
    /// Rate at which it must be written.
    #[serde(rename = "write_bytes_per_s")]
    pub write: Option<Limit<BytesPerSecond>>,
}
