//! What several test programs share.

use capstan_lang::catalog::load;
use capstan_types::catalog::Catalog;
use std::fs;
use std::path::Path;

/// Returns the built-in facts; prices lie in a folder of their own and are not among them.
pub fn catalog() -> Catalog {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogs");
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            texts.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    let files: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    load(&files).0
}
