//! Which limits contradict each other, and how far each must move.
//!
//! A deletion filter (Chinneck, Feasibility and Infeasibility in Optimization, 2008, section 6.1) drops one
//! limit after the other and keeps dropped those without which it is still infeasible; what is left is
//! irreducible. Node limits of offers are tried first, so that a conflict names the plan's own limits where
//! it can. It does not know which way out a person would like.

use super::buy::Buyer;
use super::master::{self, Case, Draft, Goal, NoDraft, Whole, WholeNodes};
use super::prepared::{LimitRow, LoweredLimit, Prepared};
use super::problem::{Bound, Problem};
use super::search;
use super::solution::{Conflict, Member, NoPlan, Options, WayOut};
use super::solver::Stops;
use super::statement::limit_uses;

/// Steps of Dinkelbach's method; it converges superlinearly, and 3 to 5 are usual.
const MAX_RATIO_STEPS: usize = 20;
/// A relaxed limit is set this share beyond the value found, so that rounding does not make it infeasible.
const MARGIN: f64 = 1e-9;

/// Returns an irreducible set of limits that cannot hold together; `None` if all limits can hold.
///
/// Where no one of them alone is a way out, other limits contradict each other too: sets that share no limit follow until
/// the rest can hold.
///
/// # Errors
/// As [`super::solve`]; a workload that cannot run whatever the limits are is [`NoPlan::Infeasible`].
pub fn conflict(problem: &Problem, options: &Options) -> Result<Option<Conflict>, NoPlan> {
    let prepared = super::prepare(problem)?;
    let mut freed = Case::of(&prepared);
    let Some((mut limits, mut is_proven_minimal)) = irreducible(&prepared, &freed, options)? else {
        return Ok(None);
    };
    let mut way_outs: Vec<_> = limits.iter().map(|limit| way_out(&prepared, *limit, options)).collect();
    let mut uses = Vec::new();
    if way_outs.iter().all(Option::is_none) {
        limits.iter().for_each(|limit| freed.limits[*limit] = None);
        while let Ok(Some((more, is_proven))) = irreducible(&prepared, &freed, options) {
            more.iter().for_each(|limit| freed.limits[*limit] = None);
            is_proven_minimal &= is_proven;
            limits.extend(more);
        }
        way_outs.resize(limits.len(), None);
        let plan = search::search(&prepared, &freed, options).map(|proven| proven.plan);
        uses = plan.map(|plan| limit_uses(&prepared, &plan)).unwrap_or_default();
    }
    let member = |(limit, way_out): (usize, Option<WayOut>)| Member {
        limit: prepared.limits[limit].id,
        value: prepared.limits[limit].bound.value(),
        way_out,
        together: uses
            .get(limit)
            .map(|of| of.used)
            .filter(|used| passes(prepared.limits[limit].bound, *used)),
    };
    let members = limits.into_iter().zip(way_outs).map(member).collect();
    Ok(Some(Conflict { members, is_proven_minimal }))
}

/// Returns the limits of a case that cannot hold together, and whether each of them is proven to be needed for that; `None`
/// if all of them can hold.
fn irreducible(
    prepared: &Prepared,
    case: &Case,
    options: &Options,
) -> Result<Option<(Vec<usize>, bool)>, NoPlan> {
    let mut case = case.clone();
    let mut is_proven_minimal = match is_feasible(prepared, &case, options) {
        Some(true) => return Ok(None),
        Some(false) => true,
        None => return Err(NoPlan::Undecided),
    };
    for limit in 0..prepared.limits.len() {
        let Some(value) = case.limits[limit].take() else { continue };
        match is_feasible(prepared, &case, options) {
            Some(false) => continue,
            Some(true) => {}
            None => is_proven_minimal = false,
        }
        case.limits[limit] = Some(value);
    }
    let in_conflict = (0..prepared.limits.len()).filter(|limit| case.limits[*limit].is_some());
    Ok(Some((in_conflict.collect(), is_proven_minimal)))
}

/// Whether a use is beyond a limit by more than rounding.
fn passes(bound: Bound, used: f64) -> bool {
    let beyond = match bound {
        Bound::AtMost(most) => used - most,
        Bound::AtLeast(least) => least - used,
    };
    beyond > MARGIN * bound.value().abs().max(1.0)
}

/// The gap of a search that only asks whether there is a plan.
const ANY: f64 = 1.0;

/// Whether some plan keeps the limits of the case; `None` if the node limit was reached first.
fn is_feasible(prepared: &Prepared, case: &Case, options: &Options) -> Option<bool> {
    if case.columns.iter().any(Vec::is_empty) {
        return Some(false);
    }
    // Any plan will do: the first that is found ends the search, and that there is none is proven whatever the gap.
    let stops =
        Stops { rel_gap: ANY, max_nodes: options.max_nodes, merges_hours: false, worth: f64::INFINITY };
    let relaxed = Whole { columns: false, nodes: WholeNodes::None };
    match master::solve(prepared, case, (relaxed, Goal::Cost, stops), None) {
        Err(NoDraft::Infeasible) => return Some(false),
        Err(_) => return None,
        Ok(draft) => {
            if Buyer::new(prepared, case).buy(&draft.columns(case), Some(stops)).is_ok() {
                return Some(true);
            }
        }
    }
    match search::search(prepared, case, &Options { good_gap: ANY, rel_gap: ANY, ..*options }) {
        Ok(_) => Some(true),
        Err(NoDraft::Infeasible) => Some(false),
        Err(_) => None,
    }
}

