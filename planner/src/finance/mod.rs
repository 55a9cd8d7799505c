//! What finance asks of a bill: payments by kind and month, write-off, alternatives, return.
//!
//! Invariant: everything follows from the blueprint; every row sums to the line it comes from, to the minor unit. Taxes,
//! financing and the books of the buyer are not known.

mod alternatives;
mod earnings;

use crate::cost::{of_line_by_month, spread};
use crate::egress;
use crate::periods::{monthly_rate, present_value};
use crate::pricing::{decimal, write_off_terms};
use capstan_types::blueprint::{Blueprint, CostKind, CostLine};
use capstan_types::finance::{CashFlow, Category, Finance, LineFlow, WrittenOff};
use capstan_types::offering::PurchaseOption;
use capstan_types::spec::{Fleet, Frame, months_between};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;

/// Returns what finance asks of a blueprint.
pub fn finance(blueprint: &Blueprint) -> Finance {
    let frame = &blueprint.inputs.spec.frame;
    let monthly = monthly_rate(frame.discount_per_year);
    let factors: Vec<Decimal> =
        (0..frame.months).map(|month| decimal(present_value(monthly, month))).collect();
    let lines: Vec<LineFlow> = blueprint.cost.lines.iter().map(|line| flow(blueprint, line)).collect();
    let alternatives = alternatives::alternatives(blueprint, &factors);
    Finance {
        currency: frame.currency,
        start: frame.start,
        discount_per_year: frame.discount_per_year,
        cash: cash(&lines, frame.months as usize),
        lines,
        written_off: written_off(blueprint),
        break_even: alternatives::break_even(blueprint),
        earns: earnings::earns(&alternatives, &factors, frame.currency),
        alternatives,
        factors,
    }
}

/// Returns what a line is paid for, by its kind and the words that the bill uses.
fn category(line: &CostLine) -> Category {
    let begins = |words: &str| line.item.starts_with(words);
    let stated = |name: &str| line.shape.is_none() && line.item == name;
    match (line.kind, line.option) {
        (CostKind::Residual, _) => Category::Residual,
        (CostKind::Owed, _) => Category::Owed,
        (CostKind::Capex, _) => Category::Purchase,
        (CostKind::Opex, _) if begins("energy") => Category::Energy,
        (CostKind::Opex, _) if begins("space") => Category::Space,
        (CostKind::Opex, _) if egress::is_line(line) => Category::Transfer,
        (CostKind::Opex, _) if begins("maintenance") || stated("support") => Category::Support,
        (CostKind::Opex, _) if stated("staff") => Category::Staff,
        (CostKind::Opex, _) if stated("licences") => Category::Licences,
        (CostKind::Opex, _) if line.item.ends_with("contract already signed") => Category::Contract,
        (CostKind::Opex, Some(option)) if option.contract_months().is_some() => Category::Reserved,
        (CostKind::Opex, Some(PurchaseOption::OnDemand)) => Category::OnDemand,
        (CostKind::Opex, Some(PurchaseOption::Spot)) => Category::Spot,
        (CostKind::Opex, _) => Category::Other,
    }
}

fn flow(blueprint: &Blueprint, line: &CostLine) -> LineFlow {
    let frame = &blueprint.inputs.spec.frame;
    let period = &blueprint.periods[line.period as usize];
    let paid = of_line_by_month(frame, period, line);
    let billed_first = paid.first().map_or(0, |(month, _)| *month);
    let used_from = match line.kind {
        CostKind::Capex => period.first_month as usize,
        CostKind::Residual => {
            (frame.months as usize).saturating_sub(age(line).unwrap_or(frame.months) as usize)
        }
        CostKind::Opex | CostKind::Owed => billed_first,
    };
    let first = billed_first.min(used_from);
    let end = if line.kind == CostKind::Opex { first + paid.len() } else { frame.months as usize };
    let mut billed = vec![Decimal::ZERO; end - first];
    paid.iter().for_each(|(month, amount)| billed[month - first] += *amount);
    let effective = if line.kind == CostKind::Opex {
        billed.clone()
    } else {
        let mut effective = vec![Decimal::ZERO; used_from - first];
        effective.extend(spread(frame.currency, line.billed_cost, (end - used_from) as u32));
        effective
    };
    LineFlow { category: category(line), first_month: first as u32, billed, effective }
}

/// Returns the age that a line of value left states: `value of X left after 36 months`.
fn age(line: &CostLine) -> Option<u32> {
    line.item.split(" left after ").nth(1)?.split(' ').next()?.parse().ok()
}

fn cash(lines: &[LineFlow], months: usize) -> Vec<CashFlow> {
    let mut sums: BTreeMap<Category, Vec<Decimal>> = BTreeMap::new();
    for line in lines {
        let row = sums.entry(line.category).or_insert_with(|| vec![Decimal::ZERO; months]);
        for (month, amount) in (line.first_month as usize..).zip(&line.billed) {
            row[month] += *amount;
        }
    }
    sums.into_iter().map(|(category, by_month)| CashFlow { category, by_month }).collect()
}

