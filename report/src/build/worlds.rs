//! How the plan does where uncertain quantities turn out otherwise.

use crate::document::{Block, Cell, Table, Tone};
use capstan_types::blueprint::{Blueprint, Uncertainty};
use capstan_types::figure;
use rust_decimal::Decimal;

/// Returns the bounds with what they move, the plans that were weighed, what regret is made of, and every world.
pub(super) fn uncertainty(blueprint: &Blueprint) -> Vec<Block> {
    let Some(uncertainty) = &blueprint.uncertainty else { return Vec::new() };
    vec![
        Block::Facts(facts(blueprint, uncertainty)),
        Block::Table(swings(blueprint, uncertainty)),
        Block::Table(plans(blueprint, uncertainty)),
        Block::Table(parts(blueprint, uncertainty)),
        Block::Table(worlds(blueprint, uncertainty)),
    ]
}

fn facts(blueprint: &Blueprint, uncertainty: &Uncertainty) -> Vec<(String, Cell)> {
    let currency = blueprint.cost.currency;
    let money = |amount| figure::money(amount, currency);
    let mut facts = Vec::new();
    let mut fact = |name: &str, cell: Cell| facts.push((name.to_owned(), cell));
    fact("worlds", format!("{} drawn, each as likely as any other", uncertainty.worlds.len()).into());
    if let Some(mean) = uncertainty.mean_cost {
        fact("mean cost", format!("{} by the objective", money(mean)).into());
    }
    if let Some(chosen) = uncertainty.plans.first() {
        let mean = money(chosen.mean_regret);
        let worst = money(chosen.worst_regret);
        fact(
            "regret",
            format!("{mean} more than the cheapest of each world on average, {worst} at most").into(),
        );
        if chosen.falls_short_in > 0 {
            let short = format!("cannot do, or keep a limit, in {} worlds", chosen.falls_short_in);
            fact("falls short", Cell::toned(short, Tone::Warn));
        }
    }
    let hopeless = uncertainty.worlds.iter().filter(|world| world.cheapest.is_none()).count();
    if hopeless > 0 {
        fact("no plan", Cell::toned(format!("in {hopeless} worlds no plan keeps every limit"), Tone::Warn));
    }
    facts
}

fn known(blueprint: &Blueprint, amount: Option<Decimal>) -> Cell {
    amount.map_or_else(
        || Cell::toned("cannot do", Tone::Warn),
        |amount| figure::amount(amount, blueprint.cost.currency).into(),
    )
}

fn swings(blueprint: &Blueprint, uncertainty: &Uncertainty) -> Table {
    let mut table = Table::new(&[
        "What moves the cost",
        ">Low",
        ">Median",
        ">High",
        "Unit",
        ">Cost at low",
        ">Cost at high",
    ]);
    for swing in &uncertainty.swings {
        let stated = blueprint.inputs.spec.uncertain.iter().find(|one| one.name == swing.quantity);
        let number = |of: Option<f64>| Cell::from(of.map_or_else(String::new, figure::short));
        table.rows.push(vec![
            swing.quantity.as_str().into(),
            number(stated.map(|one| one.low)),
            number(stated.map(|one| one.mid)),
            number(stated.map(|one| one.high)),
            stated.map_or("", |one| one.unit.as_str()).into(),
            known(blueprint, swing.at_low),
            known(blueprint, swing.at_high),
        ]);
    }
    table
}

fn plans(blueprint: &Blueprint, uncertainty: &Uncertainty) -> Table {
    let currency = blueprint.cost.currency;
    let mut table =
        Table::new(&["Plan that is cheapest for", "Settles", ">Falls short in", ">Mean regret", ">Worst"]);
    for (index, plan) in uncertainty.plans.iter().enumerate() {
        let chosen = if index == 0 { "this plan: " } else { "" };
        table.rows.push(vec![
            format!("{chosen}{}", plan.cheapest_for).into(),
            plan.words.as_str().into(),
            plan.falls_short_in.to_string().into(),
            figure::amount(plan.mean_regret, currency).into(),
            figure::amount(plan.worst_regret, currency).into(),
        ]);
    }
    table
}

fn parts(blueprint: &Blueprint, uncertainty: &Uncertainty) -> Table {
    let title = format!(">More than in the cheapest plans, {}", blueprint.cost.currency.code());
    let mut table = Table::new(&["Regret is made of", &title]);
    for part in &uncertainty.regret_parts {
        table.rows.push(vec![
            part.option.words().into(),
            figure::amount(part.mean, blueprint.cost.currency).into(),
        ]);
    }
    table
}

fn worlds(blueprint: &Blueprint, uncertainty: &Uncertainty) -> Table {
    let spec = &blueprint.inputs.spec;
    let names = spec
        .uncertain
        .iter()
        .map(|one| format!(">{}, {}", one.name, one.unit).trim_end_matches(", ").to_owned());
    let titles: Vec<String> = [">World".to_owned()]
        .into_iter()
        .chain(names)
        .chain([">Cheapest".to_owned(), ">This plan".to_owned()])
        .collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let mut table = Table::new(&titles);
    for (index, world) in uncertainty.worlds.iter().enumerate() {
        let mut row = vec![Cell::from((index + 1).to_string())];
        row.extend(world.values.iter().map(|value| Cell::from(figure::short(*value))));
        row.extend([known(blueprint, world.cheapest), known(blueprint, world.planned)]);
        table.rows.push(row);
    }
    table
}
