//! Do the manifests keep the rules that no schema holds?
//!
//! Each rule looks at the text that was written, not at how it was made, so that it also holds for changed files.
//! Rules with a number are those of the reference (L1 to L22); the others have a name.

mod operators;
mod partition;
mod rails;
mod rules;
mod safety;
mod view;

use super::{Manifest, Wave};
use view::View;

/// A rule that a manifest breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// The rule, such as `L3` or `selector-matches`.
    pub rule: &'static str,
    /// The file.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl std::fmt::Display for Lint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.path, self.message, self.rule)
    }
}

/// Returns every rule that the manifests break, in the order of files and rules.
pub fn lint(manifests: &[Manifest]) -> Vec<Lint> {
    let mut found = Vec::new();
    let mut views = Vec::new();
    // Values for a chart and pipelines are no objects.
    for manifest in manifests.iter().filter(|manifest| manifest.wave != Wave::Values) {
        match View::of(manifest) {
            Ok(view) => views.push(view),
            Err(message) => found.push(Lint { rule: "yaml", path: manifest.path.clone(), message }),
        }
    }
    for view in &views {
        for (rule, check) in rules::ALL {
            let messages = check(view, &views);
            found.extend(messages.into_iter().map(|message| Lint {
                rule,
                path: view.path.to_owned(),
                message,
            }));
        }
    }
    found
}
