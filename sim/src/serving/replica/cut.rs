//! What is left of a leap when something comes in between? The steps that have ended, and the one that runs.
//!
//! When each step ends is not kept but computed again, from the nearer end of the leap: instants are integers, so what was
//! added can be taken away, and both ways give the same.

use super::{Fine, Replica, StepTime, Time};

/// The first steps of a leap.
#[derive(Debug, Clone, Copy)]
struct First {
    n: u32,
    end: Fine,
    block_ns: u128,
    /// Blocks in use during the last of them, or, of none, during the first that follows.
    blocks_used: u32,
}

impl Replica<'_> {
    /// Gives up the running steps but those that end before `limit` and, if it `keeps_running`, the one that runs then;
    /// says whether there were any.
    pub(super) fn cut<S: StepTime + ?Sized>(&mut self, step: &S, limit: Time, keeps_running: bool) -> bool {
        let (n, begin, end) = (self.steps.n, self.steps.clock.floor(), self.steps.end.floor());
        if n == 0 || end < limit {
            return false;
        }
        let (ended, with_running) = if limit.since(begin) < end.since(limit) || self.steps.end.is_saturated()
        {
            self.forwards(step, limit)
        } else {
            self.backwards(step, limit)
        };
        let kept = if keeps_running { with_running } else { ended };
        let mut needed = self.decodes.needed_ahead(kept.n);
        for _ in kept.n..n {
            self.blocks.release(needed.blocks);
            needed = self.decodes.needed_after(needed);
        }
        (self.steps.n, self.steps.end, self.steps.block_ns) = (kept.n, kept.end, kept.block_ns);
        kept.n < n
    }

    /// Returns the steps that end before `limit`, and those and the next; there is a next.
    fn forwards<S: StepTime + ?Sized>(&self, step: &S, limit: Time) -> (First, First) {
        let mut batch = self.batch;
        let blocks_used = self.steps.first_blocks_used;
        let mut ended = First { n: 0, end: self.steps.clock, block_ns: 0, blocks_used };
        let mut needed = self.decodes.needed_ahead(0);
        loop {
            if ended.n > 0 {
                batch.decode_kv += u64::from(batch.decodes);
                needed = self.decodes.needed_after(needed);
                ended.blocks_used += needed.blocks;
            }
            let end = ended.end.plus(Fine::from_ns_f64(step.nanoseconds(&batch)));
            let ns = end.floor().since(ended.end.floor());
            let block_ns = ended.block_ns + u128::from(ns) * u128::from(ended.blocks_used);
            let more = First { n: ended.n + 1, end, block_ns, ..ended };
            if end.floor() >= limit || more.n == self.steps.n {
                return (ended, more);
            }
            ended = more;
        }
    }

    /// As `forwards`, beginning with all.
    fn backwards<S: StepTime + ?Sized>(&self, step: &S, limit: Time) -> (First, First) {
        let mut batch = self.batch;
        let mut more = First {
            n: self.steps.n,
            end: self.steps.end,
            block_ns: self.steps.block_ns,
            blocks_used: self.blocks.used(),
        };
        batch.decode_kv += u64::from(batch.decodes) * u64::from(more.n - 1);
        let mut needed = self.decodes.needed_ahead(more.n - 1);
        loop {
            let begin = more.end.minus(Fine::from_ns_f64(step.nanoseconds(&batch)));
            let ns = more.end.floor().since(begin.floor());
            let block_ns = more.block_ns - u128::from(ns) * u128::from(more.blocks_used);
            let mut ended = First { n: more.n - 1, end: begin, block_ns, ..more };
            if ended.n == 0 || begin.floor() < limit {
                return (ended, more);
            }
            batch.decode_kv -= u64::from(batch.decodes);
            ended.blocks_used -= needed.blocks;
            needed = self.decodes.needed_before(needed);
            more = ended;
        }
    }
}
