//! How does what we say look on this terminal? The only place of the program that knows colours.
//!
//! Diagnostics have one form, which the language's crate writes; here it is coloured line by line, so that what a
//! terminal shows and what a log keeps are the same characters.

mod findings;
mod paint;
mod places;

pub use findings::findings;
pub use paint::toned;
pub use places::{located, position};

use capstan_lang::{Diagnostic, render_plain};
use std::collections::BTreeMap;

/// Texts of files by their names, for showing the lines that a diagnostic is about.
pub type Sources = BTreeMap<String, String>;

/// Returns diagnostics as people read them, without colour.
pub fn diagnostics(found: &[Diagnostic], sources: &Sources) -> String {
    render_plain(found, |name| sources.get(name).map(String::as_str))
}

/// Returns how many of each there are: `2 errors, 1 warning`; nothing where there are none.
pub fn tally(found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|one| one.is_error()).count();
    let counted = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        many => Some(format!("{many} {word}s")),
    };
    let parts = [counted(errors, "error"), counted(found.len() - errors, "warning")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
