//! Decodes and prompts in one step: in pieces by vLLM V1 and Sarathi, whole by TensorRT-LLM's in-flight batching. With all
//! output reserved (its GUARANTEED_NO_EVICT) no decode ever lacks a block; with less, the newest is evicted.
//!
//! Invariant: at most one running prompt is unfinished. A second is admitted only with tokens left over, and tokens are
//! left over only when the first has had its last piece.

use super::balance::holds_back;
use crate::engine::Time;
use crate::serving::replica::Replica;
use crate::serving::request::Job;

/// When the blocks of a prompt are counted and taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reserve {
    /// Counted and taken piece by piece.
    Chunk,
    /// Counted at admission, taken piece by piece.
    PromptChecked,
    /// Counted and taken at admission.
    Prompt,
}

/// What is common to schedulers that read prompts in pieces.
pub(super) struct Mixed {
    pub token_budget: u32,
    pub reserve: Reserve,
    pub admits_after_eviction: bool,
    /// Whether prompts are read whole, as TensorRT-LLM does without chunked context.
    pub whole: bool,
    /// Groups of ranks with their own sequences that read prompts together; 1 where none wait for each other.
    pub groups: u32,
}

impl Mixed {
    /// Returns what reads prompts in pieces, without groups that wait for each other.
    pub fn in_pieces(token_budget: u32, reserve: Reserve, admits_after_eviction: bool) -> Mixed {
        Mixed { token_budget, reserve, admits_after_eviction, whole: false, groups: 1 }
    }

    pub fn form(&self, replica: &mut Replica, jobs: &mut [Job], now: Time) {
        let mut evicted = self.make_way(replica, jobs);
        evicted |= replica.grant_decodes(jobs);
        let mut left = self.token_budget.saturating_sub(replica.decode_budget());
        if let Some(id) = replica.unfinished_prompt {
            evicted |= self.go_on(id, &mut left, replica, jobs, now);
        }
        if (evicted && !self.admits_after_eviction) || holds_back(self.groups, replica) {
            return;
        }
        self.admit_waiting(left, replica, jobs, now);
    }

    /// Reads the beginnings of waiting prompts, in order, while tokens are left and the next fits.
    pub fn admit_waiting(&self, mut left: u32, replica: &mut Replica, jobs: &mut [Job], now: Time) {
        // Those that are passed over because their adapter finds no place stay where they are.
        let mut passed = 0;
        while (left > 0 || self.whole) && replica.has_place() {
            let Some(&id) = replica.waiting.get(passed) else { break };
            if !replica.has_adapter(&jobs[id as usize]) {
                passed += 1;
                continue;
            }
            let Some(chunk) = self.admit(id, left, replica, jobs) else { break };
            replica.waiting.remove(passed);
            replica.enter_adapter(&jobs[id as usize]);
            replica.run(id, jobs);
            replica.read_prompt(id, chunk, jobs, now);
            left = left.saturating_sub(chunk);
        }
    }

    /// Reads on in the unfinished prompt; says whether it was evicted because its next piece does not fit.
    pub fn go_on(&self, id: u32, left: &mut u32, replica: &mut Replica, jobs: &mut [Job], now: Time) -> bool {
        let job = &jobs[id as usize];
        let chunk = (job.to_prefill - job.processed).min(*left);
        // The order of eviction changes as Vidur has it; vLLM's stays that of admission.
        let moves = self.reserve == Reserve::Prompt;
        if chunk == 0 {
            if moves {
                replica.set_aside(id);
            }
            return false;
        }
        if moves {
            replica.put_last(id);
        } else {
            let more = replica.blocks.more_for(job.processed, chunk);
            if more > replica.blocks.free() {
                replica.evict_newest(jobs);
                return true;
            }
            replica.blocks.take(more);
        }
        replica.read_prompt(id, chunk, jobs, now);
        *left -= chunk;
        false
    }

    /// Evicts background before the others' unfinished prompt and decodes lack blocks; says whether it evicted any.
    fn make_way(&self, replica: &mut Replica, jobs: &mut [Job]) -> bool {
        let Some(id) = replica.unfinished_prompt.filter(|&id| !replica.yields(&jobs[id as usize])) else {
            return false;
        };
        let mut evicted = false;
        while replica.running.last().is_some_and(|&last| replica.yields(&jobs[last as usize])) {
            let job = &jobs[id as usize];
            let left = self.token_budget.saturating_sub(replica.tokens_of_decodes());
            let chunk = (job.to_prefill - job.processed).min(left);
            let needed = replica.blocks_of_decodes() + replica.blocks.more_for(job.processed, chunk);
            if needed <= replica.blocks.free() {
                break;
            }
            replica.evict_newest(jobs);
            evicted = true;
        }
        evicted
    }

    /// Takes the first blocks of a waiting request; `None` if it does not fit.
    fn admit(&self, id: u32, left: u32, replica: &mut Replica, jobs: &mut [Job]) -> Option<u32> {
        let job = &jobs[id as usize];
        let (reused, shared) = replica.reusable(job);
        let prompt = job.to_prefill;
        let chunk = if self.whole { prompt - reused } else { (prompt - reused).min(left) };
        // What was written before a preemption can make a prompt longer than any step; it is then the only one.
        let alone = replica.batch.prefills == 0 && job.restarts > 0;
        if chunk > left && !alone {
            return None;
        }
        let blocks = |tokens| replica.blocks.blocks_for(tokens) - shared;
        let (counted, taken) = match self.reserve {
            Reserve::Chunk => (blocks(reused + chunk), blocks(reused + chunk)),
            Reserve::PromptChecked => (blocks(prompt), blocks(reused + chunk)),
            Reserve::Prompt => (blocks(prompt), blocks(prompt)),
        };
        let admitted = replica.admit(id, jobs, counted, taken);
        if admitted {
            replica.reuse(id, &mut jobs[id as usize], reused);
        }
        admitted.then_some(chunk)
    }
}
