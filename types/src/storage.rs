//! Systems that keep data: what one of their nodes holds, reads and writes.

use crate::money::Currency;
use crate::origin::Provenance;
use crate::units::{Bytes, BytesPerSecond, Seconds, Watts};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How data survives the loss of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Protection {
    /// Whole copies on different nodes.
    Copies {
        /// How many, the first included.
        copies: u32,
    },
    /// Erasure coding over different nodes.
    Erasure {
        /// Parts that data is cut into.
        data: u32,
        /// Parts computed from them.
        parity: u32,
    },
}

impl Protection {
    /// Returns the bytes written for one byte kept.
    pub fn overhead(self) -> f64 {
        match self {
            Self::Copies { copies } => f64::from(copies),
            Self::Erasure { data, parity } => f64::from(data + parity) / f64::from(data),
        }
    }

    /// Returns the fewest nodes that every part can lie on a node of its own.
    pub fn fewest_nodes(self) -> u32 {
        match self {
            Self::Copies { copies } => copies,
            Self::Erasure { data, parity } => data + parity,
        }
    }

    /// Returns the words shown to people: `3 copies`, `8 + 3`.
    pub fn words(self) -> String {
        match self {
            Self::Copies { copies: 1 } => "1 copy".to_owned(),
            Self::Copies { copies } => format!("{copies} copies"),
            Self::Erasure { data, parity } => format!("{data} + {parity}"),
        }
    }
}

/// What a system is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StorageKind {
    /// A file system that many machines read in parallel.
    ParallelFileSystem,
    /// Objects by name.
    Object,
    /// Blocks, files and objects over one pool of drives.
    Unified,
}

impl StorageKind {
    /// The words of the language, in the order of the variants.
    pub const WORDS: [&'static str; 3] = ["parallel_file_system", "object", "unified"];

    /// Every kind.
    pub const ALL: [Self; 3] = [Self::ParallelFileSystem, Self::Object, Self::Unified];

    /// Returns the word of the language.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Returns the kind of a word of the language.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// How near data lies to the machines that read it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// What work reads and writes.
    #[default]
    Fast,
    /// What is kept and seldom read.
    Bulk,
}

impl Tier {
    /// The words of the language, in the order of the variants.
    pub const WORDS: [&'static str; 2] = ["fast", "bulk"];

    /// Every tier.
    pub const ALL: [Self; 2] = [Self::Fast, Self::Bulk];

    /// Returns the word of the language.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Returns the tier of a word of the language.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.word() == word)
    }
}

/// A storage system of the catalog, by one of its nodes. What is not known is absent, never zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StorageSystem {
    /// Catalog name, such as `ceph_nvme`.
    pub id: String,
    /// The names people know.
    pub names: Vec<String>,
    /// What it is for.
    pub kind: StorageKind,
    /// Drives of one node.
    pub drives: u32,
    /// Capacity of one drive.
    #[serde(rename = "drive_bytes")]
    pub drive: Bytes,
    /// Network of one node, per direction.
    #[serde(rename = "network_bytes_per_s")]
    pub network: BytesPerSecond,
    /// Rate at which one node is read, at most that of its network.
    #[serde(rename = "read_bytes_per_s")]
    pub read: Option<BytesPerSecond>,
    /// Rate at which clients write to one node, copies and parity not counted.
    #[serde(rename = "write_bytes_per_s")]
    pub write: Option<BytesPerSecond>,
    /// Small random reads that one node answers a second.
    #[serde(default, rename = "operations_per_s", skip_serializing_if = "Option::is_none")]
    pub operations: Option<f64>,
    /// Files, or objects, that one node finds and opens a second.
    #[serde(default, rename = "opens_per_s", skip_serializing_if = "Option::is_none")]
    pub opens: Option<f64>,
    /// How long one reader waits for a file to be opened.
    #[serde(default, rename = "open_s", skip_serializing_if = "Option::is_none")]
    pub open: Option<Seconds>,
    /// How it protects data unless the plan says otherwise.
    pub protection: Protection,
    /// Do copies and parts lie inside one node, as in an appliance, rather than on different ones?
    pub inside: bool,
    /// Fewest nodes that it runs on, where that is neither one nor one for each part.
    pub least_nodes: Option<u32>,
    /// Share of the usable capacity that may be filled.
    pub fill: f64,
    /// Nodes whose capacity stays free, so that what a lost node held can be made again.
    pub free_nodes: u32,
    /// Highest power of one node.
    #[serde(rename = "power_w")]
    pub power: Option<Watts>,
    /// Height of one node in rack units.
    pub height_u: Option<f64>,
    /// Purchase price of one node with its drives.
    #[schemars(with = "Option<f64>")]
    pub price: Option<Decimal>,
    /// Currency of the price.
    pub currency: Currency,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl StorageSystem {
    /// Returns the fewest nodes that it runs on: what it says, otherwise one for each part unless all lie inside one.
    pub fn fewest_nodes(&self, protection: Protection) -> u32 {
        let apart = if self.inside { 1 } else { protection.fewest_nodes() };
        self.least_nodes.unwrap_or(apart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_parts_cost_what_they_write() {
        let parts = Protection::Erasure { data: 8, parity: 3 };
        assert_eq!((parts.overhead(), parts.fewest_nodes()), (1.375, 11));
        let copies = Protection::Copies { copies: 3 };
        assert_eq!(
            (copies.overhead(), copies.fewest_nodes(), copies.words()),
            (3.0, 3, "3 copies".to_owned())
        );
    }

    #[test]
    fn every_word_finds_its_kind() {
        for kind in StorageKind::ALL {
            assert_eq!(StorageKind::of_word(kind.word()), Some(kind));
        }
        assert_eq!(StorageKind::of_word("tape"), None);
        assert!(Tier::ALL.into_iter().all(|tier| Tier::of_word(tier.word()) == Some(tier)));
    }
}
