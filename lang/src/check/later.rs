//! Which kinds of block are understood and not planned yet?

use super::table::Table;

/// Fine-tuning.
pub static TUNE: Table = Table::not_yet("tune", "Fine-tuning of a model.");
/// Offline inference.
pub static BATCH: Table = Table::not_yet("batch", "Offline inference.");
/// Anything in a container.
pub static SERVICE: Table =
    Table::not_yet("service", "Anything in a container: a gateway, a vector database.");
/// People with notebooks.
pub static WORKSPACE: Table = Table::not_yet("workspace", "People with notebooks.");
