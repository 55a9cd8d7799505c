//! What does the energy of the switches cost?

use capstan_types::blueprint::{CostKind, CostLine, Network, Period, Pool};
use capstan_types::origin::Origin;
use capstan_types::spec::{Site, Spec};
use capstan_types::units::HOURS_PER_MONTH;
use rust_decimal::Decimal;

use crate::pricing::decimal;

/// Returns the energy of all switches in the periods in which machines stand beside them, and what of it has no price.
pub fn bill<'a>(
    spec: &Spec,
    periods: &[Period],
    networks: &[Network],
    pools: impl Iterator<Item = &'a Pool> + Clone,
) -> (Vec<CostLine>, Vec<String>) {
    let mut lines = Vec::new();
    let mut unknown = Vec::new();
    for network in networks {
        let Some(site) = spec.sites.iter().find(|site| site.name == network.site) else { continue };
        let item = format!("energy of {}, switches", network.switch);
        let (Some(power), Some(price)) = (network.power, site.energy_price_per_kwh) else {
            unknown.push(format!("{item} at {}", site.name));
            continue;
        };
        // Their power is the typical one already.
        let kwh = power.kw() * site.pue * HOURS_PER_MONTH;
        let monthly = (price * decimal(kwh)).round_dp(9);
        let mut wired = pools.clone().filter(|pool| pool.site == network.site && pool.shape == network.shape);
        let Some(pool) = wired.next() else { continue };
        let standing = periods.iter().enumerate().filter(|(index, _)| pool.at_once(*index) > 0);
        lines.extend(standing.map(|(index, period)| line(spec, site, (&item, monthly), index, period)));
    }
    (lines, unknown)
}

fn line(
    spec: &Spec,
    site: &Site,
    (item, monthly): (&str, Decimal),
    index: usize,
    period: &Period,
) -> CostLine {
    let quantity = Decimal::from(period.months);
    let billed = spec.frame.currency.round(quantity * monthly);
    CostLine {
        item: item.to_owned(),
        site: site.name.clone(),
        shape: None,
        option: None,
        period: index as u32,
        kind: CostKind::Opex,
        quantity,
        unit: "month".to_owned(),
        unit_price: monthly,
        billed_cost: billed,
        effective_cost: billed,
        list_cost: None,
        origin: Origin::Assumed,
        source: "plan: energy_price, pue; typical power of the switches by the catalog".to_owned(),
    }
}
