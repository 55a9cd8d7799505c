//! Blueprint → files for the world: pure, no clock, no network, no file.
//!
//! Invariant: what is written follows from the blueprint alone; the same blueprint gives the same bytes.

pub mod kubernetes;
