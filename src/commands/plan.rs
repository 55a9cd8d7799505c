//! `plan`: from a plan file to a blueprint.

use super::check::{self, FailOn, Style};
use super::report;
use crate::blueprint_file;
use crate::cache;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::{self, Output, each_its_own, room_for, write_file};
use crate::plan_file::{Beside, Checked};
use crate::render;
use crate::session::Session;
use anyhow::Context;
use capstan_planner::plan::{Provenance, plan};
use capstan_types::blueprint::{Blueprint, Override};
use capstan_types::spec::Spec;
use indicatif::ProgressBar;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Solve, simulate and audit: from a plan file to a blueprint
///
/// Ends with 3 where a requirement is violated or nothing is feasible; the blueprint then says why, and ways out.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plan file; `-` reads standard input
    file: String,
    /// Where the blueprint goes
    #[arg(short = 'o', long = "out", value_name = "BLUEPRINT")]
    blueprint: Option<String>,
    #[command(flatten)]
    beside: Beside,
    /// Seed of every random stream; overrides the plan's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Form and file of the report: human, json, markdown, html, sarif, junit, gitlab or github, each with `:FILE` if
    /// wanted; `xlsx:FILE` and `pdf:FILE`; `csv:FOLDER`. May be given several times
    #[arg(long, value_name = "FMT[:FILE]")]
    output: Vec<Output>,
    /// Plan anew even where the same plan was answered before
    #[arg(long)]
    no_cache: bool,
    /// End with 2 where applying the blueprint would change anything
    #[arg(long)]
    detailed_exitcode: bool,
    /// Warn of prices older than so many days
    #[arg(long, value_name = "DAYS", default_value_t = 180)]
    max_price_age: i64,
    /// End with 4 where there are only warnings
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    fail_on: FailOn,
}

/// Plans.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    output::only(&args.output, output::ALL)?;
    each_output_has_its_file(args)?;
    let mut checked = Checked::read(&args.file, &args.beside);
    check::tell(&checked.diagnostics, &checked.sources, Style::Human, session)?;
    let Some(mut spec) = checked.spec.take() else { return Ok(Exit::Failed) };
    if let Some(seed) = args.seed {
        spec.frame.seed = seed;
        checked.overrides.push(Override {
            path: "plan.seed".to_owned(),
            change: format!("= {seed}"),
            from: "--seed".to_owned(),
        });
    }
    let warned = check::exit_of(&checked.diagnostics, args.fail_on);
    let blueprint = solve(spec, &checked, !args.no_cache, session)?;
    broken_rules(&blueprint)?;
    let old = blueprint_file::warn_of_old_prices(&blueprint, args.max_price_age, session);
    if let Some(file) = &args.blueprint {
        let text = blueprint_file::text(&blueprint);
        if file == "-" { session.print(&text)? } else { write_file(file, text.as_bytes())? }
    }
    session.say(&render::findings(&blueprint.findings, &checked.sources));
    report::show(&blueprint, &args.output, &checked.sources, session)?;
    told_where(args, session);
    let mut exit = blueprint_file::exit_of(blueprint.status).and(warned);
    if old && args.fail_on == FailOn::Warn {
        exit = exit.and(Exit::Warnings);
    }
    if args.detailed_exitcode && blueprint.changes {
        exit = exit.and(Exit::Changes);
    }
    Ok(exit)
}

/// Calls the planner, and says what it does to whoever watches.
///
/// With `cached`, a plan that was answered before is answered from the user's cache.
pub(super) fn solve(
    spec: Spec,
    checked: &Checked,
    cached: bool,
    session: &Session,
) -> anyhow::Result<Blueprint> {
    let slot = if cached { cache::slot(&spec, &checked.files, &checked.overrides) } else { None };
    if let Some(blueprint) = slot.as_ref().and_then(cache::Slot::read) {
        return Ok(blueprint);
    }
    let blueprint = solve_anew(spec, checked, session)?;
    if let Some(slot) = slot {
        slot.write(&blueprint);
    }
    Ok(blueprint)
}

fn solve_anew(spec: Spec, checked: &Checked, session: &Session) -> anyhow::Result<Blueprint> {
    let tool = env!("CARGO_PKG_VERSION").to_owned();
    let provenance = Provenance { tool, files: checked.files.clone(), overrides: checked.overrides.clone() };
    let bar = session.err.terminal.then(ProgressBar::new_spinner);
    if let Some(bar) = &bar {
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let interrupt = Interrupt::listen()?;
    interrupt.ends_with(&told);
    let progress = |what: &str| {
        if let Ok(mut told) = told.lock() {
            told.push(what.to_owned());
        }
        if let Some(bar) = &bar {
            bar.set_message(what.to_owned());
        }
    };
    let variants = checked.variants(&spec)?;
    let result = plan(spec, &checked.catalog, &checked.traces, &variants, provenance, &progress);
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    result.context("planning")
}

fn told_where(args: &Args, session: &Session) {
    if let Some(file) = args.blueprint.as_ref().filter(|file| *file != "-") {
        session.say(&format!("{file} is written. Why this plan: capstan explain {file}\n"));
    }
}

/// No output may replace the plan file or another output, and the blueprint must find room.
fn each_output_has_its_file(args: &Args) -> Result<(), Failure> {
    let reports = args.output.iter().filter_map(|output| output.file.as_deref());
    each_its_own(Some(&args.file), args.blueprint.as_deref().into_iter().chain(reports))?;
    args.blueprint.as_deref().filter(|file| *file != "-").map_or(Ok(()), room_for)
}

/// A blueprint that its own audit refuses is a bug of ours, not of the plan.
fn broken_rules(blueprint: &Blueprint) -> Result<(), Failure> {
    let found = blueprint.audit.iter().flat_map(|check| check.violations.iter().map(move |one| (check, one)));
    let told: Vec<String> = found.map(|(check, one)| format!("{}: {one}", check.check)).collect();
    if told.is_empty() {
        return Ok(());
    }
    let failure =
        Failure::new("the blueprint does not pass its own audit, which is a bug of ours").exit(Exit::Bug);
    Err(told.into_iter().fold(failure, Failure::hint))
}
