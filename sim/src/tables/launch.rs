//! How a published run of an engine was started and seen: what neither the model nor the chip tells.
//!
//! Values are those that the fit of the step time chose or assumed; a user's own launch may differ, which is why
//! intervals are as wide as they are.

use crate::perf::coefficients::is_blackwell;
use crate::perf::memory::Limits;
use crate::serving::config::{
    SGLANG_RESERVED_PER_MILLE, TENSORRT_LLM_VISIBILITY_STEPS, VLLM_VISIBILITY_STEPS, WHOLE_OUTPUT_PER_MILLE,
};
use crate::serving::{Admission, Scheduler};
use capstan_types::catalog::{Engine, EngineFamily};
use capstan_types::hardware::Accelerator;

/// Behaviour of an engine beside its step time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Launch {
    /// How steps are formed.
    pub scheduler: Scheduler,
    /// Sequences that run at once.
    pub max_sequences: u32,
    /// Steps between the arrival of a request and its first chance (overlapped scheduling).
    pub visible_steps: u32,
    /// Share of its output that admission sets aside for a request, in thousandths.
    pub reserved_per_mille: u32,
}

/// What a run asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests in flight.
    pub clients: u32,
    /// Longest prompt.
    pub prompt: u32,
    /// Attention-parallel groups, each with its own scheduler.
    pub groups: u32,
}

impl Launch {
    /// Returns how `engine` runs `load` on `accelerator`.
    pub fn of(engine: &Engine, accelerator: &Accelerator, limits: Limits, load: &Load) -> Self {
        let blackwell = is_blackwell(&accelerator.id);
        let (reserved_per_mille, visible_steps) = match engine.family {
            EngineFamily::Sglang => (SGLANG_RESERVED_PER_MILLE, 0),
            EngineFamily::TensorRtLlm => (WHOLE_OUTPUT_PER_MILLE, TENSORRT_LLM_VISIBILITY_STEPS),
            _ => (0, VLLM_VISIBILITY_STEPS),
        };
        let max_sequences = limits.max_sequences.saturating_mul(load.groups).min(load.clients).max(1);
        Self {
            scheduler: scheduler(engine, blackwell, limits, load, max_sequences),
            max_sequences,
            visible_steps,
            reserved_per_mille,
        }
    }
}

fn scheduler(engine: &Engine, blackwell: bool, limits: Limits, load: &Load, most: u32) -> Scheduler {
    let all = |tokens: u32| tokens.saturating_mul(load.groups).max(most).max(1);
    match engine.family {
        EngineFamily::Sglang => {
            let tokens = if blackwell { 32_768 } else { limits.step_tokens };
            Scheduler::PrefillFirst { token_budget: all(tokens) }
        }
        // Prompts are not cut, and published launch scripts set the step to what one of them and all decodes need:
        // `max_num_tokens` is input + concurrency + 64. A burst is read prompt by prompt.
        EngineFamily::TensorRtLlm => {
            let tokens = load.prompt.saturating_add(load.clients).saturating_add(64);
            Scheduler::InFlight { token_budget: all(tokens), groups: load.groups }
        }
        _ => {
            let admission = Admission::PromptFits;
            Scheduler::Chunked { token_budget: all(limits.step_tokens), admission }
        }
    }
}
