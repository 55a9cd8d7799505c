//! What is spent, drawn and filled beside the machines that the program chooses, so that limits hold for both together?

use capstan_types::blueprint::{CostKind, Period};
use capstan_types::catalog::Catalog;
use capstan_types::spec::Spec;
use capstan_types::units::HOURS_PER_MONTH;
use rust_decimal::prelude::ToPrimitive;

use crate::market::Market;
use crate::pricing::standing;
use crate::program::Problem;
use crate::storage::{self, Stores};

/// Machines that stand there already, and storage.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Running cost per month, by period.
    pub per_month: Vec<f64>,
    /// What is bought.
    pub capex: f64,
    /// What it is still worth in the end, zero or below.
    pub left: f64,
    /// Facility power by site, in kW.
    pub power_kw: Vec<f64>,
    /// Racks by site.
    pub racks: Vec<f64>,
    /// Most nodes at once by place that were bought before; empty where none was.
    pub bought: Vec<u32>,
}

impl Outside {
    /// Adds it up.
    pub fn of(
        spec: &Spec,
        catalog: &Catalog,
        market: &Market<'_>,
        periods: &[Period],
        stores: &Stores,
    ) -> Self {
        let (lines, _) = storage::bill(spec, catalog, periods, &stores.all);
        let sum = |kind: CostKind, period: Option<usize>| -> f64 {
            let mine = lines.iter().filter(|line| line.kind == kind);
            let mine = mine.filter(|line| period.is_none_or(|index| line.period as usize == index));
            mine.filter_map(|line| line.billed_cost.to_f64()).sum()
        };
        let per_month = periods.iter().enumerate().map(|(index, period)| {
            let storage = sum(CostKind::Opex, Some(index)) / f64::from(period.months.max(1));
            machines_per_month(market, index) + storage
        });
        let sites = spec.sites.iter();
        Outside {
            per_month: per_month.collect(),
            capex: sum(CostKind::Capex, None),
            left: sum(CostKind::Residual, None),
            // What nobody knows is a finding of its own where a limit asks for it.
            power_kw: sites
                .clone()
                .map(|site| stores.power_at(&site.name).map_or(0.0, |power| power.kw() * site.pue))
                .collect(),
            racks: sites.map(|site| stores.racks_at(site).unwrap_or(0.0)).collect(),
            bought: Vec::new(),
        }
    }

    /// Returns what all of it costs over the horizon.
    pub fn total(&self, periods: &[Period]) -> f64 {
        let running = self.per_month.iter().zip(periods);
        let running: f64 = running.map(|(monthly, period)| monthly * f64::from(period.months)).sum();
        running + self.capex + self.left
    }

    /// Returns the same as the program's objective counts it.
    pub fn present(&self, periods: &[Period], problem: &Problem) -> f64 {
        let discounts = problem.periods.iter().filter(|period| period.opens).map(|period| period.discount);
        let running = self.per_month.iter().zip(periods).zip(discounts);
        let running: f64 =
            running.map(|((monthly, period), discount)| monthly * f64::from(period.months) * discount).sum();
        let first = problem.periods.first().map_or(1.0, |period| period.discount_at_start);
        running + self.capex * first + self.left * problem.discount_at_end
    }

    /// Returns the running cost of the dearest month.
    pub fn highest_per_month(&self) -> f64 {
        self.per_month.iter().copied().fold(0.0, f64::max)
    }
}

/// Returns what machines that stand there already cost per month in a period.
fn machines_per_month(market: &Market<'_>, period: usize) -> f64 {
    let each = market.stands.iter().map(|stand| {
        let (components, _) = standing(stand.site, stand.shape);
        let monthly: f64 = components.iter().filter_map(|part| part.price.to_f64()).sum();
        let contract = stand.committed.and_then(|price| price.to_f64()).unwrap_or(0.0);
        f64::from(stand.fleet[period]) * (monthly + contract * HOURS_PER_MONTH)
    });
    each.sum()
}
