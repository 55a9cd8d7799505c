//! `diff`: what changes between two blueprints, what it costs, and which inputs differ.

use crate::blueprint_file;
use crate::exit::Exit;
use crate::output::{self, Output};
use crate::session::Session;
use capstan_report::{diff_document, diff_json};

/// Say what changes between two blueprints, and what it costs
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The blueprint to compare with
    base: String,
    /// The blueprint to look at
    head: String,
    /// Form and file: terminal, markdown or json, each with `:FILE` if wanted; may be given several times
    #[arg(long, value_name = "FMT[:FILE]")]
    output: Vec<Output>,
    /// End with 2 where anything differs
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Compares.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let (base, head) = (blueprint_file::read(&args.base)?, blueprint_file::read(&args.head)?);
    let diff = capstan_planner::diff::diff(&base, &head);
    output::write(&args.output, session, &diff_document(&diff), || diff_json(&diff))?;
    let changed = args.detailed_exitcode && !diff.is_empty();
    Ok(if changed { Exit::Changes } else { Exit::Done })
}
