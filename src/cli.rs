//! What can be typed? The commands in the order of a first day with the program.

use crate::commands::{
    actuals, apply, baseline, calibrate, catalog, check, completions, destroy, diff, drift, emit, estimate,
    explain, fit, fmt, import, init, lock, man, plan, preflight, replay, report, rollback, simulate,
    validate,
};
use crate::exit::Exit;
use crate::session::Session;
use clap::{Parser, Subcommand};

/// Plans AI infrastructure: a plan file says what is wanted, a blueprint says what to buy and run, what it costs, and
/// what was simulated to prove that it holds.
#[derive(Debug, Parser)]
#[command(name = "capstan", version, arg_required_else_help = true, propagate_version = true)]
#[command(
    after_help = "Begin with `capstan init my.plan`. Documentation of a message: `capstan explain E0104`."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One variant per file of `commands/`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a first, commented plan file
    Init(init::Args),
    /// Write plan files in their canonical form
    Fmt(fmt::Args),
    /// Report every mistake of plan files
    Check(check::Args),
    /// Solve, simulate and audit: from a plan file to a blueprint
    Plan(plan::Args),
    /// Simulate a plan again: more replications, more requests, a machine that fails
    Simulate(simulate::Args),
    /// Show a blueprint again, on the terminal or for others
    Report(report::Args),
    /// Say what changes between two blueprints, and what it costs
    Diff(diff::Args),
    /// Pin the catalogs, prices and models that plans stand on
    Lock(lock::Args),
    /// Say where all plans of a folder stand, and what moved since
    Baseline(baseline::Args),
    /// Join a real bill to the forecast of a blueprint
    Actuals(actuals::Args),
    /// Write the manifests of a blueprint
    Emit(emit::Args),
    /// Say whether a cluster can take a blueprint
    Preflight(preflight::Args),
    /// Bring a cluster to a blueprint
    Apply(apply::Args),
    /// Say where a cluster is no longer as its blueprint
    Drift(drift::Args),
    /// Bring a cluster back to a revision that it had
    Rollback(rollback::Args),
    /// Delete what a blueprint made in a cluster
    Destroy(destroy::Args),
    /// Say what a model achieves on a machine, and what that costs; or price a table of measurements
    Estimate(estimate::Args),
    /// Hold predictions against published measurements
    Validate(validate::Args),
    /// Fit the numbers of the built-in catalog to measurements again
    Fit(fit::Args),
    /// Turn your own measurements into corrections of predictions
    Calibrate(calibrate::Args),
    /// Explain a code of a message, or a plan in sentences
    Explain(explain::Args),
    /// Look up and check what is known: machines, prices, models
    Catalog(catalog::Args),
    /// Read what others wrote: the `config.json` of a model
    Import(import::Args),
    /// Run the serving simulator on foreign operator tables and requests
    Replay(replay::Args),
    /// Write completions for a shell
    Completions(completions::Args),
    /// Write manual pages
    Man(man::Args),
}

impl Command {
    /// Runs it.
    pub fn run(self, session: &Session) -> anyhow::Result<Exit> {
        match self {
            Command::Init(args) => init::run(&args, session),
            Command::Fmt(args) => fmt::run(&args, session),
            Command::Check(args) => check::run(&args, session),
            Command::Plan(args) => plan::run(&args, session),
            Command::Simulate(args) => simulate::run(&args, session),
            Command::Report(args) => report::run(&args, session),
            Command::Diff(args) => diff::run(&args, session),
            Command::Lock(args) => lock::run(&args, session),
            Command::Baseline(args) => baseline::run(&args, session),
            Command::Actuals(args) => actuals::run(&args, session),
            Command::Emit(args) => emit::run(&args, session),
            Command::Preflight(args) => preflight::run(&args, session),
            Command::Apply(args) => apply::run(&args, session),
            Command::Drift(args) => drift::run(&args, session),
            Command::Rollback(args) => rollback::run(&args, session),
            Command::Destroy(args) => destroy::run(&args, session),
            Command::Estimate(args) => estimate::run(&args, session),
            Command::Validate(args) => validate::run(&args, session),
            Command::Fit(args) => fit::run(&args, session),
            Command::Calibrate(args) => calibrate::run(&args, session),
            Command::Explain(args) => explain::run(&args, session),
            Command::Catalog(args) => catalog::run(&args, session),
            Command::Import(args) => import::run(&args, session),
            Command::Replay(args) => replay::run(&args, session),
            Command::Completions(args) => completions::run(&args, session),
            Command::Man(args) => man::run(&args, session),
        }
    }
}
