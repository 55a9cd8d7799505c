//! Prompts before decodes, never in one step: SGLang (`Scheduler.get_next_batch_to_run`, `PrefillAdder`).
//!
//! A prompt takes all its blocks when it is admitted, so an unfinished one, which goes on in the next step, never lacks
//! any. Decodes run when no prompt can be read; the newest is evicted on overflow.

use super::mixed::{Mixed, Reserve};
use crate::engine::Time;
use crate::serving::replica::Replica;
use crate::serving::request::Job;

pub(super) fn form(token_budget: u32, replica: &mut Replica, jobs: &mut [Job], now: Time) {
    let prompts = Mixed::in_pieces(token_budget, Reserve::Prompt, true);
    let mut left = token_budget;
    if let Some(id) = replica.unfinished_prompt {
        prompts.go_on(id, &mut left, replica, jobs, now);
    }
    prompts.admit_waiting(left, replica, jobs, now);
    if replica.batch.prefills == 0 {
        replica.grant_decodes(jobs);
    }
}
