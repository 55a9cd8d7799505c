//! `check`: every mistake of plan files at once.

use crate::exit::Exit;
use crate::plan_file::{Beside, Checked};
use crate::render::{self, Sources};
use crate::session::Session;
use capstan_lang::Diagnostic;
use clap::ValueEnum;
use serde_json::json;

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
    /// How mistakes are told
    #[arg(long, value_enum, default_value_t = Style::Human)]
    output: Style,
    /// End with 4 where there are only warnings
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    fail_on: FailOn,
}

/// Checks every file, and goes on after one that is wrong.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    let (mut mistakes, mut sources) = (Vec::new(), Sources::new());
    for file in &args.files {
        let checked = Checked::read(file, &args.beside);
        exit = exit.and(exit_of(&checked.diagnostics, args.fail_on));
        match args.output {
            Style::Json => {
                mistakes.extend(checked.diagnostics);
                sources.extend(checked.sources);
            }
            Style::Human => {
                tell(&checked.diagnostics, &checked.sources, Style::Human, session)?;
                let summary = render::tally(&checked.diagnostics);
                let summary = if summary.is_empty() { "no mistakes".to_owned() } else { summary };
                session.say(&format!("{file}: {summary}\n"));
            }
        }
    }
    if args.output == Style::Json {
        tell(&mistakes, &sources, Style::Json, session)?;
    }
    Ok(exit)
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
            let located = render::located(found, sources);
            session.print(&format!("{:#}\n", json!({ "format": 1, "diagnostics": located })))?;
        }
    }
    Ok(())
}
