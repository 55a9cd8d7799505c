//! The problem in the form that every solver here shares: node variables with their costs, loads per
//! column rounded up before any solve, and limits as linear rows over node variables.
//!
//! It knows nothing of how a plan is found.

use super::committed::Committed;
use super::problem::{Bound, Column, LimitId, Offer, OfferRef, Problem, Rule, Runs};
use std::ops::Range;

/// Demand that exceeds a whole number of replicas by less than this share is rounding noise of a product.
const REPLICA_SLACK: f64 = 1e-9;

/// When the nodes of a variable are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// From the start of period `from` to before period `until`.
    Periods { from: usize, until: usize },
    /// In one slot of one period.
    Hour { period: usize, slot: usize },
}

/// A count of nodes to choose, and what one node costs.
#[derive(Debug, Clone)]
pub(super) struct NodeVar {
    pub offer: OfferRef,
    pub when: When,
    /// Contribution to the objective.
    pub discounted: f64,
    /// Paid at purchase, not discounted.
    pub capex: f64,
    /// Credited at the end, not discounted; below zero what is still owed then.
    pub residual: f64,
    /// Running cost by period, not discounted; sparse.
    pub running: Vec<(usize, f64)>,
    /// Hours that one node is paid for.
    pub hours: f64,
}

impl NodeVar {
    /// Returns what one node costs over the horizon, not discounted.
    pub fn undiscounted(&self) -> f64 {
        self.capex - self.residual + self.running.iter().map(|(_, cost)| cost).sum::<f64>()
    }

    /// Whether the nodes are there in this slot.
    pub fn covers(&self, at_period: usize, at_slot: usize) -> bool {
        match self.when {
            When::Periods { from, until } => (from..until).contains(&at_period),
            When::Hour { period, slot } => period == at_period && slot == at_slot,
        }
    }
}

/// One inequality of a limit: `lhs · x + constant` against `value` (times `base · x`, where it is a share).
#[derive(Debug, Clone)]
pub(super) struct LimitRow {
    pub lhs: Vec<(usize, f64)>,
    pub constant: f64,
    pub base: Option<Vec<(usize, f64)>>,
    /// What columns add to the left side wherever they are chosen: (workload, column, amount).
    pub paid: Vec<(usize, usize, f64)>,
    /// The (workload, pool) for which it is asked: only where this workload runs on this pool.
    pub only: Option<(usize, usize)>,
}

impl LimitRow {
    /// Whether the row is asked where each workload runs one of these columns.
    pub fn is_asked(&self, problem: &Problem, columns: &[usize]) -> bool {
        self.only.is_none_or(|(w, pool)| problem.workloads[w].columns[columns[w]].pool == pool)
    }

    /// Returns the left side and what the limit's value is multiplied by, where each workload runs one of these columns.
    pub fn sides(&self, nodes: &[f64], columns: &[usize]) -> (f64, f64) {
        self.sides_of(nodes, |w, c| columns[w] == c)
    }

    /// The same, where some (workload, column) pairs are chosen.
    pub fn sides_of(&self, nodes: &[f64], is_chosen: impl Fn(usize, usize) -> bool) -> (f64, f64) {
        let dot = |terms: &[(usize, f64)]| terms.iter().map(|&(var, c)| c * nodes[var]).sum::<f64>();
        let paid = self.paid.iter().filter(|(w, c, _)| is_chosen(*w, *c));
        let paid: f64 = paid.map(|(_, _, amount)| amount).sum();
        (dot(&self.lhs) + paid + self.constant, self.base.as_deref().map_or(1.0, dot))
    }
}

/// A limit as rows.
#[derive(Debug, Clone)]
pub(super) struct LoweredLimit {
    pub id: LimitId,
    pub bound: Bound,
    pub rows: Vec<LimitRow>,
    /// Pools whose variables it touches, ascending.
    pub pools: Vec<usize>,
}

