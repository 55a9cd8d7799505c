//! What runs on one pool, bought under the limits that are asked of that pool alone.
//!
//! A limit on a share of what a workload's pool buys couples hours but no pools. With nodes that stay whole and
//! nodes by the hour in parts it is a small program: what it proves is a bound of the whole-number purchase, short
//! of it by little, since each such limit leaves parts in about one hour. Limits that couple pools come in as
//! costs.

use super::master::{self, Case, Goal, NoDraft, Whole, WholeNodes};
use super::prepared::Prepared;
use super::solver::Stops;

/// For purchases that only bound: their gap is below what choices differ by.
const STOPS: Stops = Stops { rel_gap: 1e-3, max_nodes: 100, merges_hours: true, worth: f64::INFINITY };

/// A purchase for one pool.
#[derive(Debug, Clone)]
pub(super) struct Within {
    /// No purchase that keeps the pool's own limits costs less; infinite where none keeps them.
    pub at_least: f64,
    /// (variable, nodes), only counts above 0.
    pub nodes: Vec<(usize, f64)>,
    /// What the pool's own limits are worth, by limit and row.
    pub prices: Vec<Vec<f64>>,
}

/// Whether a limit is asked of what these (workload, column) pairs run on a pool.
pub(super) fn is_asked(prepared: &Prepared<'_>, case: &Case, pool: usize, pairs: &[(usize, usize)]) -> bool {
    let limits = prepared.limits.iter().zip(&case.limits).filter(|(_, value)| value.is_some());
    limits
        .flat_map(|(limit, _)| &limit.rows)
        .any(|row| row.only.is_some_and(|(w, of)| of == pool && pairs.iter().any(|pair| pair.0 == w)))
}

/// Returns the cheapest purchase at `costs` by variable for what runs on a pool, with these nodes whole; `None` where
/// the solver gave up.
pub(super) fn buy(
    prepared: &Prepared<'_>,
    case: &Case,
    (costs, nodes): (&[f64], WholeNodes),
    (pool, pairs): (usize, &[(usize, usize)]),
) -> Option<Within> {
    let mut columns = vec![Vec::new(); case.columns.len()];
    pairs.iter().for_each(|&(w, c)| columns[w] = vec![c]);
    let limits = prepared.limits.iter().zip(&case.limits).map(|(limit, value)| {
        let is_own = limit.rows.iter().any(|row| row.only.is_some());
        value.filter(|_| is_own)
    });
    let case = Case { columns, limits: limits.collect() };
    let mut pools = vec![false; prepared.problem.pools.len()];
    pools[pool] = true;
    let whole = Whole { columns: false, nodes };
    match master::solve(prepared, &case, (whole, Goal::Charged(costs), STOPS), Some(&pools)) {
        Ok(draft) => {
            let vars = prepared.pool_vars[pool].iter();
            let nodes = vars.map(|&var| (var, draft.nodes[var])).filter(|(_, count)| *count > 0.0);
            let nodes = nodes.collect();
            Some(Within { at_least: draft.found.bound, nodes, prices: draft.prices })
        }
        Err(NoDraft::Infeasible) => {
            Some(Within { at_least: f64::INFINITY, nodes: Vec::new(), prices: Vec::new() })
        }
        Err(NoDraft::OutOfNodes | NoDraft::Failed(_)) => None,
    }
}
