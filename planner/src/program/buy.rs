//! The true integer purchase for chosen columns: pools apart in closed form, and one small integer program
//! over those that a limit couples.
//!
//! First every pool is bought as if alone. If that keeps all limits it is optimal, since dropping limits
//! can only make a plan cheaper. Limits that it breaks are put in force for the pools that they touch, and
//! so on until none is broken: each step solves a relaxation, so the last one is exact.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::joint::Known;
use super::master::{self, Case, Draft, Goal, NoDraft, Whole, WholeNodes};
use super::prepared::{LimitRow, LoweredLimit, Prepared};
use super::problem::{Bound, Problem};
use super::purchase::{Bought, Menu, Need};
use super::solver::Stops;

/// HiGHS keeps a row within 1e-6 of its bound (its `primal_feasibility_tolerance` is 1e-7, integers 1e-6).
const ROW_TOLERANCE: f64 = 2e-6;

/// A complete integer plan.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub columns: Vec<usize>,
    /// Whole numbers, by variable.
    pub nodes: Vec<f64>,
    pub cost: f64,
    /// No purchase for these columns costs less; 0 where only the cost is known.
    pub bound: f64,
    /// Whether no cheaper purchase exists for these columns, up to the gap asked for.
    pub is_exact: bool,
}

/// Buys for any choice of columns under the same limits.
pub(super) struct Buyer<'a> {
    pub(super) prepared: &'a Prepared<'a>,
    pub(super) case: &'a Case,
    /// By variable.
    costs: Vec<f64>,
    /// By pool, offers, and those of them that some workloads may not use.
    menus: RefCell<BTreeMap<(usize, u32, u32), Rc<Menu>>>,
    pub(super) joint: RefCell<Known>,
}

/// Something that runs on a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    /// What it is of.
    pub workload: usize,
    /// Accelerators at each point.
    pub load: &'a [u64],
    /// Offers that it may use, as bits.
    pub mask: u32,
}

/// What the chosen columns need of one pool.
pub(super) struct PoolNeed {
    pub need: Need,
    /// Offers that someone may use.
    pub mask: u32,
    /// Offers by the hour that some may not use.
    pub restricted: u32,
    /// Whether the closed form knows such sets of offers: one, or one and a part of it that lacks only
    /// offers by the hour. If not, what it buys is a lower bound.
    pub is_nested: bool,
}

impl<'a> Buyer<'a> {
    /// Prepares to buy under the limits of `case`.
    pub fn new(prepared: &'a Prepared<'a>, case: &'a Case) -> Self {
        let costs = prepared.vars.iter().map(|var| var.discounted).collect();
        Buyer::at(prepared, case, costs)
    }

    /// Prepares to price pools alone at other costs by variable.
    pub fn at(prepared: &'a Prepared<'a>, case: &'a Case, costs: Vec<f64>) -> Self {
        Buyer { prepared, case, costs, menus: RefCell::default(), joint: RefCell::default() }
    }

    /// Returns the cheapest purchase for the columns. `stops` bounds each integer program; `None` forbids those that were
    /// not solved before.
    pub fn buy(&self, columns: &[usize], stops: Option<Stops>) -> Result<Plan, NoDraft> {
        let (mut nodes, is_unknown) = self.buy_apart(columns)?;
        let mut in_force = vec![false; self.prepared.limits.len()];
        let (mut is_exact, mut bound) = (true, None);
        let mut must_solve = is_unknown.contains(&true);
        loop {
            for index in self.broken_limits(&nodes, columns) {
                // A limit that is in force and yet broken is within HiGHS' tolerance of its bound.
                must_solve |= !in_force[index];
                in_force[index] = true;
            }
            if !must_solve {
                break;
            }
            let groups = self.groups(&is_unknown, &in_force, columns).ok_or(NoDraft::Infeasible)?;
            let is_together = |pool: usize| groups.iter().any(|group| group.pools[pool]);
            let mut least = self.cost_of(&nodes, |pool| !is_together(pool));
            for group in &groups {
                let bought = self.buy_once(group, columns, stops, &nodes)?;
                bought.nodes.iter().for_each(|&(index, count)| nodes[index] = count);
                is_exact &= bought.is_solved;
                least += bought.least;
            }
            (bound, must_solve) = (Some(least), false);
        }
        let paid = self.prepared.paid(columns.iter().copied().enumerate());
        let cost = self.prepared.cost(&nodes) + paid;
        let bound = bound.map_or(cost, |bound| (bound + paid).min(cost));
        Ok(Plan { columns: columns.to_vec(), cost, bound, nodes, is_exact })
    }

    pub(super) fn vars_of(&self, pools: &[bool]) -> impl Iterator<Item = usize> {
        (0..self.prepared.vars.len()).filter(|&index| pools[self.prepared.vars[index].offer.pool])
    }

