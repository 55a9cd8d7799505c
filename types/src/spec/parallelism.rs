//! Which degrees of parallelism does a plan fix?

use crate::degrees::Degrees;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Degrees of parallelism that the plan fixes; the planner decides what is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Parallelism {
    /// Tensor parallel ranks.
    pub tensor: Option<u32>,
    /// Pipeline stages.
    pub pipeline: Option<u32>,
    /// Groups of ranks with their own sequences, of a replica that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<u32>,
    /// Groups of ranks with their own experts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expert: Option<u32>,
}

impl Parallelism {
    /// Says whether a replica that is spread so is what the plan fixes.
    pub fn allows(&self, degrees: Degrees) -> bool {
        let Degrees { tensor, pipeline, data, expert } = degrees;
        let all =
            [(self.tensor, tensor), (self.pipeline, pipeline), (self.data, data), (self.expert, expert)];
        all.iter().all(|(fixed, degree)| fixed.is_none_or(|fixed| fixed == *degree))
    }
}
