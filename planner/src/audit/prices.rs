//! Does every price stand in the embedded catalog, and is no unknown price used as nothing?

use super::{Check, pool_name, same};
use capstan_types::blueprint::{AuditCheck, Blueprint, CostLine, Pool, PriceRow, Purchase};
use capstan_types::offering::{Offering, PurchaseOption};
use capstan_types::units::HOURS_PER_MONTH;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Returns the price of a row in the currency of the plan, `None` where it or the rate is unknown.
fn converted(blueprint: &Blueprint, offering: &Offering) -> Option<f64> {
    let (catalog, day) = (&blueprint.inputs.catalog, blueprint.inputs.spec.frame.as_of);
    catalog.converted(offering.price?, offering.currency, blueprint.cost.currency, day)?.to_f64()
}

fn is_row_of(offering: &Offering, pool: &Pool, purchase: &Purchase, price: &PriceRow) -> bool {
    offering.shape == pool.shape
        && offering.option == purchase.option
        && offering.provider == price.provider
        && offering.region == price.region
}

/// Returns whether the lines of a purchase carry the payment at the start of its term, spread over it.
fn upfront_is_billed(blueprint: &Blueprint, pool: &Pool, row: &Offering) -> bool {
    let Some(term_months) = row.option.contract_months() else { return false };
    let whole = Offering { price: row.upfront, ..row.clone() };
    let Some(upfront) = converted(blueprint, &whole) else { return false };
    let hourly = upfront / (term_months * HOURS_PER_MONTH);
    let of_it = |line: &&CostLine| {
        line.site == pool.site && line.shape.as_ref() == Some(&pool.shape) && line.option == Some(row.option)
    };
    let hours = |unit: &str| -> f64 {
        let lines = blueprint.cost.lines.iter().filter(of_it).filter(|line| line.unit == unit);
        lines.filter_map(|line| line.quantity.to_f64()).sum()
    };
    let mut told = blueprint.cost.lines.iter().filter(of_it).filter(|line| line.unit == "contract-h");
    same(hours("node-h"), hours("contract-h"))
        && told.all(|line| line.unit_price.to_f64().is_some_and(|price| (price - hourly).abs() <= 1e-6))
}

/// The level above which a term pays is what it costs over what the same hours cost on demand.
pub(super) fn levels(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("prices: levels above which a term pays");
    for pool in &blueprint.pools {
        for purchase in &pool.purchases {
            let by_hour = matches!(purchase.option, PurchaseOption::OnDemand | PurchaseOption::Spot);
            check.that(!(by_hour && purchase.busy_above.is_some()), || {
                format!("{}: what is paid by the hour has no term", pool_name(pool))
            });
            let Some((level, months)) = purchase.busy_above.zip(purchase.option.contract_months()) else {
                continue;
            };
            let rows = |option| {
                let all = blueprint.inputs.catalog.offerings.iter();
                all.filter(move |row| row.shape == pool.shape && row.option == option)
            };
            let hours = months * HOURS_PER_MONTH;
            let firm = |row: &Offering| {
                let upfront = Offering { price: row.upfront, ..row.clone() };
                Some(converted(blueprint, row)? + converted(blueprint, &upfront).unwrap_or(0.0) / hours)
            };
            let follows = rows(purchase.option).filter_map(firm).any(|firm| {
                let hourly = rows(PurchaseOption::OnDemand).filter_map(|row| converted(blueprint, row));
                hourly.into_iter().any(|hourly| same(firm, level * hourly))
            });
            check.that(follows, || {
                format!("{}: a term pays above {level:.3} of it, by no prices", pool_name(pool))
            });
        }
    }
    check.done()
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
            if let Some(row) = row.filter(|row| row.upfront.is_some()) {
                check.that(upfront_is_billed(blueprint, pool, row), || {
                    format!("{name}: the up-front payment of the catalog is not in the bill")
                });
            }
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
        let paid_first = blueprint.inputs.catalog.offerings.iter().any(|row| {
            row.upfront.is_some()
                && line.shape.as_ref() == Some(&row.shape)
                && line.option == Some(row.option)
        });
        check.that(!machine || paid_first || line.unit_price > Decimal::ZERO, || {
            format!("{} costs nothing", line.item)
        });
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

    #[test]
    fn a_level_that_no_prices_make_is_caught() {
        caught_by("prices: levels", |b| b.pools[1].purchases[0].busy_above = Some(0.5));
        caught_by("prices: levels", |b| b.pools[1].purchases[1].busy_above = Some(0.5));
    }

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
    fn a_payment_at_the_start_that_is_not_billed_is_caught() {
        caught_by("prices: every purchase", |b| {
            for offering in &mut b.inputs.catalog.offerings {
                if matches!(offering.option, PurchaseOption::Reserved { .. }) {
                    offering.upfront = Some(Decimal::from(300));
                }
            }
        });
    }

    #[test]
    fn an_unknown_price_used_as_nothing_is_caught() {
        caught_by("prices: an unknown", |b| b.pools[1].purchases[0].price = None);
        caught_by("prices: an unknown", |b| b.cost.lines[0].unit_price = Decimal::ZERO);
        caught_by("prices: an unknown", |b| b.unpriced[0].option = PurchaseOption::OnDemand);
    }
}
