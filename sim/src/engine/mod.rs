//! When does the next thing happen? Time, and the agenda that orders events.
//!
//! The engine knows no accelerator, no request and no clock of the outside world. Time is integer nanoseconds since
//! the start of the simulation, and events are ordered by (time, sequence), so a run has exactly one order.

mod agenda;
mod link;
mod time;
mod tournament;

pub use agenda::Agenda;
pub use link::{Link, max_min};
pub use time::{Fine, Time};
pub use tournament::Tournament;
