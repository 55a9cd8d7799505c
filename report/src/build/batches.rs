//! Offline inference: how many replicas run where, at which hours, and until when.

use crate::document::{Block, Cell, Table, Tone};
use capstan_types::blueprint::{BatchRun, Blueprint};
use capstan_types::figure;

/// Returns the line on its last day.
pub(super) fn deadline(blueprint: &Blueprint, run: &BatchRun) -> Vec<Cell> {
    let batch = blueprint.inputs.spec.batches.iter().find(|batch| batch.name == run.workload);
    let limit = batch.and_then(|batch| batch.finish.as_ref());
    let holds = limit.is_none_or(|limit| run.end <= limit.value);
    let end = format!(
        "{}: {} h from {} at {} req/s of each replica",
        run.estimate.origin.word(),
        figure::short(run.hours),
        run.start,
        figure::short(run.rate())
    );
    let seen = if run.simulated.is_some() { "one replica simulated" } else { "estimated" };
    vec![
        run.workload.as_str().into(),
        "finish".into(),
        Cell::from(run.end.to_string()).hinted(end),
        seen.into(),
        limit.map_or_else(
            || "–".into(),
            |limit| {
                let text = Cell::from(format!("≤ {}", limit.value));
                text.hinted("last day that the plan allows").stated(&limit.place)
            },
        ),
        if holds { Cell::toned("holds", Tone::Good) } else { Cell::toned("LATE", Tone::Bad) },
    ]
}

fn row(blueprint: &Blueprint, run: &BatchRun) -> Vec<Cell> {
    let batch = blueprint.inputs.spec.batches.iter().find(|batch| batch.name == run.workload);
    let candidate = &run.candidate;
    let simulated = run.simulated.as_ref().map_or_else(
        || "not simulated".to_owned(),
        |seen| {
            format!(
                "{} req/s over {} requests simulated",
                figure::short(seen.rate.get()),
                figure::count(seen.requests)
            )
        },
    );
    vec![
        run.workload.as_str().into(),
        run.site.as_str().into(),
        format!("{}, {}", candidate.shape, candidate.degrees().words()).into(),
        format!("{}, {}", candidate.engine, candidate.precision.word()).into(),
        Cell::from(run.words()).hinted("chosen by the planner, hour by hour"),
        Cell::from(format!("{} req/s", figure::short(run.estimate.rate.get() * run.derating))).hinted(
            format!(
                "{}; {simulated}; derated to {}",
                run.estimate.origin.word(),
                figure::percent(run.derating)
            ),
        ),
        Cell::from(figure::large(run.requests))
            .hinted("requests that are answered by then")
            .stated(batch.map(|batch| &batch.place)),
        Cell::from(format!("{} to {}", run.start, run.end))
            .hinted(format!("{} h until the last answer", figure::short(run.hours))),
    ]
}

/// Returns how each workload of offline inference runs.
pub(super) fn batches(blueprint: &Blueprint) -> Vec<Block> {
    let titles = [
        "Workload",
        "Site",
        "Runs on",
        "As",
        "Replicas",
        ">Each answers",
        ">Requests",
        "From first to last day",
    ];
    let mut table = Table::new(&titles);
    table.rows.extend(blueprint.batches.iter().map(|run| row(blueprint, run)));
    vec![Block::Table(table)]
}
