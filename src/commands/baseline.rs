//! `baseline`: plans every plan file of a folder again and says what moved since somebody last looked.

mod drift;
mod told;

use super::plan;
use crate::ci;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Files, Folder, Here, TEXT_LIMIT};
use crate::output::{self, Format, Made, Output, rewrite_file};
use crate::plan_file::{Beside, Checked};
use crate::render::{self, Sources};
use crate::session::Session;
use anyhow::Context;
use capstan_lang::Diagnostic;
use capstan_report::{Block, Cell, Document, Table, Tone};
use capstan_types::baseline::{BASELINE_FORMAT, Baseline, Drift, Standing};
use capstan_types::figure::{self, counted};
use clap::ValueEnum;
use rayon::prelude::*;
use serde_json::json;

/// Name of the file, in the folder that is planned.
const NAME: &str = "capstan.baseline.json";

/// Say where all plans of a folder stand, and what moved since
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do
    #[arg(value_enum)]
    command: Command,
    /// The folder; every file in and below it that ends in `.plan` is planned
    #[arg(value_name = "DIR")]
    folder: String,
    /// Form and file of what moved: human, json, markdown, sarif, junit, gitlab or github, each with `:FILE` if wanted; may
    /// be given several times
    #[arg(long, value_name = "FMT[:FILE]")]
    output: Vec<Output>,
}

/// What to do with a baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Command {
    /// Write down where the plans stand, and say what moved
    Update,
    /// Change nothing; end with 2 where a number moved by more than 1 %, or a plan holds no more
    Check,
}

/// Plans the folder and compares.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    output::only(&args.output, output::CI)?;
    let path = format!("{}/{NAME}", args.folder.trim_end_matches('/'));
    let before = known(&path, args.command)?;
    let (now, broken) = standings(&args.folder, session)?;
    let mut drifts = drift::drifts(&before, &now);
    // A plan that cannot be planned is there all the same: it is broken and nothing else.
    drifts.retain(|drift| broken.iter().all(|one| one.plan != drift.plan));
    let document = document(&drifts, now.plans.len(), &broken);
    let for_ci = || ci::with_rules(told::told(&args.folder, &now, &drifts, &broken));
    output::write_made(&args.output, session, |format, look| {
        let text = match format {
            Format::Terminal | Format::Markdown => output::prose(&document, format, look),
            Format::Json => as_json(&drifts, now.plans.len(), &broken),
            _ => return ci::made(format, &for_ci(), || capstan_report::markdown(&document)),
        };
        Ok(Made::Bytes(text.into_bytes()))
    })?;
    let failed = if broken.is_empty() { Exit::Done } else { Exit::Failed };
    Ok(match args.command {
        Command::Update if broken.is_empty() => {
            let mut text = serde_json::to_string_pretty(&now).context("writing the baseline")?;
            text.push('\n');
            rewrite_file(&path, text.as_bytes())?;
            failed
        }
        Command::Update => {
            session.say(&format!("error: {path} is left as it was, since a plan is broken\n"));
            failed
        }
        Command::Check if drifts.is_empty() => failed,
        Command::Check => failed.and(Exit::Changes),
    })
}

/// A plan that does not get as far as an answer.
struct Broken {
    /// Its path in the folder.
    plan: String,
    /// What is said of it, for people.
    message: String,
    /// The mistakes of its text, where it has any.
    found: Vec<Diagnostic>,
    sources: Sources,
}

/// The word that stands for how the plans are.
fn status(drifts: &[Drift], broken: &[Broken]) -> &'static str {
    match (broken.is_empty(), drifts.is_empty()) {
        (false, _) => "failed",
        (true, true) => "same",
        (true, false) => "drifted",
    }
}

fn as_json(drifts: &[Drift], plans: usize, broken: &[Broken]) -> String {
    let paths: Vec<&str> = broken.iter().map(|one| one.plan.as_str()).collect();
    let summary = json!({ "status": status(drifts, broken), "plans": plans, "broken": paths });
    format!("{:#}\n", json!({ "format": BASELINE_FORMAT, "summary": summary, "drifts": drifts }))
}

