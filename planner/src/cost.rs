//! What it costs: the lines of the bill from pools and quotes, and every total from the lines.
//!
//! Invariant: a line is quantity × unit price, rounded once; every total is a sum of rounded lines.

use crate::contracts;
use crate::demand::hour_weight;
use crate::egress::{self, Sent};
use crate::market::Contract;
use crate::periods::{monthly_rate, present_value};
use crate::pricing::{Basis, Component, Quote, decimal, standing};
use capstan_types::blueprint::{Cost, CostKind, CostLine, Period, Pool, Purchase, WorkloadCost};
use capstan_types::hardware::NodeShape;
use capstan_types::money::Currency;
use capstan_types::offering::PurchaseOption;
use capstan_types::origin::Origin;
use capstan_types::spec::{Frame, Site};
use capstan_types::units::HOURS_PER_MONTH;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// A pool with everything that its bill needs.
pub struct PricedPool<'a> {
    /// The pool with its purchases.
    pub pool: &'a Pool,
    /// Where it stands.
    pub site: &'a Site,
    /// The machine.
    pub shape: &'a NodeShape,
    /// The quote of each purchase, in the same order; `None` for machines that stand there already.
    pub quotes: Vec<Option<&'a Quote>>,
    /// The on-demand price per node-hour in the same place, for the list cost.
    pub on_demand: Option<Decimal>,
    /// Price per node-hour of contracts already signed on the fleet.
    pub contracts: &'a [Contract],
}

/// What the bill of one workload's share rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// The workload.
    pub workload: String,
    /// Accelerator-hours used over the horizon, by where.
    pub on: Vec<Used>,
    /// What leaves sites for its users.
    pub sent: Vec<Sent>,
    /// Requests over the horizon.
    pub requests: f64,
    /// Prompt tokens over the horizon.
    pub prompt_tokens: f64,
    /// Output tokens over the horizon.
    pub output_tokens: f64,
}

/// What is used of the machines of one shape at one site.
#[derive(Debug, Clone, PartialEq)]
pub struct Used {
    /// The site.
    pub site: String,
    /// The machine.
    pub shape: String,
    /// Accelerator-hours; of machines without accelerators, hours of their parts.
    pub hours: f64,
    /// Whether these are accelerators.
    pub accelerators: bool,
}

impl Usage {
    /// Returns what is charged for a line of the bill: what is sent from its site, where it pays for that, or accelerator-hours,
    /// on its machines or at its site.
    fn share_of(&self, line: &CostLine) -> f64 {
        if egress::is_line(line) {
            return self.sent.iter().filter(|sent| sent.site == line.site).map(Sent::all).sum();
        }
        let on = self.on.iter().filter(|used| used.site == line.site);
        let counts =
            |used: &&Used| line.shape.as_ref().map_or(used.accelerators, |shape| *shape == used.shape);
        on.filter(counts).map(|used| used.hours).sum()
    }

    fn hours(&self) -> f64 {
        self.on.iter().filter(|used| used.accelerators).map(|used| used.hours).sum()
    }
}

