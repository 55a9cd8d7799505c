//! What finance reads from a bill: payments by kind and month, write-off, alternatives, return.

use crate::money::Currency;
use crate::offering::PurchaseOption;
use jiff::civil::Date;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is paid for, as a cash-flow sheet has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Machines and network that are bought.
    Purchase,
    /// Maintenance and support.
    Support,
    /// The people who run it.
    Staff,
    /// Licences of software.
    Licences,
    /// Energy.
    Energy,
    /// Space and cooling.
    Space,
    /// Traffic that leaves sites.
    Transfer,
    /// Contracts on machines that stand there already.
    Contract,
    /// Machines by reservation.
    Reserved,
    /// Machines on demand.
    OnDemand,
    /// Machines that may be reclaimed.
    Spot,
    /// Anything else.
    Other,
    /// What bought machines are still worth at the end, a negative amount.
    Residual,
    /// What contracts still bind after the horizon.
    Owed,
}

impl Category {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 14] = [
        Self::Purchase,
        Self::Support,
        Self::Staff,
        Self::Licences,
        Self::Energy,
        Self::Space,
        Self::Transfer,
        Self::Contract,
        Self::Reserved,
        Self::OnDemand,
        Self::Spot,
        Self::Other,
        Self::Residual,
        Self::Owed,
    ];

    /// Returns the words shown to people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Purchase => "purchases",
            Self::Support => "support",
            Self::Staff => "staff",
            Self::Licences => "licences",
            Self::Energy => "energy",
            Self::Space => "space and cooling",
            Self::Transfer => "data transfer",
            Self::Contract => "contracts",
            Self::Reserved => "reserved",
            Self::OnDemand => "on demand",
            Self::Spot => "spot",
            Self::Other => "other",
            Self::Residual => "value left",
            Self::Owed => "still bound",
        }
    }
}

/// What one line of the bill is over time. Both rows sum to the line's billed cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineFlow {
    /// What it is paid for.
    pub category: Category,
    /// First month of `billed` and `effective`.
    pub first_month: u32,
    /// What is invoiced in each month.
    #[schemars(with = "Vec<f64>")]
    pub billed: Vec<Decimal>,
    /// What is consumed in each month: purchases, and what is left of them, spread over their use.
    #[schemars(with = "Vec<f64>")]
    pub effective: Vec<Decimal>,
}

/// Payments of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CashFlow {
    /// What is paid for.
    pub category: Category,
    /// By month of the horizon.
    #[schemars(with = "Vec<f64>")]
    pub by_month: Vec<Decimal>,
}

/// How something that was bought is written off, in a straight line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WrittenOff {
    /// What.
    pub item: String,
    /// Where.
    pub site: String,
    /// What was paid.
    #[schemars(with = "f64")]
    pub cost: Decimal,
    /// Month in which it is bought, from 0.
    pub from_month: u32,
    /// Life in months.
    pub life_months: u32,
    /// Share of the cost that is left after it.
    pub residual: f64,
    /// Charge per month of life.
    #[schemars(with = "f64")]
    pub per_month: Decimal,
    /// Value at the end of the horizon.
    #[schemars(with = "f64")]
    pub book_value: Decimal,
}

/// The same work, paid for otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alternative {
    /// What it is: `this plan`, `all on demand`, `all reserved 1 y`, `all owned`, `doing nothing`.
    pub name: String,
    /// What it rests on, or why it is unknown.
    pub basis: Vec<String>,
    /// Payments by month; unknown where a price is.
    #[schemars(with = "Option<Vec<f64>>")]
    pub by_month: Option<Vec<Decimal>>,
    /// Their sum.
    #[schemars(with = "Option<f64>")]
    pub total: Option<Decimal>,
    /// Their sum, discounted at month ends.
    #[schemars(with = "Option<f64>")]
    pub net_present: Option<Decimal>,
}

/// From which use on a commitment is cheaper than paying by the hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BreakEven {
    /// Where.
    pub site: String,
    /// The machine.
    pub shape: String,
    /// The commitment.
    pub option: PurchaseOption,
    /// Share of all hours.
    pub utilisation: f64,
    /// What it is compared with, in words.
    pub against: String,
}

/// What the plan earns against paying for everything by the hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Return {
    /// What it is compared with.
    pub against: String,
    /// What is saved, discounted.
    #[schemars(with = "f64")]
    pub net_present: Decimal,
    /// Internal rate of return per year; absent where the saving never changes its sign.
    pub irr_per_year: Option<f64>,
    /// Months until what was saved exceeds what was paid in advance, for good: 0 where nothing was; absent where it never does,
    /// or nothing is saved.
    pub payback_months: Option<u32>,
}

/// Everything of a bill that finance asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finance {
    /// Currency of every amount.
    pub currency: Currency,
    /// First day.
    #[schemars(with = "String")]
    pub start: Date,
    /// Effective discount rate per year.
    pub discount_per_year: f64,
    /// Discount factor of each month, rounded to nine places as the totals use it.
    #[schemars(with = "Vec<f64>")]
    pub factors: Vec<Decimal>,
    /// What each line of the bill is over time, in the order of the lines.
    pub lines: Vec<LineFlow>,
    /// Payments by kind, in order; kinds without any are absent.
    pub cash: Vec<CashFlow>,
    /// How purchases are written off.
    pub written_off: Vec<WrittenOff>,
    /// This plan first, then the others.
    pub alternatives: Vec<Alternative>,
    /// From which use on commitments pay.
    pub break_even: Vec<BreakEven>,
    /// What the plan earns; absent where nothing comparable has a price.
    pub earns: Option<Return>,
}
