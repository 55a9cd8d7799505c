//! What a baseline holds: where the plans of a repository stood when somebody last looked, and what moved since.

use crate::blueprint::Status;
use crate::diff::ShareKind;
use crate::money::Currency;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format that this version writes.
pub const BASELINE_FORMAT: u32 = 1;

/// Digests of what an answer follows from, by kind, so that a drift has a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Digests {
    /// Prices and exchange rates.
    pub prices: String,
    /// Other rows of catalogs.
    pub catalog: String,
    /// Requests over time.
    pub demand: String,
    /// Everything else that the plan says.
    pub plan: String,
}

/// Where one plan stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    /// Path of the plan file from the folder of the baseline.
    pub plan: String,
    /// Version of the tool.
    pub tool: String,
    /// Whether it holds.
    pub status: Status,
    /// Currency of its amounts.
    pub currency: Currency,
    /// Cost over the horizon.
    #[schemars(with = "f64")]
    pub total: Decimal,
    /// The same, discounted.
    #[schemars(with = "f64")]
    pub net_present: Decimal,
    /// Most nodes, summed over sites.
    pub nodes: u32,
    /// Most accelerators, summed over sites.
    pub accelerators: u32,
    /// Service levels that do not hold or stayed undecided.
    pub levels_open: u32,
    /// Offerings without a price.
    pub unpriced: u32,
    /// What it follows from.
    pub digests: Digests,
}

/// Where the plans of a folder stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// Format of this document.
    pub format: u32,
    /// In order of their paths.
    pub plans: Vec<Standing>,
}

/// Something that is not where it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Drift {
    /// The plan.
    pub plan: String,
    /// What moved: `total`, `nodes`, `status`, `new`, `gone`.
    pub what: String,
    /// Where it was; absent where the plan is new.
    pub before: Option<String>,
    /// Where it is; absent where the plan is gone.
    pub after: Option<String>,
    /// The change as a share of what it was, where both are numbers.
    pub share: Option<f64>,
    /// What it is due to: the kinds of input that differ.
    pub causes: Vec<ShareKind>,
}
