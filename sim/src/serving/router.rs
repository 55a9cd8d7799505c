//! Which replica gets the next request?
//!
//! The routers that compare replicas keep a tournament tree over them: O(log n) when a count changes, O(1) to ask.

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
    counts: Tournament,
}

impl Routing {
    pub fn new(router: Router, n_replicas: u32) -> Routing {
        Routing { router, n_replicas, next: 0, counts: Tournament::new(n_replicas) }
    }

    /// Returns the replica for a request that arrives now.
    pub fn pick(&mut self) -> u32 {
        match self.router {
            Router::RoundRobin => {
                let replica = self.next;
                self.next = (replica + 1) % self.n_replicas;
                replica
            }
            Router::LeastOutstanding | Router::LeastWaiting => self.counts.least(),
        }
    }

    /// Tells how many requests `replica` has, in all and waiting.
    pub fn observe(&mut self, replica: u32, outstanding: u32, waiting: u32) {
        match self.router {
            Router::RoundRobin => {}
            Router::LeastOutstanding => self.counts.set(replica, outstanding),
            Router::LeastWaiting => self.counts.set(replica, waiting),
        }
    }
}

/// A complete binary tree whose inner nodes hold the lesser of their children, (count, index) packed in a word.
#[derive(Debug, Clone)]
struct Tournament {
    nodes: Vec<u64>,
    leaves: usize,
}

impl Tournament {
    fn new(n: u32) -> Tournament {
        let leaves = (n as usize).next_power_of_two();
        let mut nodes = vec![u64::MAX; 2 * leaves];
        for index in 0..n {
            nodes[leaves + index as usize] = u64::from(index);
        }
        for node in (1..leaves).rev() {
            nodes[node] = nodes[2 * node].min(nodes[2 * node + 1]);
        }
        Tournament { nodes, leaves }
    }

    fn least(&self) -> u32 {
        self.nodes[1] as u32
    }

    fn set(&mut self, index: u32, count: u32) {
        let mut node = self.leaves + index as usize;
        let mut value = u64::from(count) << 32 | u64::from(index);
        while self.nodes[node] != value {
            self.nodes[node] = value;
            if node == 1 {
                break;
            }
            value = value.min(self.nodes[node ^ 1]);
            node /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_tournament_agrees_with_a_scan(n in 1u32..20, sets in prop::collection::vec((0u32..20, 0u32..5), 0..60)) {
            let mut tournament = Tournament::new(n);
            let mut counts = vec![0; n as usize];
            for (index, count) in sets {
                let index = index % n;
                tournament.set(index, count);
                counts[index as usize] = count;
                let scan = (0..n).min_by_key(|&i| counts[i as usize]).unwrap();
                prop_assert_eq!(tournament.least(), scan);
            }
        }
    }

    #[test]
    fn round_robin_goes_round() {
        let mut routing = Routing::new(Router::RoundRobin, 3);
        let picks: Vec<u32> = (0..5).map(|_| routing.pick()).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1]);
    }
}
