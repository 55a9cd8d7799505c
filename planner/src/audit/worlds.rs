//! Were worlds drawn as the plan says, and is the plan the one that is regretted least in them?

use super::{Check, same};
use capstan_types::blueprint::{AuditCheck, Blueprint, Status, Uncertainty};
use capstan_types::spec::Uncertain;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// How far a quantile that is computed from a rounded value may lie from its part of the distribution.
const ROUNDED: f64 = 1e-6;

/// Every quantity is drawn once from each part of its distribution, and regrets follow from the costs of the worlds.
pub(super) fn weighed(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("worlds: drawn from their distributions, and least regretted");
    let uncertain = &blueprint.inputs.spec.uncertain;
    let Some(found) = &blueprint.uncertainty else {
        check.that(uncertain.is_empty(), || "quantities are uncertain, and no world was drawn".to_owned());
        return check.done();
    };
    check.that(found.worlds.iter().all(|world| world.values.len() == uncertain.len()), || {
        "a world does not say what every quantity is".to_owned()
    });
    for (index, quantity) in uncertain.iter().enumerate() {
        let values = found.worlds.iter().filter_map(|world| world.values.get(index).copied());
        spread(&mut check, quantity, values.collect());
    }
    regrets(&mut check, found);
    for quantity in uncertain {
        check.that(found.swings.iter().any(|swing| swing.quantity == quantity.name), || {
            format!("what {} does to the cost is not said", quantity.name)
        });
    }
    check.done()
}

/// Scenarios are those of the plan, and what is told of each agrees with itself.
pub(super) fn scenarios(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("scenarios: declared, and told without contradiction");
    let declared = &blueprint.inputs.spec.scenarios;
    for (index, scenario) in blueprint.scenarios.iter().enumerate() {
        let name = &scenario.name;
        let first = blueprint.scenarios.iter().position(|other| other.name == *name) == Some(index);
        check.that(declared.contains(name) && first, || {
            format!("`{name}` is no scenario of the plan, or told twice")
        });
        let is_plan = scenario.status != Status::Infeasible;
        check.that(is_plan == scenario.total.is_some() && is_plan == scenario.net_present.is_some(), || {
            format!("`{name}` costs something without a plan, or nothing with one")
        });
        let all_met = scenario.levels_met == scenario.levels;
        let holds = all_met && scenario.problems.is_empty();
        check.that(
            scenario.levels_met <= scenario.levels && (scenario.status != Status::Feasible || holds),
            || format!("`{name}` holds, with {} of {} levels met", scenario.levels_met, scenario.levels),
        );
        check.that(is_plan || !scenario.problems.is_empty(), || {
            format!("`{name}` has no plan, and nothing says why")
        });
    }
    check.done()
}

/// One value lies in each of as many equally likely parts.
fn spread(check: &mut Check, quantity: &Uncertain, values: Vec<f64>) {
    let parts = values.len() as f64;
    let mut quantiles: Vec<f64> = values.into_iter().map(|value| quantile(quantity, value)).collect();
    quantiles.sort_by(f64::total_cmp);
    let is_spread = quantiles.iter().enumerate().all(|(part, quantile)| {
        let at = quantile * parts - part as f64;
        (-ROUNDED * parts..=1.0 + ROUNDED * parts).contains(&at)
    });
    check.that(is_spread, || format!("what was drawn of {} is not as likely as it says", quantity.name));
}

/// Returns the share of the distribution that lies below a value.
fn quantile(quantity: &Uncertain, value: f64) -> f64 {
    let Uncertain { low, mid, high, .. } = *quantity;
    let (end, side) = if value < mid { (low, -1.0) } else { (high, 1.0) };
    let along = if low > 0.0 {
        if end == mid { 0.0 } else { libm::log(value / mid) / libm::log(end / mid) }
    } else if end == mid {
        0.0
    } else {
        (value - mid) / (end - mid)
    };
    below(side * along * width(quantity.confidence))
}

/// Returns the share of the standard normal distribution that lies below a deviate.
fn below(deviate: f64) -> f64 {
    0.5 * libm::erfc(-deviate / std::f64::consts::SQRT_2)
}

/// Returns the deviate of both ends of a confidence, by halving.
fn width(confidence: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if below(middle) < (1.0 + confidence) / 2.0 { low = middle } else { high = middle }
    }
    low
}

