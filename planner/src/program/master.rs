//! The mixed-integer program: columns, nodes, capacity and limits, in the forms that the solving needs.
//!
//! One builder serves them all: the relaxation with mixing (the bound), columns with continuous nodes (large
//! problems), the integer program (small ones), the purchase of coupled pools (columns fixed), and the
//! smallest value of a limit (ways out). It does not know in which order these are asked.

use std::collections::BTreeMap;

use super::prepared::{LimitRow, LoweredLimit, Prepared, When};
use super::problem::Bound;
use super::solver::{Answer, Found, Program, Row, Stops, Var};

/// HiGHS' tolerance on whole numbers (`mip_feasibility_tolerance`): shares closer than this are equal.
const SHARE_NOISE: f64 = 1e-6;

/// Of more nodes than this a part is no matter where some may be parts, and HiGHS walks over the whole range.
const MOST_WHOLE: u64 = 256;

/// Which columns and limits are in force.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    /// Columns that each workload may run.
    pub columns: Vec<Vec<usize>>,
    /// Value of each lowered limit; `None` drops it.
    pub limits: Vec<Option<f64>>,
}

impl Case {
    /// All columns that can run at all, and all limits as stated.
    pub fn of(prepared: &Prepared) -> Self {
        let usable = |w: usize, c: &usize| {
            let pool = prepared.problem.workloads[w].columns[*c].pool;
            let has_existing = prepared.problem.pools[pool].existing_nodes.iter().any(|n| *n > 0);
            has_existing || prepared.masks[w][*c] != 0 || prepared.loads[w][*c].iter().all(|l| *l == 0)
        };
        let columns = |w: usize| (0..prepared.loads[w].len()).filter(|c| usable(w, c)).collect();
        Case {
            columns: (0..prepared.loads.len()).map(columns).collect(),
            limits: prepared.limits.iter().map(|limit| Some(limit.bound.value())).collect(),
        }
    }

    /// The same limits with one column per workload.
    pub fn fixed(&self, columns: &[usize]) -> Self {
        Case { columns: columns.iter().map(|c| vec![*c]).collect(), limits: self.limits.clone() }
    }
}

/// Which of the variables are whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    pub columns: bool,
    pub nodes: WholeNodes,
}

/// Which nodes are whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WholeNodes {
    /// None: the relaxation.
    None,
    /// Those that stay. Nodes by the hour are many and small, so that little is lost by their parts.
    Committed,
    /// All.
    All,
}

impl WholeNodes {
    fn holds(self, when: When, most: u64) -> bool {
        match self {
            WholeNodes::None => false,
            WholeNodes::Committed => matches!(when, When::Periods { .. }) && most <= MOST_WHOLE,
            WholeNodes::All => true,
        }
    }
}

/// What is minimised.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal<'c> {
    /// Discounted cost, what columns pay included.
    Cost,
    /// Cost by variable alone, which may include what limits charge.
    Charged(&'c [f64]),
    /// The value that the limit (by index) would need, if its rows have no base.
    Need { limit: usize },
    /// `lhs − ratio · base` of a share limit (its negative for `AtLeast`): a step of Dinkelbach's method.
    Ratio { limit: usize, ratio: f64 },
    /// Kinds of pools, then column indices, at a cost of at most this.
    Fewest { cost_at_most: f64 },
}

/// A feasible point of the program in terms of the problem.
pub(super) struct Draft {
    /// Chosen share of each column in the case, `[workload][position in the case]`.
    pub shares: Vec<Vec<f64>>,
    /// Nodes by variable.
    pub nodes: Vec<f64>,
    /// What one unit of each row of each limit is worth in a relaxation; empty for limits not in force.
    pub prices: Vec<Vec<f64>>,
    pub found: Found,
}

impl Draft {
    /// Returns the column with the largest share of each workload; the first of equals.
    pub fn columns(&self, case: &Case) -> Vec<usize> {
        let largest = |shares: &Vec<f64>| {
            (0..shares.len()).fold(0, |best, c| if shares[c] > shares[best] + SHARE_NOISE { c } else { best })
        };
        self.shares.iter().zip(&case.columns).map(|(shares, columns)| columns[largest(shares)]).collect()
    }
}

