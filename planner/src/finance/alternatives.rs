//! What would the same work cost, all on demand, all reserved, all owned, and what does it cost to do nothing? From which use
//! on does a commitment pay?
//!
//! Machines, hours and standing cost are those of the plan. A shape that is not sold under an option at its site is priced
//! by the cheapest machine with the same accelerators that is, one to own by the cheapest at a site of one's own, with the
//! spares that the site asks for, and the basis says so; where there is none, the alternative is unknown.

use super::float;
use crate::columns::spare_nodes;
use crate::cost::{missing_hours, of_line_by_month, spread};
use crate::pricing::{Basis, Quote, Quoted, decimal, hourly, quote};
use crate::refused;
use capstan_types::blueprint::{Blueprint, CostLine, Pool};
use capstan_types::figure;
use capstan_types::finance::{Alternative, BreakEven};
use capstan_types::hardware::NodeShape;
use capstan_types::offering::PurchaseOption;
use capstan_types::spec::{Frame, Redundancy, Site};
use capstan_types::units::HOURS_PER_MONTH;
use rust_decimal::Decimal;

/// The options that are compared, besides the plan itself.
const OPTIONS: [PurchaseOption; 4] = [
    PurchaseOption::OnDemand,
    PurchaseOption::Reserved { term_months: 12 },
    PurchaseOption::Reserved { term_months: 36 },
    PurchaseOption::Owned,
];

/// Returns this plan, then each option for everything, then what is paid where nothing is bought.
pub(super) fn alternatives(blueprint: &Blueprint, factors: &[Decimal]) -> Vec<Alternative> {
    let this = ("this plan".to_owned(), Vec::new(), Some(blueprint.cost.by_month.clone()));
    let others = OPTIONS.iter().map(|&option| all(blueprint, option));
    let currency = blueprint.cost.currency;
    let alternative = |(name, basis, by_month): (String, Vec<String>, Option<Vec<Decimal>>)| {
        let total = by_month.as_ref().map(|months| months.iter().copied().sum());
        let present = |months: &Vec<Decimal>| -> Decimal {
            months.iter().zip(factors).map(|(paid, factor)| *paid * *factor).sum()
        };
        let net_present = by_month.as_ref().map(|months| currency.round(present(months)));
        Alternative { name, basis, by_month, total, net_present }
    };
    std::iter::once(this).chain(others).chain([nothing(blueprint)]).map(alternative).collect()
}

type Months = Vec<Decimal>;

fn all(blueprint: &Blueprint, option: PurchaseOption) -> (String, Vec<String>, Option<Months>) {
    let name = format!("all {}", option.words());
    let mut basis = Vec::new();
    let mut months = Some(standing(blueprint));
    let mut spared = Spared::of(blueprint);
    for pool in &blueprint.pools {
        let mut needed: Vec<u32> =
            (0..blueprint.periods.len()).map(|period| missing_peak(pool, period)).collect();
        if needed.iter().all(|&nodes| nodes == 0) {
            continue;
        }
        match priced(blueprint, pool, option) {
            Ok(Priced { price, words, elsewhere }) => {
                let spares = elsewhere.map_or(0, |place| spared.beside(pool, place, &mut needed));
                let kept = figure::counted(spares as usize, "spare");
                let kept = if spares > 0 { format!(", and {kept}") } else { String::new() };
                basis.push(format!("{words}{kept}"));
                if let Some(months) = &mut months {
                    price.pay(blueprint, pool, &needed, option, months);
                }
            }
            Err(why) => {
                basis.push(why);
                months = None;
            }
        }
    }
    if blueprint.pools.is_empty() {
        months = None;
    }
    (name, basis, months)
}

