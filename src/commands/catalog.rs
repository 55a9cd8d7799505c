//! `catalog`: look up and check what is known.

mod coverage;
mod list;
mod show;

use crate::catalogs;
use crate::exit::Exit;
use crate::output::Output;
use crate::session::Session;
use clap::{Subcommand, ValueEnum};

/// Look up and check what is known: machines, prices, models
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the names of one kind, or how many there are of each
    List {
        /// Which kind; a count of each if left out
        kind: Option<Kind>,
        #[command(flatten)]
        common: Common,
    },
    /// Show everything known under a name, with sources and dates
    Show {
        /// An identifier such as h100_sxm, or a name that people know, such as p5.48xlarge
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Count what is priced, unpriced and assumed, by provider and region
    Coverage {
        /// Only this provider
        #[arg(long)]
        provider: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Report every mistake of catalog and price files of your own
    Check {
        /// TOML files, read over the built-in catalog
        #[arg(required = true, value_name = "FILE")]
        files: Vec<String>,
        /// How mistakes are told
        #[arg(long, value_enum, default_value_t = super::check::Style::Human)]
        output: super::check::Style,
    },
}

/// What every look-up takes.
#[derive(Debug, clap::Args)]
struct Common {
    /// A catalog of your own, read over the built-in one; may be given several times
    #[arg(long = "catalog", value_name = "FILE")]
    catalogs: Vec<String>,
    /// Form and file: terminal, markdown or json, each with `:FILE` if wanted
    #[arg(long, value_name = "FMT[:FILE]")]
    output: Vec<Output>,
}

/// A kind of row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Chips
    Accelerators,
    /// Machines
    Shapes,
    /// Networks
    Fabrics,
    /// Storage systems, by node
    Storage,
    /// Regions of providers
    Regions,
    /// Prices
    Offerings,
    /// Prices of single goods: chips, switches, cabling, drives, floor space, capacity blocks
    MarketPrices,
    /// Neural networks
    Models,
    /// Traffic statistics
    Traffic,
    /// Serving engines
    Engines,
}

/// Looks up.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let read = |common: &Common| catalogs::over_built_in(&common.catalogs, session);
    match &args.command {
        Command::List { kind, common } => match read(common) {
            Ok(catalog) => list::run(&catalog, *kind, &common.output, session),
            Err(exit) => Ok(exit),
        },
        Command::Show { name, common } => match read(common) {
            Ok(catalog) => show::run(&catalog, name, &common.output, session),
            Err(exit) => Ok(exit),
        },
        Command::Coverage { provider, common } => match read(common) {
            Ok(catalog) => coverage::run(&catalog, provider.as_deref(), &common.output, session),
            Err(exit) => Ok(exit),
        },
        Command::Check { files, output } => {
            let (_, mistakes, sources) = catalogs::read(files);
            super::check::tell(&mistakes, &sources, *output, session)?;
            let wrong = mistakes.iter().any(capstan_lang::Diagnostic::is_error);
            Ok(if wrong { Exit::Failed } else { Exit::Done })
        }
    }
}
