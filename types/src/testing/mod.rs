//! Fixtures that the tests of every crate share.

pub mod blueprint;
