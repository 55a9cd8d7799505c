//! What is CI told of findings and limits, in the formats that its tools read? SARIF, JUnit, GitLab, GitHub.
//!
//! It knows no file: whoever calls says where a place stands. A fingerprint is made of the rule, the path and the text of
//! the line, never of its number, so that edits above a finding do not make it a new one.

mod cases;
mod github;
mod gitlab;
mod junit;
mod sarif;

pub use cases::told_of_blueprint;
pub use github::{github_commands, github_outputs};
pub use gitlab::gitlab;
pub use junit::junit;
pub use sarif::sarif;

use crate::seal::sha256;
use capstan_types::blueprint::Status;
use capstan_types::finding::Severity;
use std::collections::BTreeMap;

/// Where something stands, as CI shows it: lines and columns from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spot {
    /// Path from the root of the repository, with `/` between its parts.
    pub path: String,
    /// First line.
    pub line: usize,
    /// First column.
    pub column: usize,
    /// Last line.
    pub end_line: usize,
    /// One past the last column.
    pub end_column: usize,
    /// The text of the first line.
    pub text: String,
}

impl Spot {
    /// Returns the beginning of a file, for what stands on no line of it.
    pub fn top(path: String) -> Self {
        Self { path, line: 1, column: 1, end_line: 1, end_column: 1, text: String::new() }
    }
}

/// One thing that CI shows beside a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Stable id of the rule: the code of the message.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// Why, and ways out, a line each.
    pub details: Vec<String>,
    /// Where.
    pub spot: Spot,
}

/// What a rule says at length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleText {
    /// Its id.
    pub id: String,
    /// The mistake, in a few words.
    pub title: String,
    /// Why it is one.
    pub explanation: String,
}

/// Whether something that was asked for holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed {
        /// Id of the rule.
        rule: String,
        /// What was seen.
        message: String,
    },
    /// Nobody can say.
    Skipped(String),
}

/// One limit, level or rule: what a CI server lists as a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it belongs to, such as `serve chat`.
    pub class: String,
    /// Which one, such as `ttft p99`.
    pub name: String,
    /// Where it stands, if known.
    pub spot: Option<Spot>,
    /// Whether it holds.
    pub outcome: Outcome,
}

/// Cases of one file or plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// In the order in which they are asked.
    pub cases: Vec<Case>,
}

/// Everything that CI is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Version of the program.
    pub version: String,
    /// What is shown beside lines.
    pub remarks: Vec<Remark>,
    /// What is listed as tests.
    pub suites: Vec<Suite>,
    /// Rules that remarks name, and perhaps more.
    pub rules: Vec<RuleText>,
    /// Names and values for steps that follow.
    pub outputs: Vec<(String, String)>,
}

/// Returns remarks, the worst first, then by path, line and rule.
pub(crate) fn worst_first(remarks: &[Remark]) -> Vec<&Remark> {
    let mut sorted: Vec<&Remark> = remarks.iter().collect();
    sorted.sort_by(|a, b| {
        let key = |one: &Remark| (one.spot.path.clone(), one.spot.line, one.spot.column, one.rule.clone());
        b.severity.cmp(&a.severity).then_with(|| key(a).cmp(&key(b)))
    });
    sorted
}

/// Returns a fingerprint for each remark, in their order: 32 hexadecimal digits.
///
/// Equal lines with equal rules are told apart by counting them from the top, so that only an edit between equals moves one.
pub(crate) fn fingerprints(remarks: &[&Remark]) -> Vec<String> {
    let mut order: Vec<usize> = (0..remarks.len()).collect();
    order.sort_by_key(|&index| (remarks[index].spot.line, remarks[index].spot.column, index));
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut prints = vec![String::new(); remarks.len()];
    for index in order {
        let remark = remarks[index];
        let line: Vec<&str> = remark.spot.text.split_whitespace().collect();
        let what = if line.is_empty() { without_digits(&remark.message) } else { line.join(" ") };
        let key = format!("{}\0{}\0{what}", remark.rule, remark.spot.path);
        let times = seen.entry(key.clone()).or_insert(0);
        *times += 1;
        prints[index] = sha256(format!("{key}\0{times}").as_bytes()).chars().take(32).collect();
    }
    prints
}

/// Returns the word that programs read for a status.
pub(crate) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Feasible => "feasible",
        Status::Violated => "violated",
        Status::Infeasible => "infeasible",
    }
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Returns the message with its details below it.
pub(crate) fn at_length(remark: &Remark) -> String {
    let lines = remark.details.iter().map(|line| format!("\n{line}"));
    std::iter::once(remark.message.clone()).chain(lines).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a remark on a line with a text.
    pub(crate) fn remark(severity: Severity, path: &str, line: usize, text: &str) -> Remark {
        Remark {
            rule: "E0307".to_owned(),
            severity,
            message: "ttft p99 is 612 ms, 500 ms are allowed".to_owned(),
            details: vec!["because of 3 % more".to_owned()],
            spot: Spot {
                path: path.to_owned(),
                line,
                column: 3,
                end_line: line,
                end_column: 9,
                text: text.to_owned(),
            },
        }
    }

    fn prints(remarks: &[Remark]) -> Vec<String> {
        fingerprints(&remarks.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_fingerprint_survives_edits_above_and_indentation() {
        let before = prints(&[remark(Severity::Error, "a.plan", 7, "  p99 <= 500 ms")]);
        let after = prints(&[remark(Severity::Error, "a.plan", 90, "p99  <= 500 ms")]);
        assert_eq!(before, after);
        assert_ne!(before, prints(&[remark(Severity::Error, "b.plan", 7, "  p99 <= 500 ms")]));
        assert_ne!(before, prints(&[remark(Severity::Error, "a.plan", 7, "  p99 <= 400 ms")]));
    }

    #[test]
    fn equal_lines_have_fingerprints_of_their_own_whatever_their_order() {
        let (one, two) =
            (remark(Severity::Error, "a.plan", 3, "x = 1"), remark(Severity::Error, "a.plan", 8, "x = 1"));
        let there = prints(&[one.clone(), two.clone()]);
        assert_ne!(there[0], there[1]);
        let back = prints(&[two, one]);
        assert_eq!((&there[0], &there[1]), (&back[1], &back[0]));
    }

    #[test]
    fn without_a_line_numbers_do_not_count() {
        let mut one = remark(Severity::Error, "a.plan", 1, "");
        let before = prints(std::slice::from_ref(&one));
        one.message = "ttft p99 is 710 ms, 500 ms are allowed".to_owned();
        assert_eq!(before, prints(&[one]));
    }
}
