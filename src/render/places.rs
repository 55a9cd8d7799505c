//! Where is a diagnostic, in numbers that programs read? Lines and columns from 1, columns in characters.

use super::Sources;
use capstan_lang::Diagnostic;
use capstan_types::place::Place;
use serde::Serialize;

/// A position in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A diagnostic with lines and columns.
#[derive(Debug, Serialize)]
pub struct Located<'a> {
    /// What is wrong.
    #[serde(flatten)]
    pub diagnostic: &'a Diagnostic,
    /// Where it begins, where the text is at hand.
    pub start: Option<Position>,
    /// One past its end.
    pub end: Option<Position>,
}

/// Returns diagnostics with their positions.
pub fn located<'a>(found: &'a [Diagnostic], sources: &Sources) -> Vec<Located<'a>> {
    let locate = |diagnostic: &'a Diagnostic| {
        let Place { file, start, end } = &diagnostic.place;
        let text = sources.get(file.as_str());
        let at = |offset: u32| text.map(|text| position(text, offset as usize));
        Located { diagnostic, start: at(*start), end: at(*end) }
    };
    found.iter().map(locate).collect()
}

/// Returns where an offset of a text is.
pub fn position(text: &str, offset: usize) -> Position {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_from_one() {
        assert_eq!(position("a\né = x", 0), Position { line: 1, column: 1 });
        assert_eq!(position("a\né = x", 4), Position { line: 2, column: 2 });
        assert_eq!(position("a", 99), Position { line: 1, column: 2 });
        assert_eq!(position("é", 1), Position { line: 1, column: 1 });
    }
}
