//! What one node costs at a site under a purchase option, and what of that nobody knows.
//!
//! The program's coefficients and the lines of the bill come from the same quotes, so they cannot disagree.

use capstan_types::blueprint::PriceRow;
use capstan_types::catalog::Catalog;
use capstan_types::hardware::NodeShape;
use capstan_types::money::Currency;
use capstan_types::offering::{Offering, Ownership, PurchaseOption};
use capstan_types::origin::Origin;
use capstan_types::spec::{Frame, Site};
use capstan_types::units::HOURS_PER_MONTH;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Share of its highest power that a node draws on average.
///
/// Origin: Assumed; Epoch AI reports 71 % utilisation for large sites in the US (physics of sites, 7.2).
pub const MEAN_POWER_SHARE: f64 = 0.71;

/// What a component's price is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Once per node, when it is bought.
    Purchase,
    /// Per node and month.
    NodeMonth,
    /// Per node and hour.
    NodeHour,
}

/// One thing that is paid for with a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// What it is.
    pub item: String,
    /// What its price is for.
    pub basis: Basis,
    /// Whether it is the machine itself, at the price of its row.
    pub is_machine: bool,
    /// The price in the plan's currency, unrounded.
    pub price: Decimal,
    /// How it came to be.
    pub origin: Origin,
    /// Where it was read.
    pub source: String,
}

/// How an owned node loses value.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteOff {
    /// What is written off: node and network.
    pub price: Decimal,
    /// Straight-line life.
    pub life_months: u32,
    /// Share left after it.
    pub residual: f64,
    /// Where the terms were read.
    pub source: String,
}

impl WriteOff {
    /// Returns the value left after `age` months: straight-line down to the residual, then constant.
    pub fn value_after(&self, age: u32) -> Decimal {
        let lost = (1.0 - self.residual) * f64::from(age.min(self.life_months)) / f64::from(self.life_months);
        // Few digits, so that what is written as a number of JSON is read as the same.
        (self.price * decimal(1.0 - lost)).round_dp(9).normalize()
    }
}

/// Everything that one node costs at a site under an option.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    /// How it is bought.
    pub option: PurchaseOption,
    /// The price row, converted to the plan's currency.
    pub row: PriceRow,
    /// The node first, then what comes with it.
    pub components: Vec<Component>,
    /// Loss of value, where owned.
    pub write_off: Option<WriteOff>,
    /// What belongs to the cost but has no known price.
    pub unknown: Vec<String>,
}

impl Quote {
    /// Returns the sum of the components of one basis, for the program's coefficients.
    pub fn sum(&self, basis: Basis) -> f64 {
        let parts = self.components.iter().filter(|part| part.basis == basis);
        parts.map(|part| part.price.to_f64().unwrap_or(f64::INFINITY)).sum()
    }

    /// Returns what an hour of a node costs, with its share of what is paid at the start of a term.
    pub fn hourly(&self) -> Decimal {
        let parts = self.components.iter().filter(|part| part.basis == Basis::NodeHour);
        parts.map(|part| part.price).sum()
    }
}

/// What is known of an option at a site.
#[derive(Debug, Clone, PartialEq)]
pub enum Quoted {
    /// It has a price.
    Priced(Box<Quote>),
    /// It is sold, but nobody knows the price.
    Unpriced,
    /// It is not sold there.
    NotOffered,
}

/// Returns what one node of `shape` costs at `site` under `option`.
pub fn quote(
    catalog: &Catalog,
    frame: &Frame,
    site: &Site,
    shape: &NodeShape,
    option: PurchaseOption,
) -> Quoted {
    let Some(offering) = best_offering(catalog, site, shape, option) else { return Quoted::NotOffered };
    let Some(price) = offering.price.and_then(|price| converted(catalog, frame, offering.currency, price))
    else {
        return Quoted::Unpriced;
    };
    let row = PriceRow {
        provider: offering.provider.clone(),
        region: offering.region.clone(),
        price,
        grade: offering.grade,
        source: offering.source.clone(),
        as_of: offering.as_of,
    };
    let node = Component {
        item: format!("{}, {}", shape.id, option.words()),
        basis: if option == PurchaseOption::Owned { Basis::Purchase } else { Basis::NodeHour },
        is_machine: true,
        price,
        origin: offering.origin(),
        source: offering.source.clone(),
    };
    let mut quote = Quote { option, row, components: vec![node], write_off: None, unknown: Vec::new() };
    if let Some(months) = option.contract_months() {
        quote.components.extend(spread_upfront(catalog, frame, offering, months));
    }
    if option == PurchaseOption::Owned {
        add_ownership(&mut quote, catalog, shape, price);
    }
    if site.is_own() {
        add_standing(&mut quote, site, shape);
    }
    Quoted::Priced(Box::new(quote))
}

/// Returns what an hour of a row costs, with its share of what is paid at the start of a term; `None` where it is unknown.
pub fn hourly(catalog: &Catalog, frame: &Frame, row: &Offering) -> Option<Decimal> {
    let price = converted(catalog, frame, row.currency, row.price?)?;
    let term = row.option.contract_months();
    let upfront = term.and_then(|months| spread_upfront(catalog, frame, row, months));
    Some(price + upfront.map_or(Decimal::ZERO, |part| part.price))
}

