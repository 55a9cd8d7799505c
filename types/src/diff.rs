//! What differs between two blueprints: what changes, what it costs, why.

use crate::blueprint::{CostKind, Status};
use crate::money::Currency;
use crate::offering::PurchaseOption;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the two blueprints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// Name of the plan.
    pub plan: String,
    /// Path of the plan file.
    #[serde(default)]
    pub path: String,
    /// Whether it holds.
    pub status: Status,
    /// Currency of its amounts.
    pub currency: Currency,
    /// Months of its horizon.
    #[serde(default)]
    pub months: u32,
}

/// What kind of thing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Whether the plan holds.
    Status,
    /// Something that the total leaves out, since nobody knows its price.
    LeftOut,
    /// Most nodes of a shape at a site.
    Pool,
    /// Most nodes bought in one way.
    Purchase,
    /// Node-hours bought in one way over the horizon.
    NodeHours,
    /// Where a workload runs.
    Placement,
    /// How it runs there.
    Candidate,
    /// Most replicas.
    Replicas,
    /// How a training job runs.
    Training,
    /// Offline inference.
    Offline,
    /// What the simulator says of a service level.
    Verdict,
    /// What a rule says.
    Rule,
    /// Something that the plan says about itself.
    Finding,
}

impl ChangeKind {
    /// Returns the words shown to people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::LeftOut => "not in the total",
            Self::Pool => "nodes",
            Self::Purchase => "nodes bought",
            Self::NodeHours => "node-hours",
            Self::Placement => "placement",
            Self::Candidate => "runs as",
            Self::Replicas => "replicas",
            Self::Training => "training",
            Self::Offline => "offline inference",
            Self::Verdict => "service level",
            Self::Rule => "rule",
            Self::Finding => "finding",
        }
    }
}

/// One side of a change: a number stays a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// How many.
    Count(u64),
    /// In words.
    Words(String),
}

/// One thing that is not as it was; `before` is absent where it is new, `after` where it is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What kind of thing.
    pub kind: ChangeKind,
    /// Which one, such as `hz1/own.h100_sxm_8`.
    pub address: String,
    /// How it was.
    pub before: Option<Value>,
    /// How it is.
    pub after: Option<Value>,
}

/// An amount before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Amounts {
    /// How much it was.
    #[schemars(with = "f64")]
    pub before: Decimal,
    /// How much it is.
    #[schemars(with = "f64")]
    pub after: Decimal,
}

impl Amounts {
    /// Returns what it is more than it was.
    pub fn change(self) -> Decimal {
        self.after - self.before
    }
}

/// What a group of cost lines is now and was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupDelta {
    /// Where.
    pub site: String,
    /// The machine, or what else is paid for.
    pub item: String,
    /// How it is bought, where it is a machine.
    pub option: Option<PurchaseOption>,
    /// Capex, opex or residual.
    pub kind: CostKind,
    /// The sum of its lines.
    pub billed_cost: Amounts,
}

/// What the change costs. Amounts in two currencies stand side by side; their difference says nothing then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CostDelta {
    /// Over the horizon.
    pub total: Amounts,
    /// Per month of the horizon.
    pub per_month: Amounts,
    /// Discounted.
    pub net_present: Amounts,
    /// Purchases.
    pub capex: Amounts,
    /// Running cost.
    pub opex: Amounts,
    /// Groups of lines that differ, in order of site, item and option.
    pub groups: Vec<GroupDelta>,
}

/// An input that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Cause {
    /// The digest of a file.
    File {
        /// Its role.
        role: String,
        /// Its path.
        path: String,
        /// Digest before.
        before: Option<String>,
        /// Digest after.
        after: Option<String>,
    },
    /// A change made by `--set` or a scenario.
    Override {
        /// The path that is set.
        path: String,
        /// What was set before.
        before: Option<String>,
        /// What is set.
        after: Option<String>,
    },
    /// A field of the checked plan, the seed included.
    Plan {
        /// Path to it, such as `serves.chat.headroom`.
        path: String,
        /// Its value before, as JSON.
        before: Option<String>,
        /// Its value after, as JSON.
        after: Option<String>,
    },
    /// A price.
    Price {
        /// Shape, place and option.
        offering: String,
        /// Price before; `None` where it was unknown or the row was absent.
        #[schemars(with = "Option<f64>")]
        before: Option<Decimal>,
        /// Price after.
        #[schemars(with = "Option<f64>")]
        after: Option<Decimal>,
        /// Currency of the price.
        currency: Currency,
    },
    /// Another row of a catalog.
    Catalog {
        /// Path to it, such as `accelerators.h100_sxm.power_w`.
        path: String,
        /// Its value before, as JSON.
        before: Option<String>,
        /// Its value after, as JSON.
        after: Option<String>,
    },
}