/// Returns how machines that stand there are written off, where the plan says what is left of their price: over what is
/// left of their life.
fn standing(blueprint: &Blueprint) -> Vec<WrittenOff> {
    let spec = &blueprint.inputs.spec;
    let one = |fleet: &Fleet| {
        let cost = fleet.book_value?.checked_mul(Decimal::from(fleet.count))?;
        let terms = write_off_terms(&blueprint.inputs.catalog, &fleet.shape)?;
        let used = fleet.months(&spec.frame);
        let age = fleet.since.map_or(0, |since| months_between(since, spec.frame.start));
        let life_months = terms.life_months.saturating_sub(age).max(1);
        let item = format!("{} × {}, there already (`{}`)", fleet.count, fleet.shape, fleet.name);
        Some(straight_line(&spec.frame, (item, &fleet.site, cost), used.start, (life_months, 0.0)))
    };
    spec.fleets.iter().filter_map(one).collect()
}

/// Returns how a cost is written off from a month on, over a life after which a share of it is left.
fn straight_line(
    frame: &Frame,
    (item, site, cost): (String, &str, Decimal),
    from_month: u32,
    (life_months, residual): (u32, f64),
) -> WrittenOff {
    let life = Decimal::from(life_months.max(1));
    let lost = cost * decimal(1.0 - residual);
    let age = Decimal::from(frame.months.saturating_sub(from_month).min(life_months));
    WrittenOff {
        item,
        site: site.to_owned(),
        cost,
        from_month,
        life_months,
        residual,
        per_month: frame.currency.round(lost / life),
        book_value: frame.currency.round(cost - lost * age / life),
    }
}

/// Returns how each line of purchases is written off, after what stands there; nothing where no terms are known.
fn written_off(blueprint: &Blueprint) -> Vec<WrittenOff> {
    let frame = &blueprint.inputs.spec.frame;
    let bought = blueprint.cost.lines.iter().filter(|line| line.kind == CostKind::Capex);
    let bought = bought.filter_map(|line| {
        let terms = write_off_terms(&blueprint.inputs.catalog, line.shape.as_deref().unwrap_or("default"))?;
        let from_month = blueprint.periods[line.period as usize].first_month;
        let what = (line.item.clone(), line.site.as_str(), line.billed_cost);
        Some(straight_line(frame, what, from_month, (terms.life_months, terms.residual)))
    });
    standing(blueprint).into_iter().chain(bought).collect()
}

/// Returns a decimal as a float, for rates only; money stays decimal.
fn float(amount: Decimal) -> f64 {
    amount.to_f64().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};

    #[test]
    fn every_line_is_paid_and_used_up_to_the_cent() {
        let blueprint = chat_blueprint();
        let finance = finance(&blueprint);
        assert_eq!(finance.lines.len(), blueprint.cost.lines.len());
        for (line, flow) in blueprint.cost.lines.iter().zip(&finance.lines) {
            let sum = |row: &[Decimal]| row.iter().copied().sum::<Decimal>();
            assert_eq!(sum(&flow.billed), line.billed_cost, "{}", line.item);
            assert_eq!(sum(&flow.effective), line.billed_cost, "{}", line.item);
            assert!(flow.first_month as usize + flow.billed.len() <= 36, "{}", line.item);
        }
    }

    #[test]
    fn payments_by_kind_are_the_payments_of_the_bill() {
        let blueprint = chat_blueprint();
        let finance = finance(&blueprint);
        for (month, paid) in blueprint.cost.by_month.iter().enumerate() {
            let sum: Decimal = finance.cash.iter().map(|flow| flow.by_month[month]).sum();
            assert_eq!(sum, *paid, "month {month}");
        }
    }

    #[test]
    fn discounted_payments_are_the_net_present_cost() {
        let finance = finance(&chat_blueprint());
        let this = &finance.alternatives[0];
        let paid = this.by_month.as_ref().unwrap();
        let sum: Decimal = paid.iter().zip(&finance.factors).map(|(paid, factor)| *paid * *factor).sum();
        assert_eq!(this.net_present, Some(finance.currency.round(sum)));
    }

    #[test]
    fn bought_machines_lose_value_in_a_straight_line() {
        for row in finance(&chat_blueprint()).written_off {
            let age = Decimal::from(36 - row.from_month);
            let expected = row.cost - row.per_month * age;
            assert!((expected - row.book_value).abs() < Decimal::ONE, "{row:?}");
            assert!(row.book_value > Decimal::ZERO && row.book_value < row.cost);
        }
    }

    #[test]
    fn a_plan_that_buys_nothing_costs_nothing() {
        let finance = finance(&infeasible_blueprint());
        assert!(finance.cash.is_empty() && finance.lines.is_empty());
    }
}
