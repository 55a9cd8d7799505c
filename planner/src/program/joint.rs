//! Purchases for pools that limits couple, each once.
//!
//! Limits in force tie pools to groups; choices of columns that run the same on a group share its purchase, whatever they run
//! elsewhere.

use std::collections::BTreeMap;

use super::buy::{Buyer, PoolNeed};
use super::master::{Case, NoDraft, WholeNodes};
use super::prepared::LoweredLimit;
use super::rounding;
use super::solver::Stops;

/// Pools that are bought together, and the limits in force that are asked of them.
pub(super) struct Group {
    pub pools: Vec<bool>,
    limits: Vec<usize>,
}

/// What a purchase is of: the limits in force, and the workloads that it serves or that such a limit charges, with their
/// columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Joint {
    limits: Vec<usize>,
    columns: Vec<(usize, usize)>,
}

/// Nodes of pools that are bought together.
#[derive(Debug, Clone)]
pub(super) struct Jointly {
    /// By variable.
    pub nodes: Vec<(usize, f64)>,
    cost: f64,
    /// No purchase costs less.
    pub least: f64,
    /// Whether that is proven up to the gap asked for.
    pub is_solved: bool,
}

/// Purchases by what they are of and how far they were searched.
pub(super) type Known = BTreeMap<Joint, Vec<(Stops, Result<Jointly, NoDraft>)>>;

impl Buyer<'_> {
    /// Returns the pools that limits in force couple, by group, and those that the closed form does not know; `None` where
    /// a limit is broken though nothing that it counts can be bought.
    pub fn groups(&self, is_unknown: &[bool], in_force: &[bool], columns: &[usize]) -> Option<Vec<Group>> {
        let alone = |pool: usize| (0..is_unknown.len()).map(|other| other == pool).collect();
        let unknown = self.that_run(is_unknown, columns);
        let unknown = (0..unknown.len()).filter(|&pool| unknown[pool]);
        let mut groups: Vec<Group> =
            unknown.map(|pool| Group { pools: alone(pool), limits: Vec::new() }).collect();
        for index in (0..in_force.len()).filter(|&index| in_force[index]) {
            let limit = &self.prepared.limits[index];
            let own = limit.rows.iter().filter(|row| row.is_asked(self.prepared.problem, columns));
            let own: Vec<usize> = own.filter_map(|row| row.only.map(|(_, pool)| pool)).collect();
            if own.is_empty() {
                tie(&mut groups, index, self.touched(limit, columns))?;
            }
            for pool in own {
                tie(&mut groups, index, alone(pool))?;
            }
        }
        Some(groups)
    }

    /// The pools on which something runs and of which a limit counts something.
    fn touched(&self, limit: &LoweredLimit, columns: &[usize]) -> Vec<bool> {
        let mut pools = vec![false; self.prepared.problem.pools.len()];
        limit.pools.iter().for_each(|&pool| pools[pool] = true);
        self.that_run(&pools, columns)
    }

    /// Buys for a group, or as was bought before where only workloads on other pools differ.
    pub fn buy_once(
        &self,
        group: &Group,
        columns: &[usize],
        stops: Option<Stops>,
        nodes: &[f64],
    ) -> Result<Jointly, NoDraft> {
        let joint = self.joint_of(group, columns);
        if let Some(known) = self.joint.borrow().get(&joint).and_then(|known| known_at(known, stops)) {
            return known.clone();
        }
        let stops = stops.ok_or(NoDraft::OutOfNodes)?;
        let bought = self.buy_jointly(group, columns, stops, nodes);
        // What is given up for its price may be worth it beside other pools.
        if stops.worth.is_infinite() {
            self.joint.borrow_mut().entry(joint).or_default().push((stops, bought.clone()));
        }
        bought
    }

    fn joint_of(&self, group: &Group, columns: &[usize]) -> Joint {
        let charges = |w: usize, c: usize| {
            let rows = group.limits.iter().flat_map(|limit| &self.prepared.limits[*limit].rows);
            rows.flat_map(|row| &row.paid).any(|&(of, column, _)| (of, column) == (w, c))
        };
        let is_of = |&(w, c): &(usize, usize)| {
            group.pools[self.prepared.problem.workloads[w].columns[c].pool] || charges(w, c)
        };
        let columns = columns.iter().copied().enumerate().filter(is_of).collect();
        Joint { limits: group.limits.clone(), columns }
    }

    /// Buys in parts of nodes, then whole where they stay, each rounded; then whole altogether, unless that is close enough.
    fn buy_jointly(
        &self,
        group: &Group,
        columns: &[usize],
        stops: Stops,
        nodes: &[f64],
    ) -> Result<Jointly, NoDraft> {
        let pools = &group.pools;
        let mut case = self.case.fixed(columns);
        let is_asked = |index: usize| group.limits.contains(&index);
        case.limits
            .iter_mut()
            .enumerate()
            .for_each(|(index, value)| *value = value.filter(|_| is_asked(index)));
        let worth = stops.worth - self.cost_of(nodes, |pool| !pools[pool]);
        let mut found = Search { least: 0.0, best: None, rel_gap: stops.rel_gap };
        for whole in [WholeNodes::None, WholeNodes::Committed] {
            let draft = match self.solve_jointly(&case, pools, whole, stops) {
                Ok(draft) => draft,
                Err(NoDraft::OutOfNodes) => break,
                Err(why) => return Err(why),
            };
            found.least = found.least.max(draft.found.bound);
            if found.least > worth {
                return Err(NoDraft::OutOfNodes);
            }
            let mut rounded = nodes.to_vec();
            self.take(&draft, pools, &mut rounded);
            self.round(&case, pools, columns, &mut rounded);
            if self.covers(pools, columns, &rounded)
                && !self.broken_limits(&rounded, columns).into_iter().any(is_asked)
            {
                found.add(self.jointly(pools, &rounded));
            }
            if found.is_close() {
                break;
            }
        }
        if found.is_close() {
            return found.end(false);
        }
        let draft = self.solve_jointly(&case, pools, WholeNodes::All, stops)?;
        let mut whole = nodes.to_vec();
        self.take(&draft, pools, &mut whole);
        whole.iter_mut().for_each(|count| *count = count.round());
        if !stops.merges_hours {
            found.least = found.least.max(draft.found.bound);
        }
        let is_cheapest = found.add(self.jointly(pools, &whole));
        found.end(is_cheapest && draft.found.is_within_gap)
    }

    fn round(&self, case: &Case, pools: &[bool], columns: &[usize], nodes: &mut [f64]) {
        let needs: Vec<(usize, PoolNeed)> = (0..pools.len())
            .filter(|&pool| pools[pool])
            .map(|pool| (pool, self.need(pool, columns)))
            .collect();
        rounding::round(self.prepared, case, columns, &needs, nodes);
    }

    fn jointly(&self, pools: &[bool], nodes: &[f64]) -> Jointly {
        let cost = self.cost_of(nodes, |pool| pools[pool]);
        let nodes = self.vars_of(pools).map(|index| (index, nodes[index])).collect();
        Jointly { nodes, cost, least: 0.0, is_solved: false }
    }
}

