//! What keeps data at a site: nodes and drives, counted.

use crate::storage::{Protection, Tier};
use crate::units::{Bytes, BytesPerSecond, Watts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a number of storage nodes follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreLimit {
    /// The bytes that lie there.
    Capacity,
    /// The rate at which they are read.
    Read,
    /// The rate at which they are written.
    Write,
    /// Parts of one object lie on different nodes.
    Protection,
    /// Small random reads.
    Operations,
    /// Files that are opened.
    Files,
}

impl StoreLimit {
    /// Returns the word shown to people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::Read => "reading",
            Self::Write => "writing",
            Self::Protection => "protection",
            Self::Operations => "random reading",
            Self::Files => "opening files",
        }
    }
}

/// One thing that lies there, on the last day of the horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stored {
    /// What it is.
    pub what: String,
    /// How much, copies and parity not counted.
    pub bytes: Bytes,
}

/// Something that nodes do so many times a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoreRate {
    /// What all nodes do a second; unknown where nobody knows it of one.
    pub all_per_s: Option<f64>,
    /// What is needed a second.
    pub needed_per_s: f64,
}

/// The storage of one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Store {
    /// The site.
    pub site: String,
    /// What lies on it.
    #[serde(default)]
    pub tier: Tier,
    /// Row of the catalog that it is made of.
    pub system: String,
    /// How data survives the loss of a node.
    pub protection: Protection,
    /// Share of the usable capacity that may be filled.
    pub fill: f64,
    /// Nodes.
    pub nodes: u32,
    /// Drives of all nodes.
    pub drives: u32,
    /// Capacity of all drives.
    #[serde(rename = "raw_bytes")]
    pub raw: Bytes,
    /// What may be kept there: after copies or parity, free nodes and the limit on filling.
    #[serde(rename = "usable_bytes")]
    pub usable: Bytes,
    /// What lies there.
    pub stored: Vec<Stored>,
    /// Rate that all nodes are read at.
    #[serde(rename = "read_bytes_per_s")]
    pub read: BytesPerSecond,
    /// Rate that is needed.
    #[serde(rename = "needed_read_bytes_per_s")]
    pub needed_read: BytesPerSecond,
    /// Rate that clients write at.
    #[serde(rename = "write_bytes_per_s")]
    pub write: BytesPerSecond,
    /// Rate that is needed.
    #[serde(rename = "needed_write_bytes_per_s")]
    pub needed_write: BytesPerSecond,
    /// Small random reads of all nodes, where they are asked for; unknown where those of one node are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<StoreRate>,
    /// Files that all nodes open, where they are small enough to count; unknown where those of one node are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens: Option<StoreRate>,
    /// What the number of nodes follows from.
    pub binds: StoreLimit,
    /// Highest power of all nodes; unknown where that of one is.
    #[serde(rename = "power_w")]
    pub power: Option<Watts>,
    /// Height of all nodes in rack units; unknown where that of one is.
    pub height_u: Option<f64>,
}

impl Store {
    /// Returns what lies there in all.
    pub fn kept(&self) -> Bytes {
        Bytes(self.stored.iter().map(|one| one.bytes.get()).sum())
    }
}
