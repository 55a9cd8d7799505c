//! What to buy and run: from a checked spec and a catalog to a blueprint.
//!
//! Invariants: pure functions; the solver is named only in `program`; the audit trusts none of the others.

pub mod candidates;
pub mod cost;
pub mod demand;
pub mod periods;
pub mod pricing;
pub mod program;
pub mod rules;
pub mod formulate;
pub mod market;
pub mod spares;
pub mod jobs;
pub mod verify;