/// Reads the baseline; none is an empty one for `update`.
fn known(path: &str, command: Command) -> anyhow::Result<Baseline> {
    let update = "write it with `capstan baseline update DIR`";
    let bytes = match Here.read(path, TEXT_LIMIT) {
        Err(files::FileError::Missing) if command == Command::Update => {
            return Ok(Baseline { format: BASELINE_FORMAT, plans: Vec::new() });
        }
        Err(error) => return Err(Failure::new(format!("cannot read `{path}`: {error}")).hint(update).into()),
        Ok(bytes) => bytes,
    };
    let baseline: Baseline = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(format!("`{path}` is no baseline: {error}")).hint(update))?;
    if baseline.format != BASELINE_FORMAT {
        let message =
            format!("`{path}` has format {}; this version reads {BASELINE_FORMAT}", baseline.format);
        return Err(Failure::new(message).hint(update).into());
    }
    Ok(baseline)
}

/// Plans every plan file of a folder, side by side; returns where they stand, and those that are broken.
fn standings(folder: &str, session: &Session) -> anyhow::Result<(Baseline, Vec<Broken>)> {
    let listed = files::listed(folder).with_context(|| format!("cannot read `{folder}`"))?;
    let plans: Vec<String> = listed.into_iter().filter(|path| path.ends_with(".plan")).collect();
    if plans.is_empty() {
        let hint = "plan files of the folder end in `.plan`";
        return Err(Failure::new(format!("there is no plan file in `{folder}`")).hint(hint).into());
    }
    // Each plan has its own line when it is done; bars of several would write over each other.
    let quiet = Session { err: crate::session::Look { terminal: false, ..session.err }, ..*session };
    let root = Folder::of(&format!("{folder}/x"));
    let answers: Vec<Result<Standing, Broken>> = plans
        .par_iter()
        .map(|path| {
            let answer = one(path, &root.inside(path), &quiet);
            let word = if answer.is_ok() { "planned" } else { "broken" };
            session.say(&format!("{path}: {word}\n"));
            answer
        })
        .collect();
    let mut broken = Vec::new();
    let mut standings = Vec::new();
    for answer in answers {
        match answer {
            Ok(standing) => standings.push(standing),
            Err(one) => {
                session.say(&format!("{}\n", one.message));
                broken.push(one);
            }
        }
    }
    Ok((Baseline { format: BASELINE_FORMAT, plans: standings }, broken))
}

fn one(path: &str, name: &str, session: &Session) -> Result<Standing, Broken> {
    let mut checked = Checked::read(path, &Beside::default());
    let Some(spec) = checked.spec.take() else {
        let told = render::diagnostics(&checked.diagnostics, &checked.sources);
        let (plan, message) = (name.to_owned(), told.trim_end().to_owned());
        return Err(Broken { plan, message, found: checked.diagnostics, sources: checked.sources });
    };
    let unsolved = |error: anyhow::Error| Broken {
        plan: name.to_owned(),
        message: format!("{error:#}"),
        found: Vec::new(),
        sources: Sources::new(),
    };
    Ok(drift::standing(name, &plan::solve(spec, &checked, true, session).map_err(unsolved)?))
}

fn document(drifts: &[Drift], plans: usize, broken: &[Broken]) -> Document {
    let title = match (broken.len(), drifts.len()) {
        (0, 0) => Cell::toned(format!("nothing moved in {}", counted(plans, "plan")), Tone::Good),
        (0, moved) => Cell::toned(
            format!("{} of {} moved", counted(moved, "number"), counted(plans, "plan")),
            Tone::Warn,
        ),
        (broken, moved) => Cell::toned(
            format!(
                "{} BROKEN; {} of {} moved beside that",
                counted(broken, "plan"),
                counted(moved, "number"),
                counted(plans, "plan")
            ),
            Tone::Bad,
        ),
    };
    let mut document = Document { title, blocks: Vec::new() };
    let broken: Vec<Cell> = broken.iter().map(|one| Cell::toned(one.plan.clone(), Tone::Bad)).collect();
    document.section("Broken", [Block::List(broken)]);
    let mut table = Table::new(&["Plan", "What", ">Before", ">After", ">Change", "Due to"]);
    for drift in drifts {
        let [before, after, change, causes] = words(drift);
        let cells = [drift.plan.clone(), drift.what.clone(), before, after, change, causes];
        table.rows.push(cells.into_iter().map(Cell::from).collect());
    }
    document.section("What moved", [Block::Table(table)]);
    document
}

/// Returns where a number was and is, its change, and what that is due to.
fn words(drift: &Drift) -> [String; 4] {
    let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
    let signed = |share: f64| format!("{}{}", if share > 0.0 { "+" } else { "" }, figure::percent(share));
    let causes: Vec<&str> = drift.causes.iter().map(|kind| kind.words()).collect();
    let change = drift.share.map_or_else(String::new, signed);
    [side(&drift.before), side(&drift.after), change, causes.join(", ")]
}
