//! Which mistakes are none of their own, because something before them could not be read?
//!
//! The tree of a broken text has holes. What stood in one seems to be missing, what mentions it seems to
//! mention nothing, and behind a forgotten brace everything stands in the wrong block. Such mistakes go
//! away with their cause and are not told. Not known here: the text's own mistakes.

use std::collections::BTreeSet;

use capstan_types::place::Span;

use super::Source;
use crate::ast::{Block, Entry, File, Item};
use crate::codes;
use crate::diagnostic::Diagnostic;

/// Leaves out what follows from the holes of a tree. Whether something is an error is not decided again: a tree
/// with holes has one in its text.
pub(super) fn leave_out(found: &mut Vec<Diagnostic>, source: Source<'_>) {
    let holes = &source.file.holes;
    if holes.is_empty() {
        return;
    }
    let torn = is_torn_at_top(source.file);
    let names = found.iter().any(|one| one.code == codes::UNKNOWN_NAME);
    let mentioned = if names { lost_words(source) } else { BTreeSet::new() };
    let word = |span: Span| source.text.get(span.range()).unwrap_or("").trim_matches('"');
    let braces = !holes.braces.is_empty();
    found.retain(|one| {
        if one.place.file != source.file.file {
            return true;
        }
        let span = one.place.span();
        if holes.lost.iter().any(|lost| lost.start < span.end && span.start < lost.end) {
            return false;
        }
        match one.code {
            codes::MISSING_BLOCK => !torn,
            codes::UNUSED_NAME => false,
            codes::UNKNOWN_KIND | codes::MISPLACED => !braces,
            codes::UNKNOWN_NAME => !braces && !mentioned.contains(word(span)),
            // Without its `plan` block the frame is a guess.
            codes::CURRENCIES => !torn,
            _ => true,
        }
    });
}

/// Is a part of this range missing from the tree?
pub(super) fn is_torn(file: &File, range: Span) -> bool {
    let begins_within = |hole: &Span| (range.start..range.end).contains(&hole.start);
    file.holes.lost.iter().chain(&file.holes.braces).any(begins_within)
}

/// Is an entry at the top of the file missing, or may it stand in another?
fn is_torn_at_top(file: &File) -> bool {
    let blocks: Vec<&Block> = file
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Item(Item::Block(block)) => Some(block),
            _ => None,
        })
        .collect();
    let inside = |hole: &Span| {
        blocks.iter().any(|block| block.braces.start <= hole.start && hole.end <= block.braces.end)
    };
    !file.holes.braces.is_empty() || file.holes.lost.iter().any(|hole| !inside(hole))
}

/// Returns the words of the text that was lost.
fn lost_words(source: Source<'_>) -> BTreeSet<&str> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let lost = source.file.holes.lost.iter().filter_map(|lost| source.text.get(lost.range()));
    lost.flat_map(|text| text.split(move |c| !part(c))).collect()
}
