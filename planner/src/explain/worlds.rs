//! Why this plan, where nobody knows what will be?

use capstan_types::blueprint::{Blueprint, Swing, Uncertainty};
use capstan_types::explanation::Section;
use capstan_types::figure;
use rust_decimal::Decimal;

/// Quantities that are told of.
const MOST_SWINGS: usize = 3;

/// Returns how the plan of least regret was found, what its regret is made of, and what moves its cost most.
pub(super) fn regret(blueprint: &Blueprint) -> Section {
    let sentences = blueprint.uncertainty.as_ref().map_or_else(Vec::new, |found| sentences(blueprint, found));
    super::section("If things turn out otherwise", sentences)
}

fn sentences(blueprint: &Blueprint, found: &Uncertainty) -> Vec<String> {
    let money = |amount: Decimal| figure::money(amount, blueprint.cost.currency);
    let names: Vec<String> =
        blueprint.inputs.spec.uncertain.iter().map(|one| format!("`{}`", one.name)).collect();
    let mut told = vec![format!(
        "{} worlds were drawn for {}; of {} plans, this one is regretted least.",
        found.worlds.len(),
        names.join(", "),
        found.plans.len()
    )];
    if let Some(chosen) = found.plans.first() {
        told.push(format!(
            "It is what would be cheapest for {}: {}. It costs {} more than the cheapest plan of each world on average, and {} more at worst.",
            chosen.cheapest_for,
            chosen.words,
            money(chosen.mean_regret),
            money(chosen.worst_regret)
        ));
        if chosen.falls_short_in > 0 {
            told.push(format!(
                "In {} worlds it cannot do or passes a limit, though another plan would hold.",
                chosen.falls_short_in
            ));
        }
    }
    if let Some(medians) = found.plans.iter().skip(1).find(|plan| plan.cheapest_for == "the medians") {
        told.push(format!(
            "The plan that is cheapest for the medians would be regretted by {} on average, and falls short in {} worlds.",
            money(medians.mean_regret),
            medians.falls_short_in
        ));
    }
    let parts = found.regret_parts.iter().filter(|part| !part.mean.is_zero());
    let parts: Vec<String> = parts
        .map(|part| format!("{} {}", figure::signed_money(part.mean, blueprint.cost.currency), part.words()))
        .collect();
    if !parts.is_empty() {
        told.push(format!("On average that is {}.", parts.join(", ")));
    }
    told.extend(found.swings.iter().take(MOST_SWINGS).map(|swing| moved(blueprint, swing)));
    told
}

fn moved(blueprint: &Blueprint, swing: &Swing) -> String {
    let cost = |amount: Option<Decimal>| {
        amount.map_or_else(
            || "more than it can do".to_owned(),
            |amount| figure::money(amount, blueprint.cost.currency),
        )
    };
    let stated = blueprint.inputs.spec.uncertain.iter().find(|one| one.name == swing.quantity);
    let between = stated.map_or_else(String::new, |one| {
        format!(" from {} to {} {}", figure::short(one.low), figure::short(one.high), one.unit)
            .trim_end()
            .to_owned()
    });
    format!(
        "`{}`{between} moves the cost from {} to {}.",
        swing.quantity,
        cost(swing.at_low),
        cost(swing.at_high)
    )
}