/// Returns the whole bill.
///
/// What is bought beside machines comes in as lines, and what of it has no price as words.
pub fn bill(
    frame: &Frame,
    periods: &[Period],
    pools: &[PricedPool<'_>],
    usage: &[Usage],
    (beside, unknown): (Vec<CostLine>, Vec<String>),
) -> Cost {
    let mut lines = Vec::new();
    let mut not_included = unknown;
    for pool in pools {
        let context = LineContext { frame, periods, pool };
        context.fleet_lines(&mut lines, &mut not_included);
        for (purchase, quote) in pool.pool.purchases.iter().zip(&pool.quotes) {
            if let Some(quote) = quote {
                context.purchase_lines(purchase, quote, &mut lines);
                not_included.extend(quote.unknown.iter().cloned());
            }
        }
    }
    lines.extend(beside);
    not_included.sort();
    not_included.dedup();
    let standing: Decimal =
        lines.iter().filter(|line| line.option.is_none()).map(|line| line.billed_cost).sum();
    let rented: Option<Decimal> = pools.iter().map(|pool| all_on_demand(frame, periods, pool)).sum();
    let all_on_demand = rented.map(|rented| rented + standing);
    Cost { all_on_demand, ..totals(frame, periods, lines, usage, not_included) }
}

/// Returns the node-hours of each period that are needed beyond the fleet: no more than are bought, since a job may hold its
/// machines for a part of a period.
pub(crate) fn missing_hours<'a>(periods: &'a [Period], pool: &'a Pool) -> impl Iterator<Item = Decimal> + 'a {
    let bought = |index: usize| -> f64 {
        let priced = pool.purchases.iter().filter(|purchase| purchase.price.is_some());
        priced.filter_map(|purchase| purchase.node_hours_by_period.get(index)).sum()
    };
    periods.iter().zip(&pool.needed).zip(&pool.fleet).enumerate().map(
        move |(index, ((period, needed), &fleet))| {
            let weighted = |(hour, &needed): (usize, &u32)| {
                f64::from(needed.saturating_sub(fleet)) * hour_weight(hour, period)
            };
            let hours: f64 = needed.iter().enumerate().map(weighted).sum();
            decimal(hours.min(bought(index))).round_dp(4)
        },
    )
}

/// Returns what the hours needed beyond the fleet would cost on demand, rounded by period as lines are, `None` without an on-demand price.
fn all_on_demand(frame: &Frame, periods: &[Period], pool: &PricedPool<'_>) -> Option<Decimal> {
    let mut cost = Decimal::ZERO;
    for hours in missing_hours(periods, pool.pool).filter(|hours| !hours.is_zero()) {
        cost += frame.currency.round(pool.on_demand? * hours);
    }
    Some(cost)
}

/// Returns the totals of a list of lines.
fn totals(
    frame: &Frame,
    periods: &[Period],
    lines: Vec<CostLine>,
    usage: &[Usage],
    not_included: Vec<String>,
) -> Cost {
    let sum = |kind: CostKind| -> Decimal {
        lines.iter().filter(|line| line.kind == kind).map(|line| line.billed_cost).sum()
    };
    let total: Decimal = lines.iter().map(|line| line.billed_cost).sum();
    let by_month = by_month(frame, periods, &lines);
    let monthly = monthly_rate(frame.discount_per_year);
    let present = by_month
        .iter()
        .enumerate()
        .map(|(month, amount)| *amount * decimal(present_value(monthly, month as u32)));
    let net_present = frame.currency.round(present.sum());
    Cost {
        currency: frame.currency,
        total,
        capex: sum(CostKind::Capex),
        opex: sum(CostKind::Opex),
        highest_opex_per_month: highest_opex(frame, periods, &lines),
        per_month: frame.currency.round(total / Decimal::from(frame.months)),
        net_present,
        by_month,
        all_on_demand: None,
        workloads: shares(frame, &lines, usage),
        lines,
        not_included,
    }
}

/// Returns the payments of each month.
fn by_month(frame: &Frame, periods: &[Period], lines: &[CostLine]) -> Vec<Decimal> {
    let mut months = vec![Decimal::ZERO; frame.months as usize];
    for line in lines {
        for (month, paid) in of_line_by_month(frame, &periods[line.period as usize], line) {
            months[month] += paid;
        }
    }
    months
}

/// Returns the payments of a line: purchases in the first month of its period, value left and what is still owed in the
/// last, the rest evenly.
pub(crate) fn of_line_by_month(frame: &Frame, period: &Period, line: &CostLine) -> Vec<(usize, Decimal)> {
    let first = period.first_month as usize;
    match line.kind {
        CostKind::Capex => vec![(first, line.billed_cost)],
        CostKind::Residual | CostKind::Owed => vec![(first + period.months as usize - 1, line.billed_cost)],
        CostKind::Opex => (first..).zip(spread(frame.currency, line.billed_cost, period.months)).collect(),
    }
}

/// Returns an amount spread evenly over months; what does not divide evenly falls into the last one.
pub(crate) fn spread(currency: Currency, amount: Decimal, months: u32) -> Vec<Decimal> {
    let each = currency.round(amount / Decimal::from(months.max(1)));
    let mut all = vec![each; months as usize];
    if let Some(last) = all.last_mut() {
        *last += amount - each * Decimal::from(months);
    }
    all
}

fn highest_opex(frame: &Frame, periods: &[Period], lines: &[CostLine]) -> Decimal {
    let running = |index: usize| -> Decimal {
        let of_period =
            lines.iter().filter(|line| line.kind == CostKind::Opex && line.period as usize == index);
        of_period.map(|line| line.billed_cost).sum()
    };
    let monthly = periods
        .iter()
        .enumerate()
        .map(|(index, period)| frame.currency.round(running(index) / Decimal::from(period.months)));
    monthly.max().unwrap_or_default()
}

/// Splits every line over the workloads by their accelerator-hours on its machines, a line that is no machine's by those at
/// its site, what leaves a site by what each sends, and what nobody uses by all hours; the last workload takes what rounding
/// leaves.
fn shares(frame: &Frame, lines: &[CostLine], usage: &[Usage]) -> Vec<WorkloadCost> {
    let mut costs = vec![Decimal::ZERO; usage.len()];
    for line in lines {
        let here: Vec<f64> = usage.iter().map(|used| used.share_of(line)).collect();
        let used = here.iter().any(|hours| *hours > 0.0);
        let hours = if used { here } else { usage.iter().map(Usage::hours).collect() };
        let all: f64 = hours.iter().sum();
        for (cost, hours) in costs.iter_mut().zip(&hours) {
            *cost += if all > 0.0 { line.billed_cost * decimal(hours / all) } else { Decimal::ZERO };
        }
    }
    let mut left: Decimal = lines.iter().map(|line| line.billed_cost).sum();
    usage
        .iter()
        .zip(costs)
        .enumerate()
        .map(|(index, (used, cost))| {
            let cost = if index + 1 == usage.len() { left } else { frame.currency.round(cost) };
            left -= cost;
            let (tokens, hours) = (used.prompt_tokens + used.output_tokens, used.hours());
            WorkloadCost {
                workload: used.workload.clone(),
                cost,
                accelerator_hours: hours,
                requests: used.requests,
                prompt_tokens: used.prompt_tokens,
                output_tokens: used.output_tokens,
                per_million_tokens: per(cost, tokens / 1e6, 4),
                per_accelerator_hour: per(cost, hours, 4),
                per_thousand_requests: per(cost, used.requests / 1e3, 4),
            }
        })
        .collect()
}

/// Returns cost per unit as a rate of some decimal places, `None` where nothing is used.
fn per(cost: Decimal, units: f64, places: u32) -> Option<Decimal> {
    if units <= 0.0 {
        return None;
    }
    cost.to_f64().map(|cost| decimal(cost / units).round_dp(places))
}

struct LineContext<'a> {
    frame: &'a Frame,
    periods: &'a [Period],
    pool: &'a PricedPool<'a>,
}

