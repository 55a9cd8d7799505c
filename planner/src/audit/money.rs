//! Does the bill add up? Lines, totals, months, present value, and machines against their purchases.

use super::{Check, same};
use capstan_types::blueprint::{AuditCheck, Blueprint, CostKind, CostLine, Pool, Purchase};
use capstan_types::figure;
use capstan_types::offering::PurchaseOption;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::{BTreeMap, BTreeSet};

/// Every line is its quantity times its unit price, rounded.
pub(super) fn lines(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("money: every line is quantity × unit price, rounded");
    let currency = blueprint.cost.currency;
    for line in &blueprint.cost.lines {
        // A product that leaves the range of decimals cannot be a price that anybody pays.
        let product = line.quantity.checked_mul(line.unit_price).map(|amount| currency.round(amount));
        check.that(product == Some(line.billed_cost), || {
            format!(
                "{} (period {}): {} {} × {} is not {}",
                line.item, line.period, line.quantity, line.unit, line.unit_price, line.billed_cost
            )
        });
    }
    check.done()
}

/// What the plan states to pay each month is paid, each in every period, and is listed as unpriced where it is not stated.
pub(super) fn stated(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("money: staff, licences and support are as the plan states");
    let cost = &blueprint.cost;
    for (name, each) in blueprint.inputs.spec.frame.beside.each() {
        let listed = cost.not_included.iter().any(|item| item.starts_with(&format!("{name} (")));
        check
            .that(listed == each.is_none(), || format!("`{name}` is {each:?}, listed as unpriced: {listed}"));
        for (index, period) in (0..).zip(&blueprint.periods) {
            let wanted = each.map(|each| cost.currency.round(each * Decimal::from(period.months)));
            let mine = cost.lines.iter().filter(|line| line.item == name && line.shape.is_none());
            let paid: Decimal = mine.filter(|line| line.period == index).map(|line| line.billed_cost).sum();
            check.that(paid == wanted.unwrap_or_default(), || {
                format!("`{name}`, period {index}: {paid} is billed")
            });
        }
    }
    check.done()
}

fn sum_of(lines: &[CostLine], kind: CostKind) -> Decimal {
    lines.iter().filter(|line| line.kind == kind).map(|line| line.billed_cost).sum()
}

/// Totals are sums of rounded lines.
pub(super) fn totals(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("money: totals are the sums of the lines");
    let cost = &blueprint.cost;
    let (capex, opex) = (sum_of(&cost.lines, CostKind::Capex), sum_of(&cost.lines, CostKind::Opex));
    let total = capex + opex + sum_of(&cost.lines, CostKind::Residual) + sum_of(&cost.lines, CostKind::Owed);
    let months = Decimal::from(blueprint.inputs.spec.frame.months.max(1));
    let dearest = (0..).zip(&blueprint.periods).map(|(index, period)| {
        let mine = cost.lines.iter().filter(|line| line.kind == CostKind::Opex && line.period == index);
        mine.map(|line| line.billed_cost).sum::<Decimal>() / Decimal::from(period.months.max(1))
    });
    let dearest = dearest.max().unwrap_or_default();
    let mut equal = |name: &str, seen: Decimal, told: Decimal, slack: Decimal| {
        check.that((seen - told).abs() <= slack, || {
            let show = |value| figure::money(value, cost.currency);
            format!("{name} is {}, the lines say {}", show(told), show(seen))
        });
    };
    // Means over months may be rounded either way; sums of lines may not.
    let cent = Decimal::new(1, cost.currency.minor_digits());
    equal("the total", total, cost.total, Decimal::ZERO);
    equal("capex", capex, cost.capex, Decimal::ZERO);
    equal("opex", opex, cost.opex, Decimal::ZERO);
    equal("the cost per month", total / months, cost.per_month, cent);
    equal("the opex of the dearest month", dearest, cost.highest_opex_per_month, cent);
    check.done()
}

