//! Every row of a table of measurements, priced.

use crate::catalogs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::session::Session;
use anyhow::Context;
use capstan_sim::tables::{self, Kind, TableError};
use std::io::BufWriter;

/// Reads the kind of a table.
pub(super) fn kind(word: &str) -> Result<Kind, String> {
    Kind::from_word(word).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::word).collect();
        format!("there is no table of that kind; there are {}", known.join(", "))
    })
}

/// Prices a table.
pub(super) fn run(
    kind: Kind,
    file: &str,
    own: &[String],
    causes: bool,
    session: &Session,
) -> anyhow::Result<Exit> {
    let catalog = match catalogs::over_built_in(own, session) {
        Ok(catalog) => catalog,
        Err(exit) => return Ok(exit),
    };
    let table = files::stream(file).with_context(|| format!("cannot read `{file}`"))?;
    let out = BufWriter::new(std::io::stdout().lock());
    let price = if causes { tables::price_with_causes } else { tables::price };
    let priced = price(kind, table, &catalog, out).map_err(|error| told(file, error))?;
    if priced.rejected > 0 {
        let (rows, rejected) = (priced.rows, priced.rejected);
        session.say(&format!("note: {rejected} of {rows} rows have no prediction; `rejection` says why\n"));
    }
    Ok(Exit::Done)
}

fn told(file: &str, error: TableError) -> anyhow::Error {
    match error {
        TableError::MissingColumns { .. } => Failure::new(format!("`{file}`: {error}")).into(),
        other => anyhow::Error::from(other).context(format!("pricing `{file}`")),
    }
}
