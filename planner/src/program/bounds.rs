//! What a choice of columns costs at least under limits: limits as prices.
//!
//! Lagrangian relaxation (Fisher, Management Science 27(1), 1981): a limit `lhs · x ≤ value` is dropped and each
//! unit of `lhs` beyond `value` is charged its price instead. Whatever the prices, no plan that keeps the limits
//! costs less; at the prices of the relaxed purchase for one choice the bound of that choice is the relaxation
//! itself, and neighbours that break the same limits come close. With limits gone the pools are apart again, so
//! a bound takes the closed form of [`super::purchase`] and no solver.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::buy::{Buyer, Piece};
use super::master::Case;
use super::prepared::{LimitRow, LoweredLimit, Prepared};
use super::problem::Bound;
use super::purchase::Bought;

/// Halvings of the range in which a price is looked for.
const PRICE_STEPS: usize = 16;

/// Pools at costs that include what limits charge.
pub(super) struct Priced<'a> {
    prepared: &'a Prepared<'a>,
    case: &'a Case,
    prices: Vec<Vec<f64>>,
    /// By variable, without what only some workloads are charged.
    costs: Vec<f64>,
    /// What column `[workload][column]` pays beside its nodes, and what limits charge for that.
    paid: Vec<Vec<f64>>,
    /// (workload, pool, limit, row) that has a price and is asked only where the workload runs on the pool.
    only: Vec<(usize, usize, usize, usize)>,
    /// By the workloads that are charged.
    buyers: RefCell<BTreeMap<Vec<usize>, Rc<Charged<'a>>>>,
    /// What the limits' own values are worth; subtracted.
    allowance: f64,
}

struct Charged<'a> {
    buyer: Buyer<'a>,
    /// Credits of variables that limits pay for: at most these, at the most nodes there can be. By pool.
    credits: Vec<f64>,
}

impl<'a> Priced<'a> {
    /// Charges `prices` by limit and row; a limit without prices is dropped.
    pub fn new(prepared: &'a Prepared<'a>, case: &'a Case, prices: &[Vec<f64>]) -> Self {
        let costs = prepared.vars.iter().map(|var| var.discounted).collect();
        let (prices, buyers, paid) = (prices.to_vec(), RefCell::default(), prepared.paid.clone());
        let (only, allowance) = (Vec::new(), 0.0);
        let mut priced = Priced { prepared, case, prices, costs, paid, only, buyers, allowance };
        for (index, limit) in prepared.limits.iter().enumerate() {
            let Some(value) = case.limits[index] else { continue };
            for (row, &price) in priced.prices[index].iter().enumerate().filter(|(_, price)| **price != 0.0) {
                match limit.rows[row].only {
                    Some((w, pool)) => priced.only.push((w, pool, index, row)),
                    None => {
                        priced.allowance +=
                            charge(&mut priced.costs, limit, &limit.rows[row], (value, price));
                        let charged = limit.rows[row].paid.iter();
                        charged.for_each(|&(w, c, amount)| priced.paid[w][c] += price * amount);
                    }
                }
            }
        }
        priced
    }

    /// Returns what (workload, column) pairs pay beside their nodes at these prices.
    pub fn paid(&self, pairs: &[(usize, usize)]) -> f64 {
        pairs.iter().map(|&(w, c)| self.paid[w][c]).sum()
    }

    /// Returns the cheapest purchase for what runs on `pool` at these costs, and what it costs at least.
    pub fn buy_alone(&self, pool: usize, pieces: &[Piece<'_>]) -> Option<(Bought, f64)> {
        let is_charged = |w: usize| self.only.iter().any(|only| (only.0, only.1) == (w, pool));
        let mut workloads: Vec<usize> =
            pieces.iter().map(|piece| piece.workload).filter(|w| is_charged(*w)).collect();
        workloads.sort_unstable();
        let charged = self.charged(workloads);
        let bought = charged.buyer.buy_alone(pool, pieces)?;
        let cost = bought.cost + charged.credits[pool];
        Some((bought, cost))
    }

    fn charged(&self, workloads: Vec<usize>) -> Rc<Charged<'a>> {
        if let Some(known) = self.buyers.borrow().get(&workloads) {
            return Rc::clone(known);
        }
        let mut costs = self.costs.clone();
        for &(_, _, limit, row) in self.only.iter().filter(|only| workloads.contains(&only.0)) {
            let (lowered, value) =
                (&self.prepared.limits[limit], self.case.limits[limit].unwrap_or_default());
            charge(&mut costs, lowered, &lowered.rows[row], (value, self.prices[limit][row]));
        }
        let charged = Rc::new(self.charging(costs));
        self.buyers.borrow_mut().insert(workloads, Rc::clone(&charged));
        charged
    }

