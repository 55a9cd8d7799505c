//! Fixtures that the tests of every crate share.

pub mod blueprint;
mod catalog;
pub mod simulation;

pub use catalog::{accelerators, catalog, engines, gemm_rows, models, provenance, shapes};
