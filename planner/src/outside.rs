//! What is spent, drawn and filled beside the machines that the program chooses, so that limits hold for both together?

use capstan_types::blueprint::{CostKind, CostLine, Period};
use capstan_types::catalog::Catalog;
use capstan_types::origin::Origin;
use capstan_types::spec::Spec;
use capstan_types::units::HOURS_PER_MONTH;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::ops::Range;

use crate::market::Market;
use crate::pricing::standing;
use crate::program::Problem;
use crate::storage::{self, Stores};

/// Where a line of the bill stands that is no site's.
const ALL_SITES: &str = "all sites";

/// Machines that stand there already, storage, and what the plan states to pay each month.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Running cost per month, by period.
    pub per_month: Vec<f64>,
    /// What is bought, by period.
    pub capex: Vec<f64>,
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
        let (lines, _) = bill(spec, catalog, periods, stores);
        let sum = |kind: CostKind, period: Option<usize>| -> f64 {
            let mine = lines.iter().filter(|line| line.kind == kind);
            let mine = mine.filter(|line| period.is_none_or(|index| line.period as usize == index));
            mine.filter_map(|line| line.billed_cost.to_f64()).sum()
        };
        let per_month = periods.iter().enumerate().map(|(index, period)| {
            let beside = sum(CostKind::Opex, Some(index)) / f64::from(period.months.max(1));
            machines_per_month(market, index) + beside
        });
        let sites = spec.sites.iter();
        Outside {
            per_month: per_month.collect(),
            capex: (0..periods.len()).map(|index| sum(CostKind::Capex, Some(index))).collect(),
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
        running + self.capex.iter().sum::<f64>() + self.left
    }

    /// Returns the same as the program's objective counts it.
    pub fn present(&self, periods: &[Period], problem: &Problem) -> f64 {
        let opening: Vec<_> = problem.periods.iter().filter(|period| period.opens).collect();
        let running = self.per_month.iter().zip(periods).zip(&opening);
        let running = running
            .map(|((monthly, period), of)| monthly * f64::from(period.months) * of.discount)
            .sum::<f64>();
        let bought: f64 =
            self.capex.iter().zip(&opening).map(|(amount, of)| amount * of.discount_at_start).sum();
        running + bought + self.left * problem.discount_at_end
    }

    /// Returns what is bought in some periods.
    pub fn bought_in(&self, periods: &Range<usize>) -> f64 {
        self.capex.get(periods.clone()).unwrap_or_default().iter().sum()
    }

    /// Returns the running cost of the dearest month of some periods.
    pub fn highest_per_month(&self, periods: &Range<usize>) -> f64 {
        self.per_month.get(periods.clone()).unwrap_or_default().iter().copied().fold(0.0, f64::max)
    }
}

/// Returns the lines of the bill that are no machine's, storage and what the plan states to pay each month, and what of it has
/// no price.
pub(crate) fn bill(
    spec: &Spec,
    catalog: &Catalog,
    periods: &[Period],
    stores: &Stores,
) -> (Vec<CostLine>, Vec<String>) {
    let (mut lines, mut unknown) = storage::bill(spec, catalog, periods, &stores.all);
    for (name, each) in spec.frame.beside.each() {
        match each {
            Some(each) if each.is_zero() => {}
            Some(each) => lines.extend(monthly(spec, periods, name, each)),
            None => unknown.push(format!("{name} (no `{name}` in `plan`)")),
        }
    }
    (lines, unknown)
}

/// Returns the lines of what is paid each month.
fn monthly(spec: &Spec, periods: &[Period], name: &str, each: Decimal) -> impl Iterator<Item = CostLine> {
    let line = move |(index, period): (u32, &Period)| {
        let quantity = Decimal::from(period.months);
        let billed = spec.frame.currency.round(quantity * each);
        CostLine {
            item: name.to_owned(),
            site: ALL_SITES.to_owned(),
            shape: None,
            option: None,
            period: index,
            kind: CostKind::Opex,
            quantity,
            unit: "month".to_owned(),
            unit_price: each,
            billed_cost: billed,
            effective_cost: billed,
            list_cost: None,
            origin: Origin::Published,
            source: format!("plan: {name}"),
        }
    };
    (0..).zip(periods).map(line)
}

/// Returns what machines that stand there already cost per month in a period.
fn machines_per_month(market: &Market<'_>, period: usize) -> f64 {
    let each = market.stands.iter().map(|stand| {
        let (components, _) = standing(stand.site, stand.shape);
        let monthly: f64 = components.iter().filter_map(|part| part.price.to_f64()).sum();
        let contracts = stand.contracts.iter().map(|contract| {
            f64::from(contract.nodes[period]) * contract.price.to_f64().unwrap_or(0.0) * HOURS_PER_MONTH
        });
        f64::from(stand.fleet[period]) * monthly + contracts.sum::<f64>()
    });
    each.sum()
}