/// See the module's documentation.
pub(super) struct Prepared<'a> {
    pub problem: &'a Problem,
    pub n_periods: usize,
    /// Slots after merging those in which every workload has the same load in every period.
    pub n_slots: usize,
    /// Merged slot of each slot of the problem.
    pub slot_of: Vec<usize>,
    /// Hours per month of each merged slot.
    pub slot_hours: Vec<f64>,
    pub vars: Vec<NodeVar>,
    /// Variables of each pool, ascending.
    pub pool_vars: Vec<Vec<usize>>,
    /// Accelerators that column `[workload][column]` occupies at `period * n_slots + slot`.
    pub loads: Vec<Vec<Vec<u64>>>,
    /// Offers that column `[workload][column]` may use and that have a price, as bits.
    pub masks: Vec<Vec<u32>>,
    /// What column `[workload][column]` pays beside its nodes, discounted.
    pub paid: Vec<Vec<f64>>,
    /// The most nodes that each pool can need at once; no variable exceeds it.
    pub peak_nodes: Vec<u64>,
    /// Offer node limits first, then stated limits: the order in which a deletion filter drops them.
    pub limits: Vec<LoweredLimit>,
    pub unpriced: Vec<OfferRef>,
}

impl<'a> Prepared<'a> {
    /// Lowers a problem that has no flaws.
    pub fn new(problem: &'a Problem) -> Self {
        let (loads, slot_of, slot_hours) = merged_loads(problem);
        let mut prepared = Prepared {
            problem,
            n_periods: problem.periods.len(),
            n_slots: slot_hours.len(),
            slot_of,
            slot_hours,
            vars: Vec::new(),
            pool_vars: vec![Vec::new(); problem.pools.len()],
            masks: masks(problem),
            paid: paid(problem),
            peak_nodes: peak_nodes(problem, &loads),
            loads,
            limits: Vec::new(),
            unpriced: Vec::new(),
        };
        for (pool, shape) in problem.pools.iter().enumerate() {
            for (offer, terms) in shape.offers.iter().enumerate() {
                prepared.add_offer(OfferRef { pool, offer }, terms);
            }
        }
        prepared.add_limits();
        prepared
    }

    /// Number of (period, slot) pairs.
    pub fn n_points(&self) -> usize {
        self.n_periods * self.n_slots
    }

    /// Hours that a slot of a period stands for.
    pub fn hours(&self, period: usize, slot: usize) -> f64 {
        self.slot_hours[slot] * self.problem.periods[period].months
    }

    /// Returns the bit of the variable's offer in a mask of its pool.
    pub fn offer_bit(&self, var: usize) -> u32 {
        1 << self.vars[var].offer.offer
    }

    /// Returns what (workload, column) pairs pay beside their nodes, discounted.
    pub fn paid(&self, pairs: impl IntoIterator<Item = (usize, usize)>) -> f64 {
        pairs.into_iter().map(|(w, c)| self.paid[w][c]).sum()
    }

    /// Returns the discounted cost of a purchase, without what columns pay.
    pub fn cost(&self, nodes: &[f64]) -> f64 {
        self.vars.iter().zip(nodes).map(|(var, count)| var.discounted * count).sum()
    }

    fn add_offer(&mut self, of: OfferRef, offer: &Offer) {
        let Some(price) = offer.terms.price() else {
            self.unpriced.push(of);
            return;
        };
        for period in offer.first_period..self.n_periods {
            if offer.terms.is_committed() {
                let Some(held) = Committed::of(self.problem, offer, period) else { continue };
                self.push_var(NodeVar {
                    offer: of,
                    when: When::Periods { from: period, until: held.until },
                    discounted: held.discounted,
                    capex: held.capex,
                    residual: held.residual,
                    running: held.running,
                    hours: held.hours,
                });
            } else {
                for slot in 0..self.n_slots {
                    let hours = self.hours(period, slot);
                    let cost = hours * price;
                    self.push_var(NodeVar {
                        offer: of,
                        when: When::Hour { period, slot },
                        discounted: cost * self.problem.periods[period].discount,
                        capex: 0.0,
                        residual: 0.0,
                        running: vec![(period, cost)],
                        hours,
                    });
                }
            }
        }
    }

