//! What does storage cost: nodes with their drives, their maintenance, their energy, and what they are worth in the end?

use capstan_types::blueprint::{CostKind, CostLine, Period, Store};
use capstan_types::catalog::Catalog;
use capstan_types::origin::Origin;
use capstan_types::spec::{Site, Spec};
use capstan_types::storage::StorageSystem;
use capstan_types::units::HOURS_PER_MONTH;
use rust_decimal::Decimal;

use crate::pricing::{MEAN_POWER_SHARE, WriteOff, converted, decimal, write_off_terms};

/// The bill of all stores: lines, and what has no known price.
pub fn bill(
    spec: &Spec,
    catalog: &Catalog,
    periods: &[Period],
    stores: &[Store],
) -> (Vec<CostLine>, Vec<String>) {
    let mut lines = Vec::new();
    let mut unknown = Vec::new();
    for store in stores {
        let site = spec.sites.iter().find(|site| site.name == store.site);
        let system = catalog.storage.iter().find(|row| row.id == store.system);
        if let (Some(site), Some(system)) = (site, system) {
            let bill = Bill { spec, periods, site, store, id: &system.id };
            bill.purchase(catalog, system, &mut lines, &mut unknown);
            bill.energy(system, &mut lines, &mut unknown);
        }
    }
    (lines, unknown)
}

struct Bill<'a> {
    spec: &'a Spec,
    periods: &'a [Period],
    site: &'a Site,
    store: &'a Store,
    id: &'a str,
}

/// How a price came to be, and where it was read.
type From<'a> = (Origin, &'a str);

impl Bill<'_> {
    /// Nodes with their drives, their maintenance, and what they are worth in the end.
    fn purchase(
        &self,
        catalog: &Catalog,
        system: &StorageSystem,
        lines: &mut Vec<CostLine>,
        unknown: &mut Vec<String>,
    ) {
        let known =
            system.price.and_then(|price| converted(catalog, &self.spec.frame, system.currency, price));
        let Some(price) = known else {
            unknown.push(format!("{} nodes of {} at {}", self.store.nodes, self.id, self.site.name));
            return;
        };
        let from = (system.provenance.grade.origin(), system.provenance.source.as_str());
        let nodes = Decimal::from(self.store.nodes);
        let item = format!("{}, storage", self.id);
        lines.push(self.line(item, (CostKind::Capex, 0), (nodes, "storage node"), price, from));
        let Some(terms) = write_off_terms(catalog, "default") else { return };
        let from = (terms.provenance.grade.origin(), terms.provenance.source.as_str());
        let monthly = (price * decimal(terms.maintenance_per_year) / Decimal::from(12)).round_dp(9);
        self.every_month(format!("maintenance and support of {}", self.id), monthly, from, lines);
        let write_off = WriteOff {
            price,
            life_months: terms.life_months,
            residual: terms.residual,
            source: terms.provenance.source.clone(),
        };
        let age = self.spec.frame.months;
        let left = write_off.value_after(age).round_dp(9);
        let item = format!("value of {} left after {age} months", self.id);
        let last = self.periods.len().saturating_sub(1);
        lines.push(self.line(item, (CostKind::Residual, last), (nodes, "used storage node"), -left, from));
    }

    fn energy(&self, system: &StorageSystem, lines: &mut Vec<CostLine>, unknown: &mut Vec<String>) {
        let item = format!("energy of {} at {}", self.id, self.site.name);
        let (Some(power), Some(price)) = (system.power, self.site.energy_price_per_kwh) else {
            unknown.push(item);
            return;
        };
        let kwh = power.kw() * MEAN_POWER_SHARE * self.site.pue * HOURS_PER_MONTH;
        let from = (Origin::Assumed, "plan: energy_price, pue; mean power 71 % of the highest");
        self.every_month(item, (price * decimal(kwh)).round_dp(9), from, lines);
    }

    /// Adds what each node costs a month, one line for each period.
    fn every_month(&self, item: String, each: Decimal, from: From<'_>, lines: &mut Vec<CostLine>) {
        for (index, period) in self.periods.iter().enumerate() {
            let months = Decimal::from(self.store.nodes) * Decimal::from(period.months);
            lines.push(self.line(item.clone(), (CostKind::Opex, index), (months, "node-month"), each, from));
        }
    }

    fn line(
        &self,
        item: String,
        (kind, period): (CostKind, usize),
        (quantity, unit): (Decimal, &str),
        unit_price: Decimal,
        (origin, source): From<'_>,
    ) -> CostLine {
        let billed = self.spec.frame.currency.round(quantity * unit_price);
        CostLine {
            item,
            site: self.site.name.clone(),
            shape: None,
            option: None,
            period: period as u32,
            kind,
            quantity,
            unit: unit.to_owned(),
            unit_price,
            billed_cost: billed,
            effective_cost: billed,
            list_cost: None,
            origin,
            source: source.to_owned(),
        }
    }
}
