//! Which rows of the catalog does the command line mean? What nobody knows gets the nearest name that somebody does.

use crate::failure::Failure;
use capstan_lang::nearest;
use capstan_planner::outlook::On;
use capstan_sim::tables::Names;
use capstan_types::catalog::{Catalog, Engine, Named};
use capstan_types::hardware::Precision;
use capstan_types::model::Model;

/// Precision of the cache; none is 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) struct Cache(pub(in crate::commands) Option<Precision>);

/// Reads a precision.
pub(in crate::commands) fn precision(word: &str) -> Result<Precision, String> {
    let known = || Precision::ALL.into_iter().map(Precision::word);
    let small = word.to_ascii_lowercase();
    Precision::from_word(&small).ok_or_else(|| match nearest(&small, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
    })
}

/// Reads the precision of the cache.
pub(in crate::commands) fn cache(word: &str) -> Result<Cache, String> {
    match word.to_ascii_lowercase().as_str() {
        "auto" | "bf16" | "fp16" => Ok(Cache(None)),
        "fp8" | "fp8_e4m3" | "fp8_e5m2" => Ok(Cache(Some(Precision::Fp8))),
        _ => Err("a cache is held in auto, bf16, fp16 or fp8".to_owned()),
    }
}

fn known<T: Named>(rows: &[T]) -> Vec<&str> {
    let mut names: Vec<&str> = rows.iter().map(Named::id).collect();
    names.extend(rows.iter().flat_map(|row| row.names().iter().map(String::as_str)));
    names
}

/// Says that nobody knows a name, and the nearest that somebody does.
fn unknown(what: &str, name: &str, known: &[&str], list: &str) -> Failure {
    let failure = Failure::new(format!("the catalog knows no {what} `{name}`"));
    // People leave the organisation out that a name begins with.
    let tails = known.iter().map(|known| known.rsplit('/').next().unwrap_or(known));
    match nearest(name, known.iter().copied()).or_else(|| nearest(name, tails)) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint(format!("`capstan catalog list {list}` prints the names")),
    }
}

/// Returns the model of a name, spelled as the catalog or as people do.
pub(in crate::commands) fn model<'a>(
    catalog: &'a Catalog,
    names: &Names<'a>,
    name: &str,
) -> Result<&'a Model, Failure> {
    let found = catalog.model(name).or_else(|| names.model(name).ok());
    found.ok_or_else(|| unknown("model", name, &known(&catalog.models), "models"))
}

/// Returns the engine and its version.
pub(in crate::commands) fn engine<'a>(
    catalog: &'a Catalog,
    names: &Names<'a>,
    asked: &'a str,
) -> Result<(&'a Engine, &'a str), Failure> {
    let (name, version) =
        asked.split_once('@').map_or((asked, None), |(name, version)| (name, Some(version)));
    let found = catalog.engine(name).or_else(|| names.engine(name).ok());
    let engine = found.ok_or_else(|| unknown("engine", name, &known(&catalog.engines), "engines"))?;
    Ok((engine, version.filter(|version| !version.is_empty()).unwrap_or(&engine.version)))
}

/// Returns what to run on.
pub(in crate::commands) fn on<'a>(
    catalog: &'a Catalog,
    names: &Names<'a>,
    name: &str,
) -> Result<On<'a>, Failure> {
    if name == "all" {
        return Ok(On::All);
    }
    if let Some(accelerator) = catalog.accelerator(name) {
        return Ok(On::Accelerator(accelerator));
    }
    if let Some(shape) = catalog.shape(name) {
        if shape.accelerator.is_none() || shape.accelerators == 0 {
            return Err(Failure::new(format!("`{name}` has no accelerators")));
        }
        return Ok(On::Machine(shape));
    }
    if let Ok(accelerator) = names.accelerator(name) {
        return Ok(On::Accelerator(accelerator));
    }
    let mut all = known(&catalog.accelerators);
    all.extend(known(&catalog.shapes));
    Err(unknown("accelerator or machine", name, &all, "accelerators"))
}
