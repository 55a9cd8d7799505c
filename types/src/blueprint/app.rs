//! Where services and notebooks run.

use crate::spec::{AppKind, Slice};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How one service, or the notebooks of a group of people, run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppRun {
    /// The workload.
    pub workload: String,
    /// What asks for it.
    pub kind: AppKind,
    /// The container's image, where it is said.
    pub image: Option<String>,
    /// Where.
    pub site: String,
    /// On which machines.
    pub shape: String,
    /// How much of an accelerator one instance has, if any.
    pub part: Option<Slice>,
    /// Instances by hour, weekday hours then weekend hours, those for availability included.
    pub instances: Vec<u32>,
    /// Of these, instances that availability asks for.
    pub spares: u32,
    /// Instances that one accelerator holds; 0 where they have none.
    pub per_accelerator: u32,
    /// Instances that one machine holds.
    pub per_node: u32,
}
