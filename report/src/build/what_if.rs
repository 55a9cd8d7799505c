//! What if it comes otherwise? Each scenario beside the plan as it was verified.

use super::origins;
use super::verdict_cell;
use crate::document::{Block, Cell, Table, Tone};
use capstan_types::blueprint::{Blueprint, Bursts, WhatIfHour, WhatIfOutcome};
use capstan_types::figure;
use capstan_types::simulation::{SimulatedFailure, SimulatedLevel};
use capstan_types::spec::level_word;
use capstan_types::units::Seconds;

/// Returns a row for each level of each scenario, and what came of what failed.
pub(super) fn what_ifs(blueprint: &Blueprint) -> Vec<Block> {
    let mut table =
        Table::new(&["Scenario", "Service level", ">Limit", ">As planned", ">Then", ">Within it", "Verdict"]);
    let mut facts: Vec<(String, Cell)> = Vec::new();
    for told in &blueprint.what_ifs {
        for hour in &told.hours {
            table.rows.extend(hour.levels.iter().map(|level| row(blueprint, told, hour, level)));
        }
        facts.push((told.scenario.clone(), happens(told)));
        facts.extend(told.hours.iter().flat_map(beside));
    }
    let mut blocks = Vec::new();
    if !table.rows.is_empty() {
        blocks.push(Block::Table(table));
    }
    if !facts.is_empty() {
        blocks.push(Block::Facts(facts));
    }
    blocks
}

/// Returns what happens, or why it cannot be simulated.
fn happens(told: &WhatIfOutcome) -> Cell {
    let words = format!("if there are {}", told.what_if.join(" and ")).replace("if there are a ", "if a ");
    match &told.refused {
        None => Cell::from(words).hinted("what the scenario lets happen; simulated on this plan"),
        Some(why) => Cell::toned(format!("{words}: {why}"), Tone::Warn),
    }
}

fn row(blueprint: &Blueprint, told: &WhatIfOutcome, hour: &WhatIfHour, level: &SimulatedLevel) -> Vec<Cell> {
    let same = |verdict: &&capstan_types::blueprint::Verdict| {
        (&verdict.workload, &verdict.site) == (&hour.workload, &hour.site)
            && (verdict.metric, verdict.per_mille) == (level.metric, level.per_mille)
    };
    let planned = blueprint.verdicts.iter().find(same);
    let limit = origins::limit_of(blueprint, &hour.workload, (level.metric, level.per_mille));
    vec![
        told.scenario.as_str().into(),
        format!("{} {}", hour.workload, level_word(level.metric, level.per_mille, level.over)).into(),
        Cell::from(figure::span(level.target)).hinted("service level of the plan").stated(limit),
        planned.map_or_else(
            || "–".into(),
            |verdict| Cell::from(figure::span(verdict.seen)).hinted(origins::simulation(verdict)),
        ),
        level.seen_s.map_or_else(
            || Cell::toned("no answer", Tone::Bad),
            |seen| {
                let hint = origins::interval(seen, |time| figure::span(Seconds(time)));
                Cell::from(figure::span(Seconds(seen.mean))).hinted(hint)
            },
        ),
        level.attainment.map_or_else(
            || "–".into(),
            |share| Cell::from(figure::percent(share.mean)).hinted(origins::interval(share, figure::percent)),
        ),
        verdict_cell(level.status),
    ]
}

/// Returns what came of a failure, and what was turned away or lost.
fn beside(hour: &WhatIfHour) -> Vec<(String, Cell)> {
    let mut words = Vec::new();
    words.extend(hour.failure.as_ref().map(failed));
    let counts = [("turned away", hour.turned_away), ("lost", hour.lost)];
    for (what, n) in counts.into_iter().filter(|&(_, n)| n > 0) {
        words.push(format!("{} {what}", figure::percent(n as f64 / hour.requests.max(1) as f64)));
    }
    let hint = format!("simulated: {} requests over all replications", figure::count(hour.requests));
    let told = |words: Vec<String>| {
        let text = format!("{}: {}", hour.workload, words.join("; "));
        (String::new(), Cell::from(text).hinted(hint))
    };
    if words.is_empty() { Vec::new() } else { vec![told(words)] }
}

fn failed(failure: &SimulatedFailure) -> String {
    let share = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), figure::percent);
    let recovered = failure.recovery.map_or_else(
        || "not recovered in the simulated time".to_owned(),
        |time| format!("recovered after {}", figure::span(time)),
    );
    format!(
        "{} replicas down, within all limits {} before, {} meanwhile, {} afterwards, {recovered}",
        failure.replicas,
        share(failure.attainment_before),
        share(failure.attainment_during),
        share(failure.attainment_after),
    )
}

/// Says in one line what the bursts of a trace cost.
pub(super) fn burst_words(bursts: &Bursts) -> String {
    let (rate, planned) = (figure::short(bursts.random.rate.get()), bursts.replicas);
    match bursts.random.replicas {
        Some(replicas) => format!(
            "the trace needs {planned} replicas; at random, {rate} req/s on average would need {replicas}"
        ),
        None => format!("not even at random would {planned} replicas do for {rate} req/s on average"),
    }
}
