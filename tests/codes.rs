//! Every code that the planner writes into a finding can be explained.

use std::fs;
use std::path::{Path, PathBuf};

use capstan_lang::{Code, codes};

/// Every source file below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_finding_of_the_planner_has_an_explanation() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("planner/src"), &mut files);
    let mut seen = std::collections::BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("readable source");
        // Every second piece between quotes is a literal, as a code has none of its own.
        for word in text.split('"') {
            let Some(code) = Code::parse(word) else { continue };
            assert!(codes::explain(code).is_some(), "{}: {word} has no explanation", file.display());
            seen.insert(word.to_owned());
        }
    }
    assert!(seen.len() >= 18, "only {} codes were found: {seen:?}", seen.len());
}
