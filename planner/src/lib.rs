//! What to buy and run.

pub mod program;
