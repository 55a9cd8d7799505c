//! Which way to run each workload, and how to buy the nodes, at the least discounted cost under all limits.
//!
//! ```text
//! Problem ─flaws─▶ Prepared ─search─▶ Plan ─statement─▶ Solution      solve
//!                     └──────conflict────────────────▶ Conflict      which limits contradict, and the ways out
//!                     └──────prices_of_limits, runner_ups            the same search with one thing changed
//! ```
//!
//! The formulation, with w workloads, c columns, o offers, p periods, s slots of a typical month:
//!
//! ```text
//! minimise  Σ discounted cost(o) · nodes(o, …) + Σ paid(w, c) · column(w, c)
//! column(w, c) ∈ {0, 1},  Σ_c column(w, c) = 1
//! existing(p) + Σ_{o ∈ K} nodes(o, p, s) ≥ ⌈Σ_{w, c: offers ⊆ K} load(w, c, p, s) · column(w, c) / accelerators⌉
//! limits: linear rows over nodes, those on money over what columns pay too
//! ```
//!
//! How that is solved: `search` by size, `partition` and `walk` for few workloads with `pool_plans` for what limits are
//! worth and `within` for those of one pool, `local` for many. `buy` buys nodes for chosen columns, `joint` for pools that
//! limits couple, and `rounding` makes nodes whole. Loads are rounded up to whole replicas before the solve. All numbers
//! here are `f64`; the plan's nodes are whole, and its cost is the sum of its lines. The program knows no names, no currencies and no catalog, and
//! does not know whether a rate holds: that is what simulation is for. Only `solver` names the solver.

mod bounds;
mod buy;
mod circulation;
mod committed;
mod flaws;
mod joint;
mod local;
mod master;
mod partition;
mod pool_plans;
mod prepared;
mod problem;
mod purchase;
mod relax;
mod rounding;
mod search;
mod sensitivity;
mod solution;
mod solver;
mod statement;
mod walk;
mod within;

pub use committed::{Committed, bound_months};
pub use problem::{
    Bound, Column, Limit, LimitId, Offer, OfferRef, Period, Pool, Problem, Rule, Runs, Slot, Terms, Workload,
    charged_accelerators, day_type_slots,
};
pub use relax::conflict;
pub(crate) use search::PRICED;
pub use sensitivity::{prices_of_limits, runner_ups};
pub use solution::{
    Conflict, CostItem, CostLine, Flaw, LimitPrice, LimitUse, Member, Method, NoPlan, Nodes, Options,
    Purchase, RunnerUp, Solution, Status, Unservable, WayOut,
};

use master::{Case, NoDraft};
use prepared::Prepared;

/// Returns the cheapest plan, or why there is none.
///
/// # Errors
/// See [`NoPlan`].
pub fn solve(problem: &Problem, options: &Options) -> Result<Solution, NoPlan> {
    let prepared = prepare(problem)?;
    let proven = search::search(&prepared, &Case::of(&prepared), options).map_err(no_plan)?;
    Ok(statement::state(&prepared, &proven))
}

/// Returns what every plan costs at least, limits aside: cheap, and no plan is looked for. `None` where that is not
/// known, infinite where nothing can serve some workload.
pub fn costs_at_least(problem: &Problem) -> Option<f64> {
    let prepared = match prepare(problem) {
        Ok(prepared) => prepared,
        Err(NoPlan::Infeasible(_)) => return Some(f64::INFINITY),
        Err(_) => return None,
    };
    search::costs_at_least(&prepared, &Case::of(&prepared))
}

/// Lowers a problem, unless it has flaws or a workload that nothing can serve.
fn prepare(problem: &Problem) -> Result<Prepared<'_>, NoPlan> {
    let flaws = problem.flaws();
    if !flaws.is_empty() {
        return Err(NoPlan::Flawed(flaws));
    }
    let prepared = Prepared::new(problem);
    let unservable = statement::unservable(&prepared);
    if !unservable.is_empty() {
        return Err(NoPlan::Infeasible(unservable));
    }
    Ok(prepared)
}

fn no_plan(why: NoDraft) -> NoPlan {
    match why {
        NoDraft::Infeasible => NoPlan::Infeasible(Vec::new()),
        NoDraft::OutOfNodes => NoPlan::Undecided,
        NoDraft::Failed(why) => NoPlan::Solver(why),
    }
}