impl Draft {
    /// Returns the columns that have any share, by workload.
    pub fn used_columns(&self, case: &Case) -> Vec<Vec<usize>> {
        let used = |(shares, columns): (&Vec<f64>, &Vec<usize>)| {
            let pairs = shares.iter().zip(columns);
            pairs.filter(|(share, _)| **share > SHARE_NOISE).map(|(_, column)| *column).collect()
        };
        self.shares.iter().zip(&case.columns).map(used).collect()
    }
}

/// Why there is no draft.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NoDraft {
    Infeasible,
    OutOfNodes,
    Failed(String),
}

struct Builder<'a> {
    prepared: &'a Prepared<'a>,
    case: &'a Case,
    goal: Goal<'a>,
    program: Program,
    columns: Vec<Vec<Var>>,
    nodes: Vec<Option<Var>>,
    need: Option<Var>,
    /// The first point of the same period with the same loads, by point; itself if hours are kept apart.
    twins: Vec<usize>,
    /// Rows of each limit in the program, with what they were divided by.
    limit_rows: Vec<Vec<Option<(Row, f64)>>>,
}

/// Solves the case. With `pools`, only these exist, and hours in which all that runs needs the same may be bought
/// alike. Parts of nodes by the hour lose nothing by that, since the mean of the hours is as good; whole ones may,
/// since a limit on a share may want to split equal hours.
pub(super) fn solve(
    prepared: &Prepared,
    case: &Case,
    (whole, goal, stops): (Whole, Goal<'_>, Stops),
    pools: Option<&[bool]>,
) -> Result<Draft, NoDraft> {
    let inside = |pool: usize| pools.is_none_or(|pools| pools[pool]);
    let mut builder = Builder::new(prepared, case, goal, whole);
    if pools.is_some() && (stops.merges_hours || whole.nodes != WholeNodes::All) {
        builder.merge_hours();
    }
    builder.add_nodes(whole.nodes, &inside);
    builder.choose_one_column(pools.is_some());
    (0..prepared.problem.pools.len()).filter(|pool| inside(*pool)).for_each(|pool| builder.cover(pool));
    for (index, limit) in prepared.limits.iter().enumerate() {
        builder.limit(index, limit);
    }
    if let Goal::Fewest { cost_at_most } = goal {
        builder.prefer_fewest(cost_at_most);
    }
    let Builder { program, columns, nodes, limit_rows, .. } = builder;
    match program.solve(stops) {
        Answer::Found(found) => Ok(Draft {
            shares: columns.iter().map(|w| w.iter().map(|var| found.value(*var)).collect()).collect(),
            nodes: nodes.iter().map(|var| var.map_or(0.0, |var| found.value(var))).collect(),
            prices: limit_rows
                .iter()
                .map(|rows| {
                    rows.iter().map(|row| row.map_or(0.0, |(row, scale)| found.price(row) / scale)).collect()
                })
                .collect(),
            found,
        }),
        Answer::Infeasible => Err(NoDraft::Infeasible),
        Answer::OutOfNodes => Err(NoDraft::OutOfNodes),
        Answer::Failed(why) => Err(NoDraft::Failed(why)),
    }
}

impl<'a> Builder<'a> {
    fn new(prepared: &'a Prepared<'a>, case: &'a Case, goal: Goal<'a>, whole: Whole) -> Self {
        let mut program = Program::new();
        let paid = |w: usize, c: usize| if matches!(goal, Goal::Cost) { prepared.paid[w][c] } else { 0.0 };
        let mut add = |(w, columns): (usize, &Vec<usize>)| {
            columns.iter().map(|&c| program.add(paid(w, c), 1.0, whole.columns)).collect()
        };
        let columns = case.columns.iter().enumerate().map(&mut add).collect();
        let need = match goal {
            Goal::Need { .. } => Some(program.add(1.0, f64::INFINITY, false)),
            _ => None,
        };
        let nodes = vec![None; prepared.vars.len()];
        let twins = (0..prepared.n_points()).collect();
        let limit_rows = vec![Vec::new(); prepared.limits.len()];
        Builder { prepared, case, goal, program, columns, nodes, need, twins, limit_rows }
    }

    fn merge_hours(&mut self) {
        let (n_slots, loads) = (self.prepared.n_slots, &self.prepared.loads);
        let running =
            || self.case.columns.iter().zip(loads).flat_map(|(cs, loads)| cs.iter().map(|&c| &loads[c]));
        for point in 0..self.twins.len() {
            let first = point - point % n_slots;
            let same = |other: &usize| running().all(|load| load[*other] == load[point]);
            self.twins[point] = (first..point).find(same).unwrap_or(point);
        }
    }

    fn add_nodes(&mut self, whole: WholeNodes, inside: &dyn Fn(usize) -> bool) {
        let ratio = match self.goal {
            Goal::Ratio { limit, ratio } => {
                let limit = &self.prepared.limits[limit];
                ratio_costs(limit, ratio, self.prepared.vars.len())
            }
            _ => Vec::new(),
        };
        let peaks = self.peaks();
        for (index, var) in self.prepared.vars.iter().enumerate() {
            let most = peaks[var.offer.pool];
            if !inside(var.offer.pool) || most == 0 {
                continue;
            }
            let cost = match self.goal {
                Goal::Cost => var.discounted,
                Goal::Charged(costs) => costs[index],
                Goal::Ratio { .. } => ratio[index],
                Goal::Need { .. } | Goal::Fewest { .. } => 0.0,
            };
            self.nodes[index] = match self.twin(index).and_then(|twin| self.nodes[twin]) {
                Some(same) => {
                    self.program.raise_cost(same, cost);
                    Some(same)
                }
                None => Some(self.program.add(cost, most as f64, whole.holds(var.when, most))),
            };
        }
    }

    /// The most nodes that the columns of the case can need of each pool, since wide bounds make programs slow; a share from
    /// below may ask for more than is needed.
    fn peaks(&self) -> Vec<u64> {
        let prepared = self.prepared;
        let limits = prepared.limits.iter().zip(&self.case.limits).filter(|(_, value)| value.is_some());
        let is_share_from_below = |limit: &LoweredLimit| {
            matches!(limit.bound, Bound::AtLeast(_)) && limit.rows.iter().any(|row| row.base.is_some())
        };
        if limits.clone().any(|(limit, _)| is_share_from_below(limit)) {
            return prepared.peak_nodes.clone();
        }
        let mut peaks = vec![0_u64; prepared.peak_nodes.len()];
        for (w, columns) in self.case.columns.iter().enumerate() {
            let mut largest: BTreeMap<usize, u64> = BTreeMap::new();
            for &c in columns {
                let peak = prepared.loads[w][c].iter().copied().max().unwrap_or(0);
                let known = largest.entry(prepared.problem.workloads[w].columns[c].pool).or_insert(0);
                *known = peak.max(*known);
            }
            largest.into_iter().for_each(|(pool, peak)| peaks[pool] = peaks[pool].saturating_add(peak));
        }
        let pools = prepared.problem.pools.iter();
        peaks
            .iter()
            .zip(pools)
            .map(|(peak, pool)| peak.div_ceil(u64::from(pool.accelerators_per_node)))
            .collect()
    }

    /// Returns the variable of the same offer in an earlier hour that is bought alike.
    fn twin(&self, var: usize) -> Option<usize> {
        let When::Hour { period, slot } = self.prepared.vars[var].when else { return None };
        let twin = self.twins[period * self.prepared.n_slots + slot] % self.prepared.n_slots;
        (twin < slot).then(|| var - (slot - twin))
    }

    /// Σ_c column(w, c) = 1 for each workload w. With some pools only, workloads without columns are elsewhere.
    fn choose_one_column(&mut self, is_part: bool) {
        for columns in self.columns.iter().filter(|columns| !is_part || !columns.is_empty()) {
            let terms: Vec<_> = columns.iter().map(|var| (*var, 1.0)).collect();
            self.program.equal(&terms, 1.0);
        }
    }

    /// accelerators · (existing + Σ_{o ∈ K} nodes(o)) ≥ Σ_{columns with offers ⊆ K} load · column, at each point,
    /// for each union K of the columns' offer sets: Hall's condition that everyone finds an allowed node.
    fn cover(&mut self, pool: usize) {
        let columns = self.columns_of(pool);
        for mask in unions(columns.iter().map(|c| c.mask)) {
            let served: Vec<&Placed> = columns.iter().filter(|c| c.mask & !mask == 0).collect();
            for point in 0..self.prepared.n_points() {
                if self.twins[point] != point {
                    continue;
                }
                self.cover_point(pool, mask, &served, point);
            }
        }
    }

    fn cover_point(&mut self, pool: usize, mask: u32, served: &[&Placed<'a>], point: usize) {
        let shape = &self.prepared.problem.pools[pool];
        let per_node = f64::from(shape.accelerators_per_node);
        let (period, slot) = (point / self.prepared.n_slots, point % self.prepared.n_slots);
        let existing = f64::from(shape.existing_nodes[period]);
        let loads = served.iter().filter(|c| c.load[point] > 0);
        // With all columns fixed the need is a known number of nodes, rounded up here, not in the solver.
        let fixed: u64 = loads.clone().filter(|c| c.is_only).map(|c| c.load[point]).sum();
        let open: Vec<(Var, f64)> =
            loads.filter(|c| !c.is_only).map(|c| (c.var, -(c.load[point] as f64) / per_node)).collect();
        let fixed = fixed as f64 / per_node;
        let least = if open.is_empty() { (fixed - 1e-9).ceil() } else { fixed } - existing;
        if open.is_empty() && least <= 0.0 {
            return;
        }
        let mut terms = open;
        for &var in &self.prepared.pool_vars[pool] {
            if self.prepared.offer_bit(var) & mask != 0 && self.prepared.vars[var].covers(period, slot) {
                terms.extend(self.nodes[var].map(|node| (node, 1.0)));
            }
        }
        self.program.at_least(&terms, least);
    }

    fn columns_of(&self, pool: usize) -> Vec<Placed<'a>> {
        let mut placed = Vec::new();
        for (w, columns) in self.case.columns.iter().enumerate() {
            for (position, &c) in columns.iter().enumerate() {
                if self.prepared.problem.workloads[w].columns[c].pool == pool {
                    placed.push(Placed {
                        mask: self.prepared.masks[w][c],
                        load: &self.prepared.loads[w][c],
                        var: self.columns[w][position],
                        is_only: columns.len() == 1,
                    });
                }
            }
        }
        placed
    }

    /// lhs + constant ≤ value · base, each row divided by its largest coefficient: money and nodes differ by
    /// many powers of ten, and HiGHS' tolerance is absolute.
    fn limit(&mut self, index: usize, limit: &LoweredLimit) {
        let needed = match self.goal {
            Goal::Need { limit } if limit == index => self.need,
            _ => None,
        };
        let Some(value) = self.case.limits[index].or(needed.map(|_| 0.0)) else { return };
        for row in &limit.rows {
            let running = match row.only {
                Some((w, pool)) => self.columns_on(w, pool),
                None => Vec::new(),
            };
            if row.only.is_some() && running.is_empty() {
                self.limit_rows[index].push(None);
                continue;
            }
            let is_open = row.only.is_some_and(|(w, _)| running.len() < self.case.columns[w].len());
            let mut terms = self.terms(&row.lhs);
            let base = row.base.as_deref().map(|base| self.terms(base));
            terms.extend(base.iter().flatten().map(|&(var, c)| (var, -value * c)));
            terms.extend(row.paid.iter().filter_map(|&(w, c, amount)| Some((self.column(w, c)?, amount))));
            let scale = terms.iter().fold(0.0_f64, |most, (_, c)| most.max(c.abs()));
            let scale = if scale > 0.0 { scale } else { 1.0 };
            terms.iter_mut().for_each(|(_, c)| *c /= scale);
            let mut unasked = 0.0;
            if is_open {
                // Where the workload runs elsewhere, as much is allowed as there can be.
                let sign = if matches!(limit.bound, Bound::AtMost(_)) { 1.0 } else { -1.0 };
                let most = |(_, c): &(Var, f64)| (sign * c).max(0.0) * self.most_nodes(row);
                unasked = sign * terms.iter().map(most).sum::<f64>();
                terms.extend(running.iter().map(|&var| (var, unasked)));
            }
            terms.extend(needed.map(|need| (need, -1.0 / scale)));
            let constant = if needed.is_some() || base.is_some() { 0.0 } else { value } - row.constant;
            let row = match limit.bound {
                Bound::AtMost(_) => self.program.at_most(&terms, constant / scale + unasked),
                Bound::AtLeast(_) => self.program.at_least(&terms, constant / scale + unasked),
            };
            self.limit_rows[index].push(Some((row, scale)));
        }
    }

    /// A column, if the case has it.
    fn column(&self, w: usize, c: usize) -> Option<Var> {
        let position = self.case.columns[w].iter().position(|column| *column == c)?;
        Some(self.columns[w][position])
    }

    /// The columns of a workload on a pool.
    fn columns_on(&self, w: usize, pool: usize) -> Vec<Var> {
        let columns = self.case.columns[w].iter().zip(&self.columns[w]);
        let here = columns.filter(|(c, _)| self.prepared.problem.workloads[w].columns[**c].pool == pool);
        here.map(|(_, var)| *var).collect()
    }

    fn most_nodes(&self, row: &LimitRow) -> f64 {
        row.only.map_or(0.0, |(_, pool)| self.prepared.peak_nodes[pool] as f64)
    }

    fn terms(&self, lhs: &[(usize, f64)]) -> Vec<(Var, f64)> {
        lhs.iter().filter_map(|&(var, c)| self.nodes[var].map(|node| (node, c))).collect()
    }

    /// Σ cost · nodes + Σ paid · column ≤ cost_at_most; minimise kinds of pools, then the sum of column indices.
    fn prefer_fewest(&mut self, cost_at_most: f64) {
        let costs: Vec<(usize, f64)> =
            self.prepared.vars.iter().enumerate().map(|(v, var)| (v, var.discounted)).collect();
        let mut terms = self.terms(&costs);
        for (w, columns) in self.case.columns.iter().enumerate() {
            let paid = columns.iter().zip(&self.columns[w]);
            terms.extend(paid.map(|(&c, &var)| (var, self.prepared.paid[w][c])));
        }
        let scale = terms.iter().fold(1.0_f64, |most, (_, c)| most.max(c.abs()));
        terms.iter_mut().for_each(|(_, c)| *c /= scale);
        self.program.at_most(&terms, cost_at_most / scale);
        let most_indices: usize = self.case.columns.iter().map(|c| c.last().map_or(0, |c| c + 1)).sum();
        let mut order = Vec::new();
        for pool in 0..self.prepared.problem.pools.len() {
            let used = self.program.add(most_indices as f64 + 1.0, 1.0, true);
            for placed in self.columns_of(pool) {
                order.push((placed.var, used));
            }
        }
        for (column, used) in order {
            self.program.at_most(&[(column, 1.0), (used, -1.0)], 0.0);
        }
        for (columns, vars) in self.case.columns.iter().zip(&self.columns) {
            for (&column, &var) in columns.iter().zip(vars) {
                self.program.raise_cost(var, column as f64);
            }
        }
    }
}

struct Placed<'a> {
    mask: u32,
    load: &'a [u64],
    var: Var,
    is_only: bool,
}

/// Cost of each variable in `lhs − ratio · base`, negated for a limit from below.
fn ratio_costs(limit: &LoweredLimit, ratio: f64, n_vars: usize) -> Vec<f64> {
    let mut costs = vec![0.0; n_vars];
    let sign = if matches!(limit.bound, Bound::AtMost(_)) { 1.0 } else { -1.0 };
    for row in &limit.rows {
        row.lhs.iter().for_each(|&(var, c)| costs[var] += sign * c);
        row.base.iter().flatten().for_each(|&(var, c)| costs[var] -= sign * ratio * c);
    }
    costs
}

/// Returns all unions of the masks, ascending, without repetition.
pub(super) fn unions(masks: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut unions: Vec<u32> = Vec::new();
    for mask in masks {
        if unions.binary_search(&mask).is_ok() {
            continue;
        }
        let more: Vec<u32> = unions.iter().map(|union| union | mask).chain([mask]).collect();
        unions.extend(more);
        unions.sort_unstable();
        unions.dedup();
    }
    unions
}
