//! Money, under the names that FOCUS uses.

use super::{Blueprint, Period};
use crate::money::Currency;
use crate::offering::PurchaseOption;
use crate::origin::Origin;
use crate::spec::{Budget, Limit};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether money is spent once or as one goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CostKind {
    /// A purchase, paid in the first month of its period.
    Capex,
    /// Running cost, spread evenly over the months of its period.
    Opex,
    /// Value left at the end of the horizon, a negative amount in its last month.
    Residual,
    /// What contracts still bind after the horizon, in its last month.
    Owed,
}

/// One line of the bill: quantity × unit price, rounded to the minor unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CostLine {
    /// What it is, such as `8 × aws.p5_48xlarge, reserved 1 y`.
    pub item: String,
    /// Where.
    pub site: String,
    /// The machine, where it is one.
    pub shape: Option<String>,
    /// How it is bought, where it is a machine.
    pub option: Option<PurchaseOption>,
    /// The period.
    pub period: u32,
    /// Capex, opex, residual or owed.
    pub kind: CostKind,
    /// How much of it in the period.
    #[schemars(with = "f64")]
    pub quantity: Decimal,
    /// Unit of the quantity.
    pub unit: String,
    /// Price of one unit, unrounded.
    #[schemars(with = "f64")]
    pub unit_price: Decimal,
    /// What is charged.
    #[schemars(with = "f64")]
    pub billed_cost: Decimal,
    /// What is consumed: purchases written off over their life.
    #[schemars(with = "f64")]
    pub effective_cost: Decimal,
    /// What the same would cost at the on-demand list price; unknown where there is none.
    #[schemars(with = "Option<f64>")]
    pub list_cost: Option<Decimal>,
    /// How the price came to be.
    pub origin: Origin,
    /// Where the price was read.
    pub source: String,
}

/// What one workload costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadCost {
    /// The workload.
    pub workload: String,
    /// What it pays: of each line its share by accelerator-hours on those machines, of what is no machine's by those at the
    /// site, of data transfer by what each sends from there; rounded so that all sum to the total.
    #[schemars(with = "f64")]
    pub cost: Decimal,
    /// Accelerator-hours used over the horizon.
    pub accelerator_hours: f64,
    /// Requests over the horizon.
    pub requests: f64,
    /// Prompt tokens over the horizon.
    pub prompt_tokens: f64,
    /// Output tokens over the horizon.
    pub output_tokens: f64,
    /// Cost per million tokens, prompt and output; for training per million tokens seen.
    #[schemars(with = "Option<f64>")]
    pub per_million_tokens: Option<Decimal>,
    /// Cost per accelerator-hour.
    #[schemars(with = "Option<f64>")]
    pub per_accelerator_hour: Option<Decimal>,
    /// Cost per thousand requests; nothing where the work is not asked for by requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f64>")]
    pub per_thousand_requests: Option<Decimal>,
}

/// All money.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// Currency of every amount.
    pub currency: Currency,
    /// Lines, in a fixed order.
    pub lines: Vec<CostLine>,
    /// Sum of all lines.
    #[schemars(with = "f64")]
    pub total: Decimal,
    /// Sum of purchases.
    #[schemars(with = "f64")]
    pub capex: Decimal,
    /// Sum of running cost.
    #[schemars(with = "f64")]
    pub opex: Decimal,
    /// Running cost of the dearest month.
    #[schemars(with = "f64")]
    pub highest_opex_per_month: Decimal,
    /// Total per month of the horizon.
    #[schemars(with = "f64")]
    pub per_month: Decimal,
    /// Total, discounted at month ends.
    #[schemars(with = "f64")]
    pub net_present: Decimal,
    /// Payments by month.
    #[schemars(with = "Vec<f64>")]
    pub by_month: Vec<Decimal>,
    /// The same machines all on demand; unknown where one has no on-demand price.
    #[schemars(with = "Option<f64>")]
    pub all_on_demand: Option<Decimal>,
    /// By workload.
    pub workloads: Vec<WorkloadCost>,
    /// What is not in the total, in words.
    pub not_included: Vec<String>,
}

/// What is spent of the limits of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Purchases on its days.
    pub capex: Decimal,
    /// Running cost of the dearest month of its days.
    pub opex_per_month: Decimal,
    /// Everything, over the horizon.
    pub total: Decimal,
}

impl Spent {
    /// Returns each amount that the budget limits, with its name and limit.
    pub fn against(self, budget: &Budget) -> impl Iterator<Item = (&'static str, Decimal, &Limit<Decimal>)> {
        let all = [
            ("capex", self.capex, &budget.capex),
            ("opex of the dearest month", self.opex_per_month, &budget.opex_per_month),
            ("total", self.total, &budget.total),
        ];
        all.into_iter().filter_map(|(name, spent, limit)| Some((name, spent, limit.as_ref()?)))
    }
}

impl Blueprint {
    /// Returns what is spent of a budget, by the lines of the bill.
    pub fn spent(&self, budget: &Budget) -> Spent {
        let months = budget.months(&self.inputs.spec.frame);
        let is_inside = |period: &Period| months.contains(&period.first_month);
        let sum = |kind: CostKind, index: u32| -> Decimal {
            let lines = self.cost.lines.iter().filter(|line| line.kind == kind && line.period == index);
            lines.map(|line| line.billed_cost).sum()
        };
        let inside = || (0..).zip(&self.periods).filter(|(_, period)| is_inside(period));
        let monthly = |(index, period): (u32, &Period)| {
            self.cost.currency.round(sum(CostKind::Opex, index) / Decimal::from(period.months.max(1)))
        };
        Spent {
            capex: inside().map(|(index, _)| sum(CostKind::Capex, index)).sum(),
            opex_per_month: inside().map(monthly).max().unwrap_or_default(),
            total: self.cost.total,
        }
    }
}

impl Cost {
    /// Returns the sum of the lines of a kind.
    pub fn sum_of(&self, kind: CostKind) -> Decimal {
        self.lines.iter().filter(|line| line.kind == kind).map(|line| line.billed_cost).sum()
    }
}

/// An offering passed over since nobody knows its price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unpriced {
    /// Where.
    pub site: String,
    /// The machine.
    pub shape: String,
    /// How it would be bought.
    pub option: PurchaseOption,
}