/// Returns what is paid where nothing is bought: machines that stand there already cost what they cost, and do what they can.
fn nothing(blueprint: &Blueprint) -> (String, Vec<String>, Option<Months>) {
    let (mut needed, mut there) = (0_u64, 0_u64);
    for pool in &blueprint.pools {
        let hours = pool.needed.iter().enumerate();
        let busiest = hours.filter_map(|(period, hours)| Some((*hours.iter().max()?, period))).max();
        let Some((most, period)) = busiest else { continue };
        needed += u64::from(most);
        there += u64::from(pool.fleet.get(period).copied().unwrap_or(0).min(most));
    }
    let machines = figure::counted(usize::try_from(needed).unwrap_or(usize::MAX), "machine");
    let basis = match there {
        0 => format!("none of the {machines} that the busiest hours need is there: no work is done"),
        1 => format!("1 of the {machines} that the busiest hours need is there already"),
        _ => {
            let there = figure::count(there);
            format!("{there} of the {machines} that the busiest hours need are there already")
        }
    };
    let paid = paid_by(blueprint, |line| line.option.is_none() && line.shape.is_some());
    let known = !blueprint.pools.is_empty();
    ("doing nothing".to_owned(), known.then_some(basis).into_iter().collect(), known.then_some(paid))
}

/// Returns what is paid in any case, as the bill counts it: storage, and what machines that stand there already cost.
fn standing(blueprint: &Blueprint) -> Months {
    paid_by(blueprint, |line| line.option.is_none())
}

/// Returns what some lines of the bill pay, by month.
fn paid_by(blueprint: &Blueprint, of: impl Fn(&CostLine) -> bool) -> Months {
    let frame = &blueprint.inputs.spec.frame;
    let mut months = vec![Decimal::ZERO; frame.months as usize];
    for line in &blueprint.cost.lines {
        if of(line) {
            let period = &blueprint.periods[line.period as usize];
            for (month, paid) in of_line_by_month(frame, period, line) {
                months[month] += paid;
            }
        }
    }
    months
}

/// Returns the most nodes that are needed beyond the fleet at any hour of a period.
fn missing_peak(pool: &Pool, period: usize) -> u32 {
    let most = pool.needed.get(period).and_then(|hours| hours.iter().copied().max()).unwrap_or(0);
    most.saturating_sub(pool.fleet.get(period).copied().unwrap_or(0))
}

/// Where machines stand that are priced as others: the site, and the machine.
type Place<'a> = (&'a Site, &'a str);

/// Machines that have the spares which their site asks for: a spare beside a machine stands in for all of its kind there.
struct Spared<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Spared<'a> {
    fn of(blueprint: &'a Blueprint) -> Self {
        let pools = blueprint.pools.iter().filter(|pool| pool.spares > 0);
        Self(pools.map(|pool| (pool.site.as_str(), pool.shape.as_str())).collect())
    }

    /// Gives machines that would stand elsewhere the spares of that site in the place of those of their own; returns how many
    /// come with them.
    fn beside(&mut self, pool: &Pool, (site, machine): Place<'a>, needed: &mut [u32]) -> u32 {
        needed.iter_mut().for_each(|nodes| *nodes = nodes.saturating_sub(pool.spares));
        let busiest = needed.iter().copied().max().unwrap_or(0);
        let here = (site.name.as_str(), machine);
        let has_some = self.0.contains(&here) && site.redundancy != Redundancy::TwoN;
        if has_some || busiest == 0 {
            return 0;
        }
        self.0.push(here);
        let spares = spare_nodes(site.redundancy, busiest);
        needed.iter_mut().filter(|nodes| **nodes > 0).for_each(|nodes| *nodes += spares);
        spares
    }
}

/// A price of a machine under an option.
struct Priced<'a> {
    price: Price,
    /// What it rests on.
    words: String,
    /// Where the machine stands, where that is not its own site, or where it is another one.
    elsewhere: Option<Place<'a>>,
}

/// What a node costs under an option.
enum Price {
    /// With all that comes with it.
    Quoted(Box<Quote>),
    /// By the hour only.
    Hourly(Decimal),
}

fn site_of<'a>(blueprint: &'a Blueprint, pool: &Pool) -> Option<&'a Site> {
    blueprint.inputs.spec.sites.iter().find(|site| site.name == pool.site)
}

fn shape_of<'a>(blueprint: &'a Blueprint, pool: &Pool) -> Option<&'a NodeShape> {
    blueprint.inputs.catalog.shapes.iter().find(|shape| shape.id == pool.shape)
}

