//! How a plan is found and how good it is proven to be.
//!
//! Three ways, by size. *Enumeration*: all choices of columns, cheapest bound first, each bought exactly; bounds
//! know what the limits are worth.
//! *Integer*: everything at once, to gap 0. *Columns*: a program with whole columns and continuous nodes,
//! then the true purchase, then a local search over columns against true costs; its bound is that program's.
//! Measured on the reference instance of the tests: rounding the relaxation and searching comes within 1 % of
//! the relaxation, and the program with all columns whole takes ten times as long, so it runs only if needed.
//! Equally cheap plans are ordered by fewer kinds of pools, then by column indices.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::bounds::Priced;
use super::buy::{Buyer, Plan};
use super::master::{self, Case, Draft, Goal, NoDraft, Whole};
use super::prepared::Prepared;
use super::solution::{Method, Options};
use super::solver::Stops;

/// Costs closer than this share are equally cheap.
const TIE: f64 = 1e-9;
/// The most choices of columns that are enumerated.
const MAX_CHOICES: usize = 20_000;
/// The most integer programs that one enumeration may solve for coupled purchases.
const MAX_JOINT_PURCHASES: usize = 40;
/// Coupled purchases after which an enumeration of a large problem ends once the gap asked for is reached.
const FEW_JOINT_PURCHASES: usize = 3;
/// The same for one local search: its moves are ordered by costs without limits, so late ones rarely help.
const MAX_JOINT_MOVES: usize = 12;
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

/// Returns the cheapest plan in which workload `w` runs another column; the others keep theirs where the
/// problem is too large to be solved again as a whole. The flag says whether they were kept.
pub(super) fn without_column(
    prepared: &Prepared,
    case: &Case,
    options: &Options,
    (columns, w): (&[usize], usize),
) -> Option<(Plan, bool)> {
    let mut other = case.clone();
    other.columns[w].retain(|c| *c != columns[w]);
    let search = Search { prepared, case: &other, buyer: Buyer::new(prepared, &other), options };
    if other.columns[w].is_empty() {
        return None;
    }
    if search.n_choices().is_some() || search.n_integers() <= options.integer_up_to {
        return self::search(prepared, &other, options).ok().map(|proven| (proven.plan, false));
    }
    let start = Plan {
        columns: columns.to_vec(),
        nodes: Vec::new(),
        cost: f64::INFINITY,
        bound: 0.0,
        is_exact: false,
    };
    let replaced = search.replace(start, w, &mut MAX_JOINT_MOVES.clone());
    replaced.cost.is_finite().then_some((replaced, true))
}

/// A choice of columns that is not bought yet.
struct Open {
    /// What it costs at least.
    bound: f64,
    columns: Vec<usize>,
    /// Whether the limits that it breaks have raised its bound.
    is_priced: bool,
}

/// Lowest bound last; of equal ones the first columns.
fn sort(open: &mut [Open]) {
    open.sort_by(|a, b| b.bound.total_cmp(&a.bound).then_with(|| b.columns.cmp(&a.columns)));
}

/// Costs by pool and what runs there.
type Known = BTreeMap<(usize, Vec<(usize, usize)>), f64>;

/// What (workload, column) pairs cost on a pool.
type CostAlone<'a> = dyn Fn(usize, &[(usize, usize)]) -> f64 + 'a;

/// What an enumeration found so far.
struct Enumeration {
    best: Option<Plan>,
    /// What the choices that were bought cost at least.
    bound: f64,
    n_programs: usize,
}

struct Search<'a> {
    prepared: &'a Prepared<'a>,
    case: &'a Case,
    buyer: Buyer<'a>,
    options: &'a Options,
}