/// Returns the payments by month and how many lines are spread over them.
fn payments(blueprint: &Blueprint) -> (Vec<Decimal>, usize) {
    let months = blueprint.inputs.spec.frame.months as usize;
    let mut paid = vec![Decimal::ZERO; months];
    let mut spread = 0;
    for line in &blueprint.cost.lines {
        let Some(period) = blueprint.periods.get(line.period as usize) else { continue };
        let first = period.first_month as usize;
        match line.kind {
            CostKind::Capex => add(&mut paid, first, line.billed_cost),
            CostKind::Residual | CostKind::Owed => add(&mut paid, months.saturating_sub(1), line.billed_cost),
            CostKind::Opex => {
                spread += 1;
                let share = line.billed_cost / Decimal::from(period.months.max(1));
                for month in first..first + period.months as usize {
                    add(&mut paid, month, share);
                }
            }
        }
    }
    (paid, spread)
}

fn add(paid: &mut [Decimal], month: usize, amount: Decimal) {
    if let Some(slot) = paid.get_mut(month) {
        *slot += amount;
    }
}

/// Payments by month follow from the lines and sum to the total.
pub(super) fn months(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("money: payments by month sum to the total");
    let cost = &blueprint.cost;
    let told: Decimal = cost.by_month.iter().sum();
    check.that(cost.currency.round(told) == cost.total, || {
        format!("the months sum to {told}, the total is {}", cost.total)
    });
    let (seen, spread) = payments(blueprint);
    check.that(cost.by_month.len() == seen.len(), || {
        format!("{} months are listed, the horizon has {}", cost.by_month.len(), seen.len())
    });
    // Each line that is spread may round every month and leave what remains in one of its period.
    let longest = blueprint.periods.iter().map(|period| period.months).max().unwrap_or(1);
    let slack =
        Decimal::new(1, cost.currency.minor_digits()) * Decimal::from(spread.max(1)) * Decimal::from(longest);
    for (month, (told, seen)) in cost.by_month.iter().zip(&seen).enumerate() {
        check.that((told - seen).abs() <= slack, || format!("month {month} is {told}, the lines say {seen}"));
    }
    check.done()
}

/// The present value discounts every month at its end: Σ paid · (1 + r)^(−(m + 1) / 12), r effective per year.
pub(super) fn net_present(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("money: the present value is the discounted payments");
    let yearly = 1.0 + blueprint.inputs.spec.frame.discount_per_year;
    let factor = |month: u32| libm::pow(yearly, -f64::from(month + 1) / 12.0);
    for period in &blueprint.periods {
        let sum: f64 = (period.first_month..period.first_month + period.months).map(factor).sum();
        let even = sum / f64::from(period.months.max(1));
        check.that((even - period.discount).abs() < 1e-9, || {
            format!(
                "the discount of month {} is {}, it should be {even}",
                period.first_month, period.discount
            )
        });
    }
    let (paid, _) = payments(blueprint);
    let seen: f64 =
        (0..).zip(&paid).map(|(month, paid)| paid.to_f64().unwrap_or(f64::NAN) * factor(month)).sum();
    let told = blueprint.cost.net_present.to_f64().unwrap_or(f64::NAN);
    // A cent per line moved between months by rounding changes less than this.
    let slack = 0.01 * (blueprint.cost.lines.len() as f64 + 1.0) + seen.abs() * 1e-9;
    check.that((seen - told).abs() <= slack, || format!("it is {told}, the payments discount to {seen:.2}"));
    check.done()
}

fn is_machine(line: &CostLine) -> bool {
    line.unit == "node-h" || line.unit == "node"
}

fn lines_of<'a>(
    blueprint: &'a Blueprint,
    pool: &'a Pool,
    option: PurchaseOption,
) -> impl Iterator<Item = &'a CostLine> {
    blueprint.cost.lines.iter().filter(move |line| {
        is_machine(line)
            && line.site == pool.site
            && line.shape.as_deref() == Some(&pool.shape)
            && line.option == Some(option)
    })
}