/// Returns the price of a pool's machine under an option, and what it rests on; or why there is none.
fn priced<'a>(blueprint: &'a Blueprint, pool: &Pool, option: PurchaseOption) -> Result<Priced<'a>, String> {
    let frame = &blueprint.inputs.spec.frame;
    // The blueprint has the prices of machines that the plan may buy, and of no others.
    let unknown = || {
        let way = option.words();
        format!(
            "{}: nobody sells it or its like, {way}, among the machines that the plan may buy",
            pool.shape
        )
    };
    let (site, shape) = (site_of(blueprint, pool), shape_of(blueprint, pool));
    let (Some(site), Some(shape)) = (site, shape) else { return Err(unknown()) };
    if let Quoted::Priced(quote) = quote(&blueprint.inputs.catalog, frame, site, shape, option) {
        let words = words(&pool.shape, &quote, frame);
        return Ok(Priced { price: Price::Quoted(quote), words, elsewhere: None });
    }
    if option == PurchaseOption::Owned {
        if !blueprint.inputs.spec.sites.iter().any(Site::is_own) {
            return Err(format!("{}: the plan has no site of one's own", pool.shape));
        }
        let (place, quote) = owned_like(blueprint, shape).ok_or_else(unknown)?;
        let like = format!("{} at {}", place.1, place.0.name);
        let words = format!("{} as {}", pool.shape, words(&like, &quote, frame));
        return Ok(Priced { price: Price::Quoted(quote), words, elsewhere: Some(place) });
    }
    let (price, words) = cheapest_like(blueprint, shape, option).ok_or_else(unknown)?;
    let words = format!("{} as {words}", pool.shape);
    Ok(Priced { price: Price::Hourly(price), words, elsewhere: None })
}

fn words(machine: &str, quote: &Quote, frame: &Frame) -> String {
    let unit = if quote.option == PurchaseOption::Owned { "node" } else { "h" };
    let price = figure::price(quote.row.price, frame.currency);
    format!("{machine} at {price} {}/{unit}, as of {}", frame.currency.code(), quote.row.as_of)
}

/// Has a machine as many of the same accelerators?
fn is_alike(one: &NodeShape, other: &NodeShape) -> bool {
    one.accelerator == other.accelerator && one.accelerators == other.accelerators
}

/// Returns the machine to own with as many of the same accelerators that costs least at a site of one's own, with its place.
fn owned_like<'a>(blueprint: &'a Blueprint, shape: &NodeShape) -> Option<(Place<'a>, Box<Quote>)> {
    let (catalog, spec) = (&blueprint.inputs.catalog, &blueprint.inputs.spec);
    let sites = spec.sites.iter().filter(|site| site.is_own());
    let pairs = sites.flat_map(|site| catalog.shapes.iter().map(move |other| (site, other)));
    let alike =
        pairs.filter(|(site, other)| is_alike(shape, other) && refused::refusal(site, other).is_none());
    let quoted = alike.filter_map(|(site, other)| {
        let Quoted::Priced(quote) = quote(catalog, &spec.frame, site, other, PurchaseOption::Owned) else {
            return None;
        };
        Some(((site, other.id.as_str()), quote))
    });
    quoted.min_by(|(_, a), (_, b)| {
        let cost = |quote: &Quote| per_month(quote, spec.frame.months);
        cost(a).total_cmp(&cost(b))
    })
}

/// Returns the cheapest hourly price of a machine with as many of the same accelerators.
fn cheapest_like(
    blueprint: &Blueprint,
    shape: &NodeShape,
    option: PurchaseOption,
) -> Option<(Decimal, String)> {
    let (catalog, frame) = (&blueprint.inputs.catalog, &blueprint.inputs.spec.frame);
    let alike = |id: &str| catalog.shapes.iter().any(|other| other.id == id && is_alike(shape, other));
    let offers = catalog.offerings.iter().filter(|row| row.option == option && alike(&row.shape));
    let priced = offers.filter_map(|row| {
        let price = hourly(catalog, frame, row)?;
        let shown = figure::price(price, frame.currency);
        Some((price, format!("{} in {} at {shown} {}/h", row.shape, row.region, frame.currency.code())))
    });
    priced.min_by(|a, b| a.cmp(b))
}

