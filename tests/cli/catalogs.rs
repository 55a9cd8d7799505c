//! Looking up what is known.

use crate::surroundings::Place;

fn json(arguments: &[&str]) -> serde_json::Value {
    let seen = Place::new().run(arguments).exits(0);
    serde_json::from_str(&seen.out).expect("JSON")
}

#[test]
fn every_kind_is_counted_and_listed() {
    let counts = json(&["catalog", "list", "--output", "json"]);
    let rows = counts["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 10);
    for row in rows {
        let kind = row["kind"].as_str().expect("a kind");
        let listed = json(&["catalog", "list", kind, "--output", "json"]);
        let rows = listed["rows"].as_array().expect("rows").len();
        assert!(rows > 0, "{kind}");
    }
}

#[test]
fn both_names_of_a_machine_find_the_same_row() {
    let by_id = json(&["catalog", "show", "aws.p5_48xlarge", "--output", "json"]);
    let by_name = json(&["catalog", "show", "p5.48xlarge", "--output", "json"]);
    assert_eq!(by_id["rows"], by_name["rows"]);
    assert!(!by_id["offerings"].as_array().expect("prices").is_empty());
    assert!(by_id["rows"][0]["row"]["source"].is_string());
}

#[test]
fn a_name_almost_spelled_gets_a_suggestion() {
    let seen = Place::new().run(&["catalog", "show", "h100_smx"]).exits(1);
    assert!(seen.err.contains("did you mean `h100_sxm`?"), "{}", seen.told());
}

#[test]
fn coverage_counts_what_has_no_price() {
    let told = json(&["catalog", "coverage", "--output", "json"]);
    assert!(told["regions"].as_array().expect("regions").len() > 10);
    assert!(told["assumed"].as_array().expect("facts").iter().all(|fact| fact["source"].is_string()));
    let one = json(&["catalog", "coverage", "--provider", "aws", "--output", "json"]);
    assert!(one["regions"].as_array().expect("regions").iter().all(|region| region["provider"] == "aws"));
    Place::new().run(&["catalog", "coverage", "--provider", "nobody"]).exits(1);
}

#[test]
fn a_catalog_of_ones_own_changes_what_is_shown() {
    let place = Place::new();
    let row = "[[accelerator]]\nid = \"h100_sxm\"\npower = \"600 W\"\nsource = \"our hall\"\nas_of = \"2026-06-01\"\n";
    place.write("own.toml", row);
    place.run(&["catalog", "check", "own.toml"]).exits(0);
    let seen = place.run(&["catalog", "show", "h100_sxm", "--catalog", "own.toml"]).exits(0);
    assert!(seen.out.contains("our hall"), "{}", seen.told());
}

#[test]
fn every_mistake_of_a_catalog_is_told() {
    let place = Place::new();
    place.write("bad.toml", "[[accelerator]]\nid = \"h100_sxm\"\npower = \"600 GB\"\ncolour = \"red\"\n");
    place.write("broken.toml", "[[accelerator\n");
    let seen = place.run(&["catalog", "check", "bad.toml", "broken.toml", "none.toml"]).exits(1);
    insta::assert_snapshot!(seen.told());
    place.run(&["catalog", "list", "--catalog", "bad.toml"]).exits(1);
}
