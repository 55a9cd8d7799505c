//! What need not be read again? The beginnings of prompts that the replica's pool still holds.

use super::{Job, Replica};

impl Replica<'_> {
    /// Gives back the blocks of a request.
    pub(super) fn give_back(&mut self, id: u32, blocks: u32) {
        let freed = match &mut self.pool {
            None => blocks,
            Some((pool, _)) => {
                pool.catch_up(self.blocks.free());
                pool.give_back(id, blocks)
            }
        };
        self.blocks.release(freed);
    }

    /// Returns the tokens at the beginning of a waiting prompt that need not be read, and the blocks of them that others hold.
    /// The last token of a prompt is always computed, since the first output token follows from it.
    pub fn reusable(&mut self, job: &Job) -> (u32, u32) {
        let Some((pool, prefixes)) = &mut self.pool else { return (0, 0) };
        pool.catch_up(self.blocks.free());
        let hashes = prefixes.of(job.number);
        let most = ((job.prompt - 1) / prefixes.tokens) as usize;
        let (known, idle) = pool.look_up(&hashes[..most.min(hashes.len())]);
        let tokens = known * prefixes.tokens;
        (tokens, self.blocks.blocks_for(tokens) - idle)
    }

    /// Lets a request that has just been admitted begin behind `tokens` that are in the cache.
    pub fn reuse(&mut self, id: u32, job: &mut Job, tokens: u32) {
        let Some((pool, prefixes)) = self.pool.as_mut().filter(|_| tokens > 0) else { return };
        pool.hold(id, &prefixes.of(job.number)[..(tokens / prefixes.tokens) as usize]);
        job.processed = tokens;
        self.rare.reused_tokens += u64::from(tokens);
    }

    /// Makes the blocks of a prompt known that a step computes, of which it reads `tokens` more.
    pub(super) fn learn(&mut self, id: u32, job: &Job, tokens: u32) {
        let Some((pool, prefixes)) = &mut self.pool else { return };
        pool.catch_up(self.blocks.free());
        let hashes = prefixes.of(job.number);
        let complete = |tokens: u32| ((tokens.min(job.prompt) / prefixes.tokens) as usize).min(hashes.len());
        pool.learn(id, &hashes[complete(job.processed)..complete(job.processed + tokens)]);
    }
}
