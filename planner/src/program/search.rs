//! How a plan is found and how good it is proven to be.
//!
//! Three ways, by size. *Enumeration*: all choices of columns, cheapest bound first, each bought exactly.
//! *Integer*: everything at once, to gap 0. *Columns*: a program with whole columns and continuous nodes,
//! then the true purchase, then a local search over columns against true costs; its bound is that program's.
//! Equally cheap plans are ordered by fewer kinds of pools, then by column indices.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::buy::{Buyer, Plan};
use super::master::{self, Case, Goal, NoDraft, Whole};
use super::prepared::Prepared;
use super::solution::{Method, Options};
use super::solver::Stops;

/// Costs closer than this share are equally cheap.
const TIE: f64 = 1e-9;
/// The most choices of columns that are enumerated.
const MAX_CHOICES: usize = 4096;
/// The most integer programs that one enumeration or one local search may solve for coupled purchases.
const MAX_JOINT_PURCHASES: usize = 40;
/// Rounds of local search; each must improve, so few are needed.
const MAX_PASSES: usize = 8;

/// A plan with its proof.
#[derive(Debug, Clone)]
pub(super) struct Proven {
    pub plan: Plan,
    pub method: Method,
    pub best_bound: f64,
    pub mixing_bound: Option<f64>,
    pub n_nodes: u64,
}

/// Finds a plan for the case.
pub(super) fn search(prepared: &Prepared, case: &Case, options: &Options) -> Result<Proven, NoDraft> {
    if case.columns.iter().any(Vec::is_empty) {
        return Err(NoDraft::Infeasible);
    }
    let buyer = Buyer::new(prepared, case);
    let search = Search { prepared, case, buyer, options };
    match options.method {
        Some(Method::Enumerated) => search.enumerate().unwrap_or(Err(NoDraft::OutOfNodes)),
        Some(Method::Integer) => search.integer(),
        Some(Method::Columns) => search.columns(),
        None => {
            if let Some(result) = search.enumerate() {
                return result;
            }
            if search.n_integers() <= options.integer_up_to {
                return search.integer();
            }
            search.columns()
        }
    }
}

struct Search<'a> {
    prepared: &'a Prepared<'a>,
    case: &'a Case,
    buyer: Buyer<'a>,
    options: &'a Options,
}

