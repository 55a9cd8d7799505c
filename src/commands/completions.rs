//! `completions`: what a shell offers while a command is typed.

use crate::cli::Cli;
use crate::exit::Exit;
use crate::session::Session;
use clap::CommandFactory;
use clap_complete::{Shell, generate};

/// Write completions for a shell
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Writes them to standard output.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let mut bytes = Vec::new();
    generate(args.shell, &mut Cli::command(), "capstan", &mut bytes);
    session.print(&String::from_utf8_lossy(&bytes))?;
    Ok(Exit::Done)
}
