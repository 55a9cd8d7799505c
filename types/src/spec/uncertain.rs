//! What the plan only knows within bounds.

use crate::place::Place;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A quantity with a median and two quantiles: `mid in low .. high @ 90%`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Uncertain {
    /// The name of the value, or the path of the field that states it.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Unit of the numbers; empty for a bare number.
    pub unit: String,
    /// The median, which is what the plan stands on.
    pub mid: f64,
    /// The lower quantile.
    pub low: f64,
    /// The upper quantile.
    pub high: f64,
    /// How much of the distribution lies between the two.
    pub confidence: f64,
    /// What this plan stands on: the median, or what was drawn for a world.
    pub value: f64,
}
