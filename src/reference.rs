//! The page `docs/command-line.md`: every command with its options and the exit codes, from the program itself.
//!
//! Only the tests need it: one keeps the page current, and `UPDATE=1` writes it.

use crate::cli::Cli;
use crate::exit::Exit;
use clap::{Command, CommandFactory};
use std::fmt::Write;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/command-line.md");

fn page() -> String {
    let mut text = String::from(
        "# The command line\n\nGenerated from the program; a test keeps it current \
         (`UPDATE=1 cargo test --bin capstan command_line`).\n\nOutput for programs goes to standard output and is \
         versioned; prose, warnings and progress go to standard error. Colours are shown on a terminal only, and \
         `NO_COLOR` is honoured; `COLUMNS` sets the width. Files are written whole or not at all. A reader that \
         closes standard output early ends the program with 0.\n\n## Exit codes\n\nWhere two hold, the upper one \
         is told.\n\n| code | says |\n|---:|---|\n",
    );
    for (exit, meaning) in Exit::ALL {
        let _ = writeln!(text, "| {} | {meaning} |", exit.code());
    }
    let mut program = Cli::command().term_width(100).disable_help_subcommand(true);
    program.build();
    for command in program.get_subcommands() {
        section(&mut text, "##", command);
        for inner in command.get_subcommands() {
            section(&mut text, "###", inner);
        }
    }
    text
}

fn section(text: &mut String, level: &str, command: &Command) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let help = command.clone().term_width(100).render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = writeln!(text, "\n{level} {name}\n\n```text\n{}\n```", help.join("\n").trim_end());
}

#[test]
fn the_page_of_the_command_line_is_current() {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever runs the tests says that the page is to be written"
    )]
    let update = std::env::var("UPDATE").is_ok();
    if update {
        crate::files::replace(PAGE, page().as_bytes()).expect("the page can be written");
    }
    let bytes = crate::files::Files::read(&crate::files::Here, PAGE, 1 << 20).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&bytes), page(), "run with UPDATE=1");
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}
