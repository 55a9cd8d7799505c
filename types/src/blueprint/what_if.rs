//! What became of the plan when something came otherwise.

use super::VerdictStatus;
use crate::simulation::{RandomArrivals, SimulatedFailure, SimulatedLevel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A scenario, simulated on the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhatIfOutcome {
    /// Its name.
    pub scenario: String,
    /// What happens in it, in words.
    pub what_if: Vec<String>,
    /// Missed where a level is missed anywhere; undecided where one is undecided and none is missed; `None` where it cannot
    /// be simulated.
    pub status: Option<VerdictStatus>,
    /// Why it cannot be simulated, where it cannot.
    pub refused: Option<String>,
    /// Each hour of each placement.
    pub hours: Vec<WhatIfHour>,
}

/// One placement at one hour of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhatIfHour {
    /// The workload.
    pub workload: String,
    /// The site.
    pub site: String,
    /// The period.
    pub period: u32,
    /// The hour: 0 to 23 on a weekday, 24 to 47 at a weekend.
    pub hour: u32,
    /// Each service level.
    pub levels: Vec<SimulatedLevel>,
    /// Requests that count, over all replications.
    pub requests: u64,
    /// Of those, turned away.
    pub turned_away: u64,
    /// Of those, lost.
    pub lost: u64,
    /// What failed, and what came of it.
    pub failure: Option<SimulatedFailure>,
}

/// What the bursts of a trace cost: how its requests would fare if they came at random.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bursts {
    /// The workload.
    pub workload: String,
    /// The site.
    pub site: String,
    /// Replicas that are planned.
    pub replicas: u32,
    /// Requests of the same mean at random.
    pub random: RandomArrivals,
}
