//! What is wrong in a text, where, and what to write instead?
//!
//! A diagnostic is about the user's text; it is never an error of ours or of the world. Colour and
//! width are not known here.

use std::fmt;

use capstan_types::place::Place;
use serde::{Deserialize, Serialize};

/// The stable number of a kind of mistake: `E0104`, `W0001`. Codes never change meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Code {
    warning: bool,
    number: u16,
}

impl Code {
    /// The code of an error.
    pub const fn error(number: u16) -> Self {
        Code { warning: false, number }
    }

    /// The code of a warning.
    pub const fn warning(number: u16) -> Self {
        Code { warning: true, number }
    }

    /// Reads `E0104` or `W0001`.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.get(1..)?;
        let four = number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit());
        let number = number.parse().ok().filter(|_| four)?;
        match text.as_bytes()[0] {
            b'E' | b'e' => Some(Code::error(number)),
            b'W' | b'w' => Some(Code::warning(number)),
            _ => None,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:04}", if self.warning { 'W' } else { 'E' }, self.number)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Code::parse(&text).ok_or_else(|| format!("`{text}` is no code of a diagnostic"))
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.to_string()
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing can be planned before it is mended.
    Error,
    /// It can be planned, but probably not as meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// One mistake, its place, and a way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The stable code.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: a lowercase fragment without a full stop.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What stands at the place, beside the carets; may be empty.
    pub label: String,
    /// Other places that belong to it, each with its label.
    pub secondary: Vec<(Place, String)>,
    /// Why, in order.
    pub because: Vec<String>,
    /// What to write instead.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Begins an error.
    pub fn error(code: Code, place: Place, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            place,
            label: String::new(),
            secondary: Vec::new(),
            because: Vec::new(),
            help: None,
        }
    }

    /// Begins a warning.
    pub fn warning(code: Code, place: Place, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, place, message) }
    }

    /// Adds what stands beside the carets.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place.
    pub fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.secondary.push((place, label.into()));
        self
    }

    /// Adds a reason.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.because.push(reason.into());
        self
    }

    /// Says what to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Is it an error?
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Puts diagnostics in the order of their places, as people read them, and says nothing twice at one place.
pub fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| (&a.place, a.code).cmp(&(&b.place, b.code)));
    let same =
        |a: &Diagnostic, b: &Diagnostic| (a.code, &a.place, &a.message) == (b.code, &b.place, &b.message);
    diagnostics.dedup_by(|later, earlier| same(later, earlier));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_back_as_written() {
        for text in ["E0104", "W0001", "E0900"] {
            assert_eq!(Code::parse(text).map(|code| code.to_string()).as_deref(), Some(text));
        }
        for wrong in ["", "E", "E104", "X0104", "E01o4", "E+104", "é0104"] {
            assert_eq!(Code::parse(wrong), None, "{wrong}");
        }
    }
}
