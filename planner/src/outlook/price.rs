//! What an hour of an accelerator costs on a machine: the price that was given, or a row of the catalog.
//!
//! Without a site there is no one place to ask, so the cheapest region counts, and the answer says which.
//! What is bought and not rented has no hourly price here; a plan writes it off.

use capstan_types::catalog::Catalog;
use capstan_types::hardware::NodeShape;
use capstan_types::money::Currency;
use capstan_types::offering::{Offering, PurchaseOption};
use capstan_types::outlook::HourPrice;
use rust_decimal::Decimal;
use std::cmp::Reverse;

/// Returns the price of an hour of an accelerator on the cheapest of some machines; `None` where nobody knows one.
pub(super) fn cheapest<'a>(
    catalog: &Catalog,
    shapes: impl Iterator<Item = &'a NodeShape>,
    currency: Currency,
) -> Option<HourPrice> {
    shapes.filter_map(|shape| of_machine(catalog, shape, currency)).min_by(|a, b| {
        let key = |price: &HourPrice| (price.option, price.per_accelerator_hour);
        // On demand before what needs a contract; the enum's order is another one.
        (rank(key(a).0), key(a).1).cmp(&(rank(key(b).0), key(b).1))
    })
}

/// On demand can be had by anybody at any time; a term binds, and spot may be reclaimed.
pub(super) fn rank(option: Option<PurchaseOption>) -> u32 {
    match option {
        Some(PurchaseOption::OnDemand) | None => 0,
        Some(PurchaseOption::Block { days }) => 1 + days,
        Some(PurchaseOption::Reserved { term_months } | PurchaseOption::SavingsPlan { term_months }) => {
            1000 + term_months
        }
        Some(PurchaseOption::Spot) => 10_000,
        Some(PurchaseOption::Owned) => 20_000,
    }
}

/// Returns the price on one machine: on demand before terms, firm before estimated, then the cheapest region.
pub(super) fn of_machine(catalog: &Catalog, shape: &NodeShape, currency: Currency) -> Option<HourPrice> {
    let rented = |offering: &&Offering| {
        offering.shape == shape.id
            && offering.currency == currency
            && offering.option != PurchaseOption::Owned
            && offering.price.is_some()
    };
    let best = catalog.offerings.iter().filter(rented).min_by_key(|offering| {
        (rank(Some(offering.option)), offering.grade, offering.price, Reverse(offering.as_of))
    })?;
    let price = best.price?.checked_div(Decimal::from(shape.accelerators.max(1)))?;
    Some(HourPrice {
        per_accelerator_hour: price.round_dp(6),
        currency,
        machine: Some(shape.id.clone()),
        provider: Some(best.provider.clone()),
        region: Some(best.region.clone()),
        option: Some(best.option),
        grade: Some(best.grade),
        source: best.source.clone(),
        as_of: Some(best.as_of),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::origin::PriceGrade;
    use capstan_types::testing;

    fn offering(shape: &str, region: &str, option: PurchaseOption, price: Option<i64>) -> Offering {
        Offering {
            shape: shape.to_owned(),
            provider: "p".to_owned(),
            region: region.to_owned(),
            option,
            price: price.map(Decimal::from),
            currency: Currency::USD,
            grade: PriceGrade::List,
            source: "list".to_owned(),
            as_of: jiff::civil::date(2026, 1, 1),
            upfront: None,
            reclaimed_per_month: None,
        }
    }

    #[test]
    fn a_machine_costs_what_its_cheapest_firm_region_asks_on_demand() {
        let mut catalog = testing::catalog();
        let shape = catalog.shapes.iter().find(|shape| shape.accelerators == 8).unwrap().clone();
        let estimated = Offering {
            grade: PriceGrade::Estimate,
            ..offering(&shape.id, "d", PurchaseOption::OnDemand, Some(8))
        };
        catalog.offerings = vec![
            offering(&shape.id, "a", PurchaseOption::OnDemand, Some(24)),
            offering(&shape.id, "b", PurchaseOption::OnDemand, Some(16)),
            offering(&shape.id, "c", PurchaseOption::OnDemand, None),
            offering(&shape.id, "b", PurchaseOption::Spot, Some(4)),
            offering(&shape.id, "b", PurchaseOption::Owned, Some(300_000)),
            estimated,
        ];
        let price = of_machine(&catalog, &shape, Currency::USD).unwrap();
        assert_eq!((price.region.as_deref(), price.per_accelerator_hour), (Some("b"), Decimal::TWO));
        assert_eq!(cheapest(&catalog, std::iter::once(&shape), Currency::USD), Some(price));
        assert_eq!(of_machine(&catalog, &shape, Currency::EUR), None);
        // What needs a term or may be reclaimed counts where nothing else is sold; what is bought never.
        catalog.offerings.retain(|row| row.option != PurchaseOption::OnDemand);
        assert_eq!(of_machine(&catalog, &shape, Currency::USD).unwrap().option, Some(PurchaseOption::Spot));
        catalog.offerings.retain(|row| row.option == PurchaseOption::Owned);
        assert_eq!(of_machine(&catalog, &shape, Currency::USD), None);
    }
}
