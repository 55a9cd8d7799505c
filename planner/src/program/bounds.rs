//! What a choice of columns costs at least under limits: limits as prices.
//!
//! Lagrangian relaxation (Fisher, Management Science 27(1), 1981): a limit `lhs · x ≤ value` is dropped and each
//! unit of `lhs` beyond `value` is charged its price instead. Whatever the prices, no plan that keeps the limits
//! costs less; at the prices of the relaxed purchase for one choice the bound of that choice is the relaxation
//! itself, and neighbours that break the same limits come close. With limits gone the pools are apart again, so
//! a bound takes the closed form of [`super::purchase`] and no solver.

use super::buy::{Buyer, Piece};
use super::master::Case;
use super::prepared::{LimitRow, LoweredLimit, Prepared};
use super::problem::Bound;
use super::purchase::Bought;

/// Pools at costs that include what limits charge.
pub(super) struct Priced<'a> {
    buyer: Buyer<'a>,
    /// By variable; credits excluded.
    costs: Vec<f64>,
    /// Credits of variables that limits pay for: at most these, at the most nodes there can be. By pool.
    credits: Vec<f64>,
    prices: Vec<Vec<f64>>,
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
        let buyer = Buyer::at(prepared, case, costs.clone());
        Priced { buyer, costs, credits, allowance, prices: prices.to_vec() }
    }

    /// Returns the cheapest purchase for what runs on `pool` at these costs, and what it costs at least.
    pub fn buy_alone(&self, pool: usize, pieces: &[Piece<'_>]) -> Option<(Bought, f64)> {
        let bought = self.buyer.buy_alone(pool, pieces)?;
        let cost = bought.cost + self.credits[pool];
        Some((bought, cost))
    }

    /// Whether a pool costs the same as at other prices.
    pub fn is_same(&self, other: &Priced<'_>, pool: usize, vars: &[usize]) -> bool {
        self.credits[pool] == other.credits[pool]
            && vars.iter().all(|&var| self.costs[var] == other.costs[var])
    }

    /// Returns the prices by limit and row.
    pub fn prices(&self) -> &[Vec<f64>] {
        &self.prices
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
