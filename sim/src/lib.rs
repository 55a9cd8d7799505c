//! What would happen: how long one step takes, what it must hold, and what a load of requests makes of it.

pub mod estimate;
pub mod perf;