/// Machines are billed as they are bought: node-hours (nodes, where owned) at the price row.
pub(super) fn purchases(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("money: machines are billed as they are bought");
    for pool in &blueprint.pools {
        for purchase in &pool.purchases {
            let Some(price) = &purchase.price else { continue };
            let name = format!("{}, {}", super::pool_name(pool), purchase.option.words());
            for line in lines_of(blueprint, pool, purchase.option) {
                check.that(line.unit_price == price.price, || {
                    format!(
                        "{name}: a line is priced {}, the price row says {}",
                        line.unit_price, price.price
                    )
                });
            }
            for period in 0..blueprint.periods.len() {
                let bought = quantity(purchase, period);
                let billed: Decimal = lines_of(blueprint, pool, purchase.option)
                    .filter(|line| line.period as usize == period)
                    .map(|line| line.quantity)
                    .sum();
                // Hours are billed with four decimals.
                let billed_hours = billed.to_f64().unwrap_or(f64::NAN);
                check.that(same(billed_hours, bought) || (billed_hours - bought).abs() <= 1e-4, || {
                    format!("{name}, period {period}: {billed} billed, {bought} bought")
                });
            }
        }
    }
    owed(&mut check, blueprint);
    let known = |line: &CostLine| {
        let pools =
            blueprint.pools.iter().filter(|p| p.site == line.site && line.shape.as_deref() == Some(&p.shape));
        pools.flat_map(|pool| &pool.purchases).any(|purchase| Some(purchase.option) == line.option)
    };
    for line in blueprint.cost.lines.iter().filter(|line| is_machine(line)) {
        check.that(known(line), || {
            format!("{} (period {}) is billed but nobody bought it", line.item, line.period)
        });
    }
    check.done()
}

/// What contracts still bind after the horizon is on the bill, at what their hours cost, and nothing else is.
fn owed(check: &mut Check, blueprint: &Blueprint) {
    let horizon = blueprint.inputs.spec.frame.months;
    let lines: Vec<&CostLine> =
        blueprint.cost.lines.iter().filter(|line| line.kind == CostKind::Owed).collect();
    let mut told = 0;
    for pool in &blueprint.pools {
        for purchase in pool.purchases.iter().filter(|purchase| purchase.price.is_some()) {
            let name = format!("{}, {}", super::pool_name(pool), purchase.option.words());
            let mine = lines.iter().filter(|line| {
                line.site == pool.site
                    && line.shape.as_deref() == Some(&pool.shape)
                    && line.option == Some(purchase.option)
            });
            let mine: Vec<_> = mine.collect();
            told += mine.len();
            let after = super::nodes::bound(purchase, &blueprint.periods).map_or(0.0, |(_, end)| {
                end.iter().map(|&(nodes, end)| nodes * (end - f64::from(horizon)).max(0.0)).sum::<f64>()
            }) * capstan_types::units::HOURS_PER_MONTH;
            let hours = |line: &CostLine| line.quantity.to_f64().unwrap_or(f64::NAN);
            check.that(mine.iter().all(|line| (hours(line) - after).abs() <= 1e-4), || {
                format!("{name}: {after:.1} node-h are bound after the horizon, another number is billed")
            });
            // What an hour costs while it serves, it costs afterwards.
            let served = blueprint.cost.lines.iter().filter(|line| {
                line.kind == CostKind::Opex
                    && line.site == pool.site
                    && line.shape.as_deref() == Some(&pool.shape)
                    && line.option == Some(purchase.option)
                    && ["node-h", "contract-h"].contains(&line.unit.as_str())
            });
            let served: BTreeMap<&str, Decimal> =
                served.map(|line| (line.item.as_str(), line.unit_price)).collect();
            let each: Decimal = if after > 1e-4 { served.values().sum() } else { Decimal::ZERO };
            let billed: Decimal = mine.iter().map(|line| line.unit_price).sum();
            check.that(billed == each, || {
                format!("{name}: an hour costs {each}, and {billed} after the horizon")
            });
        }
    }
    check.that(told == lines.len(), || "something is owed after the horizon that nobody bought".to_owned());
}

