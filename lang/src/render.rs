//! How does a diagnostic look on paper, without colour?
//!
//! For tests, logs and the reference; terminals get theirs from the command line, which knows colour
//! and width. Columns are characters. The look is that of the examples in the description of the
//! language.

use std::fmt::Write;

use capstan_types::place::Place;

use crate::diagnostic::Diagnostic;

/// Longest piece of a line that is shown; a plan may be one line of megabytes.
const MAX_SHOWN: usize = 200;

/// Writes diagnostics with the lines they are about. `sources` returns the text of a file.
pub fn render_plain<'a>(diagnostics: &[Diagnostic], sources: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        render_one(&mut out, diagnostic, &sources);
    }
    out
}

/// Where in a text a place begins: line and column from 1, the line itself, the characters covered.
struct Spot<'a> {
    line: usize,
    column: usize,
    text: &'a str,
    n_before: usize,
    n_covered: usize,
}

fn spot<'a>(place: &Place, source: &'a str) -> Spot<'a> {
    let mut start = (place.start as usize).min(source.len());
    while !source.is_char_boundary(start) {
        start -= 1;
    }
    let line_start = source[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = source[start..].find('\n').map_or(source.len(), |at| start + at);
    let full = source[line_start..line_end].trim_end_matches('\r');
    let column = source[line_start..start].chars().count();
    // A very long line is shown around the place only.
    let first = column.saturating_sub(MAX_SHOWN / 2);
    let before = source[line_start..start].char_indices().rev().take(column - first).last();
    let shown_start = before.map_or((start - line_start).min(full.len()), |(at, _)| at);
    let shown_end =
        full[shown_start..].char_indices().nth(MAX_SHOWN).map_or(full.len(), |(at, _)| shown_start + at);
    let end = (place.end as usize).clamp(start, line_start + full.len().max(start - line_start));
    let covered = source.get(start..end).map_or(1, |text| text.chars().count());
    Spot {
        line: source.as_bytes()[..line_start].iter().filter(|&&byte| byte == b'\n').count() + 1,
        column: column + 1,
        text: &full[shown_start..shown_end],
        n_before: column - first,
        n_covered: covered.clamp(1, MAX_SHOWN / 2),
    }
}

fn render_one<'a>(out: &mut String, diagnostic: &Diagnostic, sources: &impl Fn(&str) -> Option<&'a str>) {
    let Diagnostic { code, severity, message, place, label, secondary, because, help } = diagnostic;
    let _ = writeln!(out, "{severity}[{code}]: {message}");
    let main = sources(place.file.as_str()).map(|source| spot(place, source));
    let others: Vec<_> = secondary
        .iter()
        .filter_map(|(place, label)| Some((place, label, spot(place, sources(place.file.as_str())?))))
        .collect();
    let last_line =
        others.iter().map(|(_, _, spot)| spot.line).chain(main.as_ref().map(|spot| spot.line)).max();
    let gutter = last_line.unwrap_or(0).to_string().len();
    if let Some(spot) = &main {
        snippet(out, gutter, place, spot, '^', label);
    }
    for (place, label, spot) in &others {
        snippet(out, gutter, place, spot, '-', label);
    }
    for reason in because {
        let _ = writeln!(out, "{:gutter$} = because {reason}", "");
    }
    if let Some(help) = help {
        let _ = writeln!(out, "{:gutter$} = help: {help}", "");
    }
}

fn snippet(out: &mut String, gutter: usize, place: &Place, spot: &Spot<'_>, mark: char, label: &str) {
    let _ = writeln!(out, "{:gutter$} ┌─ {}:{}:{}", "", place.file, spot.line, spot.column);
    let _ = writeln!(out, "{:>gutter$} │ {}", spot.line, spot.text);
    // Tabs before the place stay tabs, so that the marks stand below it at any tab width.
    let lead: String =
        spot.text.chars().take(spot.n_before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let marks: String = std::iter::repeat_n(mark, spot.n_covered).collect();
    let _ = writeln!(out, "{}", format!("{:gutter$} │ {lead}{marks} {label}", "").trim_end());
}

#[cfg(test)]
mod tests {
    use capstan_types::place::{FileId, Span};

    use super::*;
    use crate::codes;

    fn show(source: &str, span: (u32, u32)) -> String {
        let place = Span::new(span.0, span.1).in_file(&FileId::new("pretrain.plan"));
        let found =
            Diagnostic::error(codes::WRONG_DIMENSION, place, "`tokens` counts tokens, but `15 TB` is data")
                .label("this is 15e12 bytes")
                .help("15 trillion tokens are written `15 Ttok`");
        render_plain(&[found], |_| Some(source))
    }

    #[test]
    fn it_looks_as_in_the_description_of_the_language() {
        let source = format!("{}  tokens     = 15 TB\n", "\n".repeat(21));
        assert_eq!(
            show(&source, (36, 41)),
            "error[E0104]: `tokens` counts tokens, but `15 TB` is data\n   ┌─ pretrain.plan:22:16\n\
             22 │   tokens     = 15 TB\n   │                ^^^^^ this is 15e12 bytes\n   \
             = help: 15 trillion tokens are written `15 Ttok`\n"
        );
    }

    #[test]
    fn other_places_follow_with_their_labels() {
        let source = "let b = f(1, 2]\n";
        let file = FileId::new("x.plan");
        let found = Diagnostic::error(
            codes::STRAY_BRACKET,
            Span::new(14, 15).in_file(&file),
            "this `]` cannot close `(`",
        )
        .also(Span::new(9, 10).in_file(&file), "opened here")
        .because("brackets come in pairs");
        assert_eq!(
            render_plain(&[found], |_| Some(source)),
            "error[E0010]: this `]` cannot close `(`\n  ┌─ x.plan:1:15\n1 │ let b = f(1, 2]\n  │               ^\n  \
             ┌─ x.plan:1:10\n1 │ let b = f(1, 2]\n  │          - opened here\n  = because brackets come in pairs\n"
        );
    }

    #[test]
    fn columns_count_characters() {
        assert!(show("é = 15 TB", (5, 10)).contains("pretrain.plan:1:5\n"));
    }

    #[test]
    fn no_place_makes_it_panic() {
        for source in ["", "é", "a\nb", "a\r\nb", &"x".repeat(1000)] {
            for start in 0..8 {
                for end in start..9 {
                    assert!(show(source, (start, end)).starts_with("error"));
                }
            }
        }
        assert!(render_plain(&[], |_| None).is_empty());
    }
}
