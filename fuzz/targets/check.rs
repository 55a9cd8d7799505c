//! Any text, checked against the built-in catalog: no panic, every place inside the text, a spec exactly where
//! nothing is wrong, and the same findings after formatting.

#![no_main]

#[path = "../../lang/tests/common/mod.rs"]
mod common;

use capstan_lang::{CheckContext, Code, Diagnostic, format, parse, render_plain};
use capstan_types::place::FileId;
use common::checked;
use libfuzzer_sys::fuzz_target;

/// Returns the codes of diagnostics, in an order that no layout changes.
fn codes(found: &[Diagnostic]) -> Vec<Code> {
    let mut codes: Vec<Code> = found.iter().map(|one| one.code).collect();
    codes.sort();
    codes
}

fuzz_target!(|text: &str| {
    let (spec, found) = checked(text, &CheckContext::default());
    for one in &found {
        assert!(text.get(one.place.start as usize..one.place.end as usize).is_some(), "{one:?}");
    }
    assert_eq!(render_plain(&found, |_| Some(text)).is_empty(), found.is_empty());
    let wrong = found.iter().any(Diagnostic::is_error);
    if !parse(&FileId::new("fuzz.plan"), text).is_clean() {
        assert!(wrong, "a mistake of the text is lost");
        return;
    }
    assert_eq!(spec.is_none(), wrong, "{found:?}");
    let form = format(text).expect("a text that reads has a form");
    let (_, again) = checked(&form, &CheckContext::default());
    assert_eq!(codes(&found), codes(&again), "the form means something else");
});
