//! Blueprint → document: first what to buy, what it costs and whether it holds; then everything behind it.

mod apps;
mod batches;
mod details;
mod first;
pub(crate) mod origins;
mod proof;
mod scenarios;
pub(crate) mod signed;
mod storage;
mod sure;
mod what_if;
mod worlds;

pub(crate) use first::{grade_word, oldest_price, outcome as verdict_cell};
pub(crate) use proof::{background_words, reused_words};

use crate::document::{Cell, Document, Tone};
use capstan_types::blueprint::{Blueprint, Status};

/// Returns the report on a blueprint.
pub fn document(blueprint: &Blueprint) -> Document {
    let mut document = Document { title: title(blueprint), blocks: Vec::new() };
    document.blocks.push(first::frame(blueprint));
    if blueprint.status == Status::Infeasible {
        document.section("Why not", proof::findings(blueprint));
    } else {
        document.section("What to buy", first::purchases(blueprint));
        document.section("What it costs", first::money(blueprint));
        document.section("Does it hold", first::levels(blueprint));
        document.section("What if", what_if::what_ifs(blueprint));
        document.section("Findings", proof::findings(blueprint));
        document.section("Who runs where", details::placements(blueprint));
        document.section("Training", details::trainings(blueprint));
        document.section("Offline inference", batches::batches(blueprint));
        document.section("Services and notebooks", apps::apps(blueprint));
        document.section("Cost by workload", details::workloads(blueprint));
        document.section("Cost by item", details::lines(blueprint));
        document.section("Sites", details::sites(blueprint));
        document.section("Networks", details::networks(blueprint));
        document.section("Storage", storage::stores(blueprint));
    }
    document.section("Scenarios", scenarios::side_by_side(blueprint));
    document.section("If things turn out otherwise", worlds::uncertainty(blueprint));
    document.section("Rules", proof::rules(blueprint));
    document.section("What limits cost", proof::limit_prices(blueprint));
    document.section("Runners-up", proof::runners_up(blueprint));
    document.section("Rejected", proof::rejections(blueprint));
    document.section("How far off may it be", sure::intervals(blueprint));
    document.section("How sure", proof::certainty(blueprint));
    document.section("Not included", proof::not_included(blueprint));
    document.section("Assumptions", proof::assumptions(blueprint));
    document.section("Inputs", proof::inputs(blueprint));
    document
}

/// Returns the verdict on a plan, with its name.
pub(crate) fn verdict(blueprint: &Blueprint) -> String {
    title(blueprint).text
}

fn title(blueprint: &Blueprint) -> Cell {
    let name = &blueprint.inputs.spec.name;
    match blueprint.status {
        Status::Feasible => Cell::toned(format!("{name}: the plan holds"), Tone::Good),
        Status::Violated => Cell::toned(format!("{name}: the plan does NOT hold in every point"), Tone::Bad),
        Status::Infeasible => Cell::toned(format!("{name}: NO plan keeps every limit"), Tone::Bad),
    }
}
