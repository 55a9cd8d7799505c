//! One batch after the other: a place that gets free is not given away before the whole batch is done.
//!
//! Each answer is delivered when it is complete, and costs nothing more; an engine that pads on is slower than this.

use crate::engine::Time;
use crate::serving::replica::Replica;
use crate::serving::request::Job;

pub(super) fn form(queue_delay_ns: u64, replica: &mut Replica, jobs: &mut [Job], now: Time) {
    replica.wakes = Time::NEVER;
    if !replica.running.is_empty() {
        replica.grant_decodes(jobs);
        return;
    }
    let Some(&first) = replica.waiting.front() else { return };
    let due = jobs[first as usize].arrival.plus(queue_delay_ns);
    if !replica.fills_a_batch() && due > now {
        replica.wakes = due;
        return;
    }
    while replica.has_place() {
        let Some(&id) = replica.waiting.front() else { break };
        let job = &jobs[id as usize];
        let prompt = job.to_prefill;
        let blocks = replica.blocks.blocks_for(prompt);
        if !replica.admit(id, jobs, blocks, blocks) {
            break;
        }
        replica.waiting.pop_front();
        replica.running.push(id);
        replica.read_prompt(id, prompt, jobs, now);
    }
}
