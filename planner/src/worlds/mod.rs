//! Which plan is regretted least, where nobody knows what demand, prices and growth will be?
//!
//! Worlds are drawn, one stream for each uncertain quantity, so that a further one leaves the others as they are. Each
//! world has its cheapest plan. What such a plan settles beforehand (see [`kept`](self)) is then held against every world,
//! with what that world makes it buy by the hour; the plan with the least mean regret is the answer. A plan that cannot do
//! in a world, where nothing can be had by the hour or a limit stops it, comes after all that can. Not known here: how a
//! value is distributed, which the language says, and whether service levels hold, which is simulated afterwards.

mod kept;
mod told;

use crate::derate::Deratings;
use crate::frame::{Effort, Frame, Unsolved};
use crate::plan::{PlanError, Turn, Whole};
use crate::program::{NoPlan, Problem, Solution};
use capstan_sim::random::Streams;
use capstan_types::blueprint::Uncertainty;
use capstan_types::offering::PurchaseOption;
use capstan_types::spec::{Spec, Uncertain};
use rayon::prelude::*;
use std::collections::BTreeMap;

pub use kept::Pick;
pub(crate) use kept::{Kept, Placed};

/// Worlds that are drawn.
pub const WORLDS: usize = 16;

/// A relative difference below which two costs are the same.
const SAME: f64 = 1e-9;

/// The quantile of each uncertain quantity, by its name.
pub type Quantiles = BTreeMap<String, f64>;

/// The plan as it is checked in another world.
#[derive(Debug, Clone)]
pub struct World {
    /// What is drawn there, in words.
    pub name: String,
    /// The plan.
    pub spec: Spec,
}

/// The plan in all its worlds.
#[derive(Debug, Clone, Default)]
pub struct Worlds {
    /// Those that are drawn.
    pub drawn: Vec<World>,
    /// Each quantity at its lower and at its upper bound, the others at their medians; then all at their upper bounds.
    pub bounds: Vec<World>,
}

/// Returns the quantiles of each world that is drawn: one in each of as many equal parts, in an order of its own for each
/// quantity.
pub fn drawn(seed: u64, uncertain: &[Uncertain]) -> Vec<(String, Quantiles)> {
    let mut worlds: Vec<(String, Quantiles)> =
        (1..=WORLDS).map(|number| (format!("world {number}"), Quantiles::new())).collect();
    for quantity in uncertain {
        let mut stream = Streams::new(seed).stream(&format!("uncertain/{}", quantity.name));
        let mut parts: Vec<usize> = (0..WORLDS).collect();
        for last in (1..WORLDS).rev() {
            parts.swap(last, stream.below(last as u64 + 1) as usize);
        }
        for ((_, world), part) in worlds.iter_mut().zip(parts) {
            world.insert(quantity.name.clone(), (part as f64 + stream.open_uniform()) / WORLDS as f64);
        }
    }
    worlds
}

/// Returns the quantiles of each quantity at its bounds, and of all at their upper ones.
pub fn bounds(uncertain: &[Uncertain]) -> Vec<(String, Quantiles)> {
    let low = |quantity: &Uncertain| (1.0 - quantity.confidence) / 2.0;
    let alone = uncertain.iter().flat_map(|quantity| {
        let one = |quantile| Quantiles::from([(quantity.name.clone(), quantile)]);
        let name = |bound: &str| format!("{} at its {bound} bound", quantity.name);
        [(name("lower"), one(low(quantity))), (name("upper"), one(1.0 - low(quantity)))]
    });
    let all = uncertain.iter().map(|quantity| (quantity.name.clone(), 1.0 - low(quantity))).collect();
    alone.chain([("everything at its upper bound".to_owned(), all)]).collect()
}

/// What a plan costs in a world, by the objective, with what is spent beside the program.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    cost: f64,
    parts: BTreeMap<Option<PurchaseOption>, f64>,
}

impl Outcome {
    fn of(frame: &Frame<'_>, problem: &Problem, solution: &Solution) -> Outcome {
        let mut parts: BTreeMap<Option<PurchaseOption>, f64> = BTreeMap::new();
        for line in &solution.lines {
            let option = frame.market.stands[line.offer.pool].quotes[line.offer.offer].option;
            *parts.entry(Some(option)).or_default() += line.discounted;
        }
        let cost = Whole::of(frame, problem, solution).objective;
        parts.insert(None, cost - parts.values().sum::<f64>());
        Outcome { cost, parts }
    }
}

/// A plan that is held against all worlds.
struct Candidate {
    cheapest_for: String,
    kept: Kept,
    /// By world; none where it cannot do.
    outcomes: Vec<Option<Outcome>>,
}

/// How a candidate does, over all worlds in which any plan does.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Regret {
    falls_short_in: u32,
    mean: f64,
    worst: f64,
}

/// The plan of least regret.
pub(crate) struct Chosen {
    /// What it settles; none where that is what the cheapest plan for the medians settles.
    pub kept: Option<Kept>,
    /// What is said of it.
    pub uncertainty: Uncertainty,
}

