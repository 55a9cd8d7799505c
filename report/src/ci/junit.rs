//! Cases → JUnit XML, which every CI server lists: one suite per plan, one case per limit.
//!
//! Elements and attributes are those of the schema that Jenkins publishes (junit-10.xsd of its xUnit plugin), which knows no
//! place of a case: where one stands is the last line of its failure.

use super::{Case, Outcome, Suite, Told};

/// Returns the suites as JUnit XML. Times are 0: what CI compares over time are verdicts, not our clock.
pub fn junit(told: &Told) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<&Case> = told.suites.iter().flat_map(|suite| &suite.cases).collect();
    text.push_str(&format!("<testsuites name=\"capstan\" {}>\n", counts(&all, false)));
    for suite in &told.suites {
        text.push_str(&self::suite(suite));
    }
    text.push_str("</testsuites>\n");
    text
}

/// Returns how the cases ended, as attributes; only a suite says how many were skipped.
fn counts(cases: &[&Case], of_suite: bool) -> String {
    let count = |of: fn(&Outcome) -> bool| cases.iter().filter(|case| of(&case.outcome)).count();
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\"{} time=\"0\"",
        cases.len(),
        count(|outcome| matches!(outcome, Outcome::Failed { .. })),
        if of_suite { format!(" skipped=\"{skipped}\"") } else { String::new() },
    )
}

fn suite(suite: &Suite) -> String {
    let cases: Vec<&Case> = suite.cases.iter().collect();
    let mut text = format!("  <testsuite name=\"{}\" {}>\n", escaped(&suite.name), counts(&cases, true));
    for case in &suite.cases {
        let place =
            case.spot.as_ref().map_or_else(String::new, |spot| format!("\nat {}:{}", spot.path, spot.line));
        let head = format!(
            "    <testcase classname=\"{}\" name=\"{}\" time=\"0\"",
            escaped(&case.class),
            escaped(&case.name)
        );
        text.push_str(&head);
        match &case.outcome {
            Outcome::Passed => text.push_str("/>\n"),
            Outcome::Failed { rule, message } => {
                let first = message.lines().next().unwrap_or_default();
                text.push_str(&format!(
                    ">\n      <failure type=\"{}\" message=\"{}\">{}</failure>\n    </testcase>\n",
                    escaped(rule),
                    escaped(first),
                    escaped(&format!("{message}{place}"))
                ));
            }
            Outcome::Skipped(why) => {
                text.push_str(&format!(
                    ">\n      <skipped message=\"{}\"/>\n    </testcase>\n",
                    escaped(why)
                ));
            }
        }
    }
    text.push_str("  </testsuite>\n");
    text
}

/// Returns text that XML 1.0 can hold, in an attribute as well: characters that it forbids become a question mark.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' => safe.push_str("&#10;"),
            '\t' => safe.push_str("&#9;"),
            '\r' => safe.push_str("&#13;"),
            c if c < ' ' || ('\u{fffe}'..='\u{ffff}').contains(&c) => safe.push('?'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_rule_and_place() {
        let failed = Case {
            class: "budget <all>".to_owned(),
            name: "opex".to_owned(),
            spot: Some(super::super::Spot { path: "a.plan".to_owned(), line: 38, ..Default::default() }),
            outcome: Outcome::Failed { rule: "E0306".to_owned(), message: "263 > 250\nway out".to_owned() },
        };
        let passed = Case { outcome: Outcome::Passed, spot: None, ..failed.clone() };
        let skipped = Case { outcome: Outcome::Skipped("unknown\u{1}".to_owned()), ..passed.clone() };
        let suite = Suite { name: "a".to_owned(), cases: vec![failed, passed, skipped] };
        let text = junit(&Told { suites: vec![suite], ..Told::default() });
        let heads = text.matches("tests=\"3\" failures=\"1\" errors=\"0\"").count();
        let suites = text.matches("tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\"").count();
        assert_eq!((heads, suites), (2, 1), "{text}");
        let failure = "<testcase classname=\"budget &lt;all&gt;\" name=\"opex\" time=\"0\">\n      <failure \
             type=\"E0306\" message=\"263 &gt; 250\">263 &gt; 250&#10;way out&#10;at a.plan:38</failure>";
        assert!(text.contains(failure), "{text}");
        assert!(text.contains("<skipped message=\"unknown?\"/>"), "{text}");
    }
}
