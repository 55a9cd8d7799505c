//! What one more unit of a limit is worth, and what the next best choice costs: by solving again.
//!
//! Duals of the relaxation are not used: they price a relaxed plan, not the one that is bought.

use super::master::{Case, NoDraft};
use super::problem::{Bound, Problem};
use super::search;
use super::solution::{LimitPrice, NoPlan, Options, RunnerUp, Solution};

/// Returns what relaxing each limit that is nearly used up by the share `step` would save.
///
/// A limit is tried if less than twice the step of it is unused. The old plan keeps a looser limit, so a
/// saving is never negative even if the search for the new plan ends with a gap.
///
/// # Errors
/// As [`super::solve`].
pub fn prices_of_limits(
    problem: &Problem,
    solution: &Solution,
    options: &Options,
    step: f64,
) -> Result<Vec<LimitPrice>, NoPlan> {
    let prepared = super::prepare(problem)?;
    let mut prices = Vec::new();
    for (index, limit) in prepared.limits.iter().enumerate() {
        let value = limit.bound.value();
        let used = solution.limits[index].used;
        let (is_near, relaxed_to) = match limit.bound {
            Bound::AtMost(_) => (used >= value * (1.0 - 2.0 * step), value * (1.0 + step)),
            Bound::AtLeast(_) => (used <= value * (1.0 + 2.0 * step), value * (1.0 - step)),
        };
        if !is_near || value <= 0.0 || step <= 0.0 {
            continue;
        }
        let mut case = Case::of(&prepared);
        case.limits[index] = Some(relaxed_to);
        let cost = match search::search(&prepared, &case, options) {
            Ok(proven) => proven.plan.cost,
            Err(NoDraft::Failed(why)) => return Err(NoPlan::Solver(why)),
            // The old plan is feasible here; not to find it again says nothing about savings.
            Err(NoDraft::Infeasible | NoDraft::OutOfNodes) => continue,
        };
        let saving = (solution.objective - cost).max(0.0);
        let saving_per_unit = saving / (relaxed_to - value).abs();
        prices.push(LimitPrice { limit: limit.id, value, relaxed_to, saving, saving_per_unit });
    }
    Ok(prices)
}

/// Returns for each workload the best plan in which it may not run its chosen column, cheapest first.
///
/// # Errors
/// As [`super::solve`].
pub fn runner_ups(
    problem: &Problem,
    solution: &Solution,
    options: &Options,
) -> Result<Vec<RunnerUp>, NoPlan> {
    let prepared = super::prepare(problem)?;
    let case = Case::of(&prepared);
    let runner_up = |workload: usize| {
        let chosen = (solution.columns.as_slice(), workload);
        let (plan, others_kept) = search::without_column(&prepared, &case, options, chosen)?;
        Some(RunnerUp { workload, columns: plan.columns, cost: plan.cost, others_kept })
    };
    let mut runner_ups: Vec<RunnerUp> = (0..problem.workloads.len()).filter_map(runner_up).collect();
    runner_ups.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.workload.cmp(&b.workload)));
    Ok(runner_ups)
}
