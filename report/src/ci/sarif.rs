//! Remarks → SARIF 2.1.0, for code scanning.
//!
//! GitHub takes at most 20 runs in an upload and 25,000 results in a run, and drops an upload with more
//! (docs.github.com, SARIF support for code scanning, limits); so does this file.

use super::{Remark, Told, at_length, fingerprints, worst_first};
use crate::json::pretty;
use capstan_types::finding::Severity;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most runs of a file.
const RUNS: usize = 20;

/// Most results of a run.
const RESULTS: usize = 25_000;

/// Returns remarks as SARIF: one run per file, the worst first, and a note of how many are left out.
pub fn sarif(told: &Told) -> String {
    let mut groups: Vec<(String, Vec<&Remark>)> = Vec::new();
    let mut by_path: BTreeMap<&str, Vec<&Remark>> = BTreeMap::new();
    for remark in worst_first(&told.remarks) {
        by_path.entry(&remark.spot.path).or_default().push(remark);
    }
    for (path, remarks) in by_path {
        let full = groups.len() == RUNS;
        match groups.last_mut() {
            Some((name, last)) if full => {
                "others".clone_into(name);
                last.extend(remarks);
            }
            _ => groups.push((path.to_owned(), remarks)),
        }
    }
    if groups.is_empty() {
        groups.push(("capstan".to_owned(), Vec::new()));
    }
    let runs: Vec<Value> = groups.iter().map(|(name, remarks)| run(told, name, remarks)).collect();
    pretty(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": runs,
    }))
}

fn run(told: &Told, name: &str, remarks: &[&Remark]) -> Value {
    let mut remarks = remarks.to_vec();
    remarks.sort_by_key(|remark| std::cmp::Reverse(remark.severity));
    let left_out = remarks.len().saturating_sub(RESULTS);
    remarks.truncate(RESULTS);
    let mut ids: Vec<&str> = remarks.iter().map(|remark| remark.rule.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let rules: Vec<Value> = ids.iter().map(|id| rule(told, id)).collect();
    let prints = fingerprints(&remarks);
    let results: Vec<Value> =
        remarks.iter().zip(prints).map(|(remark, print)| result(remark, &print, &ids)).collect();
    let note = |count: usize| {
        json!([{ "level": "warning", "message": { "text": format!(
            "{count} further results are left out: a run holds at most {RESULTS}, and the worst come first"
        ) } }])
    };
    let mut invocation = json!({ "executionSuccessful": true });
    if left_out > 0 {
        invocation["toolExecutionNotifications"] = note(left_out);
    }
    json!({
        "tool": { "driver": { "name": "capstan", "semanticVersion": told.version, "rules": rules } },
        "automationDetails": { "id": format!("capstan/{name}/") },
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": results,
    })
}

fn rule(told: &Told, id: &str) -> Value {
    let mut rule = json!({ "id": id });
    if let Some(text) = told.rules.iter().find(|rule| rule.id == id) {
        rule["shortDescription"] = json!({ "text": text.title });
        rule["fullDescription"] = json!({ "text": text.explanation });
        rule["help"] = json!({ "text": format!("capstan explain {id}") });
    }
    rule
}

fn result(remark: &Remark, print: &str, ids: &[&str]) -> Value {
    let level = match remark.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let spot = &remark.spot;
    json!({
        "ruleId": remark.rule,
        "ruleIndex": ids.iter().position(|id| *id == remark.rule),
        "level": level,
        "message": { "text": at_length(remark) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(&spot.path) },
            "region": {
                "startLine": spot.line.max(1),
                "startColumn": spot.column.max(1),
                "endLine": spot.end_line.max(1),
                "endColumn": spot.end_column.max(1),
            },
        } }],
        "partialFingerprints": { "primaryLocationLineHash": print },
    })
}

/// Returns a path as a relative URI: everything but letters, digits and `-._~/` is a percent sign with two digits.
fn uri(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::remark;
    use super::*;

    fn parsed(told: &Told) -> Value {
        serde_json::from_str(&sarif(told)).unwrap()
    }

    #[test]
    fn thirty_thousand_warnings_fit_into_an_upload_with_the_error_first() {
        let mut told = Told::default();
        let warning = |line| remark(Severity::Warning, "a.plan", line, "x = 1");
        told.remarks.extend((1..=30_000).map(warning));
        told.remarks.push(remark(Severity::Error, "a.plan", 40_000, "y = 1"));
        let value = parsed(&told);
        let results = value["runs"][0]["results"].as_array().unwrap();
        assert_eq!((results.len(), &results[0]["level"]), (25_000, &json!("error")));
        let note = &value["runs"][0]["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"];
        assert!(note.as_str().unwrap().starts_with("5001 further results"), "{note}");
    }

    #[test]
    fn a_file_has_a_run_and_an_upload_has_at_most_twenty() {
        let mut told = Told::default();
        told.remarks
            .extend((0..25).map(|file| remark(Severity::Error, &format!("{file:02}.plan"), 1, "x = 1")));
        let value = parsed(&told);
        let runs = value["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 20);
        let results: usize = runs.iter().map(|run| run["results"].as_array().unwrap().len()).sum();
        assert_eq!(results, 25);
        let mut ids: Vec<String> =
            runs.iter().map(|run| run["automationDetails"]["id"].to_string()).collect();
        ids.dedup();
        assert_eq!(ids.len(), 20);
    }

    #[test]
    fn what_the_standard_requires_is_there() {
        let told = Told {
            version: "0.1.0".to_owned(),
            remarks: vec![remark(Severity::Error, "plans/a b.plan", 7, "p99 <= 500 ms")],
            ..Told::default()
        };
        let value = parsed(&told);
        assert_eq!(value["version"], "2.1.0");
        let run = &value["runs"][0];
        assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "E0307");
        let result = &run["results"][0];
        assert_eq!((&result["ruleIndex"], &result["ruleId"]), (&json!(0), &json!("E0307")));
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "plans/a%20b.plan");
        assert_eq!(place["region"]["startLine"], 7);
        assert_eq!(result["partialFingerprints"]["primaryLocationLineHash"].as_str().unwrap().len(), 32);
        let none = parsed(&Told::default());
        assert_eq!(none["runs"][0]["results"], json!([]));
    }
}
