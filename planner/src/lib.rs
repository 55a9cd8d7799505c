//! What to buy and run: candidates, the program, the loop, and the independent look at its answer.

pub mod audit;
pub mod diff;
pub mod explain;
