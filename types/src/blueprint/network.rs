//! How machines are wired: switches and links, counted.

use crate::spec::FabricKind;
use crate::units::{BytesPerSecond, Watts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The network between the accelerators of the machines of one shape at one site. Switches and links are those of all planes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// The site.
    pub site: String,
    /// The machine.
    pub shape: String,
    /// Machines that it connects: the most at once.
    pub nodes: u32,
    /// Row of the catalog whose switches it is made of.
    pub switch: String,
    /// How switches are arranged.
    pub kind: FabricKind,
    /// Networks side by side.
    pub planes: u32,
    /// Ports of a machine, per plane.
    pub ports_per_node: u32,
    /// Rate of such a port, per direction.
    #[serde(rename = "port_bytes_per_s")]
    pub port: BytesPerSecond,
    /// Leaves of a plane that a machine reaches.
    pub rails: u32,
    /// Bandwidth into a leaf over bandwidth out of it, as asked.
    pub oversubscription: f64,
    /// Tiers of switches.
    pub tiers: u32,
    /// Switches that machines plug into.
    pub leaves: u32,
    /// Switches above them.
    pub spines: u32,
    /// Switches above those.
    pub cores: u32,
    /// Switches of the same kind that lie ready, and draw nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spares: u32,
    /// Links between machines, or management, and leaves, at the rate of a port.
    pub host_links: u32,
    /// Links between leaves and spines.
    pub spine_links: u32,
    /// Links between spines and cores.
    pub core_links: u32,
    /// What one half of the leaves can send to the other: the maximum flow through the links.
    #[serde(rename = "bisection_bytes_per_s")]
    pub bisection: BytesPerSecond,
    /// Typical power of all switches; unknown where that of one is.
    #[serde(rename = "power_w")]
    pub power: Option<Watts>,
}

impl Network {
    /// Returns the number of switches that carry the traffic.
    pub fn switches(&self) -> u32 {
        self.leaves + self.spines + self.cores
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
