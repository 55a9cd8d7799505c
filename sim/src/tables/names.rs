//! Which catalog row does a name in a table mean? Tables spell the same thing in many ways.
//!
//! Names are compared without case and punctuation, so `llama-3.1-70b`, `llama3_1_70b` and `Llama 3.1 70B` are one.
//! The organisation before a slash and endings that do not change the architecture are dropped.

use super::row::RowError;
use crate::perf::training::Known;
use capstan_types::catalog::{Catalog, Engine, Named};
use capstan_types::hardware::Accelerator;
use capstan_types::model::Model;
use std::collections::BTreeMap;

/// Rows of a catalog by their bare names.
#[derive(Debug, Clone)]
pub struct Names<'a> {
    /// The catalog.
    pub catalog: &'a Catalog,
    models: BTreeMap<String, &'a Model>,
    accelerators: BTreeMap<String, &'a Accelerator>,
    engines: BTreeMap<String, &'a Engine>,
    known: Known,
}

/// Endings that name a checkpoint or a tuning of the same architecture.
const ENDINGS: [&str; 21] = [
    "instruct",
    "chat",
    "base",
    "thinking",
    "fp8",
    "fp4",
    "nvfp4",
    "bf16",
    "hf",
    "it",
    "awq",
    "gptq",
    "int4",
    "int8",
    "autoround",
    "w4a16",
    "w8a8",
    "mxfp4",
    "class",
    "2507",
    "dynamic",
];

/// Models that share the text tower of another: (bare name, bare name of the other).
/// Kimi K2.5 adds a vision tower to Kimi K2; DeepSeek R1 is DeepSeek V3 trained further.
const SAME: [(&str, &str); 5] = [
    ("gptj", "gptj6b"),
    ("mistral7b", "mistral7bv01"),
    ("kimik25", "kimik2"),
    ("deepseekr1", "deepseekv3"),
    ("deepseekr10528", "deepseekv3"),
];

/// Who makes chips, as names begin.
const MAKERS: [&str; 4] = ["virtualizednvidia", "nvidia", "amdinstinct", "amd"];

/// Chips that tables name without their form factor; the common one is meant.
const FORM: [(&str, &str); 8] = [
    ("h100", "h100sxm"),
    ("h200", "h200sxm"),
    ("b200", "b200sxm"),
    ("b300", "b300sxm"),
    ("a100sxm", "a100sxm80gb"),
    ("a100pcie", "a100pcie80gb"),
    // The bridge card: same chip and memory, less power.
    ("h200nvl", "h200sxm"),
    ("gh200gracehoppersuperchip96gb", "gh20096gb"),
];

impl<'a> Names<'a> {
    /// Returns the names of a catalog.
    pub fn new(catalog: &'a Catalog) -> Self {
        Self {
            catalog,
            models: by_name(&catalog.models),
            accelerators: by_name(&catalog.accelerators),
            engines: by_name(&catalog.engines),
            known: Known::of(catalog),
        }
    }

    /// Returns what measurements say of training.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Returns the model of a name.
    ///
    /// # Errors
    /// [`RowError::Unknown`].
    pub fn model(&self, name: &str) -> Result<&'a Model, RowError> {
        // What stands in brackets is a remark.
        let mut bare = bare(name.split('(').next().unwrap_or(name));
        loop {
            let same = SAME.iter().find(|(from, _)| *from == bare).map(|(_, to)| *to);
            if let Some(model) = self.models.get(&bare).or_else(|| self.models.get(same?)) {
                return Ok(model);
            }
            let Some(shorter) = ENDINGS.iter().find_map(|ending| bare.strip_suffix(ending)) else {
                return Err(RowError::Unknown { what: "model", name: name.to_owned() });
            };
            bare = shorter.to_owned();
        }
    }

    /// Returns the accelerator of a name.
    ///
    /// # Errors
    /// [`RowError::Unknown`].
    pub fn accelerator(&self, name: &str) -> Result<&'a Accelerator, RowError> {
        // `NVIDIA Blackwell GPU (GB200)`: what stands in brackets is the chip.
        let inner = name.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inside, _)| inside);
        let found = [Some(name), inner].into_iter().flatten().find_map(|name| self.chip(bare(name)));
        found.ok_or_else(|| RowError::Unknown { what: "accelerator", name: name.to_owned() })
    }

    /// Returns the accelerator of a bare name, or of the name without its vendor, its memory and its memory's kind.
    fn chip(&self, name: String) -> Option<&'a Accelerator> {
        let own = MAKERS.iter().find_map(|maker| name.strip_prefix(maker)).unwrap_or(&name);
        let own = own.split("hbm").next().unwrap_or(own);
        let own = own.split("nps1").next().unwrap_or(own);
        let own = own.strip_suffix("cts").unwrap_or(own);
        let digits = own.strip_suffix("gb").map(|rest| rest.trim_end_matches(|c: char| c.is_ascii_digit()));
        // `h200sxm5141gb`: the digits hold the socket's generation and the memory; both go.
        let candidates = [Some(name.as_str()), Some(own), digits];
        candidates.into_iter().flatten().find_map(|candidate| {
            let form = FORM.iter().find(|(from, _)| *from == candidate).map(|(_, to)| *to);
            let full = form.and_then(|full| self.accelerators.get(full));
            full.or_else(|| self.accelerators.get(candidate)).copied()
        })
    }

    /// Returns the engine of a name.
    ///
    /// # Errors
    /// [`RowError::Unknown`].
    pub fn engine(&self, name: &str) -> Result<&'a Engine, RowError> {
        let found = self.engines.get(&bare(name));
        found.copied().ok_or_else(|| RowError::Unknown { what: "engine", name: name.to_owned() })
    }
}

fn by_name<T: Named>(rows: &[T]) -> BTreeMap<String, &T> {
    let mut known = BTreeMap::new();
    // Identifiers win over names, and the first row over later ones.
    for row in rows {
        known.entry(bare(row.id())).or_insert(row);
    }
    for row in rows {
        for name in row.names() {
            known.entry(bare(name)).or_insert(row);
        }
    }
    known
}

/// Returns a name without organisation, case and punctuation.
fn bare(name: &str) -> String {
    let own = name.rsplit('/').next().unwrap_or(name);
    own.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing;

    #[test]
    fn spellings_of_one_model_are_one() {
        let catalog = testing::catalog();
        let names = Names::new(&catalog);
        for name in ["llama-3.1-70b", "llama3_1_70b", "Llama 3.1 70B", "meta/Llama-3.1-70B-Instruct-FP8"] {
            assert_eq!(names.model(name).unwrap().id, "llama3_1_70b", "{name}");
        }
        assert_eq!(names.accelerator("H100").unwrap().id, "h100_sxm");
        let unknown = names.model("llama-9").unwrap_err();
        assert_eq!(unknown.to_string(), "the catalog knows no model `llama-9`");
        assert!(names.model("").is_err() && names.model("fp8").is_err());
    }
}
