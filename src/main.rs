//! The command-line program: reads files, asks the crates, shows what they answer.
//!
//! Invariants: only this package and `backends/apply` touch files, clocks and networks, here through [`files`];
//! output for programs goes to standard output, prose to standard error; a file is written whole or not at all.

mod blueprint_file;
mod builtin;
mod cache;
mod catalogs;
mod ci;
mod cli;
mod cluster;
mod commands;
mod exit;
mod failure;
mod files;
#[cfg(feature = "pdf")]
mod fonts;
mod images_file;
mod interrupt;
mod lock_file;
mod model_file;
mod output;
mod plan_file;
#[cfg(test)]
mod reference;
mod registry;
mod render;
mod session;

use clap::Parser;
use exit::Exit;
use std::panic;
use std::process::ExitCode;

fn main() -> ExitCode {
    panic::set_hook(Box::new(|what| {
        let version = env!("CARGO_PKG_VERSION");
        let text = format!(
            "capstan {version} has a bug, sorry. Nothing that was half done was kept.\n  {what}\n  \
             = help: please report this text with the command line and, if you can, the input files\n"
        );
        session::complain(&text);
    }));
    let exit = panic::catch_unwind(run).unwrap_or(Exit::Bug);
    ExitCode::from(exit.code())
}

fn run() -> Exit {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(asked) => {
            // Nobody may be reading what clap prints; that is no failure.
            let _ = asked.print();
            return if asked.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let session = session::Session::new();
    cli.command.run(&session).unwrap_or_else(|error| {
        let (exit, text) = failure::told(&error);
        if let Some(text) = text {
            session.say(&text);
        }
        exit
    })
}
