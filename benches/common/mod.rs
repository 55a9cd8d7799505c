//! What several benches read: the catalog that the program has built in.

use capstan_lang::catalog::load;
use capstan_types::catalog::Catalog;
use std::fs;
use std::path::Path;

/// Returns the built-in catalog.
pub fn catalog() -> Catalog {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogs");
    let mut texts = Vec::new();
    for folder in [folder.clone(), folder.join("offerings")] {
        let entries = fs::read_dir(folder).expect("the catalogs are part of the project");
        for path in entries.map(|entry| entry.expect("readable").path()) {
            if path.extension().is_some_and(|ending| ending == "toml") {
                texts.push((path.display().to_string(), fs::read_to_string(&path).expect("readable")));
            }
        }
    }
    texts.sort();
    let named: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (catalog, mistakes) = load(&named);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    catalog
}