    fn push_var(&mut self, var: NodeVar) {
        self.pool_vars[var.offer.pool].push(self.vars.len());
        self.vars.push(var);
    }

    fn add_limits(&mut self) {
        for (pool, shape) in self.problem.pools.iter().enumerate() {
            for (offer, terms) in shape.offers.iter().enumerate() {
                if let Some(most) = terms.max_nodes {
                    let of = OfferRef { pool, offer };
                    let rows = self.hourly_rows(&|var| f64::from(u8::from(var.offer == of)), &|_| 0.0);
                    self.push_limit(LimitId::Offer(of), Bound::AtMost(f64::from(most)), rows);
                }
            }
        }
        for (index, limit) in self.problem.limits.iter().enumerate() {
            let rows = self.rows(&limit.rule);
            self.push_limit(LimitId::Stated(index), limit.bound, rows);
        }
    }

    fn push_limit(&mut self, id: LimitId, bound: Bound, rows: Vec<LimitRow>) {
        let touched = rows.iter().flat_map(|row| row.lhs.iter().chain(row.base.iter().flatten()));
        let mut pools: Vec<usize> = touched.map(|&(var, _)| self.vars[var].offer.pool).collect();
        pools.sort_unstable();
        pools.dedup();
        self.limits.push(LoweredLimit { id, bound, rows, pools });
    }

    fn rows(&self, rule: &Rule) -> Vec<LimitRow> {
        let pools = &self.problem.pools;
        let at_site =
            |pool: usize, site: usize, amount: f64| if pools[pool].site == site { amount } else { 0.0 };
        match rule {
            Rule::SitePower { site } => {
                self.site_rows(&|pool| at_site(pool, *site, pools[pool].power_kw_per_node))
            }
            Rule::SiteRacks { site } => {
                self.site_rows(&|pool| at_site(pool, *site, pools[pool].rack_units_per_node))
            }
            Rule::Nodes { weights } => self.hourly_rows(
                &|var| weights.iter().filter(|(of, _)| *of == var.offer).map(|(_, w)| w).sum(),
                &|_| 0.0,
            ),
            Rule::Capex { periods } => vec![self.money_row(&|var| match var.when {
                When::Periods { from, .. } if periods.contains(&from) => var.capex,
                _ => 0.0,
            })],
            Rule::OpexPerMonth { periods } => self.monthly_rows(periods.clone()),
            Rule::Cost { weights, discounted } => {
                let weight = |at: usize| -> f64 {
                    weights.iter().filter(|(pool, _)| *pool == at).map(|(_, w)| w).sum()
                };
                let row = self.money_row(&|var| {
                    weight(var.offer.pool) * if *discounted { var.discounted } else { var.undiscounted() }
                });
                let paid = self.paid_each(&|w, c, column| {
                    let amount = if *discounted { self.paid[w][c] } else { column.paid.iter().sum() };
                    weight(column.pool) * amount
                });
                vec![LimitRow { paid, ..row }]
            }
            Rule::Share { part, whole, workload } => self.share_rows(part, whole, *workload),
        }
    }

    /// One row for each period that opens, with those that continue it.
    fn monthly_rows(&self, periods: Range<usize>) -> Vec<LimitRow> {
        let all = &self.problem.periods;
        let starts = periods.clone().filter(|&period| period == periods.start || all[period].opens);
        let row = |start: usize| {
            let end = (start + 1..periods.end).find(|&period| all[period].opens).unwrap_or(periods.end);
            let months: f64 = all[start..end].iter().map(|period| period.months).sum();
            let inside = |var: &NodeVar| -> f64 {
                let here = var.running.iter().filter(|(period, _)| (start..end).contains(period));
                here.map(|(_, cost)| cost / months).sum()
            };
            let paid = |column: &Column| (start..end).map(|period| column.paid_in(period)).sum::<f64>();
            LimitRow {
                paid: self.paid_each(&|_, _, column| paid(column) / months),
                ..self.money_row(&inside)
            }
        };
        starts.map(row).collect()
    }

