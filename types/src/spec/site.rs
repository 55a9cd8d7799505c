//! `site`, checked: where may machines stand, and what does the place allow?

use super::Limit;
use crate::hardware::{Cooling, NodeShape};
use crate::place::Place;
use crate::units::Watts;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Spare machines that a site keeps of each shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Redundancy {
    /// None.
    #[default]
    None,
    /// One more than needed.
    NPlus1,
    /// Two more than needed.
    NPlus2,
    /// Everything twice.
    TwoN,
}

/// What one rack takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rack {
    /// Highest power.
    #[serde(rename = "power_w")]
    pub power: Option<Limit<Watts>>,
    /// Usable height.
    pub height_u: f64,
}

impl Rack {
    /// Returns how many of a machine it holds, by height and by power; `None` where what decides is unknown.
    pub fn holds(&self, shape: &NodeShape) -> Option<u32> {
        let by_height = (self.height_u / shape.height_u?).floor();
        let by_power = match &self.power {
            Some(limit) => (limit.value.get() / shape.power?.get()).floor(),
            None => by_height,
        };
        Some(by_height.min(by_power).max(0.0) as u32)
    }
}

/// A place where machines stand: a region of a provider, or a room of one's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Site {
    /// Its name in the plan; for sites that the plan does not name, `provider/region`.
    pub name: String,
    /// Where it is declared.
    pub place: Option<Place>,
    /// The provider, or `own`.
    pub provider: String,
    /// Region of the provider.
    pub region: Option<String>,
    /// Highest facility power.
    #[serde(rename = "power_w")]
    pub power: Option<Limit<Watts>>,
    /// Facility power over IT power; 1 at a provider, who pays for it.
    pub pue: f64,
    /// Price of energy per kWh, in the plan's currency.
    #[schemars(with = "Option<f64>")]
    pub energy_price_per_kwh: Option<Decimal>,
    /// Price of space and cooling per kW and month, in the plan's currency.
    #[schemars(with = "Option<f64>")]
    pub colocation_price_per_kw_month: Option<Decimal>,
    /// Price of a gigabyte that leaves it, in the plan's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f64>")]
    pub egress_price_per_gb: Option<Decimal>,
    /// What carries heat away, where the plan says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooling: Option<Cooling>,
    /// One rack.
    pub rack: Option<Rack>,
    /// Most racks.
    pub racks: Option<Limit<u32>>,
    /// Spare machines.
    pub redundancy: Redundancy,
    /// Fewest independent zones.
    pub zones: Option<Limit<u32>>,
    /// Most accelerators of a kind.
    pub quotas: Vec<Quota>,
    /// Months between order and use of owned machines.
    pub lead_time_months: f64,
    /// Clock of times of day of the workloads that run here and nowhere else; `None` is that of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

impl Site {
    /// Returns whether the machines there are one's own.
    pub fn is_own(&self) -> bool {
        self.provider == "own"
    }

    /// Returns whether a machine needs liquid where the plan says that heat goes into air alone.
    pub fn refuses_heat_of(&self, shape: &NodeShape) -> bool {
        shape.cooling == Some(Cooling::Liquid) && self.cooling == Some(Cooling::Air)
    }
}

/// A limit on how many accelerators of a kind one can have at a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quota {
    /// The accelerator.
    pub accelerator: String,
    /// The most of it.
    pub most: Limit<u32>,
}
