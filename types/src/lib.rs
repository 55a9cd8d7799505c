//! The nouns of Capstan: what every room of the house says to every other.
//!
//! Invariant: no algorithms beyond arithmetic on units, no I/O, no dependency on another member.

pub mod baseline;
pub mod blueprint;
pub mod catalog;
pub mod degrees;
pub mod diff;
pub mod explanation;
pub mod figure;
pub mod finance;
pub mod finding;
pub mod hardware;
pub mod images;
pub mod lock;
pub mod market;
pub mod model;
pub mod money;
pub mod offering;
pub mod origin;
pub mod outlook;
pub mod place;
pub mod quantity;
pub mod simulation;
pub mod spec;
pub mod storage;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod traffic;
pub mod training;
pub mod units;