/// Returns what is paid for in a period: new nodes where owned, else node-hours.
fn quantity(purchase: &Purchase, period: usize) -> f64 {
    if purchase.option != PurchaseOption::Owned {
        return purchase.node_hours_by_period.get(period).copied().unwrap_or(0.0);
    }
    let held = |period: usize| purchase.nodes_by_period.get(period).copied().unwrap_or(0);
    let before = if period == 0 { 0 } else { held(period - 1) };
    f64::from(held(period).saturating_sub(before))
}

/// The shares of the workloads sum to the total, and cost per token is cost over tokens.
pub(super) fn workloads(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("money: what the workloads cost sums to the total");
    let cost = &blueprint.cost;
    let sum: Decimal = cost.workloads.iter().map(|workload| workload.cost).sum();
    check.that(sum == cost.total || cost.workloads.is_empty(), || {
        format!("they sum to {sum}, the total is {}", cost.total)
    });
    for workload in &cost.workloads {
        let paid = workload.cost.to_f64().unwrap_or(f64::NAN);
        let mut rate = |name: &str, told: Option<Decimal>, amount: f64| {
            let Some(told) = told.and_then(|told| told.to_f64()) else { return };
            // Unit costs are printed with a few decimals.
            let seen = paid / amount;
            check.that((seen - told).abs() <= 5e-3 + seen.abs() * 1e-4, || {
                format!("`{}` costs {told} {name}, it should be {seen:.6}", workload.workload)
            });
        };
        rate(
            "per million tokens",
            workload.per_million_tokens,
            (workload.prompt_tokens + workload.output_tokens) / 1e6,
        );
        rate("per accelerator-hour", workload.per_accelerator_hour, workload.accelerator_hours);
        rate("per thousand requests", workload.per_thousand_requests, workload.requests / 1e3);
    }
    alone(&mut check, blueprint);
    check.done()
}

