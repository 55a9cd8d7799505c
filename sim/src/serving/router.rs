//! Which replica gets the next request?
//!
//! The routers that compare replicas keep a tournament tree over them: O(log n) when a count changes, O(1) to ask.

use crate::engine::Tournament;

/// How requests are spread over replicas. Equal replicas: the lowest number wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Router {
    /// One after the other.
    RoundRobin,
    /// The fewest requests not yet complete, waiting and running.
    LeastOutstanding,
    /// The fewest requests not yet scheduled. What Vidur calls "least outstanding"; it overfills low numbers.
    LeastWaiting,
}

/// A router at work.
#[derive(Debug, Clone)]
pub(crate) struct Routing {
    router: Router,
    n_replicas: u32,
    next: u32,
    counts: Tournament<u64>,
}

impl Routing {
    pub fn new(router: Router, n_replicas: u32) -> Routing {
        let counts =
            Tournament::new((0..n_replicas as usize).map(|replica| key(0, replica as u32)), u64::MAX);
        Routing { router, n_replicas, next: 0, counts }
    }

    /// Returns the replica for a request that arrives now.
    pub fn pick(&mut self) -> u32 {
        match self.router {
            Router::RoundRobin => {
                let replica = self.next;
                self.next = (replica + 1) % self.n_replicas;
                replica
            }
            Router::LeastOutstanding | Router::LeastWaiting => self.counts.least() as u32,
        }
    }

    /// Tells how many requests `replica` has, in all and waiting.
    pub fn observe(&mut self, replica: u32, outstanding: u32, waiting: u32) {
        let key = match self.router {
            Router::RoundRobin => return,
            Router::LeastOutstanding => key(outstanding, replica),
            Router::LeastWaiting => key(waiting, replica),
        };
        if self.counts.get(replica as usize) != key {
            self.counts.set(replica as usize, key);
        }
    }
}

/// Orders replicas by count, then number.
fn key(count: u32, replica: u32) -> u64 {
    u64::from(count) << u32::BITS | u64::from(replica)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_win_and_of_equals_the_lowest_number() {
        let mut routing = Routing::new(Router::LeastOutstanding, 3);
        assert_eq!(routing.pick(), 0);
        routing.observe(0, 2, 0);
        assert_eq!(routing.pick(), 1);
        routing.observe(1, 2, 1);
        routing.observe(2, 2, 0);
        assert_eq!(routing.pick(), 0);
    }

    #[test]
    fn round_robin_goes_round() {
        let mut routing = Routing::new(Router::RoundRobin, 3);
        let picks: Vec<u32> = (0..5).map(|_| routing.pick()).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1]);
    }
}