impl LineContext<'_> {
    /// Adds what machines that stand there already cost: contracts, energy, space.
    fn fleet_lines(&self, lines: &mut Vec<CostLine>, not_included: &mut Vec<String>) {
        if self.pool.pool.fleet.iter().all(|&nodes| nodes == 0) {
            return;
        }
        let (components, unknown) = standing(self.pool.site, self.pool.shape);
        not_included.extend(unknown);
        let contracts = self.pool.contracts.iter().map(|contract| {
            let component = Component {
                item: format!("{}, contract already signed", self.pool.shape.id),
                basis: Basis::NodeHour,
                is_machine: false,
                price: contract.price,
                origin: Origin::Published,
                source: "plan: committed_price".to_owned(),
            };
            (component, &contract.nodes)
        });
        let of_all = components.into_iter().map(|component| (component, &self.pool.pool.fleet));
        let parts: Vec<(Component, &Vec<u32>)> = of_all.chain(contracts).collect();
        for (index, period) in self.periods.iter().enumerate() {
            for (part, nodes) in &parts {
                let months = Decimal::from(period.months) * Decimal::from(nodes[index]);
                let hours = months * decimal(HOURS_PER_MONTH);
                let quantity = if part.basis == Basis::NodeHour { hours } else { months };
                self.add(lines, part, None, index, quantity, None);
            }
        }
    }

    fn purchase_lines(&self, purchase: &Purchase, quote: &Quote, lines: &mut Vec<CostLine>) {
        let mut held_before = 0;
        for (index, &nodes) in purchase.nodes_by_period.iter().enumerate() {
            let bought = nodes.saturating_sub(held_before);
            if purchase.option == PurchaseOption::Owned {
                held_before = nodes;
            }
            let hours = decimal(purchase.node_hours_by_period[index]).round_dp(4);
            let months = Decimal::from(nodes) * Decimal::from(self.periods[index].months);
            for part in &quote.components {
                let (quantity, list) = match part.basis {
                    Basis::Purchase => (Decimal::from(bought), Some(self.list_of_owned(bought, index))),
                    Basis::NodeMonth => (months, None),
                    Basis::NodeHour => (hours, Some(self.pool.on_demand.map(|price| price * hours))),
                };
                let list = if part.is_machine { list.flatten() } else { None };
                self.add(lines, part, Some(purchase.option), index, quantity, list);
            }
            if purchase.option == PurchaseOption::Owned {
                self.add_residual(lines, quote, index, bought);
            }
        }
        self.add_owed(purchase, quote, lines);
    }

    /// Adds what contracts still bind when the horizon ends.
    fn add_owed(&self, purchase: &Purchase, quote: &Quote, lines: &mut Vec<CostLine>) {
        let Some(term) = purchase.option.contract_months() else { return };
        let all = contracts::contracts(term, &purchase.nodes_by_period, self.periods);
        let quantity = decimal(contracts::hours_after(&all, self.frame.months)).round_dp(4);
        let parts = quote.components.iter().filter(|part| part.basis == Basis::NodeHour);
        for part in parts.filter(|_| !quantity.is_zero()) {
            let billed = self.frame.currency.round(quantity * part.price);
            lines.push(CostLine {
                item: format!("{}, still bound after the horizon", part.item),
                site: self.pool.site.name.clone(),
                shape: Some(self.pool.shape.id.clone()),
                option: Some(purchase.option),
                period: self.periods.len() as u32 - 1,
                kind: CostKind::Owed,
                quantity,
                unit: "bound node-h".to_owned(),
                unit_price: part.price,
                billed_cost: billed,
                effective_cost: billed,
                list_cost: None,
                origin: part.origin,
                source: part.source.clone(),
            });
        }
    }

    /// Returns what owned nodes bought in a period would cost on demand until the horizon ends.
    fn list_of_owned(&self, bought: u32, period: usize) -> Option<Decimal> {
        let months: u32 = self.periods[period..].iter().map(|period| period.months).sum();
        let hours = Decimal::from(months * bought) * decimal(HOURS_PER_MONTH);
        self.pool.on_demand.map(|price| price * hours)
    }

    fn add(
        &self,
        lines: &mut Vec<CostLine>,
        part: &Component,
        option: Option<PurchaseOption>,
        period: usize,
        quantity: Decimal,
        list: Option<Decimal>,
    ) {
        if quantity.is_zero() {
            return;
        }
        let billed = self.frame.currency.round(quantity * part.price);
        let (kind, unit) = match part.basis {
            Basis::Purchase => (CostKind::Capex, if part.is_machine { "node" } else { "set" }),
            Basis::NodeMonth => (CostKind::Opex, "node-month"),
            Basis::NodeHour => (CostKind::Opex, if part.is_machine { "node-h" } else { "contract-h" }),
        };
        lines.push(CostLine {
            item: part.item.clone(),
            site: self.pool.site.name.clone(),
            shape: Some(self.pool.shape.id.clone()),
            option,
            period: period as u32,
            kind,
            quantity,
            unit: unit.to_owned(),
            unit_price: part.price,
            billed_cost: billed,
            effective_cost: billed,
            list_cost: list.map(|amount| self.frame.currency.round(amount)),
            origin: part.origin,
            source: part.source.clone(),
        });
    }

    /// Adds the value that nodes bought in a period still have when the horizon ends.
    fn add_residual(&self, lines: &mut Vec<CostLine>, quote: &Quote, period: usize, bought: u32) {
        let Some(write_off) = quote.write_off.as_ref().filter(|_| bought > 0) else { return };
        let age: u32 = self.periods[period..].iter().map(|period| period.months).sum();
        let quantity = Decimal::from(bought);
        let unit_price = -write_off.value_after(age);
        lines.push(CostLine {
            item: format!("value of {} left after {age} months", self.pool.shape.id),
            site: self.pool.site.name.clone(),
            shape: Some(self.pool.shape.id.clone()),
            option: Some(PurchaseOption::Owned),
            period: self.periods.len() as u32 - 1,
            kind: CostKind::Residual,
            quantity,
            unit: "used node".to_owned(),
            unit_price,
            billed_cost: self.frame.currency.round(quantity * unit_price),
            effective_cost: self.frame.currency.round(quantity * unit_price),
            list_cost: None,
            origin: Origin::Assumed,
            source: write_off.source.clone(),
        });
    }
}
