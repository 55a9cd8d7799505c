//! Plan text in, meaning out: tokens, grammar, diagnostics, and the canonical form; catalogs likewise.
//!
//! Everything here is a pure function of text. A mistake in the text is a [`diagnostic::Diagnostic`],
//! never an error and never a panic; [`grammar`] holds the language's grammar as EBNF.

pub mod ast;
pub mod catalog;
pub mod check;
pub mod codes;
pub mod diagnostic;
mod evaluate;
pub mod format;
pub mod grammar;
pub mod import;
pub mod mismatch;
pub mod overrides;
mod reference_page;
pub mod references;
pub mod render;
pub mod trace;

pub use capstan_types::quantity::nearest;
pub use check::{CheckContext, Source, TraceFacts, check};
pub use diagnostic::{Code, Diagnostic, Severity};
pub use evaluate::Draws;
pub use format::format;
pub use grammar::{Parsed, parse, parse_assignment, parse_bytes};
pub use overrides::{Change, Changed, apply_overrides, parse_change, scenario_changes};
pub use reference_page::language_reference;
pub use references::{Reference, ReferenceKind, references};
pub use render::render_plain;
