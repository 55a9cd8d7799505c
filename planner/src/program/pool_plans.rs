//! What limits are worth, from the plans of single pools that were met.
//!
//! A pool plan is a set of workloads on a pool with its purchase. The master program covers every workload with
//! shares of pool plans and keeps the limits at least cost (Dantzig and Wolfe, Operations Research 8(1), 1960). Its
//! prices are the next ones at which [`super::partition`] looks for cheaper pool plans; in whole pool plans it is a
//! choice of columns that keeps the limits. It never claims a bound: it knows only the pool plans that were met.

use super::buy::Plan;
use super::master::Case;
use super::partition::{Sides, Table};
use super::prepared::{LimitRow as LoweredRow, Prepared};
use super::problem::Bound;
use super::solver::{Answer, Program, Row, Stops, Var};

/// A set of workloads on one pool, bought.
struct PoolPlan {
    side: usize,
    set: u32,
    /// Those without a choice excluded.
    columns: Vec<usize>,
    cost: f64,
    /// By row of a limit in force, what it uses.
    uses: Vec<f64>,
}

/// One row of a limit in force.
struct LimitRow {
    limit: usize,
    row: usize,
    most: f64,
}

/// The pool plans that were met.
pub(super) struct PoolPlans<'s, 'a> {
    prepared: &'a Prepared<'a>,
    case: &'a Case,
    sides: &'s Sides<'a>,
    rows: Vec<LimitRow>,
    plans: Vec<PoolPlan>,
    /// Cost of covering everything without any pool plan: more than a plan may cost.
    refusal: f64,
}

/// What the master says.
pub(super) struct Mastered {
    pub cost: f64,
    /// By limit and row; `None` for a row that no sum of these pool plans can break.
    pub prices: Vec<Vec<Option<f64>>>,
    /// Columns of all workloads, where pool plans are whole.
    pub columns: Option<Vec<usize>>,
}

impl<'s, 'a> PoolPlans<'s, 'a> {
    /// Starts with none.
    pub fn new(prepared: &'a Prepared<'a>, case: &'a Case, sides: &'s Sides<'a>, refusal: f64) -> Self {
        let mut rows = Vec::new();
        for (limit, value) in case.limits.iter().enumerate() {
            let Some(value) = *value else { continue };
            // What is asked of one pool alone its plans keep.
            let couples = |(_, lowered): &(usize, &LoweredRow)| lowered.only.is_none();
            for (row, lowered) in prepared.limits[limit].rows.iter().enumerate().filter(couples) {
                let most = if lowered.base.is_some() { 0.0 } else { value } - lowered.constant;
                let most = if is_from_above(prepared, limit) { most } else { -most };
                rows.push(LimitRow { limit, row, most });
            }
        }
        PoolPlans { prepared, case, sides, rows, plans: Vec::new(), refusal }
    }

    /// Adds the pool plans of the cheapest partition at the prices of a table, and pools where nothing has a choice.
    pub fn add_cheapest(&mut self, table: &Table<'_, 'a>) {
        let parts = table.parts();
        for part in &parts {
            self.add_at(table, part.side, part.set, part.columns.clone());
        }
        for side in 0..self.sides.sides.len() {
            if !self.sides.sides[side].fixed.is_empty() && parts.iter().all(|part| part.side != side) {
                self.add_at(table, side, 0, Vec::new());
            }
        }
    }

    fn add_at(&mut self, table: &Table<'_, 'a>, side: usize, set: u32, columns: Vec<usize>) {
        let pairs = self.sides.pairs(side, set, &columns);
        let Some(bought) = table.buy(side, &pairs) else { return };
        let mut nodes = vec![0.0; self.prepared.vars.len()];
        bought.iter().for_each(|&(var, count)| nodes[var] = count);
        self.add(side, set, columns, &nodes);
    }

    /// Adds the pool plans of a whole plan.
    pub fn add_plan(&mut self, plan: &Plan) {
        let pool_of = |w: usize| self.prepared.problem.workloads[w].columns[plan.columns[w]].pool;
        for side in 0..self.sides.sides.len() {
            let (pool, has_fixed) = (self.sides.sides[side].pool, !self.sides.sides[side].fixed.is_empty());
            let here = self.sides.free.iter().enumerate().filter(|&(_, &w)| pool_of(w) == pool);
            let (set, columns) = here.fold((0, Vec::new()), |(set, mut columns), (at, &w)| {
                columns.push(plan.columns[w]);
                (set | 1 << at, columns)
            });
            if set == 0 && !has_fixed {
                continue;
            }
            let mut nodes = plan.nodes.clone();
            for (count, var) in nodes.iter_mut().zip(&self.prepared.vars) {
                if var.offer.pool != pool {
                    *count = 0.0;
                }
            }
            self.add(side, set, columns, &nodes);
        }
    }

