//! `fit`: the fitted numbers of the built-in catalog, from measurements, again.

use super::validate::{data_folder, table};
use crate::exit::Exit;
use crate::files;
use crate::output::rewrite_file;
use crate::session::Session;
use crate::{builtin, catalogs};
use anyhow::Context;
use capstan_lang::catalog::load;
use capstan_sim::fit::{kernels, refit, text};
use capstan_sim::tables::Kind;

/// Fit the numbers of the built-in catalog to measurements again: the same measurements give the same bytes
///
/// Reads engines.toml in the folder of catalogs, and writes it with new numbers, efficiencies_kernels.toml (curves of
/// kernels) and efficiencies_fit.toml (factors between kernels and steps, and residuals).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of measurements, with `truth/` and `kernels/` in it; CAPSTAN_DATA where it is left out
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The folder of catalogs to write to
    #[arg(long, value_name = "DIR", default_value = "catalogs")]
    catalogs: String,
}

/// The generated files.
const KERNELS: &str = "efficiencies_kernels.toml";
const FACTORS: &str = "efficiencies_fit.toml";
const ENGINES: &str = "engines.toml";

/// Fits.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let folder = data_folder(args.data.as_deref())?;
    let path = |name: &str| format!("{}/{name}", args.catalogs);
    let engines = plain(&path(ENGINES))?;
    let known = builtin::catalog();
    let gemm = kernels::gemm(&packed(&folder, "gemm.csv.gz")?[..], known)?;
    let experts = kernels::experts(&packed(&folder, "moe.csv.gz")?[..], known)?;
    let curves = text::kernels(&gemm, &experts);
    let others = builtin::TEXTS.iter().filter(|(name, _)| ![KERNELS, FACTORS, ENGINES].contains(name));
    let fresh = [(KERNELS, curves.as_str()), (ENGINES, engines.as_str())];
    let texts: Vec<(&str, &str)> = others.copied().chain(fresh).collect();
    let (mut catalog, mistakes) = load(&texts);
    anyhow::ensure!(mistakes.is_empty(), "the catalogs in `{}` have mistakes: {mistakes:?}", args.catalogs);
    let mut tables = Vec::new();
    for kind in Kind::ALL {
        tables.push(table(kind, &folder)?);
    }
    let found = refit::refit(&tables, &mut catalog);
    rewrite_file(&path(KERNELS), curves.as_bytes())?;
    rewrite_file(&path(ENGINES), text::engines(&engines, &found.factors).as_bytes())?;
    rewrite_file(&path(FACTORS), text::factors(&found.factors, &found.residuals).as_bytes())?;
    session.say(&format!(
        "note: fitted {} curves and {} factors\n",
        gemm.len() + experts.len(),
        found.factors.len()
    ));
    Ok(Exit::Done)
}

fn plain(path: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let mut file = files::stream(path).with_context(|| format!("cannot read `{path}`"))?;
    std::io::Read::read_to_end(&mut file, &mut bytes).with_context(|| format!("cannot read `{path}`"))?;
    catalogs::text(bytes).map_err(|why| anyhow::anyhow!("`{path}`: {why}"))
}

fn packed(folder: &str, name: &str) -> anyhow::Result<Vec<u8>> {
    let path = format!("{folder}/kernels/{name}");
    let mut bytes = Vec::new();
    let mut file = files::stream(&path).with_context(|| format!("cannot read `{path}`"))?;
    std::io::Read::read_to_end(&mut file, &mut bytes).with_context(|| format!("cannot read `{path}`"))?;
    files::unpacked(bytes, files::DATA_LIMIT).with_context(|| format!("unpacking `{path}`"))
}
