//! What single goods cost: chips, switches, cables, drives, floor space, blocks of capacity.
//!
//! Beside [`crate::offering`], which prices whole machines that a plan buys. These prices are for looking up and for
//! rules of one's own; a plan does not buy them one by one.

use crate::money::Currency;
use crate::origin::{Origin, Provenance};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is priced, and with it what the price is per.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Good {
    /// A server with accelerators.
    Server,
    /// A chip or card alone.
    Accelerator,
    /// A switch of a fabric, without optics.
    Switch,
    /// Transceivers and cables of one node.
    Cabling,
    /// A drive.
    Drive,
    /// Floor space with power and cooling.
    Colocation,
    /// A cloud machine that is reserved for days or weeks ahead.
    CapacityBlock,
}

impl Good {
    /// Every good, in order.
    pub const ALL: [Self; 7] = [
        Self::Server,
        Self::Accelerator,
        Self::Switch,
        Self::Cabling,
        Self::Drive,
        Self::Colocation,
        Self::CapacityBlock,
    ];

    /// Returns the word of the catalog.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Accelerator => "accelerator",
            Self::Switch => "switch",
            Self::Cabling => "cabling",
            Self::Drive => "drive",
            Self::Colocation => "colocation",
            Self::CapacityBlock => "capacity_block",
        }
    }

    /// Returns what the price is per.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Accelerator => "accelerator",
            Self::Switch => "switch",
            Self::Cabling => "node",
            Self::Drive => "drive",
            Self::Colocation => "kW-month",
            Self::CapacityBlock => "node-h",
        }
    }
}

/// A dated price of a good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MarketPrice {
    /// Catalog name; the same good at another date is another row.
    pub id: String,
    /// The names people know: description, part number.
    pub names: Vec<String>,
    /// What it is.
    pub good: Good,
    /// The accelerator or machine of the catalog that it is, or that it is for, where there is one.
    pub of: Option<String>,
    /// Where; `all` where nothing is said.
    pub region: String,
    /// Price per [`Good::unit`]; `None` is unknown, never free.
    #[schemars(with = "Option<f64>")]
    pub price: Option<Decimal>,
    /// Currency of the price.
    pub currency: Currency,
    /// Source and date. Quotations, list prices and tenders stand as `data_sheet`, all others as `recalled`.
    #[serde(flatten)]
    pub provenance: Provenance,
}

impl MarketPrice {
    /// Returns the origin of the price for reports.
    pub fn origin(&self) -> Origin {
        self.provenance.grade.origin()
    }
}
