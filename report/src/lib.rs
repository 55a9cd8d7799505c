//! Blueprint → what people and programs read: terminal, Markdown, JSON, and their schemas.
//!
//! Invariant: pure. The same blueprint gives the same bytes; width and colour are told, never asked for.

mod build;
pub mod ci;
mod compare;
mod csv;
mod document;
mod explain;
mod html;
mod json;
mod markdown;
mod outlook;
#[cfg(feature = "pdf")]
mod pdf;
mod picture;
mod safe;
mod schema;
mod seal;
mod simulation;
mod sparkline;
mod terminal;
mod timeline_plot;
mod xlsx;

pub use self::csv::csv_files;
pub use build::document;
pub use compare::{diff_document, diff_json, diff_markdown, diff_outputs, diff_told};
pub use document::{Align, Block, Cell, Column, Document, Plot, Series, Table, Tone};
pub use explain::explanation_document;
pub use html::html;
pub use json::{REPORT_FORMAT, Report, json, summary};
pub use markdown::markdown;
pub use outlook::{
    outlook_csv, outlook_document, outlook_json, outlook_svg, training_document, training_json,
};
#[cfg(feature = "pdf")]
pub use pdf::{NoPaper, pdf, without_font};
pub use picture::NoPicture;
pub use safe::shown;
pub use schema::{
    baseline_schema, blueprint_schema, diff_schema, images_schema, lock_schema, outlook_schema,
    report_schema, simulation_schema, training_schema,
};
pub use seal::{blueprint_digest, blueprint_text, sha256};
pub use simulation::{simulation_document, simulation_json};
pub use terminal::{Style, terminal};
pub use timeline_plot::timeline_svg;
pub use xlsx::{NoWorkbook, xlsx};

/// Who signs, in the order in which they do, in every form that has a place for it.
pub(crate) const SIGNERS: [&str; 4] = ["Requested by", "Technical review", "Finance", "Approved by"];
