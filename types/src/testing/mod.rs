//! Fixtures that the tests of every member share; never part of a release.

mod blueprint;
mod catalog;

pub use blueprint::*;
pub use catalog::*;
