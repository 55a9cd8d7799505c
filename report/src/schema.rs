//! JSON Schemas of what Capstan writes, made from the types themselves.

use crate::compare::DiffReport;
use crate::json::{Report, pretty};
use capstan_types::baseline::Baseline;
use capstan_types::blueprint::Blueprint;
use capstan_types::images::ImageLock;
use capstan_types::lock::Lock;
use capstan_types::outlook::Outlook;
use capstan_types::simulation::Simulation;
use capstan_types::training::TrainingOutlook;
use schemars::schema_for;

/// Returns the schema of a blueprint.
pub fn blueprint_schema() -> String {
    pretty(&schema_for!(Blueprint))
}

/// Returns the schema of the report that programs read.
pub fn report_schema() -> String {
    pretty(&schema_for!(Report))
}

/// Returns the schema of the answer of `estimate`.
pub fn outlook_schema() -> String {
    pretty(&schema_for!(Outlook))
}

/// Returns the schema of the answer of `estimate --train`.
pub fn training_schema() -> String {
    pretty(&schema_for!(TrainingOutlook))
}

/// Returns the schema of the diff that programs read.
pub fn diff_schema() -> String {
    pretty(&schema_for!(DiffReport))
}

/// Returns the schema of a lock file.
pub fn lock_schema() -> String {
    pretty(&schema_for!(Lock))
}

/// Returns the schema of a lock of images.
pub fn images_schema() -> String {
    pretty(&schema_for!(ImageLock))
}

/// Returns the schema of a baseline.
pub fn baseline_schema() -> String {
    pretty(&schema_for!(Baseline))
}

/// Returns the schema of a simulation.
pub fn simulation_schema() -> String {
    pretty(&schema_for!(Simulation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing::blueprint::chat_blueprint;
    use capstan_types::testing::simulation::chat_simulation;
    use serde_json::Value;

    /// Every field of a document is named in its schema.
    fn fields(value: &Value, schema: &str) {
        match value {
            Value::Object(map) => {
                for (name, field) in map {
                    assert!(schema.contains(&format!("\"{name}\"")), "{name} is not in the schema");
                    if name != "peaks_flop_per_s" {
                        fields(field, schema);
                    }
                }
            }
            Value::Array(rows) => rows.iter().for_each(|row| fields(row, schema)),
            _ => {}
        }
    }

    #[test]
    fn schemas_name_every_field_that_is_written() {
        fields(&serde_json::to_value(chat_blueprint()).unwrap(), &blueprint_schema());
        fields(&serde_json::from_str(&crate::json(&chat_blueprint())).unwrap(), &report_schema());
        fields(&serde_json::to_value(chat_simulation()).unwrap(), &simulation_schema());
    }

    #[test]
    fn schemas_are_json_and_say_what_they_describe() {
        for (schema, title) in [
            (blueprint_schema(), "Blueprint"),
            (report_schema(), "Report"),
            (diff_schema(), "DiffReport"),
            (outlook_schema(), "Outlook"),
            (training_schema(), "TrainingOutlook"),
        ] {
            let value: Value = serde_json::from_str(&schema).unwrap();
            assert_eq!(value["title"], title);
        }
    }
}