    /// What each column adds to a row on money, where that is something.
    fn paid_each(&self, amount: &dyn Fn(usize, usize, &Column) -> f64) -> Vec<(usize, usize, f64)> {
        let workloads = self.problem.workloads.iter().enumerate();
        let each = workloads.flat_map(|(w, workload)| {
            workload.columns.iter().enumerate().map(move |(c, column)| (w, c, amount(w, c, column)))
        });
        each.filter(|(_, _, amount)| *amount != 0.0).collect()
    }

    /// One row over all pools, or one for each pool that a workload may run on.
    fn share_rows(&self, part: &[OfferRef], whole: &[OfferRef], workload: Option<usize>) -> Vec<LimitRow> {
        let hours = |of: &[OfferRef], only: Option<usize>| {
            let counts =
                |var: &NodeVar| of.contains(&var.offer) && only.is_none_or(|pool| pool == var.offer.pool);
            self.money_row(&|var| if counts(var) { var.hours } else { 0.0 }).lhs
        };
        let row = |pool: Option<usize>| LimitRow {
            lhs: hours(part, pool),
            constant: 0.0,
            base: Some(hours(whole, pool)),
            paid: Vec::new(),
            only: workload.zip(pool),
        };
        let Some(workload) = workload else { return vec![row(None)] };
        let mut pools: Vec<usize> =
            self.problem.workloads[workload].columns.iter().map(|column| column.pool).collect();
        pools.sort_unstable();
        pools.dedup();
        pools.into_iter().map(|pool| row(Some(pool))).collect()
    }

    fn site_rows(&self, per_node: &dyn Fn(usize) -> f64) -> Vec<LimitRow> {
        let standing = |period: usize| {
            let pools = self.problem.pools.iter().enumerate();
            pools.map(|(pool, shape)| per_node(pool) * f64::from(shape.existing_nodes[period])).sum()
        };
        self.hourly_rows(&|var| per_node(var.offer.pool), &standing)
    }

    fn money_row(&self, weight: &dyn Fn(&NodeVar) -> f64) -> LimitRow {
        let terms = self.vars.iter().enumerate().map(|(index, var)| (index, weight(var)));
        let lhs = terms.filter(|(_, w)| *w != 0.0).collect();
        LimitRow { lhs, constant: 0.0, base: None, paid: Vec::new(), only: None }
    }

    /// One row per point; one per period where no variable of the limit is hourly.
    fn hourly_rows(
        &self,
        weight: &dyn Fn(&NodeVar) -> f64,
        constant: &dyn Fn(usize) -> f64,
    ) -> Vec<LimitRow> {
        let terms = self.money_row(weight).lhs;
        let (hourly, committed): (Vec<_>, Vec<_>) =
            terms.into_iter().partition(|(var, _)| matches!(self.vars[*var].when, When::Hour { .. }));
        let n_slots = if hourly.is_empty() { 1 } else { self.n_slots };
        let mut rows = Vec::with_capacity(self.n_periods * n_slots);
        for period in 0..self.n_periods {
            let standing = constant(period);
            let stays: Vec<_> =
                committed.iter().copied().filter(|(var, _)| self.vars[*var].covers(period, 0)).collect();
            for _ in 0..n_slots {
                let (lhs, paid) = (stays.clone(), Vec::new());
                rows.push(LimitRow { lhs, constant: standing, base: None, paid, only: None });
            }
        }
        for (var, weight) in hourly {
            if let When::Hour { period, slot } = self.vars[var].when {
                rows[period * n_slots + slot].lhs.push((var, weight));
            }
        }
        rows
    }
}

