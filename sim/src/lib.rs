//! What would happen: how long one step takes, what it must hold, and what a load of requests makes of it.
//!
//! Invariants: the event engine knows no accelerator; `perf` knows no clock; `bridge` alone knows both.

pub mod bridge;
pub mod calibrate;
pub mod engine;
pub mod estimate;
pub mod fit;
pub mod perf;
pub mod random;
pub mod serving;
pub mod tables;
