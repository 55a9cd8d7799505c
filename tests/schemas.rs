//! The JSON Schemas that are shipped describe what the program writes today.
//!
//! `UPDATE=1 cargo test --test schemas` writes them anew.

use std::fs;
use std::path::Path;

fn is_current(name: &str, schema: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(name);
    let wanted = format!("{}\n", schema.trim_end());
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(&path, &wanted).expect("writable");
    }
    let shipped = fs::read_to_string(&path).unwrap_or_default();
    assert!(shipped == wanted, "docs/schema/{name} is not current; UPDATE=1 cargo test --test schemas");
}

#[test]
fn the_schema_of_blueprints_is_current() {
    is_current("blueprint.schema.json", &capstan_report::blueprint_schema());
}

#[test]
fn the_schema_of_reports_is_current() {
    is_current("report.schema.json", &capstan_report::report_schema());
}

#[test]
fn the_schema_of_differences_is_current() {
    is_current("diff.schema.json", &capstan_report::diff_schema());
}

#[test]
fn the_schema_of_estimates_is_current() {
    is_current("estimate.schema.json", &capstan_report::outlook_schema());
}

#[test]
fn the_schemas_of_locks_and_baselines_are_current() {
    is_current("lock.schema.json", &capstan_report::lock_schema());
    is_current("images.schema.json", &capstan_report::images_schema());
    is_current("baseline.schema.json", &capstan_report::baseline_schema());
}

#[test]
fn the_schema_of_training_is_current() {
    is_current("training.schema.json", &capstan_report::training_schema());
}

#[test]
fn the_schema_of_simulations_is_current() {
    is_current("simulation.schema.json", &capstan_report::simulation_schema());
}
