
//! What would happen: the discrete-event engine, its random streams and the models that run on it.

pub mod engine;
pub mod random;
pub mod serving;