/// Returns the plan of least regret, given the cheapest for the medians; none where the plan is certain.
///
/// # Errors
/// Where a program cannot be solved: a mistake of ours.
pub(crate) fn least_regret(
    frame: &Frame<'_>,
    turn: &Turn<'_>,
    deratings: &Deratings,
    worlds: &Worlds,
) -> Result<Option<Chosen>, PlanError> {
    if worlds.drawn.is_empty() {
        return Ok(None);
    }
    let all: Vec<&World> = worlds.drawn.iter().chain(&worlds.bounds).collect();
    let frames: Vec<Frame<'_>> =
        all.par_iter().map(|world| in_world(frame, world)).collect::<Result<_, _>>()?;
    let cheapest: Vec<Option<(Kept, Outcome)>> =
        frames.par_iter().map(|frame| cheapest(frame, deratings)).collect::<Result<_, _>>()?;
    let medians = Kept::of(frame, &turn.serves, &turn.formulation, &turn.solution);
    let mut candidates =
        vec![Candidate { cheapest_for: "the medians".to_owned(), kept: medians, outcomes: Vec::new() }];
    for (world, found) in all.iter().zip(&cheapest) {
        let Some((kept, _)) = found else { continue };
        if candidates.iter().all(|known| known.kept != *kept) {
            let kept = kept.clone();
            candidates.push(Candidate { cheapest_for: world.name.clone(), kept, outcomes: Vec::new() });
        }
    }
    let pairs: Vec<(usize, usize)> = (0..candidates.len())
        .flat_map(|plan| (0..worlds.drawn.len()).map(move |world| (plan, world)))
        .collect();
    let outcomes: Vec<Option<Outcome>> = pairs
        .par_iter()
        .map(|&(plan, world)| with_recourse(&frames[world], &candidates[plan].kept, deratings))
        .collect::<Result<_, _>>()?;
    let mut outcomes = outcomes.into_iter();
    for candidate in &mut candidates {
        candidate.outcomes = outcomes.by_ref().take(worlds.drawn.len()).collect();
    }
    let optima =
        cheapest[..worlds.drawn.len()].iter().map(|found| found.as_ref().map(|(_, outcome)| outcome));
    let ranked = Ranked::of(candidates, optima.collect());
    let at_bounds = frames[worlds.drawn.len()..].par_iter();
    let at_bounds: Vec<Option<Outcome>> = at_bounds
        .map(|frame| with_recourse(frame, &ranked.chosen().kept, deratings))
        .collect::<Result<_, _>>()?;
    let uncertainty = told::uncertainty(frame, worlds, &ranked, &at_bounds);
    let kept = (ranked.order[0] != 0).then(|| ranked.chosen().kept.clone());
    Ok(Some(Chosen { kept, uncertainty }))
}

/// Returns what is the same over all rounds in a world.
fn in_world<'w>(frame: &Frame<'w>, world: &'w World) -> Result<Frame<'w>, PlanError> {
    let made = Frame::beside(&world.spec, frame.catalog, frame.traces, Some(frame))?;
    let turns = made.taking_turns().filter(|_| frame.turns);
    Ok(turns.unwrap_or(made))
}

/// Candidates and how they do.
struct Ranked {
    candidates: Vec<Candidate>,
    /// The cheapest outcome that is known of each world.
    best: Vec<Option<Outcome>>,
    regrets: Vec<Regret>,
    /// Candidates, the one of least regret first.
    order: Vec<usize>,
}

impl Ranked {
    /// A search for the cheapest plan stops at a gap, so another candidate may do better in a world.
    fn of(candidates: Vec<Candidate>, optima: Vec<Option<&Outcome>>) -> Ranked {
        let best: Vec<Option<Outcome>> = optima
            .into_iter()
            .enumerate()
            .map(|(world, optimum)| {
                let of_candidates = candidates.iter().filter_map(|one| one.outcomes[world].as_ref());
                optimum.into_iter().chain(of_candidates).min_by(|a, b| a.cost.total_cmp(&b.cost)).cloned()
            })
            .collect();
        let regrets: Vec<Regret> = candidates.iter().map(|one| regret(one, &best)).collect();
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        let rank = |index: usize| (regrets[index].falls_short_in, regrets[index].mean, index);
        order.sort_by(|&a, &b| {
            let ((short, mean, at), (other_short, other_mean, other_at)) = (rank(a), rank(b));
            let same = (mean - other_mean).abs() <= SAME * mean.abs().max(other_mean.abs());
            let by_mean = if same { std::cmp::Ordering::Equal } else { mean.total_cmp(&other_mean) };
            short.cmp(&other_short).then(by_mean).then(at.cmp(&other_at))
        });
        Ranked { candidates, best, regrets, order }
    }

    fn chosen(&self) -> &Candidate {
        &self.candidates[self.order[0]]
    }
}

