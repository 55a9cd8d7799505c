//! Plan text in, meaning out: tokens, grammar, diagnostics, and the canonical form.
//!
//! Everything here is a pure function of text. A mistake in the text is a [`diagnostic::Diagnostic`],
//! never an error and never a panic; [`grammar`] holds the language's grammar as EBNF.

pub mod ast;
pub mod codes;
pub mod diagnostic;
pub mod format;
pub mod grammar;
pub mod render;

pub use capstan_types::quantity::nearest;
pub use diagnostic::{Code, Diagnostic, Severity};
pub use format::format;
pub use grammar::{Parsed, parse, parse_assignment, parse_bytes};
pub use render::render_plain;