/// Returns the payment at the start of a term as money per hour of that term, which is paid for used or not.
fn spread_upfront(
    catalog: &Catalog,
    frame: &Frame,
    offering: &Offering,
    term_months: f64,
) -> Option<Component> {
    let upfront = converted(catalog, frame, offering.currency, offering.upfront?)?;
    let hours = decimal(term_months * HOURS_PER_MONTH);
    Some(Component {
        item: format!("{}, {}, up-front payment over its term", offering.shape, offering.option.words()),
        basis: Basis::NodeHour,
        is_machine: false,
        price: upfront.checked_div(hours)?.round_dp(9),
        origin: offering.origin(),
        source: offering.source.clone(),
    })
}

/// Returns what a node that stands at an own site already costs per month: energy and space.
pub fn standing(site: &Site, shape: &NodeShape) -> (Vec<Component>, Vec<String>) {
    if !site.is_own() {
        return (Vec::new(), Vec::new());
    }
    let mut components = Vec::new();
    let mut unknown = Vec::new();
    match (shape.power, site.energy_price_per_kwh) {
        (Some(power), Some(price)) => {
            let kwh = power.kw() * MEAN_POWER_SHARE * site.pue * HOURS_PER_MONTH;
            components.push(Component {
                item: format!("energy of {} at {}", shape.id, site.name),
                basis: Basis::NodeMonth,
                is_machine: false,
                price: price * decimal(kwh),
                origin: Origin::Assumed,
                source: "plan: energy_price, pue; mean power 71 % of the highest".to_owned(),
            });
        }
        (None, _) => unknown.push(format!("energy of {} (its power is unknown)", shape.id)),
        (_, None) => unknown.push(format!("energy at {} (no `energy_price`)", site.name)),
    }
    match (shape.power, site.colocation_price_per_kw_month) {
        (Some(power), Some(price)) => components.push(Component {
            item: format!("space and cooling of {} at {}", shape.id, site.name),
            basis: Basis::NodeMonth,
            is_machine: false,
            price: price * decimal(power.kw()),
            origin: Origin::Published,
            source: "plan: colocation_price".to_owned(),
        }),
        _ => unknown.push(format!("space and cooling at {} (no `colocation_price`)", site.name)),
    }
    (components, unknown)
}

/// Returns an amount in the plan's currency by a dated rate, `None` where there is none.
pub fn converted(catalog: &Catalog, frame: &Frame, from: Currency, amount: Decimal) -> Option<Decimal> {
    catalog.converted(amount, from, frame.currency, frame.as_of)
}

/// Returns a number as a decimal of at most nine places, which is beyond every price that is quoted.
pub fn decimal(value: f64) -> Decimal {
    Decimal::from_f64_retain(value).unwrap_or(Decimal::MAX).round_dp(9)
}

/// Returns the row to use: one of the region itself, then the firmest grade, the newest, the cheapest.
fn best_offering<'a>(
    catalog: &'a Catalog,
    site: &Site,
    shape: &NodeShape,
    option: PurchaseOption,
) -> Option<&'a Offering> {
    let here = |offering: &&Offering| {
        offering.shape == shape.id
            && offering.option == option
            && offering.provider == site.provider
            && (offering.region == "all" || site.region.as_deref() == Some(offering.region.as_str()))
    };
    catalog.offerings.iter().filter(here).min_by(|a, b| {
        let rank = |row: &Offering| {
            (row.price.is_none(), row.region == "all", row.grade, std::cmp::Reverse(row.as_of), row.price)
        };
        rank(a).cmp(&rank(b))
    })
}

/// Returns how owned machines of a shape lose value, `None` where no row says so.
pub fn write_off_terms<'a>(catalog: &'a Catalog, shape: &str) -> Option<&'a Ownership> {
    let of = |id: &str| catalog.ownership.iter().find(|row| row.id == id);
    of(shape).or_else(|| of("default"))
}

fn add_ownership(quote: &mut Quote, catalog: &Catalog, shape: &NodeShape, price: Decimal) {
    let Some(terms) = write_off_terms(catalog, &shape.id) else {
        quote.unknown.push(format!("network, maintenance and resale of {}", shape.id));
        return;
    };
    let network = price * decimal(terms.network_share);
    let origin = terms.provenance.grade.origin();
    let mut add = |item: &str, basis: Basis, price: Decimal| {
        quote.components.push(Component {
            item: format!("{item} of {}", shape.id),
            basis,
            is_machine: false,
            price,
            origin,
            source: terms.provenance.source.clone(),
        });
    };
    add("network", Basis::Purchase, network);
    let monthly = price * decimal(terms.maintenance_per_year) / Decimal::from(12);
    add("maintenance and support", Basis::NodeMonth, monthly.round_dp(9));
    quote.write_off = Some(WriteOff {
        price: price + network,
        life_months: terms.life_months,
        residual: terms.residual,
        source: terms.provenance.source.clone(),
    });
}

fn add_standing(quote: &mut Quote, site: &Site, shape: &NodeShape) {
    let (components, unknown) = standing(site, shape);
    quote.components.extend(components);
    quote.unknown.extend(unknown);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_left_is_the_same_number_when_it_is_read_again() {
        // A price converted by a rate has many decimal places, zeros or not.
        let price = Decimal::from_i128_with_scale(348_700 * 10_i128.pow(15), 15);
        let terms = WriteOff { price, life_months: 48, residual: 0.1, source: String::new() };
        assert_eq!(terms.value_after(15).to_f64(), Some(250_628.125));
    }
}
