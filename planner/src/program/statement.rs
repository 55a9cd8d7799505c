//! What a plan says: purchases, the lines of the bill, how far limits are used; and who cannot be served.

use super::buy::Plan;
use super::prepared::{Prepared, When};
use super::problem::{Bound, OfferRef};
use super::search::Proven;
use super::solution::{CostItem, CostLine, LimitUse, Nodes, Purchase, Solution, Status, Unservable};

/// A gap below this is rounding of the solver, which works to about 1e-9.
const NO_GAP: f64 = 1e-7;

/// Writes out a plan in indices of the problem.
pub(super) fn state(prepared: &Prepared, proven: &Proven) -> Solution {
    let lines = lines(prepared, &proven.plan.nodes);
    let paid = prepared.paid(proven.plan.columns.iter().copied().enumerate());
    let objective = lines.iter().map(|line| line.discounted).sum::<f64>() + paid;
    let best_bound = proven.best_bound.min(objective);
    let gap = if objective > 0.0 { ((objective - best_bound) / objective).max(0.0) } else { 0.0 };
    Solution {
        status: if gap <= NO_GAP { Status::Optimal } else { Status::WithinGap },
        method: proven.method,
        objective,
        best_bound,
        mixing_bound: proven.mixing_bound,
        gap,
        n_columns: prepared.masks.iter().map(Vec::len).sum(),
        n_nodes: proven.n_nodes,
        columns: proven.plan.columns.clone(),
        purchases: purchases(prepared, &proven.plan.nodes),
        lines,
        paid,
        limits: limit_uses(prepared, &proven.plan),
        unpriced: prepared.unpriced.clone(),
    }
}

fn purchases(prepared: &Prepared, nodes: &[f64]) -> Vec<Purchase> {
    let mut purchases = Vec::new();
    for (pool, vars) in prepared.pool_vars.iter().enumerate() {
        for offer in 0..prepared.problem.pools[pool].offers.len() {
            let of = OfferRef { pool, offer };
            let mut hourly = vec![vec![0; prepared.slot_of.len()]; prepared.n_periods];
            let bought = vars.iter().filter(|&&v| prepared.vars[v].offer == of && nodes[v] > 0.0);
            let mut is_hourly = false;
            for &var in bought {
                let count = nodes[var] as u64;
                match prepared.vars[var].when {
                    When::Periods { from, until } => {
                        purchases
                            .push(Purchase { offer: of, nodes: Nodes::Committed { count, from, until } });
                    }
                    When::Hour { period, slot } => {
                        is_hourly = true;
                        let slots = prepared.slot_of.iter().zip(&mut hourly[period]);
                        slots.filter(|(merged, _)| **merged == slot).for_each(|(_, nodes)| *nodes = count);
                    }
                }
            }
            if is_hourly {
                purchases.push(Purchase { offer: of, nodes: Nodes::Hourly { counts: hourly } });
            }
        }
    }
    purchases
}

fn lines(prepared: &Prepared, nodes: &[f64]) -> Vec<CostLine> {
    let periods = &prepared.problem.periods;
    let mut amounts: std::collections::BTreeMap<(OfferRef, usize, CostItem), f64> = Default::default();
    for (var, &count) in prepared.vars.iter().zip(nodes).filter(|(_, count)| **count > 0.0) {
        let mut add = |period: usize, item: CostItem, per_node: f64| {
            if per_node != 0.0 {
                *amounts.entry((var.offer, period, item)).or_insert(0.0) += per_node * count;
            }
        };
        if let When::Periods { from, .. } = var.when {
            add(from, CostItem::Capex, var.capex);
        }
        var.running.iter().for_each(|&(period, cost)| add(period, CostItem::Running, cost));
        add(prepared.n_periods - 1, CostItem::Residual, -var.residual);
    }
    let line = |((offer, period, item), amount): ((OfferRef, usize, CostItem), f64)| {
        let factor = match item {
            CostItem::Capex => periods[period].discount_at_start,
            CostItem::Running => periods[period].discount,
            CostItem::Residual => prepared.problem.discount_at_end,
        };
        CostLine { offer, period, item, amount, discounted: amount * factor }
    };
    amounts.into_iter().map(line).collect()
}

/// Returns how far a plan uses each limit.
pub(super) fn limit_uses(prepared: &Prepared, plan: &Plan) -> Vec<LimitUse> {
    let used = |limit: &super::prepared::LoweredLimit| {
        let asked = limit.rows.iter().filter(|row| row.is_asked(prepared.problem, &plan.columns));
        let uses = asked.filter_map(|row| {
            let (lhs, base) = row.sides(&plan.nodes, &plan.columns);
            (base > 0.0).then(|| lhs / base)
        });
        match limit.bound {
            Bound::AtMost(_) => uses.fold(0.0, f64::max),
            Bound::AtLeast(value) => uses.reduce(f64::min).unwrap_or(value),
        }
    };
    let limits = prepared.limits.iter();
    limits.map(|limit| LimitUse { limit: limit.id, used: used(limit), value: limit.bound.value() }).collect()
}

/// Returns the workloads that no column can serve even without limits, with the reason.
pub(super) fn unservable(prepared: &Prepared) -> Vec<Unservable> {
    (0..prepared.problem.workloads.len()).filter_map(|workload| reason(prepared, workload)).collect()
}

fn reason(prepared: &Prepared, workload: usize) -> Option<Unservable> {
    let columns = &prepared.problem.workloads[workload].columns;
    if columns.is_empty() {
        return Some(Unservable::NoColumns { workload });
    }
    let mut latest = 0;
    let mut has_offers = false;
    for (column, candidate) in columns.iter().enumerate() {
        latest = latest.max(first_unserved(prepared, workload, column)?);
        let pool = &prepared.problem.pools[candidate.pool];
        has_offers |= prepared.masks[workload][column] != 0 || pool.existing_nodes.iter().any(|n| *n > 0);
    }
    if has_offers {
        return Some(Unservable::NotInTime { workload, period: latest });
    }
    let has_unpriced = columns.iter().any(|c| {
        c.offers.iter().any(|offer| prepared.unpriced.contains(&OfferRef { pool: c.pool, offer: *offer }))
    });
    Some(Unservable::NoOffers { workload, has_unpriced })
}

/// First period in which a column needs nodes beyond the existing ones and no offer has any.
fn first_unserved(prepared: &Prepared, workload: usize, column: usize) -> Option<usize> {
    let pool = prepared.problem.workloads[workload].columns[column].pool;
    let shape = &prepared.problem.pools[pool];
    let mask = prepared.masks[workload][column];
    let load = &prepared.loads[workload][column];
    (0..prepared.n_points())
        .map(|point| (point / prepared.n_slots, point % prepared.n_slots, load[point]))
        .find_map(|(period, slot, load)| {
            let standing = u64::from(shape.existing_nodes[period]) * u64::from(shape.accelerators_per_node);
            let offered =
                |&var: &usize| prepared.offer_bit(var) & mask != 0 && prepared.vars[var].covers(period, slot);
            (load > standing && !prepared.pool_vars[pool].iter().any(offered)).then_some(period)
        })
}
