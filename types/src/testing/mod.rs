//! Fixtures that the tests of every crate share.

pub mod bill;
pub mod blueprint;
mod catalog;
mod data;
pub mod finance;
pub mod page;
pub mod simulation;

pub use catalog::{accelerators, catalog, engines, gemm_rows, models, provenance, shapes};
pub use data::data;
