//! `diff`: what changes between two plans, what it costs, why, and whether it may cost that much.

use super::check::{self, FailOn, Style};
use super::plan;
use crate::blueprint_file;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{DATA_LIMIT, Files, Here};
use crate::output::{self, Format, Made, Output};
use crate::plan_file::{Beside, Checked};
use crate::session::Session;
use capstan_planner::diff::{Guards, Stand, Threshold, shares};
use capstan_report::{diff_document, diff_json, diff_markdown, diff_outputs, diff_told};
use capstan_sim::serving::Recording;
use capstan_types::blueprint::Blueprint;
use capstan_types::catalog::Catalog;
use capstan_types::diff::Diff;
use std::collections::BTreeMap;

/// Say what changes between two plans, what it costs, and why
///
/// Each side is a blueprint or a plan file, which is planned. With `--base REVISION` one plan file is compared with itself
/// as a revision of git has it. Ends with 3 where they differ and the head does not hold, or a limit is passed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The base and the head: blueprints or plan files; with `--base REVISION` the head only
    #[arg(required = true, num_args = 1..=2, value_name = "BASE HEAD")]
    sides: Vec<String>,
    /// Compare a plan file with itself in a revision of git, such as origin/main
    #[arg(long, value_name = "REVISION")]
    base: Option<String>,
    #[command(flatten)]
    beside: Beside,
    /// Plan again with one kind of input changed at a time, and say what each is worth: prices, other facts, demand, the
    /// rest of the plan
    #[arg(long)]
    causes: bool,
    #[command(flatten)]
    guards: GuardArgs,
    /// Form and file: human, json, markdown, sarif, junit, gitlab or github, each with `:FILE` if wanted; may be given
    /// several times
    #[arg(long, value_name = "FMT[:FILE]")]
    output: Vec<Output>,
    /// End with 2 where anything differs
    #[arg(long)]
    detailed_exitcode: bool,
    /// End with 4 where there are only warnings
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    fail_on: FailOn,
}

/// Limits on the change of the total, each a share like 5% or an amount like 5000.
#[derive(Debug, clap::Args)]
struct GuardArgs {
    /// End with 3 where the total rises by more: a share like 5%, or an amount like 5000
    #[arg(long, value_name = "LIMIT")]
    max_increase: Option<Threshold>,
    /// End with 3 where the total falls by more
    #[arg(long, value_name = "LIMIT")]
    max_decrease: Option<Threshold>,
    /// Warn where the total rises by more
    #[arg(long, value_name = "LIMIT")]
    warn_increase: Option<Threshold>,
    /// Warn where the total falls by more
    #[arg(long, value_name = "LIMIT")]
    warn_decrease: Option<Threshold>,
    /// Say nothing in Markdown where the total moves by no more, the plan holds as before and nothing lost its price
    #[arg(long, value_name = "LIMIT")]
    silent_below: Option<Threshold>,
}

/// One side with all that it was planned from.
struct Read {
    blueprint: Blueprint,
    catalog: Catalog,
    traces: BTreeMap<String, Recording>,
}

/// Compares.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    output::only(&args.output, output::CI)?;
    let (base, head) = match (&args.sides[..], &args.base) {
        ([base, head], None) => (read(base, None, args, session)?, read(head, None, args, session)?),
        ([head], Some(revision)) => {
            (read(head, Some(revision), args, session)?, read(head, None, args, session)?)
        }
        ([_], None) => {
            let failure = Failure::usage("there is nothing to compare with");
            return Err(failure.hint("say `diff BASE HEAD`, or `diff --base REVISION PLAN`").into());
        }
        _ => return Err(Failure::usage("with `--base REVISION` there is one plan file, the head").into()),
    };
    let (Some(base), Some(head)) = (base, head) else { return Ok(Exit::Failed) };
    let mut diff = capstan_planner::diff::diff(&base.blueprint, &head.blueprint);
    if args.causes {
        diff.shares = shares(base.stand(), head.stand(), &|_| {});
    }
    let GuardArgs { max_increase, max_decrease, warn_increase, warn_decrease, .. } = args.guards;
    diff.guards = Guards { max_increase, max_decrease, warn_increase, warn_decrease }.of(&diff);
    let exit = exit_of(&diff, args);
    write(&diff, exit, args, session)?;
    Ok(exit)
}

impl Read {
    fn stand(&self) -> Stand<'_> {
        Stand { blueprint: &self.blueprint, catalog: &self.catalog, traces: &self.traces }
    }
}

/// Reads a side: a blueprint, or a plan file, which is planned; nothing where the plan file is wrong, which is told.
fn read(
    path: &str,
    revision: Option<&String>,
    args: &Args,
    session: &Session,
) -> anyhow::Result<Option<Read>> {
    let begins = |bytes: &Vec<u8>| bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let is_plan = path.ends_with(".plan") || path == "-" || revision.is_some();
    if !is_plan {
        let bytes = Here.read(path, DATA_LIMIT);
        if !bytes
            .as_ref()
            .is_ok_and(|bytes| !begins(bytes) && std::str::from_utf8(bytes).is_ok_and(looks_like_plan))
        {
            let blueprint = blueprint_file::read(path)?;
            let catalog = blueprint.inputs.catalog.clone();
            return Ok(Some(Read { blueprint, catalog, traces: BTreeMap::new() }));
        }
    }
    let mut checked = match revision {
        Some(revision) => Checked::at(path, revision, &args.beside),
        None => Checked::read(path, &args.beside),
    };
    check::tell(&checked.diagnostics, &checked.sources, Style::Human, session)?;
    let Some(spec) = checked.spec.take() else {
        if let Some(revision) = revision {
            session.say(&format!("  = help: this is `{path}` as `{revision}` has it\n"));
        }
        return Ok(None);
    };
    let blueprint = plan::solve(spec, &checked, true, session)?;
    Ok(Some(Read { blueprint, catalog: checked.catalog.into_owned(), traces: checked.traces }))
}

/// A file of another name is a plan where a line begins as one does.
fn looks_like_plan(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("plan ") && line.contains('{'))
}

fn exit_of(diff: &Diff, args: &Args) -> Exit {
    let broken = |required: bool| diff.guards.iter().any(|guard| !guard.holds && guard.required == required);
    // Where nothing differs, that a plan does not hold was known before.
    let mut exit = if diff.is_empty() { Exit::Done } else { blueprint_file::exit_of(diff.head.status) };
    if broken(true) {
        exit = exit.and(Exit::Violated);
    }
    if broken(false) && args.fail_on == FailOn::Warn {
        exit = exit.and(Exit::Warnings);
    }
    if args.detailed_exitcode && !diff.is_empty() {
        exit = exit.and(Exit::Changes);
    }
    exit
}

fn write(diff: &Diff, exit: Exit, args: &Args, session: &Session) -> anyhow::Result<()> {
    let document = diff_document(diff);
    let silent = args.guards.silent_below.is_some_and(|below| Guards::is_silent(diff, below));
    let markdown = || if silent { String::new() } else { diff_markdown(diff) };
    output::write_made(&args.output, session, |format, shown| {
        let text = match format {
            Format::Terminal => output::prose(&document, format, shown),
            Format::Markdown => markdown(),
            Format::Json => diff_json(diff, exit.code()),
            _ => {
                let mut told = diff_told(diff, env!("CARGO_PKG_VERSION"));
                told.outputs = diff_outputs(diff, exit.code());
                return crate::ci::made(format, &told, markdown);
            }
        };
        Ok(Made::Bytes(text.into_bytes()))
    })
}
