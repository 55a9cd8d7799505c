//! How a plan is found and how good it is proven to be.
//!
//! Three ways, by size. *Partition*: workloads shared out over pools at least cost; limits become prices, and
//! choices of columns are bought in the order of what they cost at least at these prices. *Integer*: everything at
//! once, to gap 0. *Columns* ([`super::local`]): for more workloads than can be shared out.
//! Equally cheap plans are ordered by fewer kinds of pools, then by column indices.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::bounds::{Priced, prices_apart};
use super::buy::{Buyer, Plan};
use super::local::MAX_JOINT_MOVES;
use super::master::{self, Case, Goal, NoDraft, Whole, WholeNodes};
use super::partition::{Sides, Table};
use super::pool_plans::PoolPlans;
use super::prepared::Prepared;
use super::solution::{Method, Options};
use super::solver::Stops;
use super::walk::Walk;

/// Costs closer than this share are equally cheap.
pub(super) const TIE: f64 = 1e-9;
/// The most choices of columns for which every question is answered by a search of its own.
const MAX_CHOICES: usize = 20_000;
/// The most integer programs that one partition may solve for coupled purchases.
const MAX_JOINT_PURCHASES: usize = 8;
/// The same while prices are still being found.
const FEW_JOINT_PURCHASES: usize = 4;
/// Rounds in which prices of limits are found.
const MAX_PRICINGS: usize = 30;
/// Gap below which prices are good enough, and the share of the gap asked for that it is at least.
pub(crate) const PRICED: f64 = 2e-4;
const PRICED_OF_GAP: f64 = 1.0 / 15.0;
/// Steps of the walk over partitions.
const MAX_STEPS: usize = 50_000;
/// What may cost more than this many times the plan without limits is left to the other ways.
const REFUSAL: f64 = 20.0;

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
    let search = Search::new(prepared, case, options);
    match options.method {
        Some(Method::Partition) => search.partition().unwrap_or(Err(NoDraft::OutOfNodes)),
        Some(Method::Integer) => search.integer(),
        Some(Method::Columns) => search.columns(),
        None => match search.partition() {
            Some(result) => result,
            None if search.is_small() => search.integer(),
            None => search.columns(),
        },
    }
}