/// Loads per column and point, with slots merged that no load tells apart.
fn merged_loads(problem: &Problem) -> (Vec<Vec<Vec<u64>>>, Vec<usize>, Vec<f64>) {
    let mut first_of: Vec<usize> = Vec::new();
    let mut slot_of = Vec::new();
    let mut slot_hours: Vec<f64> = Vec::new();
    let same = |a: usize, b: usize| {
        problem.workloads.iter().all(|w| {
            w.demand.iter().all(|demand| demand.is_empty() || demand[a] == demand[b])
                && w.columns.iter().all(|column| takes_the_same(&column.runs, a, b))
        })
    };
    for (slot, hours) in problem.slots.iter().map(|s| s.hours_per_month).enumerate() {
        match first_of.iter().position(|&first| same(first, slot)) {
            Some(merged) => {
                slot_hours[merged] += hours;
                slot_of.push(merged);
            }
            None => {
                slot_of.push(first_of.len());
                first_of.push(slot);
                slot_hours.push(hours);
            }
        }
    }
    let load = |demand: &[Vec<f64>], runs: &Runs| -> Vec<u64> {
        let points = (0..problem.periods.len()).flat_map(|p| first_of.iter().map(move |&s| (p, s)));
        points.map(|(p, s)| occupied(runs, (p, s), demand.get(p).and_then(|d| d.get(s).copied()))).collect()
    };
    let loads = problem
        .workloads
        .iter()
        .map(|w| w.columns.iter().map(|column| load(&w.demand, &column.runs)).collect())
        .collect();
    (loads, slot_of, slot_hours)
}

/// Accelerators that a job holds in a slot.
fn held(accelerators: &[u64], slot: usize) -> u64 {
    if accelerators.len() == 1 { accelerators[0] } else { accelerators[slot] }
}

/// Whether a column occupies as much in one slot as in another with the same demand.
fn takes_the_same(runs: &Runs, one: usize, other: usize) -> bool {
    match runs {
        Runs::Replicas { .. } => true,
        Runs::Job { accelerators, .. } => held(accelerators, one) == held(accelerators, other),
    }
}

/// Accelerators that a column occupies in a slot with this demand; replicas where there is none do not run.
fn occupied(runs: &Runs, (period, slot): (usize, usize), demand: Option<f64>) -> u64 {
    match runs {
        Runs::Replicas { units_per_replica, accelerators, min_replicas, spare_replicas } => {
            let Some(demand) = demand else { return 0 };
            let replicas = (demand / units_per_replica * (1.0 - REPLICA_SLACK)).ceil() as u64;
            (replicas.max(u64::from(*min_replicas)) + u64::from(*spare_replicas))
                .saturating_mul(u64::from(*accelerators))
        }
        Runs::Job { accelerators, periods } => {
            if periods.contains(&period) {
                held(accelerators, slot)
            } else {
                0
            }
        }
    }
}

/// What each column pays beside its nodes, discounted like other running cost.
fn paid(problem: &Problem) -> Vec<Vec<f64>> {
    let discounted = |column: &Column| {
        let each = column.paid.iter().zip(&problem.periods);
        each.map(|(amount, period)| amount * period.discount).sum()
    };
    problem.workloads.iter().map(|w| w.columns.iter().map(discounted).collect()).collect()
}

fn masks(problem: &Problem) -> Vec<Vec<u32>> {
    let mask = |pool: usize, offers: &[usize]| {
        let priced = |offer: &&usize| problem.pools[pool].offers[**offer].terms.price().is_some();
        offers.iter().filter(priced).fold(0, |mask, offer| mask | 1 << offer)
    };
    let columns = |w: &super::problem::Workload| w.columns.iter().map(|c| mask(c.pool, &c.offers)).collect();
    problem.workloads.iter().map(columns).collect()
}

/// The largest need of each pool if every workload runs its largest column there.
fn peak_nodes(problem: &Problem, loads: &[Vec<Vec<u64>>]) -> Vec<u64> {
    let mut peaks = vec![0_u64; problem.pools.len()];
    for (workload, loads) in problem.workloads.iter().zip(loads) {
        let mut largest = vec![0_u64; problem.pools.len()];
        for (column, load) in workload.columns.iter().zip(loads) {
            let peak = load.iter().copied().max().unwrap_or(0);
            largest[column.pool] = largest[column.pool].max(peak);
        }
        peaks.iter_mut().zip(largest).for_each(|(peak, load)| *peak += load);
    }
    let shapes = problem.pools.iter();
    peaks
        .iter()
        .zip(shapes)
        .map(|(peak, pool)| peak.div_ceil(u64::from(pool.accelerators_per_node)))
        .collect()
}
