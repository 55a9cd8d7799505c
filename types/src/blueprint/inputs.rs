//! What a blueprint stands on.

use crate::catalog::Catalog;
use crate::spec::Spec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A file that went into the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputFile {
    /// What it is: `plan`, `catalog`, `prices`, `trace`.
    pub role: String,
    /// Path as given, or `built-in`.
    pub path: String,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

/// A change made to the plan on the way in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Override {
    /// The path that was set.
    pub path: String,
    /// The operator and the new text, such as `= 40 req/s` or `*= 2`.
    pub change: String,
    /// `--set`, or the name of a scenario.
    pub from: String,
}

/// Everything that the answer follows from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Inputs {
    /// Files with their digests.
    pub files: Vec<InputFile>,
    /// Changes made by `--set` and `--scenario`.
    pub overrides: Vec<Override>,
    /// The checked plan.
    pub spec: Spec,
    /// Every catalog row used or considered.
    pub catalog: Catalog,
    /// Days from the oldest price used to the planning date.
    pub oldest_price_days: Option<i64>,
}
