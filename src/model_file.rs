//! Which model does a file describe? The `config.json`, what lies beside it, and the names that follow from its place.

use crate::catalogs::{start, text, unreadable};
use crate::render::Sources;
use capstan_lang::import::{ConfigText, Imported, huggingface};
use capstan_types::origin::{Grade, Provenance};
use capstan_types::place::FileId;
use jiff::civil::Date;

/// A file that was read, and its texts for showing lines.
pub struct Found {
    /// What it says.
    pub imported: Imported,
    /// Texts.
    pub sources: Sources,
}

/// Name of the file in which a quantiser says what it did.
const QUANTISED: &str = "hf_quant_config.json";

/// Says whether a file of this name describes a model.
pub fn is_config(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let others = ["generation", "tokenizer", "preprocessor", "processor", "hf_quant"];
    let stem = name
        .strip_suffix("config.json")
        .and_then(|stem| stem.strip_suffix('_').or(stem.is_empty().then_some("")));
    stem.is_some_and(|stem| !others.iter().any(|other| stem.ends_with(other)))
}

/// Returns the path at which the quantisation of a `config.json` would lie.
pub fn beside(path: &str) -> Option<String> {
    Some(format!("{}{QUANTISED}", path.strip_suffix("config.json")?))
}

/// Returns the name on the hub that a path speaks of: `…/org--name_config.json`, or the folder of a `config.json`.
pub fn name(path: &str) -> String {
    let mut parts = path.rsplit('/');
    let file = parts.next().unwrap_or(path);
    let stem = file.strip_suffix("config.json").unwrap_or(file).trim_end_matches('_');
    let folder = parts.find(|part| !part.is_empty() && *part != ".");
    let stem = if stem.is_empty() { folder.unwrap_or("model") } else { stem };
    // The cache of the hub names folders `models--org--name`.
    stem.strip_prefix("models--").unwrap_or(stem).replacen("--", "/", 1)
}

/// Returns a name as an identifier.
pub fn identifier(name: &str) -> String {
    let own = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let plain: String = own.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_alphabetic()) { plain } else { format!("m_{plain}") }
}

/// Reads a `config.json`. Who plans dates the model with the day of the plan.
pub fn read(shown: &str, bytes: Vec<u8>, beside: Option<(String, Vec<u8>)>, id: &str) -> Found {
    dated(shown, bytes, beside, id, Date::constant(1970, 1, 1))
}

/// The same with the day for which it is true.
pub fn dated(shown: &str, bytes: Vec<u8>, beside: Option<(String, Vec<u8>)>, id: &str, as_of: Date) -> Found {
    let mut sources = Sources::new();
    let file = FileId::new(shown);
    let own = match text(bytes) {
        Ok(text) => text,
        Err(why) => {
            let diagnostics = vec![unreadable(start(shown), shown, &why)];
            return Found { imported: Imported { model: None, precision_from: "", diagnostics }, sources };
        }
    };
    // What a quantiser wrote is text; where it is not, the reader says so.
    let beside =
        beside.map(|(name, bytes)| (FileId::new(&name), String::from_utf8_lossy(&bytes).into_owned()));
    let other = beside.as_ref().map(|(file, text)| ConfigText { file, text });
    let source = format!("config.json, read from {shown}");
    let provenance = Provenance { source, as_of, grade: Grade::DataSheet };
    let imported = huggingface(ConfigText { file: &file, text: &own }, other, id, provenance);
    sources.extend(beside.map(|(file, text)| (file.as_str().to_owned(), text)));
    sources.insert(shown.to_owned(), own);
    Found { imported, sources }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_places() {
        for (path, wanted) in [
            ("data/meta-llama--Meta-Llama-3.1-8B_config.json", "meta-llama/Meta-Llama-3.1-8B"),
            ("models--Qwen--Qwen3-8B/config.json", "Qwen/Qwen3-8B"),
            ("./mine/config.json", "mine"),
            ("config.json", "model"),
        ] {
            assert_eq!(name(path), wanted);
        }
        assert_eq!(identifier("meta-llama/Meta-Llama-3.1-8B"), "meta_llama_3_1_8b");
        assert_eq!(identifier("01-ai/7B"), "m_7b");
    }

    #[test]
    fn only_configurations_of_models_are_read() {
        assert!(is_config("a/config.json") && is_config("x--y_config.json"));
        for other in [
            "hf_quant_config.json",
            "x--y_hf_quant_config.json",
            "generation_config.json",
            "config.toml",
            "myconfig.json",
        ] {
            assert!(!is_config(other), "{other}");
        }
        assert_eq!(beside("a/x--y_config.json").as_deref(), Some("a/x--y_hf_quant_config.json"));
    }
}
