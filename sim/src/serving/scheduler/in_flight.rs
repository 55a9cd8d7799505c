//! Decodes and whole prompts in one step: TensorRT-LLM's in-flight batching without chunked context.
//!
//! With all output reserved (GUARANTEED_NO_EVICT) no decode ever lacks a block; with less, the newest is evicted.

use crate::engine::Time;
use crate::serving::replica::Replica;
use crate::serving::request::Job;

pub(super) fn form(token_budget: u32, replica: &mut Replica, jobs: &mut [Job], now: Time) {
    if replica.grant_decodes(jobs) {
        return;
    }
    let mut left = token_budget.saturating_sub(replica.decode_budget());
    // Those that are passed over because their adapter finds no place stay where they are.
    let mut passed = 0;
    while replica.has_place() {
        let Some(&id) = replica.waiting.get(passed) else { break };
        if !replica.has_adapter(&jobs[id as usize]) {
            passed += 1;
            continue;
        }
        let job = &jobs[id as usize];
        let (reused, shared) = replica.reusable(job);
        let prompt = job.to_prefill - reused;
        // What was written before a preemption can make a prompt longer than any step; it is then the only one.
        let alone = replica.batch.prefills == 0 && job.restarts > 0;
        let blocks = replica.blocks.blocks_for(job.to_prefill) - shared;
        if (prompt > left && !alone) || !replica.admit(id, jobs, blocks, blocks) {
            break;
        }
        replica.reuse(id, &mut jobs[id as usize], reused);
        replica.waiting.remove(passed);
        replica.enter_adapter(&jobs[id as usize]);
        replica.running.push(id);
        replica.read_prompt(id, prompt, jobs, now);
        left = left.saturating_sub(prompt);
    }
}