    pub(super) fn cost_of(&self, nodes: &[f64], is_of: impl Fn(usize) -> bool) -> f64 {
        let vars = self.prepared.vars.iter().zip(nodes);
        vars.filter(|(var, _)| is_of(var.offer.pool)).map(|(var, count)| var.discounted * count).sum()
    }

    /// Returns the cheapest purchase for what runs on `pool`, limits aside; `None` if the offers cannot serve it. A
    /// lower bound where the pieces differ in the offers they may use, in ways that the closed form does not know.
    pub fn buy_alone(&self, pool: usize, pieces: &[Piece<'_>]) -> Option<Bought> {
        if pieces.is_empty() {
            return Some(Bought { nodes: Vec::new(), cost: 0.0 });
        }
        let need = self.need_of(pool, pieces);
        self.menu(pool, &need).buy(&need.need)
    }

    /// Returns what [`Buyer::buy_alone`] costs for these (workload, column) pairs with what they pay; infinite if it cannot be bought.
    pub fn cost_alone(&self, pool: usize, pairs: &[(usize, usize)]) -> f64 {
        let pieces: Vec<Piece<'_>> = pairs.iter().map(|&(w, c)| self.piece(w, c)).collect();
        let paid = self.prepared.paid(pairs.iter().copied());
        self.buy_alone(pool, &pieces).map_or(f64::INFINITY, |bought| bought.cost + paid)
    }

    fn piece(&self, w: usize, c: usize) -> Piece<'_> {
        Piece { workload: w, load: &self.prepared.loads[w][c], mask: self.prepared.masks[w][c] }
    }

    /// Returns what a unit of each row of each limit is worth in the relaxed purchase for the columns, in which
    /// nodes may be parts; empty for limits that do not bind.
    pub fn prices(&self, columns: &[usize], stops: Stops) -> Result<Vec<Vec<f64>>, NoDraft> {
        let mut nodes = self.buy_apart(columns)?.0;
        let mut joint = vec![false; self.prepared.problem.pools.len()];
        let mut case = self.case.fixed(columns);
        case.limits.iter_mut().for_each(|limit| *limit = None);
        let mut prices = vec![Vec::new(); self.prepared.limits.len()];
        loop {
            let broken = self.broken_limits(&nodes, columns);
            if broken.iter().all(|&index| case.limits[index].is_some()) {
                return Ok(prices);
            }
            for index in broken {
                case.limits[index] = self.case.limits[index];
                let pools = &self.prepared.limits[index].pools;
                pools.iter().for_each(|&pool| joint[pool] = true);
            }
            let together = self.that_run(&joint, columns);
            let draft = self.solve_jointly(&case, &together, WholeNodes::None, stops)?;
            self.take(&draft, &together, &mut nodes);
            prices = draft.prices;
        }
    }

    /// Buys every pool as if alone; also returns which of them the closed form does not know.
    fn buy_apart(&self, columns: &[usize]) -> Result<(Vec<f64>, Vec<bool>), NoDraft> {
        let mut nodes = vec![0.0; self.prepared.vars.len()];
        let mut joint = vec![false; self.prepared.problem.pools.len()];
        for (pool, is_joint) in joint.iter_mut().enumerate() {
            let need = self.need(pool, columns);
            let menu = self.menu(pool, &need);
            let bought = menu.buy(&need.need).ok_or(NoDraft::Infeasible)?;
            *is_joint = !need.is_nested;
            bought.nodes.iter().for_each(|&(var, count)| nodes[var] = count as f64);
        }
        Ok((nodes, joint))
    }

    /// Whether whole nodes are enough on these pools; `false` where the closed form does not know their offers.
    pub(super) fn covers(&self, pools: &[bool], columns: &[usize], nodes: &[f64]) -> bool {
        let is_enough = |pool: usize| {
            let need = self.need(pool, columns);
            let vars = &self.prepared.pool_vars[pool];
            let standing = |point: usize, mask: u32| -> f64 {
                let (period, slot) = (point / self.prepared.n_slots, point % self.prepared.n_slots);
                let there = |&&var: &&usize| {
                    self.prepared.offer_bit(var) & mask != 0 && self.prepared.vars[var].covers(period, slot)
                };
                vars.iter().filter(there).map(|&var| nodes[var]).sum()
            };
            need.is_nested
                && need.need.nodes.iter().enumerate().all(|(point, &all)| {
                    let firm = need.need.restricted.get(point).map_or(0, |restricted| all - restricted);
                    standing(point, need.mask) >= all as f64
                        && standing(point, need.mask & !need.restricted) >= firm as f64
                })
        };
        (0..pools.len()).filter(|&pool| pools[pool]).all(is_enough)
    }

    /// Of the pools, those on which something runs: nothing is bought where nothing runs, though a limit on a
    /// share could be kept by it.
    pub(super) fn that_run(&self, pools: &[bool], columns: &[usize]) -> Vec<bool> {
        let mut runs = vec![false; pools.len()];
        for (w, &c) in columns.iter().enumerate() {
            let pool = self.prepared.problem.workloads[w].columns[c].pool;
            runs[pool] = pools[pool];
        }
        runs
    }

