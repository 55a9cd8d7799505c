//! What the plan would be if one of its scenarios came true.

use crate::blueprint::{Override, Status};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A scenario that was planned beside the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioOutcome {
    /// Its name.
    pub name: String,
    /// What it changes.
    pub changes: Vec<Override>,
    /// Whether its plan holds.
    pub status: Status,
    /// What its plan costs over the horizon; absent where no plan keeps all limits.
    #[schemars(with = "Option<f64>")]
    pub total: Option<Decimal>,
    /// The same discounted.
    #[schemars(with = "Option<f64>")]
    pub net_present: Option<Decimal>,
    /// Service levels that its simulation met.
    pub levels_met: u32,
    /// Service levels.
    pub levels: u32,
    /// What would have to be otherwise, such as `nodes bought of use1/aws.p5_48xlarge on demand: 4 → 6`.
    pub differs: Vec<String>,
    /// What does not hold in it.
    pub problems: Vec<String>,
}