impl Search<'_> {
    fn exactly(&self) -> Stops {
        Stops { rel_gap: 0.0, max_nodes: self.options.max_nodes }
    }

    fn n_integers(&self) -> usize {
        let columns: usize = self.case.columns.iter().map(Vec::len).sum();
        let bought = |var: &&super::prepared::NodeVar| self.prepared.peak_nodes[var.offer.pool] > 0;
        columns + self.prepared.vars.iter().filter(bought).count()
    }

    /// All choices in order of what they cost without limits; `None` if there are too many, or too many of
    /// them need an integer program.
    fn enumerate(&self) -> Option<Result<Proven, NoDraft>> {
        let mut n_choices = 1_usize;
        for columns in &self.case.columns {
            n_choices = n_choices.checked_mul(columns.len()).filter(|n| *n <= MAX_CHOICES)?;
        }
        if !self.buyer.is_bound_alone() {
            return None;
        }
        let mut choices = self.choices(n_choices);
        choices.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        let mut best: Option<Plan> = None;
        let mut n_programs = 0;
        for (bound, columns) in choices {
            if best.as_ref().is_some_and(|best| bound > best.cost + TIE * best.cost.abs()) {
                break;
            }
            let mut bought = self.buyer.buy(&columns, None);
            if bought == Err(NoDraft::OutOfNodes) {
                n_programs += 1;
                if n_programs > MAX_JOINT_PURCHASES {
                    return None;
                }
                bought = self.buyer.buy(&columns, Some(self.exactly()));
            }
            match bought {
                Ok(plan) if !plan.is_exact => return None,
                Ok(plan) => {
                    if best.as_ref().is_none_or(|best| self.compare(&plan, best) == Ordering::Less) {
                        best = Some(plan);
                    }
                }
                Err(NoDraft::Infeasible) => {}
                Err(NoDraft::OutOfNodes) => return None,
                Err(failed) => return Some(Err(failed)),
            }
        }
        let Some(plan) = best else { return Some(Err(NoDraft::Infeasible)) };
        let best_bound = plan.cost;
        Some(Ok(Proven { plan, method: Method::Enumerated, best_bound, mixing_bound: None, n_nodes: 0 }))
    }

    /// Every choice of columns with its cost without limits, choices that no offer can serve left out.
    fn choices(&self, n_choices: usize) -> Vec<(f64, Vec<usize>)> {
        let mut known: BTreeMap<(usize, Vec<(usize, usize)>), f64> = BTreeMap::new();
        let mut choices = Vec::new();
        for mut index in 0..n_choices {
            let mut columns = vec![0; self.case.columns.len()];
            for (w, allowed) in self.case.columns.iter().enumerate().rev() {
                columns[w] = allowed[index % allowed.len()];
                index /= allowed.len();
            }
            let cost = self.by_pool(&columns).into_iter().map(|(pool, pairs)| {
                *known.entry((pool, pairs)).or_insert_with_key(|(p, pairs)| self.buyer.cost_alone(*p, pairs))
            });
            let cost: f64 = cost.sum();
            if cost.is_finite() {
                choices.push((cost, columns));
            }
        }
        choices
    }

    fn pool_of(&self, w: usize, c: usize) -> usize {
        self.prepared.problem.workloads[w].columns[c].pool
    }

    fn by_pool(&self, columns: &[usize]) -> BTreeMap<usize, Vec<(usize, usize)>> {
        let mut by_pool: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (w, &c) in columns.iter().enumerate() {
            by_pool.entry(self.pool_of(w, c)).or_default().push((w, c));
        }
        by_pool
    }

    /// Cheaper first; of equally cheap plans fewer kinds of pools, then lower column indices.
    fn compare(&self, a: &Plan, b: &Plan) -> Ordering {
        if (a.cost - b.cost).abs() > TIE * a.cost.abs().max(b.cost.abs()) {
            return a.cost.total_cmp(&b.cost);
        }
        let kinds = |plan: &Plan| {
            let pools: BTreeSet<usize> =
                plan.columns.iter().enumerate().map(|(w, &c)| self.pool_of(w, c)).collect();
            pools.len()
        };
        kinds(a).cmp(&kinds(b)).then_with(|| a.columns.cmp(&b.columns))
    }

    /// The whole integer program, then the stated order among equally cheap answers.
    fn integer(&self) -> Result<Proven, NoDraft> {
        let whole = Whole { columns: true, nodes: true };
        let solve = |goal| master::solve(self.prepared, self.case, (whole, goal, self.exactly()), None);
        let draft = solve(Goal::Cost)?;
        let mut plan = self.buyer.buy(&draft.columns(self.case), Some(self.exactly()))?;
        let cost_at_most = plan.cost + TIE * plan.cost.abs();
        if let Ok(fewest) = solve(Goal::Fewest { cost_at_most }) {
            let other = self.buyer.buy(&fewest.columns(self.case), Some(self.exactly()));
            plan = other.ok().filter(|other| self.compare(other, &plan) == Ordering::Less).unwrap_or(plan);
        }
        let best_bound = draft.found.bound.min(plan.cost);
        let n_nodes = draft.found.n_nodes;
        Ok(Proven { plan, method: Method::Integer, best_bound, mixing_bound: None, n_nodes })
    }

    fn columns(&self) -> Result<Proven, NoDraft> {
        let relaxed = Whole { columns: false, nodes: false };
        let mixed = master::solve(self.prepared, self.case, (relaxed, Goal::Cost, self.exactly()), None)?;
        let whole = Whole { columns: true, nodes: false };
        let stops = Stops { rel_gap: self.options.rel_gap, max_nodes: self.options.max_nodes };
        let draft = master::solve(self.prepared, self.case, (whole, Goal::Cost, stops), None)?;
        let plan = match self.buyer.buy(&draft.columns(self.case), Some(self.exactly())) {
            Ok(plan) => self.improve(plan),
            // Rounding up nodes broke a limit: only the integer program can tell whether another choice fits.
            Err(NoDraft::Infeasible) => return self.integer(),
            Err(other) => return Err(other),
        };
        let mixing_bound = mixed.found.bound.min(plan.cost);
        let best_bound = draft.found.bound.max(mixing_bound).min(plan.cost);
        let (method, n_nodes) = (Method::Columns, draft.found.n_nodes);
        Ok(Proven { plan, method, best_bound, mixing_bound: Some(mixing_bound), n_nodes })
    }

    /// Moves one workload at a time to the column that saves most, until none does.
    fn improve(&self, mut plan: Plan) -> Plan {
        let mut programs_left = MAX_JOINT_PURCHASES;
        for _ in 0..MAX_PASSES {
            let before = plan.clone();
            for w in 0..plan.columns.len() {
                let mut better = self.moves(&plan, w);
                better.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                for (bound, c) in better {
                    if bound > plan.cost + TIE * plan.cost.abs() {
                        break;
                    }
                    let mut columns = plan.columns.clone();
                    columns[w] = c;
                    let mut bought = self.buyer.buy(&columns, None);
                    if bought == Err(NoDraft::OutOfNodes) && programs_left > 0 {
                        programs_left -= 1;
                        bought = self.buyer.buy(&columns, Some(self.exactly()));
                    }
                    plan = bought.ok().filter(|b| self.compare(b, &plan) == Ordering::Less).unwrap_or(plan);
                }
            }
            if plan == before {
                break;
            }
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
}
