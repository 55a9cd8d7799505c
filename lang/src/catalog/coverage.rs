//! How much of the catalog is known, and how well?
//!
//! Counts per provider and region: machines with a price per purchase option and without, and prices that are
//! estimates; the same for single goods; and the list of facts that rest on no document. Nothing is judged here.

use capstan_types::catalog::Catalog;
use capstan_types::market::{Good, MarketPrice};
use capstan_types::offering::{Offering, PurchaseOption};
use capstan_types::origin::{Grade, Origin, Provenance};
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};

/// Prices of one purchase option in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionCoverage {
    /// How it is bought.
    pub option: PurchaseOption,
    /// Machines with a price.
    pub priced: usize,
    /// Machines that are offered here but have no price under this option.
    pub unpriced: usize,
    /// Prices among them that are estimates.
    pub estimated: usize,
}

/// What is known of one region of one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionCoverage {
    /// Who sells.
    pub provider: String,
    /// Where.
    pub region: String,
    /// Machines with any price or with a price that is known to be unknown.
    pub shapes: usize,
    /// Per option that the provider could sell: own servers are bought, all others are not.
    pub options: Vec<OptionCoverage>,
    /// Date of the oldest price.
    pub oldest: Option<Date>,
    /// Date of the newest price.
    pub newest: Option<Date>,
}

/// What is known of the prices of one good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoodCoverage {
    /// The good.
    pub good: Good,
    /// Rows with a price.
    pub priced: usize,
    /// Rows without one.
    pub unpriced: usize,
    /// Prices among them that are estimates.
    pub estimated: usize,
    /// Date of the oldest price.
    pub oldest: Option<Date>,
    /// Date of the newest price.
    pub newest: Option<Date>,
}

/// Returns what is priced of single goods, in their order.
pub fn goods(catalog: &Catalog) -> Vec<GoodCoverage> {
    let of = |good: Good| {
        let rows: Vec<&MarketPrice> = catalog.market_prices.iter().filter(|row| row.good == good).collect();
        let priced: Vec<&MarketPrice> = rows.iter().copied().filter(|row| row.price.is_some()).collect();
        let dates = || priced.iter().map(|row| row.provenance.as_of);
        GoodCoverage {
            good,
            priced: priced.len(),
            unpriced: rows.len() - priced.len(),
            estimated: priced.iter().filter(|row| row.origin() == Origin::Assumed).count(),
            oldest: dates().min(),
            newest: dates().max(),
        }
    };
    Good::ALL.into_iter().map(of).collect()
}

/// A fact that counts as assumed in every report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumedFact {
    /// The kind of row, as in the catalog file.
    pub kind: &'static str,
    /// The row.
    pub id: String,
    /// Why it is assumed.
    pub grade: Grade,
    /// What its source says.
    pub source: String,
}

/// The options that are counted for machines that are sold by the hour.
const HOURLY: [PurchaseOption; 4] = [
    PurchaseOption::OnDemand,
    PurchaseOption::Spot,
    PurchaseOption::Reserved { term_months: 12 },
    PurchaseOption::Reserved { term_months: 36 },
];

/// Returns what is priced, by provider and region in order.
pub fn coverage(catalog: &Catalog) -> Vec<RegionCoverage> {
    let mut regions: BTreeMap<(&str, &str), Vec<&Offering>> = BTreeMap::new();
    for offering in &catalog.offerings {
        regions.entry((&offering.provider, &offering.region)).or_default().push(offering);
    }
    regions
        .into_iter()
        .map(|((provider, region), offerings)| of_region(provider, region, &offerings))
        .collect()
}

fn of_region(provider: &str, region: &str, offerings: &[&Offering]) -> RegionCoverage {
    let shapes: BTreeSet<&str> = offerings.iter().map(|offering| offering.shape.as_str()).collect();
    let mut options: BTreeSet<PurchaseOption> = offerings.iter().map(|offering| offering.option).collect();
    if !options.contains(&PurchaseOption::Owned) {
        options.extend(HOURLY);
    }
    let count = |option: PurchaseOption| {
        let priced =
            offerings.iter().filter(|offering| offering.option == option && offering.price.is_some());
        let estimated = priced.clone().filter(|offering| offering.origin() == Origin::Assumed).count();
        let priced = priced.count();
        OptionCoverage { option, priced, unpriced: shapes.len() - priced, estimated }
    };
    let dates =
        || offerings.iter().filter(|offering| offering.price.is_some()).map(|offering| offering.as_of);
    RegionCoverage {
        provider: provider.to_owned(),
        region: region.to_owned(),
        shapes: shapes.len(),
        options: options.into_iter().map(count).collect(),
        oldest: dates().min(),
        newest: dates().max(),
    }
}

/// Returns the facts that count as assumed, by kind and then by name.
pub fn assumed_facts(catalog: &Catalog) -> Vec<AssumedFact> {
    let mut facts = Vec::new();
    let mut add = |kind: &'static str, id: String, provenance: &Provenance| {
        if provenance.grade.origin() == Origin::Assumed {
            facts.push(AssumedFact { kind, id, grade: provenance.grade, source: provenance.source.clone() });
        }
    };
    catalog.accelerators.iter().for_each(|row| add("accelerator", row.id.clone(), &row.provenance));
    catalog.shapes.iter().for_each(|row| add("shape", row.id.clone(), &row.provenance));
    catalog.fabrics.iter().for_each(|row| add("fabric", row.id.clone(), &row.provenance));
    catalog.storage.iter().for_each(|row| add("storage", row.id.clone(), &row.provenance));
    catalog
        .regions
        .iter()
        .for_each(|row| add("region", format!("{} {}", row.provider, row.id), &row.provenance));
    catalog.ownership.iter().for_each(|row| add("ownership", row.id.clone(), &row.provenance));
    catalog.models.iter().for_each(|row| add("model", row.id.clone(), &row.provenance));
    catalog.traffic.iter().for_each(|row| add("traffic", row.id.clone(), &row.provenance));
    catalog.engines.iter().for_each(|row| add("engine", row.id.clone(), &row.provenance));
    let fitted = |id: &str, precision: &str| format!("{id} {precision}");
    catalog
        .gemm
        .iter()
        .for_each(|row| add("gemm", fitted(&row.accelerator, row.precision.word()), &row.provenance));
    catalog.attention.iter().for_each(|row| add("attention", row.accelerator.clone(), &row.provenance));
    catalog
        .experts
        .iter()
        .for_each(|row| add("experts", fitted(&row.accelerator, row.precision.word()), &row.provenance));
    catalog.collectives.iter().for_each(|row| add("collective", row.accelerator.clone(), &row.provenance));
    catalog.calibrations.iter().for_each(|row| {
        add("calibration", format!("{} {}", row.model, row.accelerator), &row.provenance);
    });
    facts
}
