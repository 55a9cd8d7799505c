//! `validate`: predictions beside published measurements, by table and stratum. docs/validation.md is its Markdown.

mod page;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::output::{self, Output};
use crate::session::Session;
use crate::{builtin, catalogs};
use anyhow::Context;
use capstan_sim::fit::validation::{Validated, validate};
use capstan_sim::tables::{Kind, Table};
use serde_json::json;

/// Hold predictions against published measurements: errors by table and stratum, with the rows, the whole cell, the
/// whole model or the whole engine left out, beside a constant baseline and the figures of other programs
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of measurements, with `truth/` in it; CAPSTAN_DATA where it is left out
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// A catalog of your own, read over the built-in one; may be given several times
    #[arg(long = "catalog", value_name = "FILE")]
    catalogs: Vec<String>,
    /// Form and file: terminal, markdown or json, each with `:FILE` if wanted
    #[arg(long, value_name = "FMT[:FILE]")]
    output: Vec<Output>,
}

/// Validates.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let catalog = if args.catalogs.is_empty() {
        builtin::catalog().clone()
    } else {
        match catalogs::over_built_in(&args.catalogs, session) {
            Ok(catalog) => catalog,
            Err(exit) => return Ok(exit),
        }
    };
    let folder = data_folder(args.data.as_deref())?;
    let mut tables = Vec::new();
    for kind in Kind::ALL {
        tables.push(table(kind, &folder)?);
    }
    let validated: Vec<Validated> =
        (0..tables.len()).map(|place| validate(&tables, place, &catalog)).collect();
    let document = page::document(&validated, &catalog);
    output::write(&args.output, session, &document, || {
        format!("{:#}\n", json!({ "format": 1, "tables": validated }))
    })?;
    Ok(Exit::Done)
}

/// Returns the folder of measurements.
pub fn data_folder(asked: Option<&str>) -> anyhow::Result<String> {
    let folder = asked.map(str::to_owned).or_else(|| crate::session::variable("CAPSTAN_DATA"));
    folder.ok_or_else(|| {
        Failure::new("there is no folder of measurements: say `--data DIR`, or set CAPSTAN_DATA".to_owned())
            .into()
    })
}

/// Reads a table of measurements.
pub fn table(kind: Kind, folder: &str) -> anyhow::Result<Table> {
    let path = format!("{folder}/truth/{}.csv", kind.word());
    let text = files::stream(&path).with_context(|| format!("cannot read `{path}`"))?;
    Table::read(kind, text).with_context(|| format!("reading `{path}`"))
}
