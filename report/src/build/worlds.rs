//! How the plan does where uncertain quantities turn out otherwise.

use super::origins;
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
    let objective = origins::objective(blueprint);
    let drawn = format!("{} drawn, each as likely as any other", uncertainty.worlds.len());
    fact("worlds", Cell::from(drawn).hinted("drawn from the bounds that the plan states, by its seed"));
    if let Some(mean) = uncertainty.mean_cost {
        let hint = format!("mean {objective} of this plan over the worlds in which it can do");
        fact("mean cost", Cell::from(format!("{} by the objective", money(mean))).hinted(hint));
    }
    if let Some(chosen) = uncertainty.plans.first() {
        let mean = money(chosen.mean_regret);
        let worst = money(chosen.worst_regret);
        let text = format!("{mean} more than the cheapest of each world on average, {worst} at most");
        let hint = format!("{objective} of this plan less that of the cheapest plan, world by world");
        fact("regret", Cell::from(text).hinted(hint));
        if chosen.falls_short_in > 0 {
            let short = format!("cannot do, or keep a limit, in {} worlds", chosen.falls_short_in);
            fact("falls short", Cell::toned(short, Tone::Warn).hinted("worlds in which another plan can"));
        }
    }
    let hopeless = uncertainty.worlds.iter().filter(|world| world.cheapest.is_none()).count();
    if hopeless > 0 {
        let text = format!("in {hopeless} worlds no plan keeps every limit");
        fact("no plan", Cell::toned(text, Tone::Warn).hinted("counted over the worlds that were drawn"));
    }
    facts
}

fn known(blueprint: &Blueprint, amount: Option<Decimal>, hint: &str) -> Cell {
    amount.map_or_else(
        || Cell::toned("cannot do", Tone::Warn),
        |amount| Cell::from(figure::amount(amount, blueprint.cost.currency)).hinted(hint),
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
    let cost = format!("{} of this plan, all others at their medians", origins::objective(blueprint));
    for swing in &uncertainty.swings {
        let stated = blueprint.inputs.spec.uncertain.iter().find(|one| one.name == swing.quantity);
        let within = stated.map_or_else(String::new, |one| {
            format!("with a chance of {} it lies between low and high", figure::percent(one.confidence))
        });
        let place = stated.map(|one| &one.place);
        let number = |of: Option<f64>| {
            let text = Cell::from(of.map_or_else(String::new, figure::short));
            text.hinted(within.as_str()).stated(place)
        };
        table.rows.push(vec![
            swing.quantity.as_str().into(),
            number(stated.map(|one| one.low)),
            number(stated.map(|one| one.mid)),
            number(stated.map(|one| one.high)),
            stated.map_or("", |one| one.unit.as_str()).into(),
            known(blueprint, swing.at_low, &cost),
            known(blueprint, swing.at_high, &cost),
        ]);
    }
    table
}

fn plans(blueprint: &Blueprint, uncertainty: &Uncertainty) -> Table {
    let currency = blueprint.cost.currency;
    let mut table =
        Table::new(&["Plan that is cheapest for", "Settles", ">Falls short in", ">Mean regret", ">Worst"]);
    let regret = format!(
        "its {} less that of the cheapest plan, over the worlds in which it can do",
        origins::objective(blueprint)
    );
    for (index, plan) in uncertainty.plans.iter().enumerate() {
        let chosen = if index == 0 { "this plan: " } else { "" };
        table.rows.push(vec![
            format!("{chosen}{}", plan.cheapest_for).into(),
            plan.words.as_str().into(),
            Cell::from(plan.falls_short_in.to_string())
                .hinted("worlds in which it cannot do or keep a limit, though another plan can"),
            Cell::from(figure::amount(plan.mean_regret, currency)).hinted(regret.as_str()),
            Cell::from(figure::amount(plan.worst_regret, currency)).hinted(regret.as_str()),
        ]);
    }
    table
}

fn parts(blueprint: &Blueprint, uncertainty: &Uncertainty) -> Table {
    let title = format!(">More than in the cheapest plans, {}", blueprint.cost.currency.code());
    let mut table = Table::new(&["Regret is made of", &title]);
    for part in &uncertainty.regret_parts {
        table.rows.push(vec![
            part.words().into(),
            Cell::from(figure::amount(part.mean, blueprint.cost.currency))
                .hinted("paid in this way more than in the cheapest plan of each world, on average"),
        ]);
    }
    table
}

fn worlds(blueprint: &Blueprint, uncertainty: &Uncertainty) -> Table {
    let spec = &blueprint.inputs.spec;
    let objective = origins::objective(blueprint);
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
        let mut row =
            vec![Cell::from((index + 1).to_string()).hinted("in the order in which they were drawn")];
        row.extend(world.values.iter().zip(&spec.uncertain).map(|(value, of)| {
            let drawn = Cell::from(figure::short(*value)).hinted("drawn from the bounds of the plan");
            drawn.stated(&of.place)
        }));
        row.extend([
            known(
                blueprint,
                world.cheapest,
                &format!("{objective} of the cheapest plan known for this world"),
            ),
            known(blueprint, world.planned, &format!("{objective} of this plan in this world")),
        ]);
        table.rows.push(row);
    }
    table
}
