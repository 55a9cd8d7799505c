//! How far do measurements lie around what was predicted?
//!
//! Invariant: residuals of predictions whose cell was left out of the fit, wider for what the fit has never seen; an
//! interval of a simulation says only how much chance is left in it, and never how right the step times are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ends between which 90 % of measurements are expected, as multiples of what was predicted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Band {
    /// The lower.
    pub low: f64,
    /// The upper.
    pub high: f64,
}

impl Band {
    /// Returns both ends around a prediction.
    pub fn around(self, predicted: f64) -> (f64, f64) {
        (predicted * self.low, predicted * self.high)
    }
}

/// How sure the times of a service are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceInterval {
    /// Of times to first token.
    pub ttft: Band,
    /// Of times per output token.
    pub tpot: Band,
    /// What makes them as wide as they are.
    pub because: Vec<String>,
}

/// How sure the time of an optimizer step is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepInterval {
    /// Of the step.
    pub step: Band,
    /// What makes it as wide as it is.
    pub because: Vec<String>,
}
