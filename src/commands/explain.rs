//! `explain`: a diagnostic at length, or a plan in sentences.

use crate::blueprint_file;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{Files, Here};
use crate::output::{self, Output};
use crate::session::Session;
use capstan_lang::{Code, codes, nearest};
use capstan_planner::explain::{UnknownSubject, explain};
use capstan_report::explanation_document;

/// Explain a code of a message, or a plan in sentences
///
/// Of a plan: why this, what binds, how it is bought, what else would do, what was rejected.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A code such as E0104, or a blueprint
    #[arg(value_name = "CODE|BLUEPRINT")]
    what: String,
    /// A workload, a machine or a site of the blueprint; everything if left out
    subject: Option<String>,
    /// Form and file, for a blueprint: terminal, markdown or json, each with `:FILE` if wanted
    #[arg(long, value_name = "FMT[:FILE]")]
    output: Vec<Output>,
}

/// Explains.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    if let Some(code) = Code::parse(&args.what)
        && args.subject.is_none()
        && Here.read(&args.what, 1).is_err_and(|error| matches!(error, crate::files::FileError::Missing))
    {
        return explain_code(code, session);
    }
    let blueprint = blueprint_file::read(&args.what)?;
    let explanation = explain(&blueprint, args.subject.as_deref()).map_err(unknown)?;
    output::write(&args.output, session, &explanation_document(&explanation), || {
        let mut text = serde_json::to_string_pretty(&explanation).expect("only strings");
        text.push('\n');
        text
    })?;
    Ok(Exit::Done)
}

fn explain_code(code: Code, session: &Session) -> anyhow::Result<Exit> {
    if let Some(entry) = codes::explain(code) {
        session.print(&entry.to_string())?;
        return Ok(Exit::Done);
    }
    let known: Vec<String> = codes::all().map(|entry| entry.code.to_string()).collect();
    let mut failure = Failure::new(format!("there is no code {code}"));
    let asked = code.to_string();
    if let Some(near) = nearest(&asked, known.iter().map(String::as_str)) {
        failure = failure.hint(format!("the nearest is {near}"));
    }
    Err(failure.into())
}

fn unknown(unknown: UnknownSubject) -> Failure {
    let names =
        |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let failure = Failure::new(unknown.to_string());
    if unknown.suggestions.is_empty() {
        failure.hint(format!("it has {}", names(&unknown.known)))
    } else {
        failure.hint(format!("did you mean {}?", names(&unknown.suggestions)))
    }
}
