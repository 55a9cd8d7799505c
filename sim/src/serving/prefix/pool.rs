//! Which blocks does a replica keep after their requests have left? vLLM's block pool, with blocks counted where nobody
//! can ask for them again.
//!
//! A block that nobody holds goes to the end of the free queue, those of one request last block first; new blocks are
//! taken from its front, and what they held is then forgotten (vllm/v1/core/block_pool.py, kv_cache_manager.py). Blocks
//! without a hash (of outputs, of unfinished ends, doubles) are runs of a length, so a request costs its hashes, not its
//! tokens.
//!
//! The replica counts free blocks as it goes and tells them here before anything is looked up or given back: those taken
//! since then come from the front of the queue.

use std::collections::HashMap;

use super::Hashes;

/// A place in the free queue, or a block with a hash that is held.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Of a block that can be found; a run of blocks has none.
    hash: Option<u64>,
    /// Blocks: those of a hash, or of a run.
    n: u32,
    /// Requests that hold it; while there are any it is not in the queue.
    holders: u32,
    before: u32,
    after: u32,
}

const END: u32 = u32::MAX;

/// The blocks of one replica.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    /// Blocks of one hash.
    unit: u32,
    slot_of: HashMap<u64, u32>,
    slots: Vec<Slot>,
    unused: Vec<u32>,
    front: u32,
    back: u32,
    /// Blocks in the queue.
    queued: u32,
    /// By place of a request: the slots that it holds, in the order of its prompt.
    held: Vec<Vec<u32>>,
}

impl Pool {
    /// Returns a pool of `blocks` blocks, of which `unit` have one hash.
    pub fn new(blocks: u32, unit: u32) -> Pool {
        let (slots, unused, held) = (Vec::new(), Vec::new(), Vec::new());
        let slot_of = HashMap::new();
        let mut pool = Pool { unit, slot_of, slots, unused, front: END, back: END, queued: 0, held };
        pool.queue_run(blocks);
        pool
    }

    /// Takes from the front of the queue what was taken since it was last told how many blocks are free.
    pub fn catch_up(&mut self, free: u32) {
        while self.queued > free {
            let slot = self.front;
            let taken = self.slots[slot as usize].n.min(self.queued - free);
            self.queued -= taken;
            let place = &mut self.slots[slot as usize];
            place.n -= taken;
            // Of a broken block the rest is free, and nobody finds it.
            if let Some(hash) = place.hash.take() {
                self.slot_of.remove(&hash);
            }
            if place.n == 0 {
                self.unlink(slot);
                self.unused.push(slot);
            }
        }
    }

    /// Returns how many leading hashes are known, and how many of their blocks nobody holds.
    pub fn look_up(&self, hashes: Hashes<'_>) -> (u32, u32) {
        let (mut known, mut idle) = (0, 0);
        for slot in hashes.iter().map_while(|hash| self.slot_of.get(&hash)) {
            known += 1;
            idle += if self.slots[*slot as usize].holders == 0 { self.unit } else { 0 };
        }
        (known, idle)
    }

    /// Lets a request hold the blocks of `hashes`, all of which are known.
    pub fn hold(&mut self, place: u32, hashes: Hashes<'_>) {
        for hash in hashes.iter() {
            let slot = self.slot_of[&hash];
            if self.slots[slot as usize].holders == 0 {
                self.unlink(slot);
                self.queued -= self.unit;
            }
            self.slots[slot as usize].holders += 1;
            self.held_mut(place).push(slot);
        }
    }

    /// Makes blocks known that a request computes. One that is known already stays as it is: the other is a double.
    pub fn learn(&mut self, place: u32, hashes: Hashes<'_>) {
        for hash in hashes.iter() {
            if self.slot_of.contains_key(&hash) {
                continue;
            }
            let slot =
                self.new_slot(Slot { hash: Some(hash), n: self.unit, holders: 1, before: END, after: END });
            self.slot_of.insert(hash, slot);
            self.held_mut(place).push(slot);
        }
    }

    /// Takes back the blocks of a request, of which there are `blocks`; returns how many nobody holds any more.
    pub fn give_back(&mut self, place: u32, blocks: u32) -> u32 {
        let mut held = std::mem::take(self.held_mut(place));
        let nameless = blocks - held.len() as u32 * self.unit;
        self.queue_run(nameless);
        let mut freed = nameless;
        for &slot in held.iter().rev() {
            let holders = &mut self.slots[slot as usize].holders;
            *holders -= 1;
            if *holders == 0 {
                self.link_last(slot);
                self.queued += self.unit;
                freed += self.unit;
            }
        }
        held.clear();
        self.held[place as usize] = held;
        freed
    }

    fn held_mut(&mut self, place: u32) -> &mut Vec<u32> {
        let place = place as usize;
        if self.held.len() <= place {
            self.held.resize(place + 1, Vec::new());
        }
        &mut self.held[place]
    }

    fn queue_run(&mut self, n: u32) {
        if n > 0 {
            let slot = self.new_slot(Slot { hash: None, n, holders: 0, before: END, after: END });
            self.link_last(slot);
            self.queued += n;
        }
    }

    fn new_slot(&mut self, slot: Slot) -> u32 {
        match self.unused.pop() {
            Some(place) => {
                self.slots[place as usize] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        }
    }

    fn link_last(&mut self, slot: u32) {
        let before = std::mem::replace(&mut self.back, slot);
        match self.slots.get_mut(before as usize) {
            Some(last) => last.after = slot,
            None => self.front = slot,
        }
        let place = &mut self.slots[slot as usize];
        (place.before, place.after) = (before, END);
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { before, after, .. } = self.slots[slot as usize];
        match self.slots.get_mut(before as usize) {
            Some(place) => place.after = after,
            None => self.front = after,
        }
        match self.slots.get_mut(after as usize) {
            Some(place) => place.before = before,
            None => self.back = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_left_first_is_forgotten_first_and_of_one_request_its_end() {
        let mut pool = Pool::new(6, 1);
        pool.learn(0, Hashes::Listed(&[1, 2]));
        pool.catch_up(4);
        // Two blocks of prompt and one of output.
        pool.catch_up(3);
        assert_eq!(pool.give_back(0, 3), 3);
        assert_eq!(pool.look_up(Hashes::Listed(&[1, 2, 3])), (2, 2));
        // Free are now: three never used, the output, the block 2, the block 1.
        pool.catch_up(2);
        assert_eq!(pool.look_up(Hashes::Listed(&[1, 2])), (2, 2));
        pool.catch_up(1);
        assert_eq!(pool.look_up(Hashes::Listed(&[1, 2])), (1, 1));
        pool.catch_up(0);
        assert_eq!(pool.look_up(Hashes::Listed(&[1])), (0, 0));
    }

    #[test]
    fn what_is_held_twice_is_free_when_both_have_left() {
        let mut pool = Pool::new(8, 2);
        pool.learn(0, Hashes::Listed(&[7]));
        pool.catch_up(6);
        assert_eq!(pool.look_up(Hashes::Listed(&[7])), (1, 0));
        pool.hold(1, Hashes::Listed(&[7]));
        pool.catch_up(5);
        assert_eq!(pool.give_back(0, 2), 0);
        assert_eq!(pool.give_back(1, 3), 3);
        assert_eq!(pool.look_up(Hashes::Listed(&[7])), (1, 2));
        // Taking one of its two blocks breaks it.
        pool.catch_up(1);
        assert_eq!(pool.look_up(Hashes::Listed(&[7])), (0, 0));
    }
}
