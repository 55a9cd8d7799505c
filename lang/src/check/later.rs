//! Which kinds of block are understood and not planned yet?

use super::table::Table;

/// Offline inference.
pub static BATCH: Table = Table::not_yet("batch", "Offline inference.");
