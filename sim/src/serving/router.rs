//! Which replica gets the next request?
//!
//! The routers that compare replicas keep a tournament tree over them: O(log n) when a count changes, O(1) to ask.

use super::prefix::{Hashes, Homes};
use crate::engine::Tournament;
use crate::random::Stream;

/// How requests are spread over replicas. Equal replicas: the lowest number wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Router {
    /// One after the other.
    RoundRobin,
    /// The fewest requests not yet complete, waiting and running.
    LeastOutstanding,
    /// The fewest requests not yet scheduled. What Vidur calls "least outstanding"; it overfills low numbers.
    LeastWaiting,
    /// The fewest prompt tokens of requests not yet complete. How long an output will be no router knows.
    LeastTokens,
    /// Where the longest known beginning of the prompt was sent last, if that is half of it, and unless that replica has more
    /// than `slack` requests above the fewest; else the fewest requests not yet complete.
    Prefix {
        /// Requests more than the fewest that are borne for what can be reused.
        slack: u32,
    },
    /// As `Prefix`, however full that replica is: sessions stay as long as it lives.
    Sticky,
    /// Of two drawn at random the one with fewer requests not yet complete: nearly as good, and it asks only two.
    RandomOfTwo,
}

/// What a router may know of a replica.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    /// Requests not yet complete.
    pub outstanding: u32,
    /// Requests not yet scheduled.
    pub waiting: u32,
    /// Prompt tokens of the requests not yet complete.
    pub prompt_tokens: u64,
}

/// A router at work.
#[derive(Debug, Clone)]
pub(crate) struct Routing {
    router: Router,
    n_replicas: u32,
    next: u32,
    draws: Stream,
    counts: Tournament<u64>,
    /// Replicas that take requests, the lowest number first.
    live: Vec<u32>,
    homes: Homes,
}

impl Routing {
    pub fn new(router: Router, n_replicas: u32, draws: Stream) -> Routing {
        let counts =
            Tournament::new((0..n_replicas as usize).map(|replica| key(0, replica as u32)), u64::MAX);
        Routing {
            router,
            n_replicas,
            next: 0,
            draws,
            counts,
            live: (0..n_replicas).collect(),
            homes: Homes::default(),
        }
    }

    /// Returns the replica for a request that arrives now and whose prompt has these hashes; none if none lives.
    pub fn pick_for(&mut self, hashes: Hashes<'_>) -> Option<u32> {
        let slack = match self.router {
            Router::Prefix { slack } => u64::from(slack),
            Router::Sticky => u64::MAX,
            _ => return self.pick(),
        };
        let least = self.pick()?;
        let bears = |home: &u32| {
            let count = |replica: u32| count_of(self.counts.get(replica as usize));
            self.live.binary_search(home).is_ok() && count(*home) - count(least) <= slack
        };
        let replica = self.homes.find(hashes).filter(bears).unwrap_or(least);
        self.homes.note(hashes, replica);
        Some(replica)
    }

    /// Returns the replica for a request that arrives now; none if none lives.
    fn pick(&mut self) -> Option<u32> {
        let n_live = self.live.len();
        if n_live == 0 {
            return None;
        }
        Some(match self.router {
            Router::RoundRobin => {
                let place = self.live.partition_point(|&replica| replica < self.next);
                let replica = self.live[if place < n_live { place } else { 0 }];
                self.next = (replica + 1) % self.n_replicas;
                replica
            }
            Router::LeastOutstanding
            | Router::LeastWaiting
            | Router::LeastTokens
            | Router::Prefix { .. }
            | Router::Sticky => replica_of(self.counts.least()),
            Router::RandomOfTwo => {
                let first = self.draws.below(n_live as u64) as usize;
                let other = self.draws.below((n_live as u64).saturating_sub(1)) as usize;
                // The second is drawn from the others.
                let second = (other + usize::from(other >= first)).min(n_live - 1);
                let key = |place: usize| self.counts.get(self.live[place] as usize);
                replica_of(key(first).min(key(second)))
            }
        })
    }

    /// Takes a replica out; says whether it lived.
    pub fn fail(&mut self, replica: u32) -> bool {
        let Ok(place) = self.live.binary_search(&replica) else { return false };
        self.live.remove(place);
        self.counts.set(replica as usize, u64::MAX);
        true
    }

    /// Takes a replica in again, with nothing on it.
    pub fn revive(&mut self, replica: u32) {
        if let Err(place) = self.live.binary_search(&replica) {
            self.live.insert(place, replica);
            self.counts.set(replica as usize, key(0, replica));
        }
    }

    /// Tells what `replica` has.
    pub fn observe(&mut self, replica: u32, load: Load) {
        let count = match self.router {
            Router::RoundRobin => return,
            Router::LeastOutstanding | Router::RandomOfTwo | Router::Prefix { .. } | Router::Sticky => {
                u64::from(load.outstanding)
            }
            Router::LeastWaiting => u64::from(load.waiting),
            Router::LeastTokens => load.prompt_tokens,
        };
        let key = key(count, replica);
        if self.live.len() < self.n_replicas as usize && self.live.binary_search(&replica).is_err() {
            return;
        }
        if self.counts.get(replica as usize) != key {
            self.counts.set(replica as usize, key);
        }
    }
}