fn regret(candidate: &Candidate, best: &[Option<Outcome>]) -> Regret {
    let mut regret = Regret { falls_short_in: 0, mean: 0.0, worst: 0.0 };
    let mut worlds = 0.0;
    for (outcome, best) in candidate.outcomes.iter().zip(best) {
        match (outcome, best) {
            (Some(outcome), Some(best)) => {
                let more = (outcome.cost - best.cost).max(0.0);
                regret.mean += more;
                regret.worst = regret.worst.max(more);
                worlds += 1.0;
            }
            (None, Some(_)) => regret.falls_short_in += 1,
            (_, None) => {}
        }
    }
    regret.mean /= f64::max(worlds, 1.0);
    regret
}

/// Returns the cheapest plan for a world, none where no plan keeps its limits.
fn cheapest(frame: &Frame<'_>, deratings: &Deratings) -> Result<Option<(Kept, Outcome)>, PlanError> {
    match frame.solve(deratings, Effort::Plan) {
        Ok((serves, formulation, solution)) => {
            let outcome = Outcome::of(frame, &formulation.problem, &solution);
            Ok(Some((Kept::of(frame, &serves, &formulation, &solution), outcome)))
        }
        Err(unsolved) => failed(unsolved).map(|()| None),
    }
}

/// Returns what a plan costs in a world with what it buys by the hour there; none where it cannot do.
///
/// Where a limit on a share stops it, it is tried again with nothing of which only a share may be bought.
fn with_recourse(
    frame: &Frame<'_>,
    kept: &Kept,
    deratings: &Deratings,
) -> Result<Option<Outcome>, PlanError> {
    for kept in [kept.clone(), kept.firmly()] {
        let frame = frame.keeping(kept);
        match frame.solve(deratings, Effort::Plan) {
            Ok((_, formulation, solution)) => {
                return Ok(Some(Outcome::of(&frame, &formulation.problem, &solution)));
            }
            Err(unsolved) => failed(unsolved)?,
        }
    }
    Ok(None)
}

/// That there is no plan is an answer; that a program cannot be solved is not.
fn failed(unsolved: Unsolved<'_>) -> Result<(), PlanError> {
    match unsolved {
        Unsolved::Infeasible(_) | Unsolved::Failed(NoPlan::Undecided) => Ok(()),
        Unsolved::Failed(why) => Err(PlanError::Program(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::place::{FileId, Span};

    fn quantity(name: &str) -> Uncertain {
        Uncertain {
            name: name.to_owned(),
            place: Span::default().in_file(&FileId::new("a.plan")),
            unit: String::new(),
            mid: 2.0,
            low: 1.0,
            high: 4.0,
            confidence: 0.9,
            value: 2.0,
        }
    }

    #[test]
    fn a_further_quantity_leaves_the_draws_of_the_others() {
        let (one, two) = (drawn(7, &[quantity("peak")]), drawn(7, &[quantity("growth"), quantity("peak")]));
        for ((_, one), (_, two)) in one.iter().zip(&two) {
            assert_eq!(one["peak"], two["peak"]);
        }
        assert_ne!(drawn(8, &[quantity("peak")]), one);
    }

    #[test]
    fn each_part_of_a_distribution_is_drawn_once() {
        let mut parts: Vec<usize> = drawn(1, &[quantity("peak")])
            .iter()
            .map(|(_, world)| (world["peak"] * WORLDS as f64) as usize)
            .collect();
        parts.sort_unstable();
        assert_eq!(parts, (0..WORLDS).collect::<Vec<_>>());
    }

    #[test]
    fn a_plan_that_falls_short_comes_after_one_that_is_regretted() {
        let outcome = |cost: f64| Some(Outcome { cost, parts: BTreeMap::new() });
        let plan = |name: &str, outcomes| Candidate {
            cheapest_for: name.to_owned(),
            kept: Kept::nothing(),
            outcomes,
        };
        let optima = [outcome(10.0), outcome(20.0), None];
        let ranked = Ranked::of(
            vec![
                plan("short", vec![outcome(10.0), None, None]),
                plan("dear", vec![outcome(16.0), outcome(20.0), None]),
                plan("middle", vec![outcome(11.0), outcome(22.0), None]),
                plan("as dear", vec![outcome(14.0), outcome(22.0), None]),
            ],
            optima.iter().map(Option::as_ref).collect(),
        );
        assert_eq!(ranked.order, [2, 1, 3, 0]);
        assert_eq!(ranked.regrets[2], Regret { falls_short_in: 0, mean: 1.5, worst: 2.0 });
        // Who holds where no plan was found before has others fall short there.
        let ranked = Ranked::of(
            vec![
                plan("short", vec![outcome(10.0), outcome(20.0), None]),
                plan("holds", vec![outcome(16.0), outcome(22.0), outcome(1.0)]),
            ],
            optima.iter().map(Option::as_ref).collect(),
        );
        assert_eq!(ranked.order, [1, 0]);
        assert_eq!(ranked.regrets[0], Regret { falls_short_in: 1, mean: 0.0, worst: 0.0 });
    }
}
