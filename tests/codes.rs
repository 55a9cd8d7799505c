//! Every code that the planner writes into a finding can be explained.

use std::fs;
use std::path::Path;

#[test]
fn every_finding_of_the_planner_has_an_explanation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for file in [
        "planner/src/infeasible.rs",
        "planner/src/outcome.rs",
        "planner/src/fabric/mod.rs",
        "planner/src/storage.rs",
    ] {
        let text = fs::read_to_string(root.join(file)).expect("readable source");
        for line in text.lines().filter(|line| line.starts_with("const ") && line.contains(": &str = \"")) {
            let Some(word) = line.split('"').nth(1) else { continue };
            let Some(code) = capstan_lang::Code::parse(word) else { continue };
            assert!(capstan_lang::codes::explain(code).is_some(), "{file}: {word} has no explanation");
            seen += 1;
        }
    }
    assert!(seen >= 12, "only {seen} codes were found");
}
