//! Where in which file does something stand?
//!
//! Every limit of a plan carries its [`Place`] into the blueprint, so that an answer found much
//! later ("this limit conflicts with that one") can still point at the text. Columns are not known
//! here: whoever renders counts them, in characters for people and in UTF-16 for editors.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of a file as the user gave it; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub struct FileId(Arc<str>);

impl FileId {
    /// Names a file.
    pub fn new(name: &str) -> Self {
        FileId(Arc::from(name))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for FileId {
    fn from(name: String) -> Self {
        FileId(Arc::from(name))
    }
}

impl From<FileId> for String {
    fn from(file: FileId) -> Self {
        file.0.to_string()
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// A range of bytes in a text whose name is known from the context. A text has at most 16 MiB.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte; never less than `start`.
    pub end: u32,
}

impl Span {
    /// Returns the range from `start` up to and without `end`.
    pub fn new(start: u32, end: u32) -> Self {
        Span { start, end: end.max(start) }
    }

    /// Returns the smallest range that holds both.
    pub fn to(self, other: Span) -> Self {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Returns the range for indexing.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Returns the place of this range in `file`.
    pub fn in_file(self, file: &FileId) -> Place {
        Place { file: file.clone(), start: self.start, end: self.end }
    }
}

/// Prints `@start..end`, so that a test can strip spans from a printed tree.
impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}..{}", self.start, self.end)
    }
}

/// A range of bytes in a named file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Place {
    /// Returns the range without the file's name.
    pub fn span(&self) -> Span {
        Span::new(self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_json() {
        let place = Span::new(3, 9).in_file(&FileId::new("chat.plan"));
        let json = serde_json::to_string(&place).expect("a place is plain data");
        assert_eq!(json, r#"{"file":"chat.plan","start":3,"end":9}"#);
        assert_eq!(serde_json::from_str::<Place>(&json).expect("reads back"), place);
    }

    #[test]
    fn places_order_by_file_then_position() {
        let place = |file: &str, start| Span::new(start, start + 1).in_file(&FileId::new(file));
        assert!(place("a.plan", 9) < place("b.plan", 1));
        assert!(place("a.plan", 1) < place("a.plan", 2));
    }

    #[test]
    fn joining_ranges_covers_both() {
        assert_eq!(Span::new(5, 7).to(Span::new(1, 2)), Span::new(1, 7));
    }
}