/// What was found of a purchase so far.
struct Search {
    least: f64,
    best: Option<Jointly>,
    rel_gap: f64,
}

impl Search {
    /// Keeps what is cheaper than the best, and whether it is.
    fn add(&mut self, bought: Jointly) -> bool {
        let is_cheaper = self.best.as_ref().is_none_or(|best| bought.cost < best.cost);
        if is_cheaper {
            self.best = Some(bought);
        }
        is_cheaper
    }

    fn is_close(&self) -> bool {
        self.best.as_ref().is_some_and(|best| best.cost - self.least <= self.rel_gap * self.least)
    }

    /// The best that was found, of which a program may have proven more than the bound says.
    fn end(self, is_proven: bool) -> Result<Jointly, NoDraft> {
        let is_solved = is_proven || self.is_close();
        let best = self.best.ok_or(NoDraft::OutOfNodes)?;
        Ok(Jointly { least: self.least.min(best.cost), is_solved, ..best })
    }
}

/// Ties pools and all groups that share one of them to one group, in which the limit is asked; `None` where there are none.
fn tie(groups: &mut Vec<Group>, limit: usize, pools: Vec<bool>) -> Option<()> {
    if !pools.contains(&true) {
        return None;
    }
    let shares = |group: &mut Group| group.pools.iter().zip(&pools).any(|(one, other)| *one && *other);
    let tied: Vec<Group> = groups.extract_if(.., shares).collect();
    let mut group = Group { pools, limits: vec![limit] };
    for other in tied {
        group.pools.iter_mut().zip(&other.pools).for_each(|(one, other)| *one |= other);
        group.limits.extend(other.limits);
    }
    group.limits.sort_unstable();
    group.limits.dedup();
    groups.push(group);
    Some(())
}

/// Returns what is known of a purchase at these stops; without stops the cheapest of all that is known.
fn known_at(
    known: &[(Stops, Result<Jointly, NoDraft>)],
    stops: Option<Stops>,
) -> Option<&Result<Jointly, NoDraft>> {
    let Some(stops) = stops else {
        let cost = |bought: &Result<Jointly, NoDraft>| bought.as_ref().map_or(f64::INFINITY, |b| b.cost);
        return known.iter().map(|(_, bought)| bought).min_by(|a, b| cost(a).total_cmp(&cost(b)));
    };
    known.iter().find(|(at, _)| *at == stops).map(|(_, bought)| bought)
}
