//! What is said of the plan of least regret: its worlds, the plans beside it, what its regret is made of.

use super::{Candidate, Outcome, Ranked, Worlds};
use crate::frame::Frame;
use crate::pricing::decimal;
use capstan_types::blueprint::{ConsideredPlan, RegretPart, Swing, Uncertainty, World};
use capstan_types::offering::PurchaseOption;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Plans that are shown, the chosen one among them.
const MOST_PLANS: usize = 6;

/// Returns what the blueprint says. `at_bounds` holds the chosen plan in the worlds at the bounds, in their order.
pub(super) fn uncertainty(
    frame: &Frame<'_>,
    worlds: &Worlds,
    ranked: &Ranked,
    at_bounds: &[Option<Outcome>],
) -> Uncertainty {
    let currency = frame.spec.frame.currency;
    let money = |amount: f64| currency.round(decimal(amount));
    let cost = |outcome: &Option<Outcome>| outcome.as_ref().map(|outcome| money(outcome.cost));
    let chosen = ranked.chosen();
    let drawn = worlds.drawn.iter().zip(&ranked.best).zip(&chosen.outcomes);
    let drawn: Vec<World> = drawn
        .map(|((world, best), planned)| World {
            values: world.spec.uncertain.iter().map(|quantity| quantity.value).collect(),
            cheapest: cost(best),
            planned: cost(planned),
        })
        .collect();
    let planned: Vec<Decimal> = drawn.iter().filter_map(|world| world.planned).collect();
    let mean = planned.iter().sum::<Decimal>().checked_div(Decimal::from(planned.len()));
    let plans = ranked.order.iter().take(MOST_PLANS).map(|&index| ConsideredPlan {
        cheapest_for: ranked.candidates[index].cheapest_for.clone(),
        words: ranked.candidates[index].kept.words(),
        falls_short_in: ranked.regrets[index].falls_short_in,
        mean_regret: money(ranked.regrets[index].mean),
        worst_regret: money(ranked.regrets[index].worst),
    });
    Uncertainty {
        mean_cost: mean.map(|mean| currency.round(mean)),
        plans: plans.collect(),
        regret_parts: parts(chosen, &ranked.best)
            .into_iter()
            .map(|(option, mean)| RegretPart { option, mean: money(mean) })
            .filter(|part| part.option.is_some() || !part.mean.is_zero())
            .collect(),
        swings: swings(frame, at_bounds.iter().map(cost).collect()),
        worlds: drawn,
    }
}

/// Returns how much more is paid in each way than in the cheapest plans, on average.
fn parts(chosen: &Candidate, best: &[Option<Outcome>]) -> BTreeMap<Option<PurchaseOption>, f64> {
    let mut sums: BTreeMap<Option<PurchaseOption>, f64> = BTreeMap::new();
    let mut worlds = 0.0;
    for (planned, best) in chosen.outcomes.iter().zip(best) {
        let (Some(planned), Some(best)) = (planned, best) else { continue };
        worlds += 1.0;
        for (&option, cost) in &planned.parts {
            *sums.entry(option).or_default() += cost;
        }
        for (&option, cost) in &best.parts {
            *sums.entry(option).or_default() -= cost;
        }
    }
    sums.into_iter().map(|(option, sum)| (option, sum / f64::max(worlds, 1.0))).collect()
}

/// Returns what each quantity moves the cost by, the most first; one that may be too much comes before all others.
fn swings(frame: &Frame<'_>, at_bounds: Vec<Option<Decimal>>) -> Vec<Swing> {
    let pairs = frame.spec.uncertain.iter().zip(at_bounds.chunks(2));
    let mut swings: Vec<Swing> = pairs
        .filter_map(|(quantity, pair)| {
            let [at_low, at_high] = *pair else { return None };
            Some(Swing { quantity: quantity.name.clone(), at_low, at_high })
        })
        .collect();
    let width = |swing: &Swing| swing.at_low.zip(swing.at_high).map(|(low, high)| (high - low).abs());
    swings.sort_by_key(|swing| (width(swing).is_some(), std::cmp::Reverse(width(swing))));
    swings
}
