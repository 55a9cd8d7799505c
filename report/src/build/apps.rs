//! Where services and notebooks run.

use super::first::range;
use super::origins;
use crate::document::{Block, Cell, Table};
use capstan_types::blueprint::{AppRun, Blueprint};
use capstan_types::figure;

/// Returns one line for each.
pub(super) fn apps(blueprint: &Blueprint) -> Vec<Block> {
    let mut table = Table::new(&[
        "Name",
        "Kind",
        "Site",
        "Machine",
        ">Instances",
        "Of an accelerator",
        ">On one machine",
    ]);
    table.rows.extend(blueprint.apps.iter().map(|run| row(blueprint, run)));
    vec![Block::Table(table)]
}

fn row(blueprint: &Blueprint, run: &AppRun) -> Vec<Cell> {
    let app = blueprint.inputs.spec.apps.iter().find(|app| app.name == run.workload);
    let fits =
        format!("by threads, memory and parts of accelerators; {}", origins::machine(blueprint, &run.shape));
    let instances = "fewest and most at any hour, those for availability included";
    let spare = if run.spares > 0 { format!(", {} spare", run.spares) } else { String::new() };
    vec![
        run.workload.as_str().into(),
        run.kind.word().into(),
        run.site.as_str().into(),
        run.shape.as_str().into(),
        Cell::from(format!("{}{spare}", range(&run.instances)))
            .hinted(instances)
            .stated(app.map(|app| &app.place)),
        run.part
            .as_ref()
            .map_or_else(
                || "–".to_owned(),
                |part| format!("{}, {} share one", part.words(), run.per_accelerator),
            )
            .into(),
        Cell::from(figure::count(u64::from(run.per_node))).hinted(fits),
    ]
}
