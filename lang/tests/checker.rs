//! What a plan means: the examples check, defaults are recorded, and changes reach the spec.

mod common;

use capstan_lang::{CheckContext, format, render_plain};
use common::checked;
use std::path::{Path, PathBuf};

/// Returns the example plans: name and text.
fn examples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let entries = std::fs::read_dir(folder).expect("the examples are in the repository");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "plan"));
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).expect("a readable file"))
    };
    paths.iter().map(read).collect()
}

/// With `UPDATE` set, an example that is not in the canonical form is written anew, to be reviewed.
fn rewrite(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    if std::env::var_os("UPDATE").is_some()
        && let Ok(canonical) = format(text)
    {
        std::fs::write(path, canonical).expect("the examples can be written");
    }
}

#[test]
fn every_example_checks_and_is_in_the_canonical_form() {
    let all = examples();
    assert!(all.len() >= 5, "{}", all.len());
    all.iter().for_each(|(name, text)| rewrite(name, text));
    for (name, text) in &all {
        let (spec, found) = checked(text, &CheckContext::default());
        let shown = render_plain(&found, |_| Some(text.as_str()));
        assert!(spec.is_some() && found.is_empty(), "{name}:\n{shown}");
        assert_eq!(format(text).as_deref(), Ok(text.as_str()), "{name}");
    }
}
