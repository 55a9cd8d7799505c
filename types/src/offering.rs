//! How a machine can be had: a shape, a place, a purchase option, a price, a limit.

use crate::money::Currency;
use crate::origin::{Origin, PriceGrade};
use crate::units::HOURS_PER_MONTH;
use jiff::civil::Date;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How capacity is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum PurchaseOption {
    /// Bought, written off and perhaps sold.
    Owned,
    /// Paid for a whole term, used or not.
    Reserved {
        /// Length of the term in months.
        term_months: u32,
    },
    /// Money committed for a whole term at a lower price, used or not; taken as bound to one kind of machine at one place.
    SavingsPlan {
        /// Length of the term in months.
        term_months: u32,
    },
    /// A window of some days, paid for at its start, used or not.
    Block {
        /// Its length.
        days: u32,
    },
    /// Paid by the hour, at any time.
    OnDemand,
    /// Paid by the hour, may be reclaimed.
    Spot,
}

impl PurchaseOption {
    /// Returns the words shown to people.
    pub fn words(self) -> String {
        match self {
            Self::Owned => "owned".to_owned(),
            Self::Reserved { term_months } => format!("reserved {}", term(term_months)),
            Self::SavingsPlan { term_months } => format!("savings plan {}", term(term_months)),
            Self::Block { days } => format!("block of {days} d"),
            Self::OnDemand => "on demand".to_owned(),
            Self::Spot => "spot".to_owned(),
        }
    }

    /// Returns the option as a plan names it.
    pub fn literal(self) -> String {
        match self {
            Self::Owned => "owned".to_owned(),
            Self::Reserved { term_months } => format!("reserved({})", term(term_months)),
            Self::SavingsPlan { term_months } => format!("savings_plan({})", term(term_months)),
            Self::Block { days } => format!("block({days} d)"),
            Self::OnDemand => "on_demand".to_owned(),
            Self::Spot => "spot".to_owned(),
        }
    }

    /// Returns the months of 730 h of a contract that is paid for used or not; none of what is bought or paid by the hour.
    pub fn contract_months(self) -> Option<f64> {
        match self {
            Self::Reserved { term_months } | Self::SavingsPlan { term_months } => {
                Some(f64::from(term_months))
            }
            Self::Block { days } => Some(f64::from(days) * 24.0 / HOURS_PER_MONTH),
            Self::Owned | Self::OnDemand | Self::Spot => None,
        }
    }

    /// Says whether it is paid for a whole term, used or not.
    pub fn is_for_a_term(self) -> bool {
        self == Self::Owned || self.contract_months().is_some()
    }

    /// Returns whether both are of one kind, whatever the term.
    pub fn same_kind(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// Returns a term in years, or in months where it is no whole number of them.
fn term(months: u32) -> String {
    if months.is_multiple_of(12) { format!("{} y", months / 12) } else { format!("{months} mo") }
}

/// What one node of a shape costs in one place under one option.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Offering {
    /// The machine.
    pub shape: String,
    /// Who sells it; `own` for a purchase.
    pub provider: String,
    /// Where; `all` where the price is the same everywhere.
    pub region: String,
    /// How it is bought.
    pub option: PurchaseOption,
    /// Hourly price of the whole node, or its purchase price where owned; `None` is unknown, never free.
    #[schemars(with = "Option<f64>")]
    pub price: Option<Decimal>,
    /// What is paid once per node at the start of a reserved term, beside the hourly price.
    #[schemars(with = "Option<f64>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upfront: Option<Decimal>,
    /// Currency of the price.
    pub currency: Currency,
    /// How firm the price is.
    pub grade: PriceGrade,
    /// Where the price was read.
    pub source: String,
    /// When it held.
    #[schemars(with = "String")]
    pub as_of: Date,
    /// Share of spot nodes reclaimed in a month, where known (upper end of the published bucket).
    pub reclaimed_per_month: Option<f64>,
}

impl Offering {
    /// Returns the origin of the price for reports.
    pub fn origin(&self) -> Origin {
        match self.grade {
            PriceGrade::Quoted | PriceGrade::List => Origin::Published,
            PriceGrade::Estimate => Origin::Assumed,
        }
    }
}

/// How owned hardware loses value and what it costs beside power.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ownership {
    /// Catalog name, `default` or the name of a shape.
    pub id: String,
    /// Straight-line write-off.
    pub life_months: u32,
    /// Share of the price that is left after `life_months`.
    pub residual: f64,
    /// Maintenance and support per year as a share of the price.
    pub maintenance_per_year: f64,
    /// Network cost per node as a share of the price.
    pub network_share: f64,
    /// Source and date.
    #[serde(flatten)]
    pub provenance: crate::origin::Provenance,
}