impl Price {
    /// Adds what a pool pays under an option to the months.
    fn pay(
        &self,
        blueprint: &Blueprint,
        pool: &Pool,
        needed: &[u32],
        option: PurchaseOption,
        months: &mut Months,
    ) {
        match option {
            PurchaseOption::Owned => self.pay_owned(blueprint, needed, months),
            PurchaseOption::Reserved { term_months } | PurchaseOption::SavingsPlan { term_months } => {
                self.pay_terms(blueprint, needed, term_months, months)
            }
            PurchaseOption::Block { .. } | PurchaseOption::OnDemand | PurchaseOption::Spot => {
                self.pay_hours(blueprint, pool, months)
            }
        }
    }

    fn hourly(&self) -> Decimal {
        match self {
            Price::Quoted(quote) => quote.hourly(),
            Price::Hourly(price) => *price,
        }
    }

    /// The hours that are needed and no others.
    fn pay_hours(&self, blueprint: &Blueprint, pool: &Pool, months: &mut Months) {
        let currency = blueprint.cost.currency;
        for (period, hours) in blueprint.periods.iter().zip(missing_hours(&blueprint.periods, pool)) {
            let paid = currency.round(self.hourly() * hours);
            for (month, paid) in (period.first_month as usize..).zip(spread(currency, paid, period.months)) {
                months[month] += paid;
            }
        }
    }

    /// Whole terms of the most nodes needed in each, one term after the other; what reaches beyond the horizon is paid in
    /// its last month.
    fn pay_terms(&self, blueprint: &Blueprint, needed: &[u32], term: u32, months: &mut Months) {
        let currency = blueprint.cost.currency;
        let per_month = self.hourly() * decimal(HOURS_PER_MONTH);
        let horizon = months.len() as u32;
        for start in (0..horizon).step_by(term.max(1) as usize) {
            let end = start + term.max(1);
            let inside =
                blueprint.periods.iter().zip(needed).filter(|(period, _)| {
                    period.first_month < end && period.first_month + period.months > start
                });
            let nodes = Decimal::from(inside.map(|(_, &nodes)| nodes).max().unwrap_or(0));
            let each = currency.round(per_month * nodes);
            for month in start..end {
                months[month.min(horizon - 1) as usize] += each;
            }
        }
    }

    /// All machines in the first month, what comes with them every month, what is left in the last.
    fn pay_owned(&self, blueprint: &Blueprint, needed: &[u32], months: &mut Months) {
        let Price::Quoted(quote) = self else { return };
        let currency = blueprint.cost.currency;
        let nodes = Decimal::from(needed.iter().copied().max().unwrap_or(0));
        for part in &quote.components {
            let hours = if part.basis == Basis::NodeHour { decimal(HOURS_PER_MONTH) } else { Decimal::ONE };
            let paid = currency.round(nodes * part.price * hours);
            match part.basis {
                Basis::Purchase => months[0] += paid,
                Basis::NodeMonth | Basis::NodeHour => months.iter_mut().for_each(|month| *month += paid),
            }
        }
        let age = months.len() as u32;
        if let (Some(terms), Some(last)) = (&quote.write_off, months.last_mut()) {
            *last -= currency.round(nodes * terms.value_after(age));
        }
    }
}

/// Returns from which use on each commitment of the plan is cheaper than the same hours on demand.
pub(super) fn break_even(blueprint: &Blueprint) -> Vec<BreakEven> {
    let mut rows = Vec::new();
    for pool in &blueprint.pools {
        for purchase in pool.purchases.iter().filter(|purchase| purchase.nodes > 0) {
            let committed = purchase.option.is_for_a_term();
            let Ok(Priced { price, .. }) = priced(blueprint, pool, purchase.option) else { continue };
            let Ok(hourly) = priced(blueprint, pool, PurchaseOption::OnDemand) else { continue };
            let by_hour = float(hourly.price.hourly()) * HOURS_PER_MONTH;
            if committed && by_hour > 0.0 {
                rows.push(BreakEven {
                    site: pool.site.clone(),
                    shape: pool.shape.clone(),
                    option: purchase.option,
                    utilisation: price.per_month(blueprint.inputs.spec.frame.months) / by_hour,
                    against: format!("on demand, {}", hourly.words),
                });
            }
        }
    }
    rows
}

