//! Whole prompts in a step of their own, before any decode: vLLM before V1, as Vidur has it.

use crate::engine::Time;
use crate::serving::replica::Replica;
use crate::serving::request::Job;

pub(super) fn form(padded_tokens: u32, replica: &mut Replica, jobs: &mut [Job], now: Time) {
    let (mut n_admitted, mut longest) = (0u64, 0);
    while replica.has_place() {
        let Some(&id) = replica.waiting.front() else { break };
        let job = &jobs[id as usize];
        let prompt = job.to_prefill;
        longest = prompt.max(longest);
        let padded = (n_admitted + 1) * u64::from(longest);
        // What was written before a preemption can make a prompt longer than any step; it then runs alone.
        let alone = n_admitted == 0 && job.restarts > 0;
        let blocks = replica.blocks.blocks_for(prompt);
        if (padded > u64::from(padded_tokens) && !alone) || !replica.admit(id, jobs, blocks, blocks) {
            break;
        }
        replica.waiting.pop_front();
        replica.insert_by_arrival(id, jobs);
        replica.read_prompt(id, prompt, jobs, now);
        n_admitted += 1;
    }
    if n_admitted == 0 {
        replica.grant_decodes(jobs);
    }
}
