//! How does a finding of a blueprint look? Like a diagnostic, with the lines that asked for it where they still exist.

use super::Sources;
use capstan_lang::{Code, Diagnostic, Severity, render_plain};
use capstan_types::finding::{self, Finding};
use capstan_types::place::{FileId, Span};

/// Returns findings as people read them; a place whose file is not in `sources` is left out.
pub fn findings(found: &[Finding], sources: &Sources) -> String {
    found.iter().map(|finding| one(finding, sources)).collect()
}

fn one(finding: &Finding, sources: &Sources) -> String {
    let severity = match finding.severity {
        finding::Severity::Error => Severity::Error,
        finding::Severity::Warning => Severity::Warning,
        finding::Severity::Note => Severity::Note,
    };
    let nowhere = Span::new(0, 0).in_file(&FileId::new(""));
    let shown: Vec<_> =
        finding.places.iter().filter(|(place, _)| sources.contains_key(place.file.as_str())).collect();
    // What is to be said at a line that cannot be shown is said all the same.
    let unshown = finding
        .places
        .iter()
        .filter(|(place, label)| !sources.contains_key(place.file.as_str()) && !label.is_empty());
    let unshown = unshown.map(|(_, label)| label.clone());
    let (place, label) =
        shown.first().map_or((nowhere, String::new()), |&(place, label)| (place.clone(), label.clone()));
    let diagnostic = Diagnostic {
        code: Code::parse(&finding.code).unwrap_or(Code::error(0)),
        severity,
        message: finding.message.clone(),
        place,
        label,
        secondary: shown.iter().skip(1).map(|&(place, label)| (place.clone(), label.clone())).collect(),
        because: unshown.chain(finding.because.iter().cloned()).collect(),
        help: None,
    };
    let mut text = render_plain(&[diagnostic], |name| sources.get(name).map(String::as_str));
    if !finding.ways_out.is_empty() {
        text.push_str(&format!("  = cheapest ways out: {}\n", finding.ways_out.join(" · ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        Finding {
            code: "E0310".to_owned(),
            severity: finding::Severity::Error,
            message: "no way to serve `chat` meets its limit".to_owned(),
            places: vec![(Span::new(4, 9).in_file(&FileId::new("a.plan")), "970 ms at best".to_owned())],
            because: vec!["prefill takes 310 ms".to_owned()],
            ways_out: vec!["allow tp 4".to_owned(), "p99 <= 970 ms".to_owned()],
        }
    }

    #[test]
    fn a_finding_shows_its_line_while_the_file_is_the_same() {
        let sources = Sources::from([("a.plan".to_owned(), "slo ttft { }".to_owned())]);
        assert_eq!(
            findings(&[finding()], &sources),
            "error[E0310]: no way to serve `chat` meets its limit\n  ┌─ a.plan:1:5\n1 │ slo ttft { }\n  │     ^^^^^ \
             970 ms at best\n  = because prefill takes 310 ms\n  = cheapest ways out: allow tp 4 · p99 <= 970 ms\n"
        );
        let gone = findings(&[finding()], &Sources::new());
        assert!(!gone.contains("a.plan") && gone.contains("= because 970 ms at best\n"), "{gone}");
    }
}