/// Returns what every plan of the case costs at least, limits aside; `None` if too many workloads have a choice.
pub(super) fn costs_at_least(prepared: &Prepared, case: &Case) -> Option<f64> {
    let sides = Sides::new(prepared, case)?;
    let free = vec![Vec::new(); prepared.limits.len()];
    Some(Table::new(&sides, Priced::new(prepared, case, &free), None).bound())
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
    let search = Search::new(prepared, &other, options);
    if other.columns[w].is_empty() {
        return None;
    }
    if search.has_few_choices() || search.is_small() {
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

/// What a search by partition found so far.
struct Found {
    best: Option<Plan>,
    /// No plan costs less.
    bound: f64,
    /// What choices cost at least whose purchase was not solved to the end.
    open: f64,
    n_programs: usize,
}

pub(super) struct Search<'a> {
    pub prepared: &'a Prepared<'a>,
    pub case: &'a Case,
    pub buyer: Buyer<'a>,
    pub options: &'a Options,
}

impl<'a> Search<'a> {
    fn new(prepared: &'a Prepared<'a>, case: &'a Case, options: &'a Options) -> Self {
        Search { prepared, case, buyer: Buyer::new(prepared, case), options }
    }

    pub fn exactly(&self) -> Stops {
        Stops { rel_gap: 0.0, max_nodes: self.options.max_nodes, merges_hours: false, worth: f64::INFINITY }
    }

    /// For coupled purchases within a large problem, whose gap is far above this one.
    pub fn nearly(&self) -> Stops {
        Stops {
            rel_gap: 1e-4,
            max_nodes: self.options.max_nodes.min(500),
            merges_hours: true,
            worth: f64::INFINITY,
        }
    }

    /// For coupled purchases of a partition.
    fn closely(&self) -> Stops {
        if self.is_small() {
            return self.exactly();
        }
        let (rel_gap, max_nodes) = (self.options.rel_gap / 3.0, self.options.max_nodes.min(60));
        Stops { rel_gap, max_nodes, merges_hours: true, worth: f64::INFINITY }
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

    fn has_few_choices(&self) -> bool {
        let mut sizes = self.case.columns.iter().map(Vec::len);
        sizes.try_fold(1_usize, |n, size| n.checked_mul(size).filter(|n| *n <= MAX_CHOICES)).is_some()
    }

    /// Shares workloads out over pools at prices of limits; `None` if there are too many, or too many choices need an
    /// integer program.
    fn partition(&self) -> Option<Result<Proven, NoDraft>> {
        let sides = Sides::new(self.prepared, self.case)?;
        let mut found = Found { best: None, bound: f64::NEG_INFINITY, open: f64::INFINITY, n_programs: 0 };
        let table = match self.price(&sides, &mut found) {
            Ok(table) => table,
            Err(why) => return Some(Err(why)),
        };
        let mut walk = Walk::new(&table);
        loop {
            let cutoff = self.cutoff(&found);
            let Some((bound, columns)) = walk.next(cutoff, MAX_STEPS) else { break };
            match self.buy_choice(&columns, bound, MAX_JOINT_PURCHASES, &mut found) {
                Ok(plan) if !plan.is_exact && self.is_small() => return None,
                Ok(_) | Err(NoDraft::Infeasible) => {}
                Err(NoDraft::OutOfNodes) if found.n_programs < MAX_JOINT_PURCHASES => return None,
                Err(NoDraft::OutOfNodes) => {
                    found.open = found.open.min(bound);
                    break;
                }
                Err(failed) => return Some(Err(failed)),
            }
        }
        let left = walk.bound().min(found.open);
        let Some(plan) = found.best else {
            return left.is_infinite().then_some(Err(NoDraft::Infeasible));
        };
        let best_bound = found.bound.max(left).min(plan.cost);
        if self.is_small() && plan.cost - best_bound > self.slack(&plan) {
            return None;
        }
        Some(Ok(Proven { plan, method: Method::Partition, best_bound, mixing_bound: None, n_nodes: 0 }))
    }

    /// Finds prices of limits at which the bound is high: in turns the cheapest partition at some prices, and the
    /// prices at which the pool plans that were met keep the limits.
    fn price<'s>(&self, sides: &'s Sides<'a>, found: &mut Found) -> Result<Table<'s, 'a>, NoDraft> {
        let mut prices = prices_apart(self.prepared, self.case);
        let mut best = Table::new(sides, Priced::new(self.prepared, self.case, &prices), None);
        if !best.bound().is_finite() {
            return Err(NoDraft::Infeasible);
        }
        found.bound = best.bound();
        let columns = sides.columns(&best.parts());
        if !self.breaks_what_couples(&best, &columns) {
            return Ok(best);
        }
        let refusal = REFUSAL * best.bound().max(0.0) + 1.0;
        let mut plans = PoolPlans::new(self.prepared, self.case, sides, refusal);
        plans.add_cheapest(&best);
        self.meet(&columns, &mut plans, found);
        if let Ok(first) = self.buyer.prices(&columns, self.exactly()) {
            self.take_over(&first, &mut prices);
        }
        for round in 0..MAX_PRICINGS {
            let next = Table::new(sides, Priced::new(self.prepared, self.case, &prices), Some(&best));
            if !next.bound().is_finite() {
                break;
            }
            plans.add_cheapest(&next);
            self.meet(&sides.columns(&next.parts()), &mut plans, found);
            if next.bound() > found.bound {
                (found.bound, best) = (next.bound(), next);
            }
            let Some(mastered) = plans.solve(false, self.exactly()) else { break };
            let near = PRICED.max(PRICED_OF_GAP * self.options.rel_gap);
            let is_near = |cost: f64| cost - found.bound <= near * cost.abs();
            if is_near(mastered.cost) || found.best.as_ref().is_some_and(|plan| is_near(plan.cost)) {
                break;
            }
            if round == 1 && found.best.is_none() {
                self.rule_out()?;
            }
            prices = self.between(best.priced.prices(), &mastered.prices);
        }
        if let Some(columns) = plans.solve(true, self.nearly()).and_then(|mastered| mastered.columns) {
            self.meet(&columns, &mut plans, found);
        }
        Ok(best)
    }

    /// Whether the cheapest pool plans together break a limit that couples pools.
    fn breaks_what_couples(&self, table: &Table<'_, 'a>, columns: &[usize]) -> bool {
        let mut nodes = vec![0.0; self.prepared.vars.len()];
        for (side, pairs) in table.cheapest() {
            table.buy(side, &pairs).into_iter().flatten().for_each(|(var, count)| nodes[var] = count);
        }
        let broken = self.buyer.broken_limits(&nodes, columns);
        broken.iter().any(|&limit| self.prepared.limits[limit].rows.iter().all(|row| row.only.is_none()))
    }

    /// An error if not even parts of nodes and columns keep the limits.
    fn rule_out(&self) -> Result<(), NoDraft> {
        let relaxed = Whole { columns: false, nodes: WholeNodes::None };
        match master::solve(self.prepared, self.case, (relaxed, Goal::Cost, self.exactly()), None) {
            Err(NoDraft::Infeasible) => Err(NoDraft::Infeasible),
            _ => Ok(()),
        }
    }

    /// Buys a choice while prices are being found, and keeps what is good of it.
    fn meet(&self, columns: &[usize], plans: &mut PoolPlans<'_, 'a>, found: &mut Found) {
        if self.is_small() && found.best.is_some() {
            return;
        }
        if let Ok(plan) = self.buy_choice(columns, f64::NEG_INFINITY, FEW_JOINT_PURCHASES, found) {
            plans.add_plan(&plan);
        }
    }

    /// Buys a choice exactly, with a new integer program only while there are fewer than `most` of them.
    fn buy_choice(
        &self,
        columns: &[usize],
        bound: f64,
        most: usize,
        found: &mut Found,
    ) -> Result<Plan, NoDraft> {
        let mut bought = self.buyer.buy(columns, None);
        if bought == Err(NoDraft::OutOfNodes) && found.n_programs < most {
            found.n_programs += 1;
            bought = self.buy_closely(columns, bound);
        }
        let plan = bought?;
        if !self.is_small() && bound.is_finite() {
            found.open = found.open.min(bound.max(plan.bound));
        }
        if found.best.as_ref().is_none_or(|best| self.compare(&plan, best) == Ordering::Less) {
            found.best = Some(plan.clone());
        }
        Ok(plan)
    }

    /// Buys with equal hours alike, and with every hour on its own where that leaves too large a gap.
    fn buy_closely(&self, columns: &[usize], bound: f64) -> Result<Plan, NoDraft> {
        let stops = self.closely();
        let merged = self.buyer.buy(columns, Some(stops));
        let is_close = |plan: &Plan| {
            plan.cost - bound.max(plan.bound) <= self.options.good_gap * plan.cost || bound.is_infinite()
        };
        if !stops.merges_hours || merged.as_ref().is_ok_and(is_close) {
            return merged;
        }
        let apart = self.buyer.buy(columns, Some(Stops { merges_hours: false, ..stops }));
        match (merged, apart) {
            (Ok(merged), Ok(apart)) => Ok(if apart.cost < merged.cost { apart } else { merged }),
            (Ok(plan), Err(_)) => Ok(plan),
            (Err(_), apart) => apart,
        }
    }

    /// What is not worth looking at: beyond the best plan, or, in large problems, not below it by the gap asked for
    /// (the wider one once purchases have taken integer programs).
    fn cutoff(&self, found: &Found) -> f64 {
        let Some(best) = &found.best else { return f64::INFINITY };
        if self.is_small() {
            return best.cost + self.slack(best);
        }
        let is_dear = found.n_programs >= FEW_JOINT_PURCHASES;
        best.cost * (1.0 - if is_dear { self.options.good_gap } else { self.options.rel_gap })
    }

    fn slack(&self, plan: &Plan) -> f64 {
        2.0 * TIE * plan.cost.abs() + f64::MIN_POSITIVE
    }

    pub fn pool_of(&self, w: usize, c: usize) -> usize {
        self.prepared.problem.workloads[w].columns[c].pool
    }

    /// Cheaper first; of equally cheap plans fewer kinds of pools, then lower column indices.
    pub fn compare(&self, a: &Plan, b: &Plan) -> Ordering {
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
    pub fn integer(&self) -> Result<Proven, NoDraft> {
        let whole = Whole { columns: true, nodes: WholeNodes::All };
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

    /// Takes over the prices of limits that couple pools.
    fn take_over(&self, first: &[Vec<f64>], prices: &mut [Vec<f64>]) {
        for ((limit, first), prices) in self.prepared.limits.iter().zip(first).zip(prices) {
            if limit.rows.iter().all(|row| row.only.is_none()) {
                *prices = first.clone();
            }
        }
    }

    /// Prices half way from the best ones to new ones, which alone would swing from one end to the other (Wentges,
    /// International Transactions in Operational Research 4(2), 1997). A row of one pool that the new ones say
    /// nothing of keeps its price.
    fn between(&self, best: &[Vec<f64>], next: &[Vec<Option<f64>>]) -> Vec<Vec<f64>> {
        let each = self.prepared.limits.iter().zip(best).zip(next);
        each.map(|((limit, best), next)| {
            let rows = limit.rows.iter().enumerate();
            rows.map(|(row, lowered)| {
                let best = best.get(row).copied().unwrap_or(0.0);
                let next = next.get(row).copied().flatten().unwrap_or(0.0);
                let is_unsaid = lowered.only.is_some() && next == 0.0;
                if is_unsaid { best } else { f64::midpoint(best, next) }
            })
            .collect()
        })
        .collect()
    }
}
