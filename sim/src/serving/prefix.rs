//! How much of a prompt has been read before? A cache of prompt blocks, known by the hash of all that leads up to them,
//! in which the block that was least recently used makes room.
//!
//! It knows no tokens and no time: a prompt is a list of block hashes, and a hit is a leading run of them. On a trace with
//! hashes it says what a cache of a given size could save. What a replica keeps, as vLLM does, is in `pool.rs`; where a
//! router finds it again, in `homes.rs`.

mod hashes;
mod homes;
mod pool;
mod tiers;

use std::collections::HashMap;

pub(crate) use hashes::Hashes;
pub use hashes::{Beginnings, Prefixes};
pub(crate) use homes::Homes;
pub(crate) use pool::Pool;
pub use tiers::CacheTier;
pub(crate) use tiers::Tiers;

/// A block's neighbours in the order of use.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u64,
    newer: u32,
    older: u32,
}

/// In `newer` and `older`: nobody.
const END: u32 = u32::MAX;

/// Blocks by hash, and the order in which they were used.
#[derive(Debug, Clone)]
pub struct PrefixCache {
    capacity: u32,
    slot_of: HashMap<u64, u32>,
    slots: Vec<Slot>,
    newest: u32,
    oldest: u32,
}

impl PrefixCache {
    /// Returns an empty cache of so many blocks.
    pub fn new(capacity: u32) -> PrefixCache {
        PrefixCache { capacity, slot_of: HashMap::new(), slots: Vec::new(), newest: END, oldest: END }
    }

    /// Returns the blocks that are held.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Says whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns how many leading blocks of a prompt are held. Changes nothing.
    pub fn leading_hits(&self, hashes: &[u64]) -> usize {
        hashes.iter().take_while(|hash| self.holds(**hash)).count()
    }

    /// Uses the blocks of a prompt from front to back, so that its last is the newest; those not held come in, and the
    /// oldest make room.
    pub fn touch(&mut self, hashes: &[u64]) {
        hashes.iter().for_each(|&hash| self.use_block(hash));
    }

    /// Says whether a block is held. Changes nothing.
    pub fn holds(&self, hash: u64) -> bool {
        self.slot_of.contains_key(&hash)
    }

    /// Uses one block.
    pub(crate) fn use_block(&mut self, hash: u64) {
        match self.slot_of.get(&hash) {
            Some(&slot) => {
                self.unlink(slot);
                self.link_newest(slot);
            }
            None if self.capacity > 0 => self.insert(hash),
            None => {}
        }
    }

    fn insert(&mut self, hash: u64) {
        let slot = if (self.slots.len() as u64) < u64::from(self.capacity) {
            self.slots.push(Slot { hash, newer: END, older: END });
            self.slots.len() as u32 - 1
        } else {
            let slot = self.oldest;
            self.unlink(slot);
            self.slot_of.remove(&self.slots[slot as usize].hash);
            self.slots[slot as usize].hash = hash;
            slot
        };
        self.slot_of.insert(hash, slot);
        self.link_newest(slot);
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { newer, older, .. } = self.slots[slot as usize];
        match self.slots.get_mut(newer as usize) {
            Some(next) => next.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(next) => next.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link_newest(&mut self, slot: u32) {
        let older = std::mem::replace(&mut self.newest, slot);
        match self.slots.get_mut(older as usize) {
            Some(next) => next.newer = slot,
            None => self.oldest = slot,
        }
        let place = &mut self.slots[slot as usize];
        (place.newer, place.older) = (END, older);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_block_that_was_not_used_longest_makes_room() {
        let mut cache = PrefixCache::new(3);
        cache.touch(&[1, 2, 3]);
        cache.touch(&[1]);
        cache.touch(&[4]);
        assert_eq!((cache.leading_hits(&[1, 3, 4]), cache.leading_hits(&[2])), (3, 0));
        assert_eq!(cache.leading_hits(&[2, 1]), 0, "a hit begins at the beginning");
        PrefixCache::new(0).touch(&[1]);
    }

    proptest! {
        /// It agrees with a list that is searched from end to end.
        #[test]
        fn the_cache_is_a_list_in_order_of_use(
            capacity in 0u32..8, prompts in prop::collection::vec(prop::collection::vec(0u64..12, 0..9), 0..30),
        ) {
            let (mut cache, mut list) = (PrefixCache::new(capacity), Vec::<u64>::new());
            for prompt in &prompts {
                let hits = prompt.iter().take_while(|hash| list.contains(hash)).count();
                prop_assert_eq!(cache.leading_hits(prompt), hits);
                cache.touch(prompt);
                for hash in prompt {
                    list.retain(|held| held != hash);
                    list.push(*hash);
                    if list.len() > capacity as usize {
                        list.remove(0);
                    }
                }
                prop_assert_eq!(cache.len(), list.len());
                prop_assert_eq!(cache.is_empty(), list.is_empty());
            }
        }
    }
}
