//! What the plan is worth where demand, prices and growth turn out otherwise.

use crate::offering::PurchaseOption;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One way in which everything uncertain may turn out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct World {
    /// What each uncertain quantity of the plan is, in its order and unit.
    pub values: Vec<f64>,
    /// Cost of the cheapest plan that is known for this world, by the objective; unknown where nothing keeps its limits.
    #[schemars(with = "Option<f64>")]
    pub cheapest: Option<Decimal>,
    /// Cost of this plan there, with what it buys by the hour as it needs; unknown where it cannot do or keep a limit.
    #[schemars(with = "Option<f64>")]
    pub planned: Option<Decimal>,
}

/// A plan that was held against every world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConsideredPlan {
    /// For what it is the cheapest: `the medians`, `world 3`, or a quantity at one of its bounds.
    pub cheapest_for: String,
    /// Machines, and what is bought of them for a term, in words.
    pub words: String,
    /// Worlds in which it cannot do or keep a limit, though another plan can.
    pub falls_short_in: u32,
    /// Mean over the other worlds of what it costs more than the cheapest.
    #[schemars(with = "f64")]
    pub mean_regret: Decimal,
    /// The most that it costs more.
    #[schemars(with = "f64")]
    pub worst_regret: Decimal,
}

/// A part of the mean regret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegretPart {
    /// What is paid for in this way; none is what is paid beside machines, such as data transfer.
    pub option: Option<PurchaseOption>,
    /// How much more of it than in the cheapest plans, on average; less than zero where it is less.
    #[schemars(with = "f64")]
    pub mean: Decimal,
}

impl RegretPart {
    /// Returns what is paid for.
    pub fn words(&self) -> String {
        self.option.map_or_else(|| "beside machines".to_owned(), PurchaseOption::words)
    }
}

/// What one quantity does to the cost, all others at their medians.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Swing {
    /// The quantity.
    pub quantity: String,
    /// Cost of this plan with the quantity at its lower bound; unknown where it cannot do.
    #[schemars(with = "Option<f64>")]
    pub at_low: Option<Decimal>,
    /// The same at its upper bound.
    #[schemars(with = "Option<f64>")]
    pub at_high: Option<Decimal>,
}

/// Which plan was chosen though nobody knows what will be, and what that costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Uncertainty {
    /// The worlds that were drawn, each with the same weight.
    pub worlds: Vec<World>,
    /// Mean cost of this plan over the worlds in which it can do.
    #[schemars(with = "Option<f64>")]
    pub mean_cost: Option<Decimal>,
    /// The plans that were held against all worlds, the chosen one first.
    pub plans: Vec<ConsideredPlan>,
    /// What the mean regret of the chosen plan consists of.
    pub regret_parts: Vec<RegretPart>,
    /// What moves the cost, the most first.
    pub swings: Vec<Swing>,
}