/// Bits of a key that name the replica.
const REPLICA_BITS: u32 = 20;

/// Orders replicas by count, then number.
fn key(count: u64, replica: u32) -> u64 {
    count.min(u64::MAX >> REPLICA_BITS) << REPLICA_BITS | u64::from(replica)
}

fn count_of(key: u64) -> u64 {
    key >> REPLICA_BITS
}

fn replica_of(key: u64) -> u32 {
    key as u32 & ((1 << REPLICA_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Streams;

    fn routing(router: Router, n_replicas: u32) -> Routing {
        Routing::new(router, n_replicas, Streams::new(1).stream("router"))
    }

    fn load(outstanding: u32, waiting: u32, prompt_tokens: u64) -> Load {
        Load { outstanding, waiting, prompt_tokens }
    }

    #[test]
    fn the_fewest_tokens_are_not_the_fewest_requests() {
        let mut routing = routing(Router::LeastTokens, 2);
        routing.observe(0, load(1, 0, 9_000));
        routing.observe(1, load(3, 0, 600));
        assert_eq!(routing.pick(), Some(1));
    }

    /// Of two different replicas the one with the most never wins; of n, it would win if drawn twice.
    #[test]
    fn two_are_drawn_and_the_fuller_is_spared() {
        let mut routing = routing(Router::RandomOfTwo, 4);
        routing.observe(2, load(5, 0, 0));
        let mut seen = [0; 4];
        (0..3_000).for_each(|_| seen[routing.pick().unwrap() as usize] += 1);
        assert_eq!(seen[2], 0);
        // Of the equal ones the lower number wins: of six pairs, 0 wins three, 1 two, 3 one.
        for (replica, share) in [(0, 0.5), (1, 1.0 / 3.0), (3, 1.0 / 6.0)] {
            assert!((f64::from(seen[replica]) / 3_000.0 - share).abs() < 0.04, "{seen:?}");
        }
        assert_eq!(super::tests::routing(Router::RandomOfTwo, 1).pick(), Some(0));
    }

    #[test]
    fn the_fewest_win_and_of_equals_the_lowest_number() {
        let mut routing = routing(Router::LeastOutstanding, 3);
        assert_eq!(routing.pick(), Some(0));
        routing.observe(0, load(2, 0, 0));
        assert_eq!(routing.pick(), Some(1));
        routing.observe(1, load(2, 1, 0));
        routing.observe(2, load(2, 0, 0));
        assert_eq!(routing.pick(), Some(0));
    }

    #[test]
    fn round_robin_goes_round() {
        let mut routing = routing(Router::RoundRobin, 3);
        let picks: Vec<u32> = (0..5).filter_map(|_| routing.pick()).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1]);
    }

    /// Whatever the router, one that is down gets nothing until it is back.
    #[test]
    fn a_replica_that_is_down_is_not_picked() {
        use Router::{LeastOutstanding, LeastTokens, LeastWaiting, RandomOfTwo, RoundRobin};
        for router in [RoundRobin, LeastOutstanding, LeastWaiting, LeastTokens, RandomOfTwo] {
            let mut routing = routing(router, 3);
            assert!(routing.fail(1) && !routing.fail(1), "it dies once");
            routing.observe(1, load(0, 0, 0));
            let picked = |routing: &mut Routing| (0..30).filter_map(|_| routing.pick()).collect::<Vec<u32>>();
            assert!(!picked(&mut routing).contains(&1), "{router:?}");
            routing.fail(0);
            routing.fail(2);
            assert_eq!(routing.pick(), None);
            routing.revive(1);
            assert_eq!(picked(&mut routing), [1; 30], "{router:?}");
        }
    }

    #[test]
    fn a_prompt_goes_where_its_beginning_is_unless_that_replica_is_full() {
        let mut routing = routing(Router::Prefix { slack: 2 }, 3);
        assert_eq!(routing.pick_for(Hashes::Listed(&[1, 2])), Some(0));
        routing.observe(0, load(2, 0, 0));
        assert_eq!(routing.pick_for(Hashes::Listed(&[1, 2, 3])), Some(0));
        assert_eq!(routing.pick_for(Hashes::Listed(&[7])), Some(1));
        routing.observe(0, load(3, 0, 0));
        assert_eq!(
            routing.pick_for(Hashes::Listed(&[1, 2])),
            Some(1),
            "three more than the fewest are too many"
        );
    }

    #[test]
    fn a_session_stays_however_full_its_replica_is_until_it_fails() {
        let mut routing = routing(Router::Sticky, 2);
        assert_eq!(routing.pick_for(Hashes::Listed(&[1])), Some(0));
        routing.observe(0, load(99, 0, 0));
        assert_eq!(routing.pick_for(Hashes::Listed(&[1, 5])), Some(0));
        assert_eq!(routing.pick_for(Hashes::Listed(&[2])), Some(1));
        routing.fail(0);
        assert_eq!(routing.pick_for(Hashes::Listed(&[1])), Some(1));
    }
}
