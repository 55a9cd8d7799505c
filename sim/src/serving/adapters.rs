//! Which adapters are on a replica? Requests of many fine-tuned variants share one base model; each needs its adapter in one
//! of a few places beside the weights.
//!
//! As vLLM does it (`max_loras`): a step holds requests of at most as many adapters as there are places; a waiting request
//! whose adapter finds none is passed over by those behind it. An adapter that is not there is read from host memory, which
//! the step that admits its first request waits for; the one that was not used longest, and that nobody uses, makes room.

use crate::random::{Streams, split_mix};

/// Adapters on one base model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adapters {
    /// How many there are, equally common.
    pub n: u32,
    /// Places on a replica.
    pub places: u32,
    /// Nanoseconds to read one.
    pub load_ns: u64,
    /// What they are drawn from; see [`Adapters::drawn`].
    pub key: u64,
}

impl Adapters {
    /// Returns adapters whose requests are drawn with a seed.
    pub fn drawn(n: u32, places: u32, load_ns: u64, seed: u64) -> Adapters {
        Adapters { n, places, load_ns, key: Streams::new(seed).stream("adapters").bits() }
    }

    /// Returns the adapter of a request.
    fn of(&self, number: u32) -> u32 {
        let mut state = self.key ^ u64::from(number);
        ((u128::from(split_mix(&mut state)) * u128::from(self.n.max(1))) >> 64) as u32
    }
}

/// The places of one replica.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    of: Adapters,
    /// Adapters that are there, the one that was used last at the end, with the requests that use them.
    held: Vec<(u32, u32)>,
}

impl Places {
    pub fn new(of: Adapters) -> Places {
        Places { of, held: Vec::with_capacity(of.places as usize) }
    }

    /// Says whether a request finds its adapter, or a place for it.
    pub fn takes(&self, number: u32) -> bool {
        let wanted = self.of.of(number);
        let has_room = (self.held.len() as u64) < u64::from(self.of.places);
        has_room || self.held.iter().any(|&(adapter, users)| adapter == wanted || users == 0)
    }

    /// Lets a request that is taken use its adapter; returns the nanoseconds until that is there.
    pub fn enter(&mut self, number: u32) -> u64 {
        let wanted = self.of.of(number);
        if let Some(place) = self.held.iter().position(|&(adapter, _)| adapter == wanted) {
            let (_, users) = self.held.remove(place);
            self.held.push((wanted, users + 1));
            return 0;
        }
        if self.held.len() as u64 >= u64::from(self.of.places)
            && let Some(idle) = self.held.iter().position(|&(_, users)| users == 0)
        {
            self.held.remove(idle);
        }
        self.held.push((wanted, 1));
        self.of.load_ns
    }

    /// Notes that a request no longer runs.
    pub fn leave(&mut self, number: u32) {
        let wanted = self.of.of(number);
        if let Some((_, users)) = self.held.iter_mut().find(|(adapter, _)| *adapter == wanted) {
            *users -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of each adapter.
    fn numbers(of: &Adapters) -> Vec<u32> {
        (0..of.n).map(|adapter| (0..1_000).find(|&number| of.of(number) == adapter).expect("drawn")).collect()
    }

    #[test]
    fn an_adapter_is_read_once_and_the_one_not_used_longest_makes_room() {
        let of = Adapters::drawn(3, 2, 7, 1);
        let [a, b, c] = numbers(&of)[..] else { panic!("three") };
        let mut places = Places::new(of);
        assert_eq!((places.enter(a), places.enter(a), places.enter(b)), (7, 0, 7));
        assert!(!places.takes(c) && places.takes(b), "both places are in use");
        places.leave(a);
        assert!(!places.takes(c), "one of two still uses it");
        places.leave(a);
        assert!(places.takes(c));
        assert_eq!((places.enter(c), places.enter(b)), (7, 0));
        assert!(!places.takes(a));
    }
}
