//! Which kinds of block are understood and not planned yet?

use super::table::Table;

/// Fine-tuning.
pub static TUNE: Table = Table::not_yet("tune", "Fine-tuning of a model.");
/// Offline inference.
pub static BATCH: Table = Table::not_yet("batch", "Offline inference.");
