//! The answer: complete, immutable, nothing left to choose when manifests are written.
//!
//! Invariants: a blueprint embeds what it stands on (the checked spec, every catalog row used or considered,
//! the hourly demand, rates, verdicts), so that `audit`, `explain`, `diff` and `emit` need nothing else.
//! `format` is an integer; a tool reads its own and the previous one.

mod app;
mod batch;
mod compute;
mod cost;
mod inputs;
mod interval;
mod network;
mod proof;
mod scenario;
mod store;
mod uncertainty;
mod what_if;

pub use app::*;
pub use batch::*;
pub use compute::*;
pub use cost::*;
pub use inputs::*;
pub use interval::*;
pub use network::*;
pub use proof::*;
pub use scenario::*;
pub use store::*;
pub use uncertainty::*;
pub use what_if::*;

use crate::finding::Finding;
use crate::spec::Assumption;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format that this version writes.
pub const FORMAT: u32 = 1;

/// Whether the plan holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything asked for holds.
    Feasible,
    /// A plan exists, but a service level or a rule does not hold or stayed undecided.
    Violated,
    /// No plan keeps all limits; the findings say which conflict.
    Infeasible,
}

/// The answer to a plan file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Blueprint {
    /// Format of this document.
    pub format: u32,
    /// Version of the tool that wrote it; recorded, never compared.
    pub tool: String,
    /// Whether the plan holds.
    pub status: Status,
    /// Whether applying this blueprint changes anything that stands already.
    pub changes: bool,
    /// What it stands on.
    pub inputs: Inputs,
    /// The months of the horizon, grouped.
    pub periods: Vec<Period>,
    /// Requests over time.
    pub demand: Vec<DemandCurve>,
    /// How each serving workload runs.
    pub services: Vec<Service>,
    /// How each training workload runs.
    pub trainings: Vec<TrainingRun>,
    /// How each workload of offline inference runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<BatchRun>,
    /// How each service and each group of notebooks runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<AppRun>,
    /// Machines by site and shape, and how they are bought.
    pub pools: Vec<Pool>,
    /// Power and racks by site.
    pub sites: Vec<SiteSummary>,
    /// How machines are wired at own sites where work spans them.
    pub networks: Vec<Network>,
    /// What keeps data at own sites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<Store>,
    /// Money.
    pub cost: Cost,
    /// What the simulator saw against each service level.
    pub verdicts: Vec<Verdict>,
    /// What became of the plan in the scenarios.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub what_ifs: Vec<WhatIfOutcome>,
    /// What the bursts of traces cost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bursts: Vec<Bursts>,
    /// What the rules of the budgets said.
    pub rules: Vec<RuleOutcome>,
    /// How the answer was found.
    pub solver: Solver,
    /// The next best plans.
    pub runners_up: Vec<RunnerUp>,
    /// What the limits that bind cost; not asked where the program is large.
    pub limit_prices: Vec<LimitPrice>,
    /// How the plan does where uncertain quantities turn out otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<Uncertainty>,
    /// What the plan would be in each of its scenarios.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scenarios: Vec<ScenarioOutcome>,
    /// What was rejected, counted by workload, shape and reason.
    pub rejections: Vec<RejectionCount>,
    /// Offerings that were passed over since nobody knows their price.
    pub unpriced: Vec<Unpriced>,
    /// Everything that does not hold or is worth knowing.
    pub findings: Vec<Finding>,
    /// Every default that was used.
    pub assumptions: Vec<Assumption>,
    /// The independent check.
    pub audit: Vec<AuditCheck>,
}
