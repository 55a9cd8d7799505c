//! What the tests of the checker share: the built-in catalog, and a plan checked in one call.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use capstan_lang::catalog::load;
use capstan_lang::{CheckContext, Diagnostic, Source, check, parse};
use capstan_types::catalog::Catalog;
use capstan_types::place::FileId;
use capstan_types::spec::Spec;

/// The built-in catalog.
pub static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalogs");
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in [root.clone(), root.join("offerings")] {
        for entry in std::fs::read_dir(&folder).expect("the catalogs are in the repository") {
            paths.push(entry.expect("a readable folder").path());
        }
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let files: Vec<(String, String)> = paths
        .iter()
        .map(|path| (path.display().to_string(), std::fs::read_to_string(path).expect("a readable file")))
        .collect();
    let texts: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (catalog, diagnostics) = load(&texts);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    catalog
});

/// Parses and checks a plan; the diagnostics are those of the text and the meaning.
pub fn checked(text: &str, context: &CheckContext) -> (Option<Spec>, Vec<Diagnostic>) {
    let parsed = parse(&FileId::new("test.plan"), text);
    let (spec, found) = check(Source { file: &parsed.file, text }, &CATALOG, context);
    let mut diagnostics = parsed.diagnostics;
    diagnostics.extend(found);
    capstan_lang::diagnostic::sort(&mut diagnostics);
    (spec, diagnostics)
}
