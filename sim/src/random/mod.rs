//! Which random numbers? Named streams, and samplers that give the same bits on every machine.
//!
//! A stream is found by its name, not by the order in which streams are made, so adding a consumer of randomness
//! changes nobody else's numbers. All transcendental functions are libm's; std's differ between platforms.

mod quantile;
mod stream;

pub use quantile::{QuantileTable, QuantileTableError};
pub(crate) use stream::split_mix;
pub use stream::{Stream, Streams};
