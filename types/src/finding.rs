//! What a plan has to say about itself: a code, places, numbers and ways out, rendered like a diagnostic.

use crate::place::Place;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Probably not what was meant.
    Warning,
    /// A requirement that does not hold.
    Error,
}

/// A statement about the plan that a person can act on. Infeasible is a finding, not an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable code, such as `E0310`.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// The text that asked for it, with what is to be said there.
    pub places: Vec<(Place, String)>,
    /// Why, with the numbers.
    pub because: Vec<String>,
    /// Ways out, the cheapest first.
    pub ways_out: Vec<String>,
}
