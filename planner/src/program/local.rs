//! Large problems: the relaxation with parts of nodes, rounded, and a local search over columns against true costs.
//!
//! Measured on the reference instance of the tests: rounding the relaxation and searching comes within 1 % of the
//! relaxation, and the program with all columns whole takes ten times as long, so it runs only if needed. Where
//! nodes are few and large the relaxation is weak; [`super::partition`] is for that.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::buy::Plan;
use super::master::{self, Case, Draft, Goal, NoDraft, Whole, WholeNodes};
use super::search::{Proven, Search, TIE};
use super::solution::Method;
use super::solver::Stops;

/// Coupled purchases of one local search: its moves are ordered by costs without limits, so late ones rarely help.
pub(super) const MAX_JOINT_MOVES: usize = 12;
/// Rounds of local search; each must improve, so few are needed.
const MAX_PASSES: usize = 8;

impl Search<'_> {
    /// Rounds the relaxation and searches around it; then lets the program choose among the columns that the
    /// relaxation uses, then among all, each only while the best plan is not within [`Options::good_gap`] of
    /// the relaxation.
    pub fn columns(&self) -> Result<Proven, NoDraft> {
        let relaxed = Whole { columns: false, nodes: WholeNodes::None };
        let mixed = master::solve(self.prepared, self.case, (relaxed, Goal::Cost, self.exactly()), None)?;
        let mut bound = mixed.found.bound;
        let mut n_nodes = 0;
        let mut best = self.buy_and_improve(&mixed.columns(self.case), Err(NoDraft::Infeasible));
        let used = Case { columns: mixed.used_columns(self.case), limits: self.case.limits.clone() };
        for case in [&used, self.case] {
            let is_good = |plan: &Plan| plan.cost - bound <= self.options.good_gap * plan.cost;
            if best.as_ref().is_ok_and(is_good) {
                break;
            }
            let whole = Whole { columns: true, nodes: WholeNodes::None };
            let stops = Stops {
                rel_gap: self.options.rel_gap,
                max_nodes: self.options.max_nodes,
                merges_hours: false,
                worth: f64::INFINITY,
            };
            let draft = match master::solve(self.prepared, case, (whole, Goal::Cost, stops), None) {
                Ok(draft) => draft,
                // Fewer columns than all may be too few; of all, it is the answer.
                Err(NoDraft::Infeasible | NoDraft::OutOfNodes) if case == &used && &used != self.case => {
                    continue;
                }
                Err(why) => {
                    return best.map_err(|_| why).map(|plan| self.proven(plan, bound, &mixed, n_nodes));
                }
            };
            n_nodes += draft.found.n_nodes;
            if case == self.case {
                bound = bound.max(draft.found.bound);
            }
            best = self.buy_and_improve(&draft.columns(case), best);
        }
        match best.map(|plan| self.elsewhere(plan, bound)) {
            Ok(plan) => Ok(self.proven(plan, bound, &mixed, n_nodes)),
            // Rounding up nodes broke a limit: only the integer program can tell whether another choice fits.
            Err(NoDraft::Infeasible) => self.integer(),
            Err(other) => Err(other),
        }
    }

    /// Returns the best plan that starts from what each workload costs alone, on all pools and on all but one of those
    /// that the plan uses.
    ///
    /// Parts of nodes make large nodes look cheap, and no workload leaves such a pool alone, since its nodes stay for the
    /// others. So all leave it at once.
    fn elsewhere(&self, plan: Plan, bound: f64) -> Plan {
        let used: BTreeSet<usize> =
            plan.columns.iter().enumerate().map(|(w, &c)| self.pool_of(w, c)).collect();
        let without = std::iter::once(None).chain(used.into_iter().map(Some));
        let mut best = plan;
        for pool in without {
            if best.cost - bound <= self.options.good_gap * best.cost {
                break;
            }
            if let Some(columns) = self.cheapest_alone(pool) {
                best = self.buy_and_improve(&columns, Ok(best.clone())).unwrap_or(best);
            }
        }
        best
    }

    /// Returns the column of each workload that costs least alone, away from a pool; `None` where a workload has none.
    fn cheapest_alone(&self, without: Option<usize>) -> Option<Vec<usize>> {
        let columns = self.case.columns.iter().enumerate().map(|(w, allowed)| {
            let elsewhere = allowed.iter().copied().filter(|&c| Some(self.pool_of(w, c)) != without);
            let priced = elsewhere.map(|c| (self.buyer.cost_alone(self.pool_of(w, c), &[(w, c)]), c));
            priced.filter(|(cost, _)| cost.is_finite()).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, c)| c)
        });
        columns.collect()
    }

    /// Returns the better of `best` and the plan that a local search reaches from these columns.
    fn buy_and_improve(&self, columns: &[usize], best: Result<Plan, NoDraft>) -> Result<Plan, NoDraft> {
        match (best, self.buyer.buy(columns, Some(self.nearly())).map(|plan| self.improve(plan))) {
            (Ok(a), Ok(b)) => Ok(if self.compare(&b, &a) == Ordering::Less { b } else { a }),
            (Ok(plan), Err(_)) | (Err(_), Ok(plan)) => Ok(plan),
            (Err(_), Err(why)) => Err(why),
        }
    }

    /// Buys every hour on its own where buying equal hours alike leaves too large a gap.
    fn proven(&self, mut plan: Plan, bound: f64, mixed: &Draft, n_nodes: u64) -> Proven {
        if plan.cost - bound > self.options.good_gap * plan.cost {
            let stops = Stops { merges_hours: false, ..self.nearly() };
            let apart = self.buyer.buy(&plan.columns, Some(stops));
            plan = apart.ok().filter(|apart| apart.cost < plan.cost).unwrap_or(plan);
        }
        let mixing_bound = Some(mixed.found.bound.min(plan.cost));
        let best_bound = bound.min(plan.cost);
        Proven { plan, method: Method::Columns, best_bound, mixing_bound, n_nodes }
    }

    /// Moves one workload at a time to the column that saves most, until none does.
    fn improve(&self, mut plan: Plan) -> Plan {
        let mut programs_left = MAX_JOINT_MOVES;
        for _ in 0..MAX_PASSES {
            let before = plan.clone();
            for w in 0..plan.columns.len() {
                plan = self.replace(plan, w, &mut programs_left);
            }
            if plan == before {
                break;
            }
        }
        plan
    }

    /// Moves `w` to the column that makes the plan best, if any does.
    pub fn replace(&self, mut plan: Plan, w: usize, programs_left: &mut usize) -> Plan {
        let mut moves = self.moves(&plan, w);
        moves.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (bound, c) in moves {
            if bound > plan.cost + TIE * plan.cost.abs() {
                break;
            }
            let mut columns = plan.columns.clone();
            columns[w] = c;
            let mut bought = self.buyer.buy(&columns, None);
            if bought == Err(NoDraft::OutOfNodes) && *programs_left > 0 {
                *programs_left -= 1;
                let worth = plan.cost + TIE * plan.cost.abs();
                bought = self.buyer.buy(&columns, Some(Stops { worth, ..self.nearly() }));
            }
            plan = bought.ok().filter(|b| self.compare(b, &plan) == Ordering::Less).unwrap_or(plan);
        }
        plan
    }

    /// Cost without limits of the plan with `w` moved to each of its other columns.
    fn moves(&self, plan: &Plan, w: usize) -> Vec<(f64, usize)> {
        let mut by_pool = self.by_pool(&plan.columns);
        let alone = |(&pool, pairs): (&usize, &Vec<(usize, usize)>)| self.buyer.cost_alone(pool, pairs);
        by_pool.values_mut().for_each(|pairs| pairs.retain(|pair| pair.0 != w));
        let costs: BTreeMap<usize, f64> = by_pool.iter().map(|entry| (*entry.0, alone(entry))).collect();
        let rest: f64 = costs.values().sum();
        let others = self.case.columns[w].iter().copied().filter(|c| *c != plan.columns[w]);
        others
            .map(|c| {
                let pool = self.pool_of(w, c);
                let mut pairs = by_pool.get(&pool).cloned().unwrap_or_default();
                pairs.push((w, c));
                let added = self.buyer.cost_alone(pool, &pairs) - costs.get(&pool).copied().unwrap_or(0.0);
                (rest + added, c)
            })
            .collect()
    }

    fn by_pool(&self, columns: &[usize]) -> BTreeMap<usize, Vec<(usize, usize)>> {
        let mut by_pool: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (w, &c) in columns.iter().enumerate() {
            by_pool.entry(self.pool_of(w, c)).or_default().push((w, c));
        }
        by_pool
    }
}