/// Who alone uses the machines of a shape at a site pays all lines of theirs; of other lines only those that pay back may
/// make it less.
fn alone(check: &mut Check, blueprint: &Blueprint) {
    let mut users: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for service in &blueprint.services {
        for placement in &service.placements {
            let there = (placement.site.as_str(), placement.candidate.shape.as_str());
            users.entry(there).or_default().insert(&service.workload);
        }
    }
    for run in &blueprint.trainings {
        users.entry((&run.site, &run.candidate.shape)).or_default().insert(&run.workload);
    }
    for run in &blueprint.batches {
        users.entry((&run.site, &run.candidate.shape)).or_default().insert(&run.workload);
    }
    for run in &blueprint.apps {
        users.entry((&run.site, &run.shape)).or_default().insert(&run.workload);
    }
    let rounding = Decimal::new(1, 2) * Decimal::from(blueprint.cost.workloads.len());
    for workload in &blueprint.cost.workloads {
        let name = workload.workload.as_str();
        let own = |line: &CostLine| {
            let there =
                line.shape.as_ref().and_then(|shape| users.get(&(line.site.as_str(), shape.as_str())));
            there.is_some_and(|users| users.len() == 1 && users.contains(name))
        };
        let lines = blueprint.cost.lines.iter();
        let counted = lines.filter(|line| own(line) || line.billed_cost < Decimal::ZERO);
        let least: Decimal = counted.map(|line| line.billed_cost).sum();
        check.that(workload.cost >= least - rounding, || {
            format!("`{name}` costs {}, the machines that it alone uses cost {least}", workload.cost)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caught_by;
    use capstan_types::blueprint::{CostKind, CostLine};
    use capstan_types::offering::PurchaseOption;
    use rust_decimal::Decimal;

    #[test]
    fn a_line_that_is_a_cent_off_is_caught() {
        caught_by("money: every line", |b| b.cost.lines[2].billed_cost += Decimal::new(1, 2));
    }

    #[test]
    fn people_who_are_not_paid_are_caught() {
        caught_by("money: staff", |b| {
            b.inputs.spec.frame.beside.staff_per_month = Some(Decimal::from(40_000))
        });
        caught_by("money: staff", |b| b.cost.not_included.retain(|item| !item.starts_with("licences")));
        caught_by("money: staff", |b| {
            let line = b.cost.lines[0].clone();
            b.cost.lines.push(CostLine { item: "support".to_owned(), shape: None, ..line });
        });
    }

    #[test]
    fn a_total_that_is_a_cent_off_is_caught() {
        caught_by("money: totals", |b| b.cost.total += Decimal::new(1, 2));
        caught_by("money: totals", |b| b.cost.highest_opex_per_month -= Decimal::ONE);
        caught_by("money: totals", |b| b.cost.per_month += Decimal::ONE);
    }

    #[test]
    fn money_moved_between_months_is_caught() {
        caught_by("money: payments", |b| {
            b.cost.by_month[3] += Decimal::from(100);
            b.cost.by_month[20] -= Decimal::from(100);
        });
        caught_by("money: payments", |b| b.cost.by_month[3] += Decimal::new(1, 2));
    }

    #[test]
    fn a_wrong_present_value_is_caught() {
        caught_by("money: the present value", |b| b.cost.net_present += Decimal::from(5));
        caught_by("money: the present value", |b| b.periods[2].discount += 0.001);
    }

    #[test]
    fn hours_that_are_bought_but_not_billed_are_caught() {
        caught_by("money: machines", |b| b.pools[1].purchases[1].node_hours_by_period[2] += 10.0);
        caught_by("money: machines", |b| b.pools[0].purchases[0].nodes_by_period[4] = 12);
        caught_by("money: machines", |b| b.pools[1].purchases.truncate(1));
    }

    #[test]
    fn what_is_owed_after_the_horizon_and_not_billed_is_caught() {
        caught_by("money: machines", |b| {
            // The same nodes, bound for a year more than the horizon lasts.
            let (short, long) = (36, 48);
            let option = |term_months| PurchaseOption::Reserved { term_months };
            let purchases = b.pools.iter_mut().flat_map(|pool| &mut pool.purchases);
            purchases.filter(|one| one.option == option(short)).for_each(|one| one.option = option(long));
            let lines = b.cost.lines.iter_mut();
            lines
                .filter(|line| line.option == Some(option(short)))
                .for_each(|line| line.option = Some(option(long)));
        });
        caught_by("money: machines", |b| {
            let line = CostLine { kind: CostKind::Owed, option: None, ..b.cost.lines[0].clone() };
            b.cost.lines.push(CostLine { unit: "bound node-h".to_owned(), ..line });
        });
    }

    #[test]
    fn a_price_other_than_the_row_is_caught() {
        caught_by("money: machines", |b| {
            b.pools[1].purchases[1].price.as_mut().unwrap().price = Decimal::from(50);
        });
    }

    #[test]
    fn shares_that_do_not_sum_are_caught() {
        caught_by("money: what the workloads", |b| b.cost.workloads[0].cost += Decimal::new(1, 2));
        // Half of what one pays is put on the other: sums and told rates are as they should be, its machines are not paid.
        caught_by("money: what the workloads", |b| {
            let moved = b.cost.workloads[0].cost / Decimal::TWO;
            b.cost.workloads[0].cost -= moved;
            b.cost.workloads[1].cost += moved;
            for workload in &mut b.cost.workloads {
                (workload.per_million_tokens, workload.per_accelerator_hour) = (None, None);
                workload.per_thousand_requests = None;
            }
        });
        caught_by("money: what the workloads", |b| {
            b.cost.workloads[0].per_million_tokens = Some(Decimal::new(5, 1));
        });
        caught_by("money: what the workloads", |b| {
            b.cost.workloads[0].per_thousand_requests = Some(Decimal::new(5, 1));
        });
    }
}
