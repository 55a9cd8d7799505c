//! What one node costs that is bought or reserved from the start of a period on, and which periods it serves.

use super::problem::{Offer, Problem, Terms};

/// One node for a term.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// First period that it does not serve.
    pub until: usize,
    /// Paid at the start.
    pub capex: f64,
    /// Worth at the end of the horizon; below zero what a contract still binds then.
    pub residual: f64,
    /// Paid while it lasts, by period.
    pub running: Vec<(usize, f64)>,
    /// Hours that are paid for.
    pub hours: f64,
    /// All of it, discounted.
    pub discounted: f64,
}

impl Committed {
    /// Returns the cost of a node of `offer` from period `from` on; `None` where it is paid by the hour or has no price, or
    /// cannot be had from then on.
    pub fn of(problem: &Problem, offer: &Offer, from: usize) -> Option<Committed> {
        if !problem.periods[from].opens {
            return None;
        }
        match &offer.terms {
            Terms::Owned { capex_per_node, opex_per_node_month, residual_per_node } => {
                let residual = residual_per_node.get(from).copied().unwrap_or(0.0);
                Some(owned(problem, from, (*capex_per_node)?, *opex_per_node_month, residual))
            }
            Terms::Reserved { term_months, price_per_node_hour } => {
                Some(reserved(problem, from, (*price_per_node_hour)?, *term_months))
            }
            Terms::OnDemand { .. } | Terms::Spot { .. } => None,
        }
    }
}

fn month_hours(problem: &Problem) -> f64 {
    problem.slots.iter().map(|slot| slot.hours_per_month).sum()
}

fn owned(problem: &Problem, from: usize, capex: f64, opex_month: f64, residual: f64) -> Committed {
    let periods = &problem.periods;
    let running: Vec<_> = (from..periods.len()).map(|p| (p, opex_month * periods[p].months)).collect();
    let discounted = capex * periods[from].discount_at_start
        + running.iter().map(|&(p, cost)| cost * periods[p].discount).sum::<f64>()
        - residual * problem.discount_at_end;
    let hours = periods[from..].iter().map(|period| period.months * month_hours(problem)).sum();
    Committed { until: periods.len(), capex, residual, running, hours, discounted }
}

/// Returns the months that a contract binds which serves `first` months at least: terms of whole months one after the other,
/// each to its end. One in days is a block, and blocks follow one another for as long as they are needed.
pub fn bound_months(term_months: f64, first: f64) -> f64 {
    if term_months.fract() != 0.0 {
        return term_months.max(first);
    }
    term_months * (first / term_months * (1.0 - 1e-9)).ceil().max(1.0)
}

/// All months of the term are paid: those inside the horizon as they come, those after it at its end. Only periods that it
/// covers whole are served, with those that continue them. A term that is shorter than its first period is renewed until
/// that period has ended: see [`bound_months`].
fn reserved(problem: &Problem, from: usize, price: f64, term_months: f64) -> Committed {
    let periods = &problem.periods;
    let opens = |p: usize| periods.get(p).is_none_or(|period| period.opens);
    let first: f64 = (from..).take_while(|&p| p == from || !opens(p)).map(|p| periods[p].months).sum();
    let term = bound_months(term_months, first);
    let mut left = term;
    let mut until = from;
    let mut running = Vec::new();
    for (p, period) in periods.iter().enumerate().skip(from) {
        if left <= 1e-9 {
            break;
        }
        let months = left.min(period.months);
        running.push((p, months * month_hours(problem) * price));
        let is_whole = months >= period.months * (1.0 - 1e-9);
        if is_whole && opens(p + 1) {
            until = p + 1;
        }
        left -= period.months;
    }
    let owed = if left > 1e-9 { left * month_hours(problem) * price } else { 0.0 };
    let paid: f64 = running.iter().map(|&(p, cost)| cost * periods[p].discount).sum();
    let discounted = paid + owed * problem.discount_at_end;
    let rest: f64 = periods[from..].iter().map(|p| p.months).sum();
    let hours = term.min(rest) * month_hours(problem);
    Committed { until, capex: 0.0, residual: -owed, running, hours, discounted }
}
