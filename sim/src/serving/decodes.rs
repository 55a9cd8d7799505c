//! Who is writing? All decoding requests of a replica advance together, one token a round, so the replica counts rounds
//! instead of touching each request: a step costs the same for 1 and for 1,000 sequences.
//!
//! A request that began to decode in round j with p tokens has p + (r − j) tokens in round r. It needs a block whenever
//! that is 1 more than a multiple of the block size, so always in rounds of the same residue; those are counted.

use super::request::{Job, NOT_DECODING};

/// The decoding requests of one replica. What every step reads comes first.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct Decodes {
    kv: u64,
    round: u64,
    /// The round of the last entry of `finishing`, kept here because it is asked after every step.
    next_finish: u64,
    /// By residue of the round modulo the block size: how many requests need a block in such rounds.
    needing_block: Box<[Line]>,
    n: u32,
    block_tokens: u32,
    /// Round after which it is complete, and request, in one word (see [`entry`]); the next to end last: taking it touches
    /// one place in memory, where a heap touches one for each of its levels.
    finishing: Vec<u64>,
}

/// The blocks that a round takes, and its residue modulo the block size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needed {
    residue: u32,
    pub blocks: u32,
}

/// Counts in one line of a processor's cache.
#[derive(Debug, Clone, Default)]
#[repr(align(64))]
struct Line([u32; COUNTS_PER_LINE]);

const COUNTS_PER_LINE: usize = 16;

/// Bits of an entry of `finishing` that name the request: `MAX_REQUESTS` fit. Those left count 6.8 × 10¹⁰ rounds, more
/// than a run may have events.
const ID_BITS: u32 = 28;

/// Orders requests by the round after which they are complete.
fn entry(finish: u64, id: u32) -> u64 {
    assert!(
        finish >> (u64::BITS - ID_BITS) == 0 && id >> ID_BITS == 0,
        "round {finish} or request {id} is too large"
    );
    finish << ID_BITS | u64::from(id)
}

fn id_of(entry: u64) -> u32 {
    entry as u32 & ((1 << ID_BITS) - 1)
}

impl Decodes {
    pub fn new(block_tokens: u32, n_common: usize) -> Decodes {
        let n_lines = (block_tokens as usize).div_ceil(COUNTS_PER_LINE);
        let needing_block = vec![Line::default(); n_lines].into_boxed_slice();
        Decodes {
            n: 0,
            kv: 0,
            round: 0,
            needing_block,
            block_tokens,
            finishing: Vec::with_capacity(n_common),
            next_finish: NOT_DECODING,
        }
    }

    pub fn n(&self) -> u32 {
        self.n
    }

    /// Returns the tokens of all decoding requests.
    pub fn kv(&self) -> u64 {
        self.kv
    }

    pub fn round(&self) -> u64 {
        self.round
    }

    /// Returns the blocks that the next round takes.
    pub fn blocks_needed(&self) -> u32 {
        self.needed_at(self.round).blocks
    }

    /// Returns the blocks that the round after `ahead` more takes.
    pub fn needed_ahead(&self, ahead: u32) -> Needed {
        self.needed_at(self.round + u64::from(ahead))
    }

    fn needed_at(&self, round: u64) -> Needed {
        let residue = self.residue(round) as u32;
        Needed { residue, blocks: self.count(residue) }
    }

    /// Returns what the round after takes: one addition, where a division would cost as much as a step.
    #[inline]
    pub fn needed_after(&self, needed: Needed) -> Needed {
        let residue = if needed.residue + 1 == self.block_tokens { 0 } else { needed.residue + 1 };
        Needed { residue, blocks: self.count(residue) }
    }

    /// Returns what the round before takes.
    #[inline]
    pub fn needed_before(&self, needed: Needed) -> Needed {
        let residue = if needed.residue == 0 { self.block_tokens } else { needed.residue } - 1;
        Needed { residue, blocks: self.count(residue) }
    }

    #[inline]
    fn count(&self, residue: u32) -> u32 {
        let residue = residue as usize;
        self.needing_block[residue / COUNTS_PER_LINE].0[residue % COUNTS_PER_LINE]
    }

    /// Returns after how many rounds the first request is complete.
    pub fn rounds_to_finish(&self) -> u64 {
        self.next_finish.saturating_sub(self.round)
    }

    pub fn needs_block(&self, job: &Job) -> bool {
        self.block_residue(job) == self.residue(self.round)
    }

    /// Adds a request whose prompt has been read and which has more tokens to write.
    pub fn join(&mut self, id: u32, job: &mut Job) {
        job.processed += 1;
        job.joined = self.round;
        self.n += 1;
        self.kv += u64::from(job.processed);
        let residue = self.block_residue(job);
        *self.count_mut(residue) += 1;
        let entry = entry(job.finish(), id);
        let place = self.finishing.partition_point(|&other| other > entry);
        self.finishing.insert(place, entry);
        self.next_finish = self.next_finish.min(job.finish());
    }

    /// Removes a request before it is complete, and settles its counts.
    pub fn evict(&mut self, id: u32, job: &mut Job) {
        let entry = entry(job.finish(), id);
        self.finishing.remove(self.finishing.partition_point(|&other| other > entry));
        self.next_finish = self.first_finish();
        self.leave(job);
    }

    fn first_finish(&self) -> u64 {
        self.finishing.last().map_or(NOT_DECODING, |entry| entry >> ID_BITS)
    }

    fn leave(&mut self, job: &mut Job) {
        let residue = self.block_residue(job);
        *self.count_mut(residue) -= 1;
        job.generated = job.generated_at(self.round);
        job.processed = job.processed_at(self.round);
        self.n -= 1;
        self.kv -= u64::from(job.processed);
        job.joined = NOT_DECODING;
    }

    /// Ends so many rounds: every decoding request has as many more tokens.
    pub fn advance(&mut self, rounds: u64) {
        self.round += rounds;
        self.kv += rounds * u64::from(self.n);
    }

    /// Removes and returns a request that is complete, if any is left, and settles its counts.
    pub fn next_complete(&mut self, jobs: &mut [Job]) -> Option<u32> {
        if self.next_finish > self.round {
            return None;
        }
        let id = id_of(self.finishing.pop()?);
        self.next_finish = self.first_finish();
        self.leave(&mut jobs[id as usize]);
        Some(id)
    }

    fn count_mut(&mut self, residue: usize) -> &mut u32 {
        &mut self.needing_block[residue / COUNTS_PER_LINE].0[residue % COUNTS_PER_LINE]
    }

    fn residue(&self, round: u64) -> usize {
        (round % u64::from(self.block_tokens)) as usize
    }

    /// Solves p + (r − j) ≡ 1 modulo the block size for r.
    fn block_residue(&self, job: &Job) -> usize {
        let size = u64::from(self.block_tokens);
        let start = u64::from(job.processed) % size;
        ((job.joined % size + 1 + size - start) % size) as usize
    }
}
