//! `check`: every mistake of plan files at once.

use crate::ci;
use crate::exit::Exit;
use crate::output::{self, Format, Made, Output};
use crate::plan_file::{Beside, Checked};
use crate::render::{self, Sources};
use crate::session::Session;
use capstan_lang::Diagnostic;
use clap::ValueEnum;
use serde_json::{Value, json};

/// How mistakes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Style {
    /// With the lines they are about, on standard error
    Human,
    /// One document for programs, on standard output
    Json,
}

/// What counts as a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Errors
    Error,
    /// Warnings too
    Warn,
}

/// Report every mistake of plan files
///
/// Each has a code, its place and what to write instead. Nothing is planned.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Plan files; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    #[command(flatten)]
    beside: Beside,
    /// Form and file: human, json, markdown, sarif, junit, gitlab or github, each with `:FILE` if wanted; may be given
    /// several times. `human` goes to standard error
    #[arg(long, value_name = "FMT[:FILE]")]
    output: Vec<Output>,
    /// End with 4 where there are only warnings
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    fail_on: FailOn,
}

/// Checks every file, and goes on after one that is wrong.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    output::only(&args.output, output::CI)?;
    let mut exit = Exit::Done;
    let (mut all, mut sources) = (Vec::new(), Sources::new());
    let watched = |output: &Output| output.format == Format::Terminal && output.file.is_none();
    let human = args.output.is_empty() || args.output.iter().any(watched);
    for file in &args.files {
        let checked = Checked::read(file, &args.beside);
        exit = exit.and(exit_of(&checked.diagnostics, args.fail_on));
        if human {
            session.say(&told(file, &checked.diagnostics, &checked.sources));
        }
        all.push((file.clone(), checked.diagnostics));
        sources.extend(checked.sources);
    }
    let others: Vec<Output> = args.output.iter().filter(|output| !watched(output)).cloned().collect();
    if !others.is_empty() {
        let for_ci = ci::of_diagnostics(&all, &sources);
        output::write_made(&others, session, |format, _| {
            let text = match format {
                Format::Terminal => all.iter().map(|(file, found)| told(file, found, &sources)).collect(),
                Format::Markdown => ci::markdown(&for_ci),
                Format::Json => as_json(&all, &sources, exit),
                _ => return ci::made(format, &for_ci, || ci::markdown(&for_ci)),
            };
            Ok(Made::Bytes(text.into_bytes()))
        })?;
    }
    Ok(exit)
}

/// Returns the mistakes of a file, and how many there are.
fn told(file: &str, found: &[Diagnostic], sources: &Sources) -> String {
    let summary = render::tally(found);
    let summary = if summary.is_empty() { "no mistakes".to_owned() } else { summary };
    format!("{}{file}: {summary}\n", render::diagnostics(found, sources))
}

fn as_json(all: &[(String, Vec<Diagnostic>)], sources: &Sources, exit: Exit) -> String {
    let found: Vec<Diagnostic> = all.iter().flat_map(|(_, found)| found).cloned().collect();
    let errors = found.iter().filter(|one| one.is_error()).count();
    let summary = json!({
        "status": if errors == 0 { "checked" } else { "failed" },
        "exit_code": exit.code(),
        "files": all.len(),
        "errors": errors,
        "warnings": found.len() - errors,
    });
    format!("{:#}\n", document(&found, sources, Some(summary)))
}

fn document(found: &[Diagnostic], sources: &Sources, summary: Option<Value>) -> Value {
    let mut document = json!({ "format": 1, "diagnostics": render::located(found, sources) });
    if let Some(summary) = summary {
        document["summary"] = summary;
    }
    document
}

/// Returns the exit code that diagnostics stand for.
pub fn exit_of(found: &[Diagnostic], fail_on: FailOn) -> Exit {
    if found.iter().any(Diagnostic::is_error) {
        Exit::Failed
    } else if fail_on == FailOn::Warn && !found.is_empty() {
        Exit::Warnings
    } else {
        Exit::Done
    }
}

/// Tells mistakes, to people or to programs.
pub fn tell(found: &[Diagnostic], sources: &Sources, style: Style, session: &Session) -> anyhow::Result<()> {
    match style {
        Style::Human => session.say(&render::diagnostics(found, sources)),
        Style::Json => {
            session.print(&format!("{:#}\n", document(found, sources, None)))?;
        }
    }
    Ok(())
}