    pub(super) fn solve_jointly(
        &self,
        case: &Case,
        pools: &[bool],
        nodes: WholeNodes,
        stops: Stops,
    ) -> Result<Draft, NoDraft> {
        let whole = Whole { columns: nodes == WholeNodes::All, nodes };
        master::solve(self.prepared, case, (whole, Goal::Charged(&self.costs), stops), Some(pools))
    }

    pub(super) fn take(&self, draft: &Draft, pools: &[bool], nodes: &mut [f64]) {
        self.vars_of(pools).for_each(|index| nodes[index] = draft.nodes[index]);
    }

    /// Returns the limits of the case that a purchase for these columns breaks.
    pub fn broken_limits(&self, nodes: &[f64], columns: &[usize]) -> Vec<usize> {
        let problem = self.prepared.problem;
        let limits = self.prepared.limits.iter().zip(&self.case.limits).enumerate();
        limits
            .filter(|(_, (limit, value))| {
                value.is_some_and(|v| is_broken(problem, limit, v, (nodes, columns)))
            })
            .map(|(i, _)| i)
            .collect()
    }

    pub(super) fn need(&self, pool: usize, columns: &[usize]) -> PoolNeed {
        let here = columns
            .iter()
            .enumerate()
            .filter(|&(w, &c)| self.prepared.problem.workloads[w].columns[c].pool == pool);
        self.need_of(pool, &here.map(|(w, &c)| self.piece(w, c)).collect::<Vec<_>>())
    }

    fn need_of(&self, pool: usize, pieces: &[Piece<'_>]) -> PoolNeed {
        let shape = &self.prepared.problem.pools[pool];
        let mut loads = vec![0_u64; self.prepared.n_points()];
        let masks = || pieces.iter().map(|piece| piece.mask);
        let mask = masks().fold(0, |all, mask| all | mask);
        let common = masks().fold(mask, |common, mask| common & mask);
        let is_nested = masks().all(|m| m == mask || m == common) && self.is_hourly(pool, mask & !common);
        let restricted = if is_nested { mask & !common } else { 0 };
        let mut need = Need { nodes: loads.clone(), restricted: Vec::new() };
        for piece in pieces {
            need.nodes.iter_mut().zip(piece.load).for_each(|(sum, load)| *sum += load);
            if restricted != 0 && piece.mask == common {
                loads.iter_mut().zip(piece.load).for_each(|(sum, load)| *sum += load);
            }
        }
        let beyond = |loads: &mut Vec<u64>| {
            for (point, load) in loads.iter_mut().enumerate() {
                let existing = u64::from(shape.existing_nodes[point / self.prepared.n_slots]);
                *load = load.div_ceil(u64::from(shape.accelerators_per_node)).saturating_sub(existing);
            }
        };
        beyond(&mut need.nodes);
        if restricted != 0 {
            beyond(&mut loads);
            need.restricted = need.nodes.iter().zip(&loads).map(|(all, firm)| all - firm).collect();
        }
        PoolNeed { need, mask, restricted, is_nested }
    }

    fn is_hourly(&self, pool: usize, mask: u32) -> bool {
        let offers = self.prepared.problem.pools[pool].offers.iter().enumerate();
        offers.filter(|(offer, _)| mask & 1 << offer != 0).all(|(_, offer)| !offer.terms.is_committed())
    }

    fn menu(&self, pool: usize, need: &PoolNeed) -> Rc<Menu> {
        let mut menus = self.menus.borrow_mut();
        let key = (pool, need.mask, need.restricted);
        let new = || Rc::new(Menu::new(self.prepared, self.case, &self.costs, key));
        Rc::clone(menus.entry(key).or_insert_with(new))
    }
}

/// Returns by how much a row exceeds its limit beyond tolerance; at most 0 if it keeps it.
fn excess(row: &LimitRow, bound: Bound, value: f64, (nodes, columns): (&[f64], &[usize])) -> f64 {
    let (lhs, base) = row.sides(nodes, columns);
    let largest = row.lhs.iter().fold(0.0_f64, |most, (_, c)| most.max(c.abs()));
    let tolerance = ROW_TOLERANCE * largest + 1e-9 * (value * base).abs();
    match bound {
        Bound::AtMost(_) => lhs - value * base - tolerance,
        Bound::AtLeast(_) => value * base - lhs - tolerance,
    }
}

/// Whether a purchase for these columns breaks a limit of this value.
fn is_broken(
    problem: &Problem,
    limit: &LoweredLimit,
    value: f64,
    (nodes, columns): (&[f64], &[usize]),
) -> bool {
    let mut asked = limit.rows.iter().filter(|row| row.is_asked(problem, columns));
    asked.any(|row| excess(row, limit.bound, value, (nodes, columns)) > 0.0)
}
