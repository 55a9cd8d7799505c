//! What a choice of columns costs at least under limits: limits as prices.
//!
//! Lagrangian relaxation (Fisher, Management Science 27(1), 1981): a limit `lhs · x ≤ value` is dropped and each
//! unit of `lhs` beyond `value` is charged its price instead. Whatever the prices, no plan that keeps the limits
//! costs less; at the prices of the relaxed purchase for one choice the bound of that choice is the relaxation
//! itself, and neighbours that break the same limits come close. With limits gone the pools are apart again, so
//! a bound takes the closed form of [`super::purchase`] and no solver.

use super::buy::Buyer;
use super::master::Case;
use super::prepared::{LimitRow, LoweredLimit, Prepared};
use super::problem::Bound;

/// Pools at costs that include what limits charge.
pub(super) struct Priced<'a> {
    buyer: Buyer<'a>,
    /// Credits of variables that limits pay for: at most these, at the most nodes there can be. By pool.
    credits: Vec<f64>,
    /// What the limits' own values are worth; subtracted.
    allowance: f64,
}

impl<'a> Priced<'a> {
    /// Charges `prices` by limit and row; a limit without prices is dropped.
    pub fn new(prepared: &'a Prepared<'a>, case: &'a Case, prices: &[Vec<f64>]) -> Self {
        let mut costs: Vec<f64> = prepared.vars.iter().map(|var| var.discounted).collect();
        let mut allowance = 0.0;
        for ((limit, value), prices) in prepared.limits.iter().zip(&case.limits).zip(prices) {
            let Some(value) = *value else { continue };
            for (row, &price) in limit.rows.iter().zip(prices) {
                allowance += charge(&mut costs, limit, row, (value, price));
            }
        }
        let mut credits = vec![0.0; prepared.problem.pools.len()];
        for (cost, var) in costs.iter_mut().zip(&prepared.vars) {
            if *cost < 0.0 {
                credits[var.offer.pool] += *cost * prepared.peak_nodes[var.offer.pool] as f64;
                *cost = 0.0;
            }
        }
        Priced { buyer: Buyer::at(prepared, case, costs), credits, allowance }
    }

    /// Returns what these (workload, column) pairs cost at least on `pool`, charges included.
    pub fn cost_alone(&self, pool: usize, pairs: &[(usize, usize)]) -> f64 {
        self.buyer.cost_alone(pool, pairs) + self.credits[pool]
    }

    /// Returns what is subtracted from the sum over pools.
    pub fn allowance(&self) -> f64 {
        self.allowance
    }
}

/// Adds price · (lhs + constant − value · base), or its negative for a limit from below, to the costs; returns
/// the part that no variable bears, negated.
fn charge(costs: &mut [f64], limit: &LoweredLimit, row: &LimitRow, (value, price): (f64, f64)) -> f64 {
    let price = if matches!(limit.bound, Bound::AtMost(_)) { price } else { -price };
    row.lhs.iter().for_each(|&(var, c)| costs[var] += price * c);
    match &row.base {
        Some(base) => {
            base.iter().for_each(|&(var, c)| costs[var] -= price * value * c);
            -price * row.constant
        }
        None => price * (value - row.constant),
    }
}