impl Price {
    /// Returns what a node costs per month of the horizon, whether it is used or not.
    fn per_month(&self, months: u32) -> f64 {
        match self {
            Price::Quoted(quote) => per_month(quote, months),
            Price::Hourly(price) => float(*price) * HOURS_PER_MONTH,
        }
    }
}

fn per_month(quote: &Quote, months: u32) -> f64 {
    let left = quote.write_off.as_ref().map_or(0.0, |terms| float(terms.value_after(months)));
    let bought = quote.sum(Basis::Purchase) - left;
    bought / f64::from(months.max(1))
        + quote.sum(Basis::NodeMonth)
        + quote.sum(Basis::NodeHour) * HOURS_PER_MONTH
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finance::finance;
    use capstan_types::testing::blueprint::chat_blueprint;

    fn total(name: &str, change: impl FnOnce(&mut Blueprint)) -> Option<Decimal> {
        let mut blueprint = chat_blueprint();
        change(&mut blueprint);
        finance(&blueprint).alternatives.into_iter().find(|one| one.name == name).unwrap().total
    }

    #[test]
    fn this_plan_is_the_bill() {
        assert_eq!(total("this plan", |_| {}), Some(chat_blueprint().cost.total));
    }

    #[test]
    fn doing_nothing_pays_for_what_stands_there_and_for_nothing_else() {
        let before = total("doing nothing", |_| {}).expect("known");
        let fleet = |b: &mut Blueprint| {
            let machine = &mut b.cost.lines[0];
            machine.option = None;
            let mut beside = machine.clone();
            beside.shape = None;
            b.cost.lines.push(beside);
        };
        let after = total("doing nothing", fleet).expect("known");
        let first = &chat_blueprint().cost.lines[0];
        assert!(first.option.is_some() && !first.billed_cost.is_zero());
        assert_eq!(after - before, first.billed_cost);
        assert_eq!(total("doing nothing", |b| b.pools.clear()), None);
    }

    #[test]
    fn an_alternative_without_a_price_is_unknown_and_says_so() {
        let unpriced =
            |b: &mut Blueprint| b.inputs.catalog.offerings.iter_mut().for_each(|row| row.price = None);
        assert_eq!(total("all on demand", unpriced), None);
        let mut blueprint = chat_blueprint();
        unpriced(&mut blueprint);
        let other = &finance(&blueprint).alternatives[1];
        assert!(other.basis.iter().any(|why| why.contains("nobody sells it")), "{:?}", other.basis);
    }

    #[test]
    fn machines_that_are_rented_are_owned_as_the_like_of_them_at_a_site_of_ones_own() {
        // The plan rents `aws.p5_48xlarge`; as many of the same accelerators are sold to own.
        let known = total("all owned", |_| {});
        assert!(known.is_some_and(|total| total > Decimal::ZERO), "{known:?}");
        let mut blueprint = chat_blueprint();
        let owned = |blueprint: &Blueprint| {
            let all = finance(blueprint).alternatives;
            all.into_iter().find(|one| one.name == "all owned").expect("it is compared")
        };
        let basis = owned(&blueprint).basis;
        assert!(
            basis.iter().any(|words| words.starts_with("aws.p5_48xlarge as own.h100_sxm_8 at hz1")),
            "{basis:?}"
        );
        blueprint.inputs.spec.sites.retain(|site| !site.is_own());
        blueprint.pools.retain(|pool| pool.site != "hz1");
        let nowhere = owned(&blueprint);
        assert_eq!(nowhere.total, None);
        assert!(nowhere.basis[0].contains("no site of one's own"), "{:?}", nowhere.basis);
    }

    #[test]
    fn machines_owned_elsewhere_have_the_spares_of_that_site() {
        let owned = |redundancy: Redundancy| {
            let mut blueprint = chat_blueprint();
            blueprint.pools.retain(|pool| pool.shape == "aws.p5_48xlarge");
            blueprint.inputs.spec.sites.iter_mut().for_each(|site| site.redundancy = redundancy);
            let all = finance(&blueprint).alternatives;
            let one = all.into_iter().find(|one| one.name == "all owned").expect("it is compared");
            (one.by_month.expect("known")[0] - standing(&blueprint)[0], one.basis)
        };
        let blueprint = chat_blueprint();
        let pool = blueprint.pools.iter().find(|pool| pool.shape == "aws.p5_48xlarge").expect("rented");
        assert_eq!(pool.spares, 0, "where it is rented nobody asks for one");
        let most = (0..blueprint.periods.len()).map(|period| missing_peak(pool, period)).max().unwrap_or(0);
        let (none, without) = owned(Redundancy::None);
        let each = none / Decimal::from(most);
        for (redundancy, spares) in
            [(Redundancy::NPlus1, 1), (Redundancy::NPlus2, 2), (Redundancy::TwoN, most)]
        {
            let (with, basis) = owned(redundancy);
            assert!(
                (with - none - each * Decimal::from(spares)).abs() < Decimal::ONE,
                "{with} {none} {most}"
            );
            assert_eq!(
                basis[0],
                format!("{}, and {}", without[0], figure::counted(spares as usize, "spare"))
            );
        }
    }

    #[test]
    fn a_spare_stands_in_for_all_machines_of_its_kind_at_its_site() {
        let mut blueprint = chat_blueprint();
        let rented = blueprint.pools.iter().position(|pool| pool.shape == "aws.p5_48xlarge").expect("rented");
        let total = |blueprint: &Blueprint| {
            let all = finance(blueprint).alternatives;
            let one = all.into_iter().find(|one| one.name == "all owned").expect("it is compared");
            one.basis
        };
        blueprint.pools.retain(|pool| pool.site != "hz1");
        let pool = blueprint.pools[rented.min(blueprint.pools.len() - 1)].clone();
        blueprint.pools = vec![pool.clone(), pool];
        let basis = total(&blueprint);
        assert!(basis[0].ends_with(", and 1 spare") && !basis[1].contains("spare"), "{basis:?}");
    }

    #[test]
    fn twice_the_price_is_twice_the_cost_of_the_hours() {
        let double = |b: &mut Blueprint| {
            let rows = b.inputs.catalog.offerings.iter_mut();
            rows.filter(|row| row.option == PurchaseOption::OnDemand)
                .for_each(|row| row.price = row.price.map(|price| price * Decimal::TWO));
        };
        let standing: Decimal = standing(&chat_blueprint()).into_iter().sum();
        let (once, twice) = (total("all on demand", |_| {}), total("all on demand", double));
        let (once, twice) = (once.unwrap() - standing, twice.unwrap() - standing);
        assert!((twice - once * Decimal::TWO).abs() < Decimal::ONE, "{once} {twice}");
    }

    #[test]
    fn what_is_paid_at_the_start_of_a_term_is_part_of_all_reserved() {
        let first = |b: &mut Blueprint| {
            let rows = b.inputs.catalog.offerings.iter_mut();
            let reserved = rows.filter(|row| row.option == PurchaseOption::Reserved { term_months: 36 });
            reserved.for_each(|row| row.upfront = row.price.map(|price| price * Decimal::from(36 * 730)));
        };
        let standing: Decimal = standing(&chat_blueprint()).into_iter().sum();
        let (once, twice) = (total("all reserved 3 y", |_| {}), total("all reserved 3 y", first));
        let (once, twice) = (once.unwrap() - standing, twice.unwrap() - standing);
        assert!((twice - once * Decimal::TWO).abs() < Decimal::ONE, "{once} {twice}");
    }

    #[test]
    fn a_reservation_pays_from_its_price_over_the_price_by_the_hour() {
        let rows = break_even(&chat_blueprint());
        let reserved = rows.iter().find(|row| row.option != PurchaseOption::Owned).expect("it reserves");
        // 20.69505 of 55.04 USD/h.
        assert!((reserved.utilisation - 0.376).abs() < 1e-3, "{rows:?}");
    }
}
