//! What need not be read again? The beginnings of prompts that the replica's pool still holds, or a tier beside it.

use super::{Job, Replica, ServingConfig};
use crate::serving::prefix::{Hashes, Pool, Prefixes, Tiers};

/// What is kept of prompts.
#[derive(Debug, Clone)]
pub(super) struct Kept<'a> {
    pub prefixes: &'a Prefixes,
    pool: Pool,
    tiers: Tiers,
}

impl<'a> Kept<'a> {
    /// Returns nothing kept yet.
    pub fn new(config: &ServingConfig, prefixes: &'a Prefixes) -> Kept<'a> {
        let unit = prefixes.tokens / config.kv.block_tokens;
        let (pool, tiers) = (Pool::new(config.kv.blocks, unit), Tiers::new(config.tiers, unit));
        Kept { prefixes, pool, tiers }
    }

    /// Returns the hashes of a waiting prompt that may be found. Its last token is always computed, since the first output
    /// token follows from it.
    fn wanted(&self, job: &Job) -> Hashes<'a> {
        let hashes = self.prefixes.of(job.number, job.prompt);
        let most = ((job.prompt - 1) / self.prefixes.tokens) as usize;
        hashes.part(0, most.min(hashes.len()))
    }
}

impl Replica<'_> {
    /// Returns the blocks that running requests were promised and do not hold yet.
    pub(super) fn still_to_come(&self, jobs: &[Job]) -> u64 {
        let jobs = self.running.iter().map(|&id| &jobs[id as usize]);
        let left = jobs.map(|job| {
            // The step being formed has given its decodes their blocks already.
            let granted = job.is_decoding() && self.batch.decodes > 0;
            let held = if granted {
                self.blocks.blocks_for(job.processed_at(self.decodes.round()))
            } else {
                self.held(job)
            };
            self.promise(job).saturating_sub(u64::from(held))
        });
        left.sum()
    }

    /// Gives back the blocks of a request.
    pub(super) fn give_back(&mut self, id: u32, blocks: u32) {
        let freed = match &mut self.kept {
            None => blocks,
            Some(kept) => {
                kept.pool.catch_up(self.blocks.free());
                kept.pool.give_back(id, blocks)
            }
        };
        self.blocks.release(freed);
    }

    /// Returns the tokens at the beginning of a waiting prompt that need not be read, and the blocks of them that others hold.
    pub fn reusable(&mut self, job: &Job) -> (u32, u32) {
        // What was evicted is gone, however it came.
        if self.config.prompts_arrive && job.restarts == 0 {
            return (job.prompt - 1, 0);
        }
        let Some(kept) = &mut self.kept else { return (0, 0) };
        kept.pool.catch_up(self.blocks.free());
        let hashes = kept.wanted(job);
        let (known, idle) = kept.pool.look_up(hashes);
        let (beside, _) = kept.tiers.look_up(hashes.part(known as usize, hashes.len()));
        let tokens = kept.prefixes.tokens;
        ((known + beside) * tokens, self.blocks.blocks_for(known * tokens) - idle)
    }

    /// Lets a request that has just been admitted begin behind `tokens` that are kept.
    pub fn reuse(&mut self, id: u32, job: &mut Job, tokens: u32) {
        if self.config.prompts_arrive {
            job.processed = tokens;
            self.rare.reused_tokens += u64::from(tokens);
            return;
        }
        let Some(kept) = self.kept.as_mut().filter(|_| tokens > 0) else { return };
        let hashes = kept.wanted(job).part(0, (tokens / kept.prefixes.tokens) as usize);
        let (known, _) = kept.pool.look_up(hashes);
        let (held, read) = (hashes.part(0, known as usize), hashes.part(known as usize, hashes.len()));
        // What is held leaves the queue before those that were taken do, so that none of it is taken.
        kept.pool.hold(id, held);
        kept.pool.catch_up(self.blocks.free());
        kept.pool.learn(id, read);
        self.reading_ns = self.reading_ns.saturating_add(kept.tiers.look_up(read).1);
        kept.tiers.touch(hashes);
        job.processed = tokens;
        self.rare.reused_tokens += u64::from(tokens);
        self.rare.read_back_tokens += (read.len() as u64) * u64::from(kept.prefixes.tokens);
    }

    /// Makes the blocks of a prompt known that a step computes, of which it reads `tokens` more.
    pub(super) fn learn(&mut self, id: u32, job: &Job, tokens: u32) {
        let Some(kept) = &mut self.kept else { return };
        kept.pool.catch_up(self.blocks.free());
        let hashes = kept.prefixes.of(job.number, job.prompt);
        let block = kept.prefixes.tokens;
        let complete = |tokens: u32| ((tokens.min(job.prompt) / block) as usize).min(hashes.len());
        let new = hashes.part(complete(job.processed), complete(job.processed + tokens));
        kept.pool.learn(id, new);
        kept.tiers.touch(new);
    }

    /// Returns the nanoseconds that the step being formed waits for what is read back, and forgets them.
    pub(super) fn take_reading_ns(&mut self) -> f64 {
        std::mem::take(&mut self.reading_ns) as f64
    }

    /// Says whether a waiting request finds its adapter, or a place for it.
    pub fn has_adapter(&self, job: &Job) -> bool {
        self.adapters.as_ref().is_none_or(|places| places.takes(job.number))
    }

    /// Lets a request that has just been admitted use its adapter.
    pub fn enter_adapter(&mut self, job: &Job) {
        if let Some(places) = &mut self.adapters {
            self.reading_ns = self.reading_ns.saturating_add(places.enter(job.number));
        }
    }

    /// Notes that a request no longer runs.
    pub(super) fn leave_adapter(&mut self, job: &Job) {
        if let Some(places) = &mut self.adapters {
            places.leave(job.number);
        }
    }
}
