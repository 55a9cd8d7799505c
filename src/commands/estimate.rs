//! `estimate`: what a configuration achieves. With `--table`, every row of a table of measurements is priced.

use crate::catalogs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::session::Session;
use anyhow::Context;
use capstan_sim::tables::{self, Kind, TableError};
use std::io::BufWriter;

/// Price every row of a table of measurements: the same rows and columns, then the predicted ones
///
/// Measured columns are never read. A row that cannot be priced says why in the column `rejection`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the table holds: serving_latency, serving_throughput, mlperf_inference, training_throughput,
    /// mlperf_training, training_papers or training_memory
    #[arg(long, value_name = "KIND", value_parser = kind)]
    table: Kind,
    /// The table, CSV; `-` is standard input
    #[arg(value_name = "FILE.csv")]
    file: String,
    /// Add a column `wide_because`: what makes the intervals of a row wider than usual
    #[arg(long)]
    causes: bool,
    /// A catalog of your own, read over the built-in one; may be given several times
    #[arg(long = "catalog", value_name = "FILE")]
    catalogs: Vec<String>,
}

fn kind(word: &str) -> Result<Kind, String> {
    Kind::from_word(word).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::word).collect();
        format!("there is no table of that kind; there are {}", known.join(", "))
    })
}

/// Estimates.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let catalog = match catalogs::over_built_in(&args.catalogs, session) {
        Ok(catalog) => catalog,
        Err(exit) => return Ok(exit),
    };
    let table = files::stream(&args.file).with_context(|| format!("cannot read `{}`", args.file))?;
    let out = BufWriter::new(std::io::stdout().lock());
    let price = if args.causes { tables::price_with_causes } else { tables::price };
    let priced = price(args.table, table, &catalog, out).map_err(|error| told(&args.file, error))?;
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
