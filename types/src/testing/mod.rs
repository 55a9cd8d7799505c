//! Fixtures that the tests of every member share; never part of a release.

pub mod blueprint;
mod catalog;

pub use catalog::*;
