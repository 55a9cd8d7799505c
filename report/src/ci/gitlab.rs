//! Remarks → GitLab's code quality report: the fields that its documentation requires, and no others.
//!
//! A description is a single line: reasons and ways out follow the message behind semicolons.

use super::{Told, at_length, fingerprints, worst_first};
use crate::json::pretty;
use capstan_types::finding::Severity;
use serde_json::{Value, json};

/// Returns remarks as a code quality report.
pub fn gitlab(told: &Told) -> String {
    let remarks = worst_first(&told.remarks);
    let rows: Vec<Value> = remarks
        .iter()
        .zip(fingerprints(&remarks))
        .map(|(remark, print)| {
            let severity = match remark.severity {
                Severity::Error => "critical",
                Severity::Warning => "major",
                Severity::Note => "info",
            };
            json!({
                "description": at_length(remark).split(['\n', '\r']).collect::<Vec<_>>().join("; "),
                "check_name": remark.rule,
                "fingerprint": print,
                "severity": severity,
                "location": {
                    "path": remark.spot.path,
                    "lines": { "begin": remark.spot.line.max(1) },
                },
            })
        })
        .collect();
    pretty(&rows)
}

#[cfg(test)]
mod tests {
    use super::super::tests::remark;
    use super::*;

    #[test]
    fn every_row_has_the_fields_that_gitlab_asks_for() {
        let remarks = vec![
            remark(Severity::Note, "a.plan", 1, "x = 1"),
            remark(Severity::Error, "plans/b.plan", 38, "y = 1"),
        ];
        let rows: Value = serde_json::from_str(&gitlab(&Told { remarks, ..Told::default() })).unwrap();
        let rows = rows.as_array().unwrap();
        assert_eq!((&rows[0]["severity"], &rows[1]["severity"]), (&json!("critical"), &json!("info")));
        for row in rows {
            for field in ["description", "check_name", "fingerprint", "severity", "location"] {
                assert!(row.get(field).is_some(), "{field} is missing");
            }
            assert!(row["location"]["lines"]["begin"].as_u64().unwrap() >= 1);
            assert!(!row["location"]["path"].as_str().unwrap().starts_with("./"));
            assert!(row["description"].as_str().unwrap().ends_with("allowed; because of 3 % more"));
        }
        assert_eq!(gitlab(&Told::default()), "[]\n");
    }
}
