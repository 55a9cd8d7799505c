//! `man`: manual pages, one per command.

use crate::cli::Cli;
use crate::exit::Exit;
use crate::files;
use crate::output::write_file;
use crate::session::Session;
use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;

/// Write manual pages
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder; made where it does not exist
    dir: String,
}

/// Writes `capstan.1` and one page per command.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let dir = args.dir.trim_end_matches('/');
    files::make_folder(dir).with_context(|| format!("cannot make the folder `{dir}`"))?;
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut pages = vec![("capstan".to_owned(), &program)];
    for command in program.get_subcommands() {
        pages.push((format!("capstan-{}", command.get_name()), command));
    }
    for (name, command) in &pages {
        let mut page = Vec::new();
        let manual = Man::new((*command).clone()).title(name.as_str());
        manual.render(&mut page).context("rendering a manual page")?;
        write_file(&format!("{dir}/{name}.1"), &page)?;
    }
    session.say(&format!("{} pages are in {dir}\n", pages.len()));
    Ok(Exit::Done)
}