impl Search<'_> {
    fn exactly(&self) -> Stops {
        Stops { rel_gap: 0.0, max_nodes: self.options.max_nodes, merges_hours: false }
    }

    /// For coupled purchases within a large problem, whose gap is far above this one.
    fn nearly(&self) -> Stops {
        Stops { rel_gap: 1e-4, max_nodes: self.options.max_nodes.min(500), merges_hours: true }
    }

    /// For coupled purchases of an enumeration.
    fn closely(&self) -> Stops {
        if self.is_small() {
            return self.exactly();
        }
        let (rel_gap, max_nodes) = (self.options.rel_gap / 3.0, self.options.max_nodes.min(500));
        Stops { rel_gap, max_nodes, merges_hours: true }
    }

    /// Whether everything is to be solved exactly.
    fn is_small(&self) -> bool {
        self.n_integers() <= self.options.integer_up_to
    }

    fn n_integers(&self) -> usize {
        let columns: usize = self.case.columns.iter().map(Vec::len).sum();
        let bought = |var: &&super::prepared::NodeVar| self.prepared.peak_nodes[var.offer.pool] > 0;
        columns + self.prepared.vars.iter().filter(bought).count()
    }

    /// Number of choices of columns, if they are few enough to enumerate.
    fn n_choices(&self) -> Option<usize> {
        let mut sizes = self.case.columns.iter().map(Vec::len);
        sizes.try_fold(1_usize, |n, size| n.checked_mul(size).filter(|n| *n <= MAX_CHOICES))
    }

    /// Choices in order of their bounds, each bought exactly; `None` if there are too many, or too many of them
    /// need an integer program.
    ///
    /// Bounds start at what a choice costs without limits. Where a choice breaks limits, what they are worth in its
    /// relaxed purchase raises the bounds of all others before anything is bought.
    fn enumerate(&self) -> Option<Result<Proven, NoDraft>> {
        let n_choices = self.n_choices()?;
        if !self.buyer.is_bound_alone() {
            return None;
        }
        let mut open = self.choices(n_choices);
        let mut found = Enumeration { best: None, bound: f64::INFINITY, n_programs: 0 };
        while let Some(choice) = open.last() {
            if self.is_settled(&found, choice.bound) {
                break;
            }
            let mut bought = self.buyer.buy(&choice.columns, None);
            if bought == Err(NoDraft::OutOfNodes) {
                if !choice.is_priced {
                    self.raise(&mut open);
                    continue;
                }
                found.n_programs += 1;
                if found.n_programs > MAX_JOINT_PURCHASES {
                    if !self.is_good(&found, choice.bound) {
                        return None;
                    }
                    break;
                }
                bought = self.buy_closely(choice);
            }
            match bought {
                Ok(plan) if !plan.is_exact && self.is_small() => return None,
                Ok(plan) => {
                    if !self.is_small() {
                        found.bound = found.bound.min(choice.bound.max(plan.bound));
                    }
                    if found.best.as_ref().is_none_or(|best| self.compare(&plan, best) == Ordering::Less) {
                        found.best = Some(plan);
                    }
                }
                Err(NoDraft::Infeasible) => {}
                Err(NoDraft::OutOfNodes) => return None,
                Err(failed) => return Some(Err(failed)),
            }
            open.pop();
        }
        let Some(plan) = found.best else { return Some(Err(NoDraft::Infeasible)) };
        let next = open.last().map_or(f64::INFINITY, |choice| choice.bound);
        let best_bound = plan.cost.min(found.bound).min(next);
        Some(Ok(Proven { plan, method: Method::Enumerated, best_bound, mixing_bound: None, n_nodes: 0 }))
    }

    /// Buys with equal hours alike, and with every hour on its own where that leaves too large a gap.
    fn buy_closely(&self, choice: &Open) -> Result<Plan, NoDraft> {
        let stops = self.closely();
        let merged = self.buyer.buy(&choice.columns, Some(stops));
        let is_close = |plan: &Plan| plan.cost - choice.bound <= self.options.rel_gap * plan.cost;
        if !stops.merges_hours || merged.as_ref().is_ok_and(is_close) {
            return merged;
        }
        let apart = self.buyer.buy(&choice.columns, Some(Stops { merges_hours: false, ..stops }));
        match (merged, apart) {
            (Ok(merged), Ok(apart)) => Ok(if apart.cost < merged.cost { apart } else { merged }),
            (Ok(plan), Err(_)) => Ok(plan),
            (Err(_), apart) => apart,
        }
    }

    /// Whether no choice that is left can be better, or, in large problems, none by more than the gap asked for.
    fn is_settled(&self, found: &Enumeration, next: f64) -> bool {
        let Some(best) = &found.best else { return false };
        if next > best.cost + TIE * best.cost.abs() {
            return true;
        }
        !self.is_small()
            && found.n_programs >= FEW_JOINT_PURCHASES
            && best.cost - next.min(found.bound) <= self.options.rel_gap * best.cost
    }

    fn is_good(&self, found: &Enumeration, next: f64) -> bool {
        let is_good = |best: &Plan| best.cost - next.min(found.bound) <= self.options.good_gap * best.cost;
        found.best.as_ref().is_some_and(is_good)
    }

    /// Raises the bounds of all choices by the prices of limits for the last one, and sorts them again. A choice
    /// that cannot keep the limits even in parts of nodes is dropped.
    fn raise(&self, open: &mut Vec<Open>) {
        let Some(last) = open.last_mut() else { return };
        last.is_priced = true;
        match self.buyer.prices(&last.columns, self.exactly()) {
            Err(NoDraft::Infeasible) => {
                open.pop();
            }
            Err(_) => {}
            Ok(prices) => {
                let priced = Priced::new(self.prepared, self.case, &prices);
                let mut known = Known::new();
                for choice in open.iter_mut() {
                    let cost = |pool, pairs: &[_]| priced.cost_alone(pool, pairs);
                    let cost = self.sum_over_pools(&choice.columns, &mut known, &cost);
                    choice.bound = choice.bound.max(cost - priced.allowance());
                }
                sort(open);
            }
        }
    }

    /// Every choice of columns with its cost without limits, choices that no offer can serve left out; the best
    /// is last.
    fn choices(&self, n_choices: usize) -> Vec<Open> {
        let mut known = Known::new();
        let mut choices = Vec::new();
        for mut index in 0..n_choices {
            let mut columns = vec![0; self.case.columns.len()];
            for (w, allowed) in self.case.columns.iter().enumerate().rev() {
                columns[w] = allowed[index % allowed.len()];
                index /= allowed.len();
            }
            let cost = |pool, pairs: &[_]| self.buyer.cost_alone(pool, pairs);
            let bound = self.sum_over_pools(&columns, &mut known, &cost);
            if bound.is_finite() {
                choices.push(Open { bound, columns, is_priced: false });
            }
        }
        sort(&mut choices);
        choices
    }

    fn sum_over_pools(&self, columns: &[usize], known: &mut Known, cost: &CostAlone<'_>) -> f64 {
        let by_pool = self.by_pool(columns).into_iter();
        by_pool.map(|key| *known.entry(key).or_insert_with_key(|(pool, pairs)| cost(*pool, pairs))).sum()
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
        if b.cost.is_infinite() || (a.cost - b.cost).abs() > TIE * a.cost.abs().max(b.cost.abs()) {
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

    /// Rounds the relaxation and searches around it; then lets the program choose among the columns that the
    /// relaxation uses, then among all, each only while the best plan is not within [`Options::good_gap`] of
    /// the relaxation.
    fn columns(&self) -> Result<Proven, NoDraft> {
        let relaxed = Whole { columns: false, nodes: false };
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
            let whole = Whole { columns: true, nodes: false };
            let stops = Stops {
                rel_gap: self.options.rel_gap,
                max_nodes: self.options.max_nodes,
                merges_hours: false,
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
    fn replace(&self, mut plan: Plan, w: usize, programs_left: &mut usize) -> Plan {
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
                bought = self.buyer.buy(&columns, Some(self.nearly()));
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
}
