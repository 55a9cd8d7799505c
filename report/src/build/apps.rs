//! Where services and notebooks run.

use super::first::range;
use crate::document::{Block, Table};
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
    table.rows.extend(blueprint.apps.iter().map(row));
    vec![Block::Table(table)]
}

fn row(run: &AppRun) -> Vec<crate::document::Cell> {
    let spare = if run.spares > 0 { format!(", {} spare", run.spares) } else { String::new() };
    vec![
        run.workload.as_str().into(),
        run.kind.word().into(),
        run.site.as_str().into(),
        run.shape.as_str().into(),
        format!("{}{spare}", range(&run.instances)).into(),
        run.part
            .as_ref()
            .map_or_else(
                || "–".to_owned(),
                |part| format!("{}, {} share one", part.words(), run.per_accelerator),
            )
            .into(),
        figure::count(u64::from(run.per_node)).into(),
    ]
}