fn regrets(check: &mut Check, found: &Uncertainty) {
    let Some(chosen) = found.plans.first() else {
        check.that(false, || "no plan was weighed".to_owned());
        return;
    };
    let pairs = found.worlds.iter().filter_map(|world| world.planned.zip(world.cheapest));
    let regrets: Vec<Decimal> = pairs.map(|(planned, cheapest)| planned - cheapest).collect();
    check.that(regrets.iter().all(|regret| *regret >= -Decimal::ONE), || {
        "in a world the plan costs less than the cheapest".to_owned()
    });
    let sum: Decimal = regrets.iter().sum();
    let mean = sum.checked_div(Decimal::from(regrets.len())).unwrap_or_default();
    let worst = regrets.iter().copied().max().unwrap_or_default();
    let close = |told: Decimal, seen: Decimal| (told - seen).abs() <= Decimal::ONE;
    check.that(close(chosen.mean_regret, mean) && close(chosen.worst_regret, worst), || {
        format!("a regret of {} on average is told, {mean:.2} seen", chosen.mean_regret)
    });
    let short =
        found.worlds.iter().filter(|world| world.cheapest.is_some() && world.planned.is_none()).count();
    check.that(chosen.falls_short_in as usize == short, || {
        format!("it falls short in {short} worlds, {} are told", chosen.falls_short_in)
    });
    let parts: Decimal = found.regret_parts.iter().map(|part| part.mean).sum();
    let number = |amount: Decimal| amount.to_f64().unwrap_or(f64::NAN);
    check.that(same(number(parts), number(mean)) || close(parts, mean), || {
        format!("the parts of the regret sum to {parts}, not to {mean:.2}")
    });
    let rank = |plan: &capstan_types::blueprint::ConsideredPlan| (plan.falls_short_in, plan.mean_regret);
    let least = found.plans.iter().all(|other| rank(other) >= rank(chosen));
    check.that(least, || "another plan is regretted less".to_owned());
}

#[cfg(test)]
mod tests {
    use super::super::tests::caught_by;
    use super::*;
    use capstan_types::blueprint::Blueprint;

    fn seen(change: impl FnOnce(&mut Uncertainty)) {
        caught_by("worlds", |blueprint: &mut Blueprint| {
            change(blueprint.uncertainty.as_mut().expect("the example is uncertain"));
        });
    }

    #[test]
    fn worlds_that_were_not_drawn_are_seen() {
        caught_by("worlds", |blueprint| blueprint.uncertainty = None);
        seen(|found| found.worlds[3].values[0] *= 1.5);
        seen(|found| found.worlds[0].values.clear());
        seen(|found| found.swings.clear());
    }

    #[test]
    fn regrets_that_do_not_follow_are_seen() {
        seen(|found| found.plans[0].mean_regret += Decimal::from(1000));
        seen(|found| found.plans[0].falls_short_in += 1);
        seen(|found| found.plans.swap(0, 1));
        seen(|found| found.worlds[2].planned = Some(Decimal::ONE));
        seen(|found| found.regret_parts.clear());
        seen(|found| found.plans.clear());
    }

    #[test]
    fn scenarios_that_contradict_themselves_are_seen() {
        let seen = |change: fn(&mut capstan_types::blueprint::ScenarioOutcome)| {
            caught_by("scenarios", |blueprint| change(&mut blueprint.scenarios[0]));
        };
        seen(|scenario| scenario.name = "another".to_owned());
        seen(|scenario| scenario.total = None);
        seen(|scenario| scenario.levels_met = 1);
        seen(|scenario| scenario.status = Status::Infeasible);
        seen(|scenario| scenario.problems.push("a level is missed".to_owned()));
    }

    #[test]
    fn quantiles_are_those_of_the_bounds() {
        let mut quantity = Uncertain {
            name: String::new(),
            place: capstan_types::place::Span::default().in_file(&capstan_types::place::FileId::new("a")),
            unit: String::new(),
            mid: 40.0,
            low: 25.0,
            high: 80.0,
            confidence: 0.9,
            value: 40.0,
        };
        for (low, values) in [(25.0, [25.0, 40.0, 80.0]), (-5.0, [-5.0, 40.0, 80.0])] {
            quantity.low = low;
            for (value, share) in values.into_iter().zip([0.05, 0.5, 0.95]) {
                assert!((quantile(&quantity, value) - share).abs() < 1e-9);
            }
        }
    }
}