/// Returns the nearest value of a limit at which all other limits can hold, and the cost of the plan with it.
fn way_out(prepared: &Prepared, limit: usize, options: &Options) -> Option<WayOut> {
    let mut case = Case::of(prepared);
    case.limits[limit] = None;
    let stops =
        Stops { rel_gap: 0.0, max_nodes: options.max_nodes, merges_hours: false, worth: f64::INFINITY };
    let lowered = &prepared.limits[limit];
    if lowered.rows.iter().any(|row| row.only.is_some()) {
        return way_out_of_share(prepared, &case, limit, options);
    }
    let (draft, case_then) = if lowered.rows.iter().any(|row| row.base.is_some()) {
        nearest_ratio(prepared, &case, limit, stops)?
    } else {
        nearest(prepared, &case, (Goal::Need { limit }, stops))?
    };
    let value = used(lowered, &draft.nodes, &case_then)?;
    let margin = if matches!(lowered.bound, Bound::AtMost(_)) { 1.0 + MARGIN } else { 1.0 - MARGIN };
    case.limits[limit] = Some(value * margin);
    let found = search::search(prepared, &case, options);
    // The search may miss a plan that only these columns allow.
    let cost = found.map(|proven| proven.plan.cost).or_else(|_| {
        case.columns = case_then.columns;
        search::search(prepared, &case, options).map(|proven| proven.plan.cost)
    });
    let is_proven_nearest = draft.found.is_within_gap && draft.found.objective.is_finite();
    Some(WayOut { value, cost: cost.ok()?, is_proven_nearest })
}

/// The value of a workload's share at which a plan exists, halved towards the limit a few times from what the cheapest
/// plan without that limit has.
fn way_out_of_share(prepared: &Prepared, case: &Case, limit: usize, options: &Options) -> Option<WayOut> {
    let plan = search::search(prepared, case, options).ok()?.plan;
    let lowered = &prepared.limits[limit];
    let asked = lowered.rows.iter().filter(|row| row.is_asked(prepared.problem, &plan.columns));
    let (mut enough, mut short) =
        (farthest(lowered, asked, (&plan.nodes, &plan.columns))?, lowered.bound.value());
    let mut trial = case.clone();
    for _ in 0..SHARE_STEPS {
        let middle = (enough + short) / 2.0;
        trial.limits[limit] = Some(middle);
        match is_feasible(prepared, &trial, options) {
            Some(true) => enough = middle,
            _ => short = middle,
        }
    }
    Some(WayOut { value: enough, cost: plan.cost, is_proven_nearest: false })
}

/// How often the distance of a share is halved: to a thirty-second of it.
const SHARE_STEPS: usize = 5;

/// The integer program for a goal other than cost, with the columns that it chose.
fn nearest(prepared: &Prepared, case: &Case, (goal, stops): (Goal<'_>, Stops)) -> Option<(Draft, Case)> {
    let whole = Whole { columns: true, nodes: WholeNodes::All };
    let mut draft = master::solve(prepared, case, (whole, goal, stops), None).ok()?;
    draft.nodes.iter_mut().for_each(|count| *count = count.round());
    let fixed = case.fixed(&draft.columns(case));
    Some((draft, fixed))
}

/// Dinkelbach's method (Management Science 13(7), 1967): minimise lhs − ratio · base, take the ratio of the
/// answer, repeat until it does not improve.
fn nearest_ratio(prepared: &Prepared, case: &Case, limit: usize, stops: Stops) -> Option<(Draft, Case)> {
    let lowered = &prepared.limits[limit];
    let mut best = nearest(prepared, case, (Goal::Ratio { limit, ratio: lowered.bound.value() }, stops))?;
    for _ in 0..MAX_RATIO_STEPS {
        let ratio = used(lowered, &best.0.nodes, &best.1)?;
        let next = nearest(prepared, case, (Goal::Ratio { limit, ratio }, stops))?;
        let change = used(lowered, &next.0.nodes, &next.1)? - ratio;
        if change.abs() <= MARGIN {
            break;
        }
        best = next;
    }
    Some(best)
}

/// The value that a limit must have for a purchase of a case with one column per workload to keep it.
fn used(limit: &LoweredLimit, nodes: &[f64], fixed: &Case) -> Option<f64> {
    let columns: Vec<usize> = fixed.columns.iter().flatten().copied().collect();
    farthest(limit, limit.rows.iter(), (nodes, &columns))
}

fn farthest<'r>(
    limit: &LoweredLimit,
    rows: impl Iterator<Item = &'r LimitRow>,
    (nodes, columns): (&[f64], &[usize]),
) -> Option<f64> {
    let ratios = rows.map(|row| row.sides(nodes, columns)).filter(|(_, base)| *base > 0.0);
    let ratios = ratios.map(|(lhs, base)| lhs / base);
    match limit.bound {
        Bound::AtMost(_) => ratios.reduce(f64::max),
        Bound::AtLeast(_) => ratios.reduce(f64::min),
    }
}
