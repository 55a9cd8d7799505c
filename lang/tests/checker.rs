//! What a plan means: the examples check, defaults are recorded, and changes reach the spec.

mod common;

use capstan_lang::{CheckContext, format, render_plain};
use common::{checked, examples};

/// With `UPDATE` set, an example that is not in the canonical form is written anew, to be reviewed.
fn rewrite(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
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
