//! Which instant is it? Integer nanoseconds, and a finer count for what a machine carries between its steps.

use std::fmt;

/// Nanoseconds in a second.
const NS_PER_SECOND: f64 = 1e9;

/// An instant, in nanoseconds since the start of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The start of the simulation.
    pub const ZERO: Time = Time(0);
    /// Later than every event: what has not happened.
    pub const NEVER: Time = Time(u64::MAX);

    /// The last instant that is simulated, 2⁵³ ns or 104 days: up to here nanoseconds are exact in `f64`, and [`Fine`]
    /// instants are far from their end.
    pub const LATEST: Time = Time(1 << 53);

    /// Returns the instant `ns` nanoseconds after the start.
    pub const fn from_ns(ns: u64) -> Time {
        Time(ns)
    }

    /// Returns the instant nearest to `seconds` after the start; negative and NaN become zero, too large `NEVER`.
    pub fn from_seconds(seconds: f64) -> Time {
        Time((seconds * NS_PER_SECOND).round() as u64)
    }

    /// Returns the nanoseconds since the start.
    pub const fn ns(self) -> u64 {
        self.0
    }

    /// Returns the seconds since the start.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / NS_PER_SECOND
    }

    /// Returns the nanoseconds from `earlier` to this instant, zero if it is not earlier.
    pub const fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the instant `ns` nanoseconds later, at most `NEVER`.
    pub const fn plus(self, ns: u64) -> Time {
        Time(self.0.saturating_add(ns))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ns", self.0)
    }
}

/// An instant or a span in 1/1024 ns: the remainder that a machine carries from one step to the next.
///
/// Step times are not whole nanoseconds. Rounding each would drift by up to half a nanosecond a step; the events are
/// whole nanoseconds, and the machine that causes them remembers the rest. Integer, so sums have no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Fine(u64);

impl Fine {
    /// Binary digits after the nanosecond. With 10, 64 bits hold 208 days.
    const BITS: u32 = 10;

    /// Returns the span nearest to `ns` nanoseconds; negative and NaN become zero.
    pub fn from_ns_f64(ns: f64) -> Fine {
        // Not `round`, which is a call where the processor is only known to have SSE2, and is asked for every step.
        Fine((ns * (1u64 << Self::BITS) as f64 + 0.5) as u64)
    }

    /// Returns the whole nanoseconds, rounded down.
    pub const fn floor(self) -> Time {
        Time::from_ns(self.0 >> Self::BITS)
    }

    /// Says whether it is as late as can be told: what was added to get there is not known any more.
    pub const fn is_saturated(self) -> bool {
        self.0 == u64::MAX
    }

    /// Returns the later of the two.
    pub fn max(self, other: Fine) -> Fine {
        Fine(self.0.max(other.0))
    }

    /// Returns the instant `span` later, saturating.
    pub const fn plus(self, span: Fine) -> Fine {
        Fine(self.0.saturating_add(span.0))
    }

    /// Returns the instant `span` earlier, at least the start.
    pub const fn minus(self, span: Fine) -> Fine {
        Fine(self.0.saturating_sub(span.0))
    }
}

impl From<Time> for Fine {
    fn from(time: Time) -> Fine {
        Fine(time.ns().saturating_mul(1 << Fine::BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_thirds_of_a_nanosecond_are_a_third_of_a_million() {
        let mut at = Fine::default();
        for _ in 0..3_000_000 {
            at = at.plus(Fine::from_ns_f64(1.0 / 3.0));
        }
        assert!(at.floor().ns().abs_diff(1_000_000) <= 1_000, "{}", at.floor());
    }

    #[test]
    fn nonsense_seconds_do_not_panic() {
        assert_eq!(Time::from_seconds(f64::NAN), Time::ZERO);
        assert_eq!(Time::from_seconds(-1.0), Time::ZERO);
        assert_eq!(Time::from_seconds(f64::INFINITY), Time::NEVER);
    }

    #[test]
    fn time_saturates_instead_of_wrapping() {
        assert_eq!(Time::NEVER.plus(1), Time::NEVER);
        assert_eq!(Time::ZERO.since(Time::from_ns(5)), 0);
    }
}
