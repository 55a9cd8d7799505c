//! What is the canonical form of a plan file?
//!
//! Two spaces of indent; a run is consecutive fields of one line each (a field that opens a broken
//! record may end it), and its operators end in one column; so do the operators of consecutive
//! `param`s and the braces of consecutive one-line blocks of one kind. A record or list breaks, one
//! entry per line, where it is longer than 120 columns or has comments in it, and is joined otherwise;
//! a block stays on one line where it was written on one and fits. Rules are not aligned. Blank lines
//! are kept, at most one at a time. Comments are kept: at the end of their line, before their entry, or,
//! from the middle of an expression, moved before its entry. Formatting twice changes nothing more.

mod inline;
mod layout;

use capstan_types::place::FileId;

use crate::diagnostic::Diagnostic;
use crate::grammar::parse;

/// Longest line before a record or list breaks.
pub const MAX_COLUMNS: usize = 120;

/// Returns the canonical form of a plan, or what is wrong with it. Places name the file `-`.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse(&FileId::new("-"), text);
    if !parsed.is_clean() {
        return Err(parsed.diagnostics);
    }
    let mut lines = layout::lines(text, &parsed.file);
    align_operators(&mut lines);
    align_comments(&mut lines);
    let mut out = String::with_capacity(text.len());
    for line in lines {
        if line.blank_before {
            out.push('\n');
        }
        out.push_str(&line.code);
        if let Some(comment) = line.comment {
            out.push_str(&" ".repeat(line.gap));
            out.push_str(comment);
        }
        out.push('\n');
    }
    Ok(out)
}

/// What a line may be aligned with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run<'a> {
    /// Nothing.
    Alone,
    /// Other fields.
    Field,
    /// Other `param`s or `let`s, by keyword.
    Binding(&'a str),
    /// Other uses.
    Use,
    /// Other one-line blocks of a kind.
    Block(&'a str),
}

/// A line of output. Aligning fills `code`.
struct Line<'a> {
    run: Run<'a>,
    indent: usize,
    blank_before: bool,
    /// What stands before the operator.
    head: String,
    /// The operator; may be empty.
    op: &'static str,
    /// What stands after it.
    tail: String,
    code: String,
    comment: Option<&'a str>,
    /// Blanks before the comment.
    gap: usize,
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Cuts lines into runs of neighbours that `same` holds together, and hands each to `each`.
fn for_each_run<'a>(
    lines: &mut [Line<'a>],
    same: impl Fn(&Line<'a>, &Line<'a>) -> bool,
    each: impl Fn(&mut [Line<'a>]),
) {
    let mut start = 0;
    for end in 1..=lines.len() {
        let goes_on = end < lines.len() && !lines[end].blank_before && same(&lines[end - 1], &lines[end]);
        if !goes_on {
            each(&mut lines[start..end]);
            start = end;
        }
    }
}

fn align_operators(lines: &mut [Line<'_>]) {
    let same = |a: &Line<'_>, b: &Line<'_>| a.run != Run::Alone && a.run == b.run && a.indent == b.indent;
    for_each_run(lines, same, |run| {
        let edge = run.iter().map(|line| width(&line.head) + width(line.op)).max().unwrap_or(0);
        for line in run {
            let indent = " ".repeat(line.indent);
            let pad = edge - width(&line.head) - width(line.op);
            let parts = match (line.head.is_empty(), line.op.is_empty()) {
                (true, _) => format!("{indent}{}", line.tail),
                (_, true) => format!("{indent}{}{:pad$} {}", line.head, "", line.tail),
                _ => format!("{indent}{} {:pad$}{} {}", line.head, "", line.op, line.tail),
            };
            line.code = parts.trim_end().to_owned();
        }
    });
}

fn align_comments(lines: &mut [Line<'_>]) {
    let trailing = |line: &Line<'_>| line.comment.is_some() && !line.code.is_empty();
    for_each_run(
        lines,
        |a, b| trailing(a) && trailing(b) && a.indent == b.indent,
        |run| {
            let edge = run.iter().map(|line| width(&line.code)).max().unwrap_or(0);
            for line in run.iter_mut().filter(|line| trailing(line)) {
                line.gap = edge - width(&line.code) + 2;
            }
        },
    );
}
