//! `init`: a first, commented plan file.

use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::session::Session;
use anyhow::Context;

/// The plan, in canonical form; a test checks it.
const FIRST: &str = include_str!("first.plan");

/// Write a first, commented plan file
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where; must not exist yet
    #[arg(default_value = "first.plan")]
    file: String,
}

/// Writes the file.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let file = &args.file;
    if !files::write_new(file, FIRST.as_bytes()).with_context(|| format!("cannot write `{file}`"))? {
        let hint = "name another file: capstan init FILE";
        return Err(Failure::new(format!("`{file}` exists already")).hint(hint).into());
    }
    session.say(&format!("{file} is written. Edit it, then: capstan check {file}; capstan plan {file}\n"));
    Ok(Exit::Done)
}
