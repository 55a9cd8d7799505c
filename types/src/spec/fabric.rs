//! What the plan says about the network of a site.

use super::Redundancy;
use crate::place::Place;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How switches are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FabricKind {
    /// Every port of a machine goes to a leaf of its own.
    #[default]
    RailOptimised,
    /// Machines fill leaves one after another, in up to three tiers.
    FatTree,
    /// The same in at most two tiers.
    LeafSpine,
}

impl FabricKind {
    /// Returns the word of the language.
    pub fn word(self) -> &'static str {
        match self {
            Self::RailOptimised => "rail_optimised",
            Self::FatTree => "fat_tree",
            Self::LeafSpine => "leaf_spine",
        }
    }
}

/// Preferences for the network between the accelerators of a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FabricWish {
    /// Its name.
    pub name: String,
    /// Where it is declared; absent where the plan says nothing and defaults hold.
    pub place: Option<Place>,
    /// The site.
    pub site: String,
    /// Row of the catalog whose switches it is made of.
    pub switch: Option<String>,
    /// How switches are arranged.
    pub kind: FabricKind,
    /// Bandwidth into a leaf over bandwidth out of it, at least 1.
    pub oversubscription: f64,
    /// Leaves that a machine reaches; as many as it has ports where absent.
    pub rails: Option<u32>,
    /// Networks side by side, each with an equal share of every port.
    pub planes: u32,
    /// Ports that management takes from the leaves of each plane.
    pub management_ports: u32,
    /// Switches that lie ready beside those that carry the traffic.
    #[serde(default, skip_serializing_if = "is_none")]
    pub redundancy: Redundancy,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_none(redundancy: &Redundancy) -> bool {
    *redundancy == Redundancy::None
}
