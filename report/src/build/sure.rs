//! How far may what was predicted be off, and what does that come to?
//!
//! The ends are those of the blueprint, where 90 % of measurements are expected around such a prediction; what follows
//! from them is scaled: as many more replicas as steps take longer, as much later as a step takes longer.

use crate::document::{Block, Cell, Table};
use capstan_types::blueprint::{
    Band, Blueprint, Placement, Service, ServiceInterval, StepInterval, TrainingRun, Verdict,
};
use capstan_types::figure;
use capstan_types::spec::{SloMetric, level_word};
use capstan_types::units::Seconds;

/// Returns the interval of the first placement of a workload at a site that has one.
fn of<'a>(blueprint: &'a Blueprint, workload: &str, site: &str) -> Option<&'a ServiceInterval> {
    let service = blueprint.services.iter().find(|service| service.workload == workload)?;
    service.placements.iter().filter(|one| one.site == site).find_map(|one| one.interval.as_ref())
}

/// Returns the ends around what was simulated against a service level; none of a time that has no such interval.
pub(super) fn around(blueprint: &Blueprint, verdict: &Verdict) -> Option<(Seconds, Seconds)> {
    let interval = of(blueprint, &verdict.workload, &verdict.site)?;
    let band = match verdict.metric {
        SloMetric::Ttft => interval.ttft,
        SloMetric::Tpot => interval.tpot,
        _ => return None,
    };
    let (low, high) = band.around(verdict.seen.get());
    Some((Seconds(low), Seconds(high)))
}

/// Says where measurements are expected around what was simulated.
pub(super) fn hint(blueprint: &Blueprint, verdict: &Verdict) -> String {
    around(blueprint, verdict).map_or_else(String::new, |(low, high)| {
        format!(
            "; 90 % of measurements are expected between {} and {}, since step times are predicted",
            figure::span(low),
            figure::span(high)
        )
    })
}

fn level(blueprint: &Blueprint, verdict: &Verdict) -> Option<Vec<Cell>> {
    let (low, high) = around(blueprint, verdict)?;
    let name = level_word(verdict.metric, verdict.per_mille, verdict.over);
    let end = |end: Seconds| Cell::from(figure::span(end)).hinted(MULTIPLE);
    Some(vec![
        verdict.workload.as_str().into(),
        name.into(),
        Cell::from(figure::span(verdict.seen)).hinted("simulated on the steps as predicted"),
        end(low),
        end(high),
    ])
}

/// Says how far measurements lie around a prediction.
pub(super) fn multiples(what: &str, band: Band) -> String {
    format!(
        "; 90 % of measurements of {what} lie between {:.2} and {:.2} times the prediction",
        band.low, band.high
    )
}

const MULTIPLE: &str =
    "the prediction × an end of the 90 % interval of such predictions, left out of the fit";

fn replicas(workload: &str, placement: &Placement) -> Option<Vec<Cell>> {
    let Band { low, high } = placement.interval.as_ref()?.tpot;
    let peak = placement.peak_replicas();
    let end = |factor: f64| {
        let count = (f64::from(peak) * factor - 1e-9).ceil().max(1.0) as u64;
        Cell::from(figure::count(count)).hinted("as many more as a token takes longer, rounded up")
    };
    Some(vec![
        workload.into(),
        format!("replicas at the busiest hour, {}", placement.site).into(),
        Cell::from(figure::count(u64::from(peak))).hinted("planned"),
        end(low),
        end(high),
    ])
}

fn training(run: &TrainingRun) -> Vec<Vec<Cell>> {
    let Some(StepInterval { step, .. }) = &run.interval else { return Vec::new() };
    let (low, high) = step.around(run.step.get());
    let time = |end: f64| Cell::from(figure::span(Seconds(end))).hinted(MULTIPLE);
    let day = |factor: f64| {
        Cell::from(run.end_at(factor).to_string())
            .hinted("the first day, and as many hours more or fewer as a step takes longer")
    };
    let planned = Cell::from(run.end.to_string()).hinted("planned");
    let predicted = Cell::from(figure::span(run.step)).hinted(run.origin.word());
    vec![
        vec![run.workload.as_str().into(), "optimizer step".into(), predicted, time(low), time(high)],
        vec![run.workload.as_str().into(), "last day".into(), planned, day(step.low), day(step.high)],
    ]
}

/// Returns every prediction that the plan rests on with its 90 % interval, and why these are as wide as they are.
pub(super) fn intervals(blueprint: &Blueprint) -> Vec<Block> {
    let mut table = Table::new(&["Workload", "Number", ">Predicted", ">90 % from", ">To"]);
    let mut why: Vec<Cell> = Vec::new();
    let mut because = |workload: &str, causes: &[String]| {
        if !causes.is_empty() {
            why.push(Cell::from(format!("{workload}: {}", causes.join("; "))));
        }
    };
    table.rows.extend(blueprint.verdicts.iter().filter_map(|verdict| level(blueprint, verdict)));
    for Service { workload, placements, .. } in &blueprint.services {
        table.rows.extend(placements.iter().filter_map(|one| replicas(workload, one)));
        if let Some(interval) = placements.iter().find_map(|one| one.interval.as_ref()) {
            because(workload, &interval.because);
        }
    }
    for run in &blueprint.trainings {
        table.rows.extend(training(run));
        because(&run.workload, run.interval.as_ref().map_or(&[], |interval| &interval.because));
    }
    if table.rows.is_empty() { Vec::new() } else { vec![Block::Table(table), Block::List(why)] }
}
