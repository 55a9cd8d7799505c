//! When do groups of ranks with their own sequences read prompts?
//!
//! They wait for each other in every step, so that while all of them write, TensorRT-LLM holds prompts back until each
//! group has one to read (`attention_dp_config`: `enable_balance`), but not for ever.

use crate::serving::replica::Replica;
use capstan_types::degrees::LONGEST_HOLD;

/// Says whether prompts wait in this step for those of other groups, and counts the steps in which they do.
pub(super) fn holds_back(groups: u32, replica: &mut Replica) -> bool {
    let all = groups as usize;
    let some_groups_lack = !replica.waiting.is_empty() && replica.waiting.len() < all;
    let holds = some_groups_lack && replica.running.len() >= all && replica.held_back < LONGEST_HOLD;
    replica.held_back = if holds { replica.held_back + 1 } else { 0 };
    holds
}
