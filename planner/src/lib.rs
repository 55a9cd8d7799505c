//! What to buy and run: from a checked spec and a catalog to a blueprint.
//!
//! Invariants: pure functions; the solver is named only in `program`; the audit trusts none of the others.

mod apart;
mod apps;
pub mod assemble;
pub mod audit;
mod autoscale;
mod batches;
pub mod candidates;
pub mod columns;
pub mod cost;
pub mod demand;
pub mod derate;
pub mod diff;
pub mod explain;
pub mod fabric;
pub mod finance;
pub mod fleet;
mod formulate;
mod frame;
mod infeasible;
pub mod jobs;
pub mod limit_unit;
mod limits;
mod linear;
pub mod market;
mod outcome;
pub mod outlook;
pub mod outside;
mod parts;
pub mod periods;
pub mod plan;
pub mod pricing;
pub mod program;
pub mod rules;
pub mod scenarios;
pub mod settle;
mod shortcuts;
pub mod simulate;
pub mod spares;
pub mod storage;
mod usage;
pub mod verify;
mod ways_out;
mod what_if;
pub mod worlds;
pub use ways_out::Change;