    fn charging(&self, mut costs: Vec<f64>) -> Charged<'a> {
        let mut credits = vec![0.0; self.prepared.problem.pools.len()];
        for (cost, var) in costs.iter_mut().zip(&self.prepared.vars) {
            if *cost < 0.0 {
                credits[var.offer.pool] += *cost * self.prepared.peak_nodes[var.offer.pool] as f64;
                *cost = 0.0;
            }
        }
        Charged { buyer: Buyer::at(self.prepared, self.case, costs), credits }
    }

    /// Returns what runs on `pool` costs at least where limits that are asked of it alone charge `own`, by limit and row.
    pub fn at_least_alone(&self, pool: usize, pieces: &[Piece<'_>], own: &[Vec<f64>]) -> Option<f64> {
        let is_asked = |row: &LimitRow| {
            row.only.is_some_and(|(w, of)| of == pool && pieces.iter().any(|piece| piece.workload == w))
        };
        let (mut costs, mut allowance) = (self.costs.clone(), 0.0);
        for ((limit, value), prices) in self.prepared.limits.iter().zip(&self.case.limits).zip(own) {
            let Some(value) = value else { continue };
            for (row, price) in limit.rows.iter().zip(prices).filter(|(row, _)| is_asked(row)) {
                allowance += charge(&mut costs, limit, row, (*value, *price));
            }
        }
        let charged = self.charging(costs);
        let bought = charged.buyer.buy_alone(pool, pieces)?;
        Some(bought.cost + charged.credits[pool] - allowance)
    }

    /// Whether a pool costs the same as at other prices.
    pub fn is_same(&self, other: &Priced<'_>, pool: usize) -> bool {
        let only = |priced: &Priced<'_>| -> Vec<(usize, usize, f64)> {
            let here = priced.only.iter().filter(|only| only.1 == pool);
            here.map(|&(_, _, limit, row)| (limit, row, priced.prices[limit][row])).collect()
        };
        let paid = |priced: &Priced<'_>| -> Vec<f64> {
            let workloads = self.prepared.problem.workloads.iter().zip(&priced.paid);
            let each = workloads.flat_map(|(w, paid)| w.columns.iter().zip(paid));
            each.filter(|(column, _)| column.pool == pool).map(|(_, paid)| *paid).collect()
        };
        let mut vars = self.prepared.pool_vars[pool].iter();
        vars.all(|&var| self.costs[var] == other.costs[var])
            && only(self) == only(other)
            && paid(self) == paid(other)
    }

    /// Returns the costs by variable, without what is charged only for some workloads.
    pub fn costs(&self) -> &[f64] {
        &self.costs
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

/// Returns prices for the rows that are asked only of one workload on one pool: those at which the workload alone on
/// that pool costs most, its cheapest column at each point.
///
/// What it costs is concave in the price, and what it uses beyond the limit is the slope: bisection.
pub(super) fn prices_apart(prepared: &Prepared<'_>, case: &Case) -> Vec<Vec<f64>> {
    let mut prices: Vec<Vec<f64>> = prepared.limits.iter().map(|_| Vec::new()).collect();
    for (index, limit) in prepared.limits.iter().enumerate() {
        let Some(value) = case.limits[index] else { continue };
        let each = limit
            .rows
            .iter()
            .map(|row| row.only.map_or(0.0, |only| price_apart(prepared, case, (limit, row, value), only)));
        if limit.rows.iter().any(|row| row.only.is_some()) {
            prices[index] = each.collect();
        }
    }
    prices
}

fn price_apart(
    prepared: &Prepared<'_>,
    case: &Case,
    (limit, row, value): (&LoweredLimit, &LimitRow, f64),
    (w, pool): (usize, usize),
) -> f64 {
    let of_pool = |c: &&usize| prepared.problem.workloads[w].columns[**c].pool == pool;
    let Some(&column) = case.columns[w].iter().find(of_pool) else { return 0.0 };
    let pieces = [Piece { workload: w, load: &prepared.loads[w][column], mask: prepared.masks[w][column] }];
    let is_beyond = |price: f64| {
        let mut costs: Vec<f64> = prepared.vars.iter().map(|var| var.discounted).collect();
        charge(&mut costs, limit, row, (value, price));
        costs.iter_mut().for_each(|cost| *cost = cost.max(0.0));
        let Some(bought) = Buyer::at(prepared, case, costs).buy_alone(pool, &pieces) else { return false };
        let mut nodes = vec![0.0; prepared.vars.len()];
        bought.nodes.iter().for_each(|&(var, count)| nodes[var] = count as f64);
        let (lhs, base) = row.sides_of(&nodes, |of, c| (of, c) == (w, column));
        let used = lhs - value * base;
        if matches!(limit.bound, Bound::AtMost(_)) { used > 0.0 } else { used < 0.0 }
    };
    if !is_beyond(0.0) {
        return 0.0;
    }
    let dearest = prepared.pool_vars[pool].iter().map(|&var| {
        let var = &prepared.vars[var];
        if var.hours > 0.0 { var.discounted / var.hours } else { 0.0 }
    });
    let (mut low, mut high) = (0.0, 4.0 * dearest.fold(0.0, f64::max));
    for _ in 0..PRICE_STEPS {
        let middle = f64::midpoint(low, high);
        if is_beyond(middle) { low = middle } else { high = middle }
    }
    low
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
