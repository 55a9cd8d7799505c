//! What does a plan mean, and what is wrong with it?
//!
//! The tree of a file and the catalog in, the checked [`Spec`] out, with every mistake at its place.
//! Each kind of block is one table of fields in a file of its own; [`table`] says what a table is,
//! `fields` looks fields up in it, `read` gives values their types, `reference` resolves names.
//! Not known here: files, clocks, and whether anything can be built that meets the plan.

mod adapters;
mod app;
mod autoscale;
mod background;
mod batch;
mod budget;
mod buy;
mod caching;
mod checker;
mod clock;
mod consequences;
mod context;
mod daily;
mod deploy;
mod fabric;
mod fields;
mod fleet;
mod kinds;
mod load;
mod metal;
mod model;
mod models;
mod plan;
mod rails;
mod read;
mod reference;
pub(crate) mod rule;
mod scenario;
mod serve;
mod site;
mod slo;
mod speculative;
mod storage;
pub mod table;
mod train;
mod triton;
mod workload;
mod zones;

use capstan_types::catalog::Catalog;
use capstan_types::place::Span;
use capstan_types::spec::Spec;

use crate::ast::{Block, Entry, File, Item};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::references::references;
use checker::Checker;

pub use context::{CheckContext, Source, TraceFacts};
pub use kinds::KINDS;

/// Kinds of blocks that ask for machines.
const WORKLOADS: [&str; 6] = ["serve", "train", "tune", "batch", "service", "workspace"];

/// Checks a plan. The spec is there where no diagnostic is an error; the diagnostics of the text itself
/// come from [`crate::parse`] and are not repeated; what only follows from them is left out, so that a tree with
/// holes may be checked as well. Paths that lead outside are reported here, whoever else asked [`references`].
pub fn check(
    source: Source<'_>,
    catalog: &Catalog,
    context: &CheckContext,
) -> (Option<Spec>, Vec<Diagnostic>) {
    let mut checker = Checker::new(source, catalog, context);
    checker.declare();
    references(source.file).1.into_iter().for_each(|outside| checker.values.report(outside));
    let blocks = top_level(&checker, source.file);
    let of = |kind: &str| -> Vec<&Block> {
        blocks.iter().copied().filter(|block| block.kind.text == kind).collect()
    };
    let name = plan::check(&mut checker, &of("plan"));
    site::check(&mut checker, &of("site"));
    checker.settle_clock();
    model::check(&mut checker, &of("model"));
    let fleets = fleet::check(&checker, &of("fleet"));
    let fabrics = fabric::check(&checker, &of("fabric"));
    let storages = storage::storages(&checker, &of("storage"));
    let datasets = storage::datasets(&checker, &of("dataset"));
    let mut serves = serve::check(&checker, &of("serve"));
    let trains = train::check(&checker, &datasets, &of("train"), &of("tune"));
    let batches = batch::check(&checker, &of("batch"));
    let mut apps = app::check(&checker, &of("service"), &of("workspace"));
    checker.turn_clocks(&mut serves, &mut apps);
    checker.metrics_of(&serves, &trains, &batches, &apps);
    let budgets = budget::check(&checker, &of("budget"));
    let (scenarios, what_ifs) = scenario::check(&checker, &of("scenario"));
    let deploy = deploy::check(&checker, &of("deploy"), &serves, (&fleets, &fabrics));
    let is_workload = |block: &&Block| WORKLOADS.contains(&block.kind.text.as_str());
    if !blocks.iter().any(is_workload) {
        let found = checker.values.error(codes::MISSING_BLOCK, Span::default(), "the plan has no workload");
        checker.values.report(found.help("add a `serve` or a `train` block"));
    }
    checker.unused(source.file);
    let planned = !checker.values.has_errors();
    let used = checker.models_used(&serves, &trains, &batches);
    let Checker { values, frame, sites, assumptions, .. } = checker;
    let spec = Spec {
        name,
        frame,
        sites,
        fleets,
        fabrics,
        storages,
        datasets,
        models: used,
        serves,
        trains,
        batches,
        apps,
        budgets,
        scenarios,
        what_ifs,
        deploy,
        uncertain: values.met(),
        assumptions: assumptions.into_inner(),
    };
    let mut found = values.finish();
    consequences::leave_out(&mut found, source);
    (planned.then_some(spec), found)
}

/// Returns the blocks of a file whose kind is known, and reports everything else that stands there.
fn top_level<'a>(checker: &Checker<'_>, file: &'a File) -> Vec<&'a Block> {
    let mut blocks = Vec::new();
    for entry in &file.entries {
        match entry {
            Entry::Item(Item::Block(block)) => {
                if checker.is_known(block, KINDS) {
                    blocks.push(block);
                }
            }
            Entry::Item(item) => checker.misplaced(item, "the file"),
            Entry::Use(_) | Entry::Param(_) | Entry::Let(_) => {}
        }
    }
    blocks
}
