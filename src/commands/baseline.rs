//! `baseline`: plans every plan file of a folder again and says what moved since somebody last looked.

mod drift;

use super::plan;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Files, Folder, Here, TEXT_LIMIT};
use crate::output::{self, Output, rewrite_file};
use crate::plan_file::{Beside, Checked};
use crate::render;
use crate::session::Session;
use anyhow::Context;
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
    /// Form and file of what moved: human, markdown or json, each with `:FILE` if wanted
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
    output::only(&args.output, output::PROSE)?;
    let path = format!("{}/{NAME}", args.folder.trim_end_matches('/'));
    let before = known(&path, args.command)?;
    let (now, broken) = standings(&args.folder, session)?;
    let drifts = drift::drifts(&before, &now);
    output::write(&args.output, session, &document(&drifts, now.plans.len(), &broken), || {
        let status = if !broken.is_empty() {
            "failed"
        } else if drifts.is_empty() {
            "same"
        } else {
            "drifted"
        };
        let summary = json!({ "status": status, "plans": now.plans.len(), "broken": broken });
        format!("{:#}\n", json!({ "format": BASELINE_FORMAT, "summary": summary, "drifts": drifts }))
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
fn standings(folder: &str, session: &Session) -> anyhow::Result<(Baseline, Vec<String>)> {
    let listed = files::listed(folder).with_context(|| format!("cannot read `{folder}`"))?;
    let plans: Vec<String> = listed.into_iter().filter(|path| path.ends_with(".plan")).collect();
    if plans.is_empty() {
        let hint = "plan files of the folder end in `.plan`";
        return Err(Failure::new(format!("there is no plan file in `{folder}`")).hint(hint).into());
    }
    // Each plan has its own line when it is done; bars of several would write over each other.
    let quiet = Session { err: crate::session::Look { terminal: false, ..session.err }, ..*session };
    let root = Folder::of(&format!("{folder}/x"));
    let answers: Vec<anyhow::Result<Standing>> = plans
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
    for (path, answer) in plans.iter().zip(answers) {
        match answer {
            Ok(standing) => standings.push(standing),
            Err(error) => {
                session.say(&format!("{error:#}\n"));
                broken.push(root.inside(path));
            }
        }
    }
    Ok((Baseline { format: BASELINE_FORMAT, plans: standings }, broken))
}

fn one(path: &str, name: &str, session: &Session) -> anyhow::Result<Standing> {
    let mut checked = Checked::read(path, &Beside::default());
    let Some(spec) = checked.spec.take() else {
        let told = render::diagnostics(&checked.diagnostics, &checked.sources);
        return Err(anyhow::anyhow!("{}", told.trim_end()));
    };
    Ok(drift::standing(name, &plan::solve(spec, &checked, true, session)?))
}

fn document(drifts: &[Drift], plans: usize, broken: &[String]) -> Document {
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
    let broken: Vec<Cell> = broken.iter().map(|path| Cell::toned(path.clone(), Tone::Bad)).collect();
    document.section("Broken", [Block::List(broken)]);
    let mut table = Table::new(&["Plan", "What", ">Before", ">After", ">Change", "Due to"]);
    for drift in drifts {
        let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
        let signed = |share: f64| format!("{}{}", if share > 0.0 { "+" } else { "" }, figure::percent(share));
        let causes: Vec<&str> = drift.causes.iter().map(|kind| kind.words()).collect();
        table.rows.push(vec![
            drift.plan.as_str().into(),
            drift.what.as_str().into(),
            side(&drift.before).into(),
            side(&drift.after).into(),
            drift.share.map_or_else(String::new, signed).into(),
            causes.join(", ").into(),
        ]);
    }
    document.section("What moved", [Block::Table(table)]);
    document
}
