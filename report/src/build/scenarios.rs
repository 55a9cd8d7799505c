//! The plan beside what it would be in each of its scenarios.

use super::origins;
use crate::document::{Block, Cell, Table, Tone};
use capstan_types::blueprint::{Blueprint, ScenarioOutcome, Status};
use capstan_types::figure;

/// What a problem of a scenario rests on.
const AUDITED: &str = "found in the plan of the scenario";

/// What the count of levels rests on.
const LEVELS: &str = "service levels that its simulation met";

/// Changes of one scenario that are shown.
const MOST_SHOWN: usize = 6;

/// Returns one line for the plan and for each scenario, then what would have to be otherwise.
pub(super) fn side_by_side(blueprint: &Blueprint) -> Vec<Block> {
    if blueprint.scenarios.is_empty() {
        return Vec::new();
    }
    let total = format!(">Total, {}", blueprint.cost.currency.code());
    let mut table = Table::new(&["Scenario", "Changes", "Verdict", &total, ">More", ">Levels met"]);
    let met = blueprint
        .verdicts
        .iter()
        .filter(|verdict| verdict.status == capstan_types::blueprint::VerdictStatus::Met);
    table.rows.push(vec![
        "as planned".into(),
        "".into(),
        verdict(blueprint.status),
        Cell::from(figure::amount(blueprint.cost.total, blueprint.cost.currency))
            .hinted(origins::total(blueprint)),
        "".into(),
        Cell::from(format!("{} of {}", met.count(), blueprint.verdicts.len())).hinted(LEVELS),
    ]);
    table.rows.extend(blueprint.scenarios.iter().map(|scenario| row(blueprint, scenario)));
    let mut facts = Vec::new();
    for scenario in &blueprint.scenarios {
        let differs = "this plan → the plan of the scenario";
        let named = |text: &String| (scenario.name.clone(), Cell::from(text.as_str()).hinted(differs));
        facts.extend(
            scenario
                .problems
                .iter()
                .map(|text| (scenario.name.clone(), Cell::toned(text.as_str(), Tone::Bad).hinted(AUDITED))),
        );
        facts.extend(scenario.differs.iter().take(MOST_SHOWN).map(named));
        if scenario.differs.len() > MOST_SHOWN {
            let more = format!("and {} more changes", scenario.differs.len() - MOST_SHOWN);
            facts.push((scenario.name.clone(), Cell::from(more).hinted(differs)));
        }
    }
    vec![Block::Table(table), Block::Facts(facts)]
}

fn row(blueprint: &Blueprint, scenario: &ScenarioOutcome) -> Vec<Cell> {
    let currency = blueprint.cost.currency;
    let changes: Vec<String> =
        scenario.changes.iter().map(|change| format!("{} {}", change.path, change.change)).collect();
    let more = scenario.total.filter(|_| blueprint.status != Status::Infeasible);
    vec![
        scenario.name.as_str().into(),
        changes.join(", ").into(),
        verdict(scenario.status),
        scenario.total.map_or_else(
            || "–".into(),
            |total| {
                let planned = "planned anew with its changes; sum of the lines of that plan";
                Cell::from(figure::amount(total, currency)).hinted(planned)
            },
        ),
        more.map_or_else(
            || "–".into(),
            |total| {
                let more = figure::signed_money(total - blueprint.cost.total, currency);
                Cell::from(more).hinted("its total less the total of this plan")
            },
        ),
        Cell::from(format!("{} of {}", scenario.levels_met, scenario.levels)).hinted(LEVELS),
    ]
}

fn verdict(status: Status) -> Cell {
    match status {
        Status::Feasible => Cell::toned("holds", Tone::Good),
        Status::Violated => Cell::toned("does NOT hold", Tone::Bad),
        Status::Infeasible => Cell::toned("NO plan", Tone::Bad),
    }
}
