//! Is what leaves each site paid at its price, and listed where it has none?

use super::{Check, at, hour_weight, same};
use capstan_types::blueprint::{AuditCheck, Blueprint, CostLine, Period, Service};
use capstan_types::spec::Serve;
use rust_decimal::prelude::ToPrimitive;

/// How the bill calls it.
const ITEM: &str = "data transfer out of";

/// Bytes of a token of an answer, with its event, and of what comes with each answer, as the plan assumes them.
const TOKEN_BYTES: f64 = 217.0;
const ANSWER_BYTES: f64 = 638.0;

/// Gigabytes are billed with four decimals.
const ROUNDING_GB: f64 = 1e-4;

/// What services send leaves the sites of their placements, and is paid there.
pub(super) fn paid(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("money: what leaves each site is paid, or listed as unpriced");
    let cost = &blueprint.cost;
    for site in &blueprint.inputs.spec.sites {
        let item = format!("{ITEM} {}", site.name);
        let sends = blueprint
            .services
            .iter()
            .any(|service| service.placements.iter().any(|placement| placement.site == site.name));
        let is_listed = cost.not_included.iter().any(|other| other.starts_with(&format!("{item} (")));
        let is_unpriced = sends && site.egress_price_per_gb.is_none();
        check.that(is_listed == is_unpriced, || {
            format!("`{item}` is listed as unpriced: {is_listed}, without a price: {is_unpriced}")
        });
        let lines = || cost.lines.iter().filter(|line| line.shape.is_none() && line.item == item);
        for line in lines() {
            check.that(Some(line.unit_price) == site.egress_price_per_gb && line.unit == "GB", || {
                format!("`{item}` is billed at {} per {}", line.unit_price, line.unit)
            });
        }
        let price = site.egress_price_per_gb.filter(|price| !price.is_zero());
        for (index, period) in blueprint.periods.iter().enumerate() {
            let mine = |line: &&CostLine| line.period as usize == index;
            let billed: f64 = lines().filter(mine).filter_map(|line| line.quantity.to_f64()).sum();
            let sent = if price.is_some() { sent_from(blueprint, &site.name, (index, period)) } else { 0.0 };
            check.that(same(billed, sent) || (billed - sent).abs() <= ROUNDING_GB, || {
                format!("`{item}`, period {index}: {billed} GB billed, {sent:.4} GB sent")
            });
        }
    }
    check.done()
}

/// Returns the gigabytes that services send from a site in a period.
fn sent_from(blueprint: &Blueprint, site: &str, (index, period): (usize, &Period)) -> f64 {
    let each = blueprint.services.iter().filter_map(|service| {
        let serve = blueprint.inputs.spec.serves.iter().find(|serve| serve.name == service.workload)?;
        Some(gigabytes(blueprint, (serve, service), site, (index, period)))
    });
    each.sum()
}

fn gigabytes(
    blueprint: &Blueprint,
    (serve, service): (&Serve, &Service),
    site: &str,
    (index, period): (usize, &Period),
) -> f64 {
    let curve = blueprint.demand.iter().find(|curve| curve.workload == serve.name);
    let rates = curve.and_then(|curve| curve.rates.get(index)).map_or(&[] as &[f64], Vec::as_slice);
    // Demand is sized at the busiest month; what is sent rests on the mean of all.
    let grown = |month: u32| libm::pow(1.0 + serve.load.growth_per_month, f64::from(month));
    let months = period.first_month..period.first_month + period.months;
    let (sum, most) = months.map(grown).fold((0.0, 0.0_f64), |(sum, most), one| (sum + one, most.max(one)));
    let mean = sum / f64::from(period.months.max(1)) / most.max(f64::MIN_POSITIVE);
    let (mut here, mut all) = (0.0, 0.0);
    for (hour, rate) in rates.iter().enumerate() {
        let demand = rate * (1.0 + serve.headroom);
        let mut left = demand;
        for (place, placement) in service.placements.iter().enumerate() {
            let capacity = f64::from(at(&placement.replicas, index, hour))
                * placement.estimate.rate.get()
                * placement.derating;
            let is_last = place + 1 == service.placements.len();
            let carried = if is_last { left } else { left.min(capacity) };
            left -= carried;
            here += if placement.site == site { carried } else { 0.0 } * hour_weight(period.months, hour);
        }
        all += demand * hour_weight(period.months, hour);
    }
    let requests = all / (1.0 + serve.headroom) * mean * 3600.0;
    let (counted, _, output) = serve.counts();
    let share = if all > 0.0 { here / all } else { 0.0 };
    requests * share * (counted * ANSWER_BYTES + output * TOKEN_BYTES) / 1e9
}

#[cfg(test)]
mod tests {
    use super::super::tests::caught_by;
    use rust_decimal::Decimal;

    #[test]
    fn traffic_that_is_not_paid_is_caught() {
        caught_by("money: what leaves", |b| {
            b.inputs.spec.sites[1].egress_price_per_gb = Some(Decimal::new(9, 2));
        });
        caught_by("money: what leaves", |b| {
            b.cost.not_included.retain(|item| !item.starts_with("data transfer"));
        });
        // A price of nothing is a price, and nothing is billed for it.
        caught_by("money: what leaves", |b| {
            b.inputs.spec.sites[1].egress_price_per_gb = Some(Decimal::ZERO);
        });
    }
}
