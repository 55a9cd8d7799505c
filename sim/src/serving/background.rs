//! Who yields? Some requests are for people, others can wait: both share the replicas, and the background goes last.
//!
//! As vLLM does it (`--scheduling-policy priority`, two priorities): what waits is ordered by priority, then by arrival;
//! what runs goes on, but where blocks are short the newest of the lowest priority is evicted. Nothing running is
//! evicted for something that waits.

use crate::random::{Streams, split_mix};

/// 2⁶⁴.
const WHOLE: f64 = 18_446_744_073_709_551_616.0;

/// Requests that yield to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Background {
    /// Share of all requests, in parts of 2⁶⁴.
    share: u64,
    /// What they are drawn from.
    key: u64,
    /// Requests that wait at a replica at most when one of these comes; it is turned away if there are more.
    pub max_waiting: u32,
}

impl Background {
    /// Returns a share of all requests, from 0 to 1, drawn with a seed.
    pub fn drawn(share: f64, max_waiting: u32, seed: u64) -> Background {
        // A cast from a float saturates.
        let share = (share.clamp(0.0, 1.0) * WHOLE) as u64;
        Background { share, key: Streams::new(seed).stream("background").bits(), max_waiting }
    }

    /// Says whether the request that came after `number` others is one of them.
    pub fn holds(&self, number: u64) -> bool {
        let mut state = self.key ^ number;
        split_mix(&mut state) < self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_drawn_as_are_asked_for() {
        for share in [0.0, 0.01, 0.3, 1.0] {
            let background = Background::drawn(share, 1, 7);
            let n = (0..100_000).filter(|&number| background.holds(number)).count() as f64;
            let spread = (share * (1.0 - share) / 1e5).sqrt();
            assert!((n / 1e5 - share).abs() <= 4.0 * spread + 1e-12, "{share}: {n}");
        }
    }
}
