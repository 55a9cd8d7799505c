//! What surrounds a run of the program? Terminals, widths, colours and the date, looked up once.

use crate::files;
use crate::render;
use anyhow::Context;
use jiff::civil::Date;
use std::io::{IsTerminal, Write};

/// How text may look at one end of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns.
    pub width: usize,
    /// Whether colours are shown.
    pub colour: bool,
    /// Whether characters beyond ASCII are shown.
    pub unicode: bool,
    /// Whether somebody is watching.
    pub terminal: bool,
}

/// Columns where neither a terminal nor `COLUMNS` says how many.
const WIDTH: usize = 100;

/// The surroundings of a run.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// How standard output looks.
    pub out: Look,
    /// How standard error looks.
    pub err: Look,
    /// The day on which it runs: for warnings about old prices, and the date of what is imported.
    pub today: Date,
}

/// Returns a variable of the environment, `None` where it is empty.
pub fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the root reads the environment, here only")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Session {
    /// Looks around. `NO_COLOR` and `TERM=dumb` forbid colours, `COLUMNS` gives the width, `SOURCE_DATE_EPOCH` the day.
    pub fn new() -> Self {
        let plain = variable("NO_COLOR").is_some() || variable("TERM").is_some_and(|term| term == "dumb");
        let width = variable("COLUMNS").and_then(|text| text.parse().ok()).filter(|&width| width > 0);
        let measured = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let width = width.or_else(measured).unwrap_or(WIDTH);
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
        let utf8 = locale.is_none_or(|name| name.to_ascii_lowercase().replace('-', "").contains("utf8"));
        let look =
            |terminal| Look { width, colour: terminal && !plain, unicode: utf8 || !terminal, terminal };
        let seconds = variable("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
        Session {
            out: look(std::io::stdout().is_terminal()),
            err: look(std::io::stderr().is_terminal()),
            today: files::today(seconds),
        }
    }

    /// Writes what programs read.
    pub fn print(&self, text: &str) -> anyhow::Result<()> {
        self.print_bytes(text.as_bytes())
    }

    /// The same of bytes.
    pub fn print_bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).context("writing to standard output")
    }

    /// Says something to the person who watches. That nobody listens is no failure.
    pub fn say(&self, text: &str) {
        let _ = std::io::stderr().lock().write_all(render::toned(text, self.err).as_bytes());
    }

    /// Warns.
    pub fn warn(&self, text: &str) {
        self.say(&format!("warning: {text}\n"));
    }
}

/// Says that the program is wrong; used before anything is known of the surroundings.
pub fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