/// Counts before and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// How many there were.
    pub before: u64,
    /// How many there are.
    pub after: u64,
}

/// Most machines of a shape, over all sites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MachineDelta {
    /// The machine.
    pub shape: String,
    /// How many nodes.
    pub nodes: Counts,
}

/// A service level as it was simulated; one side is absent where the level is new or gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LevelDelta {
    /// Which one, such as `chat ttft p99 at use1`.
    pub level: String,
    /// What was seen before.
    pub before_s: Option<f64>,
    /// What is seen.
    pub after_s: Option<f64>,
    /// The limit that counts now, or counted last.
    pub target_s: f64,
}

/// What kind of input a share of the change is due to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShareKind {
    /// The program itself.
    Tool,
    /// Prices and exchange rates.
    Prices,
    /// Other rows of catalogs.
    Catalog,
    /// Requests over time.
    Demand,
    /// Everything else that the plan says.
    Plan,
}

impl ShareKind {
    /// Returns the words shown to people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Tool => "the program",
            Self::Prices => "prices",
            Self::Catalog => "other facts of catalogs",
            Self::Demand => "demand",
            Self::Plan => "what else the plan says",
        }
    }
}

/// What one kind of input is worth: the change of the total when only it changes, after those before it in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// What changed.
    pub kind: ShareKind,
    /// By how much the total changes.
    #[schemars(with = "f64")]
    pub change: Decimal,
}

/// A limit on the change itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Guard {
    /// Which one, such as `max-increase 5 %`.
    pub name: String,
    /// Whether it holds.
    pub holds: bool,
    /// Whether the change is refused where it does not hold; else it is warned of.
    pub required: bool,
    /// The numbers.
    pub numbers: String,
}

/// What differs between two blueprints. Versions of the tool are not compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diff {
    /// The blueprint compared with.
    pub base: Side,
    /// The blueprint that is looked at.
    pub head: Side,
    /// What changes.
    pub changes: Vec<Change>,
    /// What it costs.
    pub cost: CostDelta,
    /// Machines of which there are more or fewer.
    pub machines: Vec<MachineDelta>,
    /// Service levels that were simulated differently.
    pub levels: Vec<LevelDelta>,
    /// Offerings passed over since nobody knows their price.
    pub unpriced: Counts,
    /// Defaults that stood in for what a plan does not say.
    pub assumed: Counts,
    /// Which inputs differ.
    pub causes: Vec<Cause>,
    /// What each kind of input is worth, where that was asked; the changes sum to the change of the total.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
    /// Limits on the change itself, where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<Guard>,
}

impl Diff {
    /// Returns whether both horizons have as many months, so that totals can be compared.
    pub fn is_as_long(&self) -> bool {
        self.base.months == self.head.months
    }

    /// Returns what the head's total leaves out and the base's does not, in words; `None` where there is no such thing. What
    /// the two cost cannot be compared then: unknown is not nothing.
    pub fn left_out_now(&self) -> Option<String> {
        /// Most that is named.
        const MOST: usize = 3;
        let new = self.changes.iter().filter(|change| change.kind == ChangeKind::LeftOut);
        let new = new.filter(|change| change.before.is_none());
        // Why it has no price stands behind a bracket or a colon; the list of changes has it.
        let short =
            |text: &str| text.split(" (").next().and_then(|text| text.split(": ").next()).map(str::to_owned);
        let mut names: Vec<String> = new.filter_map(|change| short(&change.address)).collect();
        if names.len() > MOST {
            let more = names.len() - MOST;
            names.truncate(MOST);
            names.push(format!("{more} more"));
        }
        let last = names.pop()?;
        Some(if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) })
    }

    /// Returns whether nothing differs: neither the answer, nor its cost, nor its inputs.
    pub fn is_empty(&self) -> bool {
        let CostDelta { total, per_month, net_present, capex, opex, groups } = &self.cost;
        let even = [total, per_month, net_present, capex, opex]
            .iter()
            .all(|amounts| amounts.before == amounts.after);
        self.base == self.head
            && self.changes.is_empty()
            && self.causes.is_empty()
            && groups.is_empty()
            && even
    }
}
