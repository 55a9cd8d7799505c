//! `fmt`: the canonical form of plan files.

use crate::exit::Exit;
use crate::output::rewrite_file;
use crate::plan_file::Text;
use crate::render;
use crate::session::Session;

/// Write plan files in their canonical form
///
/// Formatting twice changes nothing more, and comments are kept. A file with mistakes in its text is left as it is.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Plan files; `-` reads standard input and writes standard output
    #[arg(required = true)]
    files: Vec<String>,
    /// Change nothing; print the names of files that would change, and end with 2 if there are any
    #[arg(long)]
    check: bool,
}

/// Formats every file, and goes on after one that cannot be.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    for file in &args.files {
        exit = exit.and(one(file, args.check, session)?);
    }
    Ok(exit)
}

fn one(file: &str, check: bool, session: &Session) -> anyhow::Result<Exit> {
    let text = Text::read(file);
    let formatted = match capstan_lang::format(&text.text) {
        Ok(formatted) if !text.has_errors() => formatted,
        _ => {
            session.say(&render::diagnostics(&text.parsed.diagnostics, &text.sources()));
            return Ok(Exit::Failed);
        }
    };
    let changes = formatted != text.text;
    match (file, check) {
        (_, true) if changes => {
            session.print(&format!("{file}\n"))?;
            Ok(Exit::Changes)
        }
        (_, true) => Ok(Exit::Done),
        ("-", false) => session.print(&formatted).map(|()| Exit::Done),
        (_, false) if changes => rewrite_file(file, formatted.as_bytes()).map(|()| Exit::Done),
        (_, false) => Ok(Exit::Done),
    }
}