    fn add(&mut self, side: usize, set: u32, columns: Vec<usize>, nodes: &[f64]) {
        let pairs = self.sides.pairs(side, set, &columns);
        let uses = self.rows.iter().map(|row| self.used(row, nodes, &pairs)).collect();
        let cost = self.prepared.cost(nodes) + self.prepared.paid(pairs);
        let is_known = |plan: &PoolPlan| {
            (plan.side, plan.set, plan.cost) == (side, set, cost)
                && plan.columns == columns
                && plan.uses == uses
        };
        if !self.plans.iter().any(is_known) {
            self.plans.push(PoolPlan { side, set, columns, cost, uses });
        }
    }

    /// What nodes for (workload, column) pairs use of a row; of a share beyond what it may be.
    fn used(&self, row: &LimitRow, nodes: &[f64], pairs: &[(usize, usize)]) -> f64 {
        let lowered = &self.prepared.limits[row.limit].rows[row.row];
        let (lhs, base) = lowered.sides_of(nodes, |w, c| pairs.contains(&(w, c)));
        let value = self.case.limits[row.limit].unwrap_or_default();
        let used = lhs - lowered.constant - if lowered.base.is_some() { value * base } else { 0.0 };
        if is_from_above(self.prepared, row.limit) { used } else { -used }
    }

    /// Solves the master; `None` where it cannot be solved.
    pub fn solve(&self, whole: bool, stops: Stops) -> Option<Mastered> {
        let mut program = Program::new();
        let refusal = program.add(self.refusal, 1.0, false);
        let vars: Vec<Var> = self.plans.iter().map(|plan| program.add(plan.cost, 1.0, whole)).collect();
        let pairs = || self.plans.iter().zip(&vars);
        for at in 0..self.sides.free.len() {
            let covers = pairs().filter(|(plan, _)| plan.set & 1 << at != 0).map(|(_, var)| (*var, 1.0));
            program.at_least(&covers.chain([(refusal, 1.0)]).collect::<Vec<_>>(), 1.0);
        }
        for side in (0..self.sides.sides.len()).filter(|&side| !self.sides.sides[side].fixed.is_empty()) {
            let here = pairs().filter(|(plan, _)| plan.side == side).map(|(_, var)| (*var, 1.0));
            program.at_least(&here.chain([(refusal, 1.0)]).collect::<Vec<_>>(), 1.0);
        }
        let mut rows: Vec<Option<(Row, f64)>> = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            let uses = pairs().map(|(plan, var)| (*var, plan.uses[index])).filter(|(_, used)| *used != 0.0);
            let mut terms: Vec<(Var, f64)> = uses.collect();
            let scale = terms.iter().fold(0.0_f64, |most, (_, used)| most.max(used.abs()));
            let sum: f64 = terms.iter().map(|(_, used)| used.max(0.0)).sum();
            if scale == 0.0 || sum <= row.most {
                rows.push(None);
                continue;
            }
            terms.iter_mut().for_each(|(_, used)| *used /= scale);
            rows.push(Some((program.at_most(&terms, row.most / scale), scale)));
        }
        let Answer::Found(found) = program.solve(stops) else { return None };
        let mut prices: Vec<Vec<Option<f64>>> = self.prepared.limits.iter().map(|_| Vec::new()).collect();
        for (row, solved) in self.rows.iter().zip(&rows) {
            let of_limit = &mut prices[row.limit];
            of_limit.resize(row.row, None);
            of_limit.push(solved.map(|(row, scale)| found.price(row) / scale));
        }
        let is_refused = found.value(refusal) > 0.5;
        let columns = (whole && !is_refused).then(|| {
            let chosen = pairs().filter(|(_, var)| found.value(**var) > 0.5);
            let mut columns = self.sides.columns(&[]);
            for (plan, _) in chosen {
                let pairs = self.sides.pairs(plan.side, plan.set, &plan.columns);
                pairs.into_iter().for_each(|(w, c)| columns[w] = c);
            }
            columns
        });
        Some(Mastered { cost: found.objective, prices, columns })
    }
}

fn is_from_above(prepared: &Prepared<'_>, limit: usize) -> bool {
    matches!(prepared.limits[limit].bound, Bound::AtMost(_))
}
