//! Does every price stand in the embedded catalog, and is no unknown price used as nothing?

use super::{Check, pool_name, same};
use capstan_types::blueprint::{AuditCheck, Blueprint, Pool, PriceRow, Purchase};
use capstan_types::money::Currency;
use capstan_types::offering::{Offering, PurchaseOption};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Returns the price of a row in the currency of the plan, `None` where it or the rate is unknown.
fn converted(blueprint: &Blueprint, offering: &Offering) -> Option<f64> {
    let price = offering.price?.to_f64()?;
    let wanted: Currency = blueprint.cost.currency;
    if offering.currency == wanted {
        return Some(price);
    }
    let mut rates = blueprint.inputs.catalog.rates.iter();
    let rate = rates.find(|rate| rate.from == offering.currency && rate.to == wanted)?;
    Some(price * rate.rate.to_f64()?)
}

fn is_row_of(offering: &Offering, pool: &Pool, purchase: &Purchase, price: &PriceRow) -> bool {
    offering.shape == pool.shape
        && offering.option == purchase.option
        && offering.provider == price.provider
        && offering.region == price.region
}

/// The price of every purchase is a row of the catalog that holds where the machines stand.
pub(super) fn rows(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("prices: every purchase rests on a row of the catalog");
    for pool in &blueprint.pools {
        let site = blueprint.inputs.spec.sites.iter().find(|site| site.name == pool.site);
        for purchase in &pool.purchases {
            let Some(price) = &purchase.price else { continue };
            let name = format!("{}, {}", pool_name(pool), purchase.option.words());
            let mut rows = blueprint.inputs.catalog.offerings.iter();
            let row = rows.find(|row| is_row_of(row, pool, purchase, price));
            let told = price.price.to_f64().unwrap_or(f64::NAN);
            let known = row.and_then(|row| converted(blueprint, row));
            check.that(known.is_some_and(|known| same(known, told)), || match known {
                Some(known) => format!("{name}: {told} is paid, the catalog says {known}"),
                None => format!("{name}: the catalog has no such price"),
            });
            let here = site.is_some_and(|site| {
                site.provider == price.provider
                    && (price.region == "all" || site.region.as_ref() == Some(&price.region))
            });
            check.that(here, || format!("{name}: the price is one of {} {}", price.provider, price.region));
        }
    }
    check.done()
}

/// Nothing is had for an unknown price, and no machine costs nothing.
pub(super) fn unknown(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("prices: an unknown price is never zero");
    for pool in &blueprint.pools {
        let fleets = blueprint.inputs.spec.fleets.iter();
        let standing: u32 = fleets
            .filter(|fleet| fleet.site == pool.site && fleet.shape == pool.shape)
            .map(|fleet| fleet.count)
            .sum();
        for purchase in &pool.purchases {
            let stands = purchase.option == PurchaseOption::Owned && purchase.nodes <= standing;
            check.that(purchase.price.is_some() || purchase.nodes == 0 || stands, || {
                format!(
                    "{}: {} nodes {} without a price",
                    pool_name(pool),
                    purchase.nodes,
                    purchase.option.words()
                )
            });
        }
    }
    for line in &blueprint.cost.lines {
        let machine = line.unit == "node-h" || line.unit == "node";
        check.that(!machine || line.unit_price > Decimal::ZERO, || format!("{} costs nothing", line.item));
    }
    for unpriced in &blueprint.unpriced {
        let mut pools =
            blueprint.pools.iter().filter(|p| p.site == unpriced.site && p.shape == unpriced.shape);
        let used =
            pools.any(|pool| pool.purchases.iter().any(|p| p.option == unpriced.option && p.nodes > 0));
        check.that(!used, || {
            format!(
                "{}/{} has no price {}, yet it is bought",
                unpriced.site,
                unpriced.shape,
                unpriced.option.words()
            )
        });
    }
    check.done()
}

#[cfg(test)]
mod tests {
    use super::super::tests::caught_by;
    use capstan_types::offering::PurchaseOption;
    use rust_decimal::Decimal;

    #[test]
    fn a_price_that_no_row_has_is_caught() {
        caught_by("prices: every purchase", |b| {
            b.inputs.catalog.offerings[2].price = Some(Decimal::from(60))
        });
        caught_by("prices: every purchase", |b| b.inputs.catalog.offerings[2].price = None);
        caught_by("prices: every purchase", |b| {
            b.pools[1].purchases[0].price.as_mut().unwrap().region = "us-west-2".to_owned();
        });
        caught_by("prices: every purchase", |b| b.inputs.spec.sites[1].region = Some("eu-west-2".to_owned()));
    }

    #[test]
    fn an_unknown_price_used_as_nothing_is_caught() {
        caught_by("prices: an unknown", |b| b.pools[1].purchases[0].price = None);
        caught_by("prices: an unknown", |b| b.cost.lines[0].unit_price = Decimal::ZERO);
        caught_by("prices: an unknown", |b| b.unpriced[0].option = PurchaseOption::OnDemand);
    }
}
