//! What runs in the next step? One file per policy.
//!
//! A policy reads and changes the queues and blocks of a [`Replica`] and leaves the step in its `batch` and `chunks`;
//! an empty batch means that nothing can run. It knows no time but `now`, and no duration.

mod balance;
mod mixed;
mod prefill_first;
mod static_batch;
mod whole_prompts;

use super::replica::Replica;
use super::request::Job;
use crate::engine::Time;

/// How a replica forms its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduler {
    /// vLLM V1: every running decode, then the unfinished prompt, then waiting requests in order of arrival, at most
    /// `token_budget` tokens, prompts in pieces. On overflow the newest is preempted, to be computed again, and no
    /// request is admitted in that step.
    Chunked {
        /// Tokens in a step (vLLM: `max_num_batched_tokens`).
        token_budget: u32,
        /// What must be free before a request is admitted.
        admission: Admission,
    },
    /// Sarathi as Vidur has it: as `Chunked`, but a prompt takes all its blocks when it is admitted, decodes run even
    /// beyond the chunk size, and a preemption does not stop admission.
    Sarathi {
        /// Tokens in a step.
        chunk: u32,
    },
    /// vLLM before V1 as Vidur has it: waiting prompts first, whole, in a step of their own; decodes when none fits.
    WholePrompts {
        /// Most of (prompts in the step) × (longest of them).
        padded_tokens: u32,
    },
    /// SGLang: while a prompt can be read, a step reads prompts and nothing else, the last one in pieces; decodes wait.
    PrefillFirst {
        /// Prompt tokens in a step (SGLang: `chunked_prefill_size`).
        token_budget: u32,
    },
    /// TensorRT-LLM, in-flight batching: every running decode, then waiting prompts, whole, while tokens are left.
    InFlight {
        /// Tokens in a step (TensorRT-LLM: `max_num_tokens`).
        token_budget: u32,
        /// Groups of ranks with their own sequences, which read prompts together; 1 where there are none.
        groups: u32,
    },
    /// A batch at a time, from its prompts to its longest output: Triton's dynamic batcher before an engine that does not
    /// batch by itself. Begins when `max_sequences` requests wait, or the first has waited long enough.
    Static {
        /// Nanoseconds that a request waits for others at most (Triton: `max_queue_delay_microseconds`).
        queue_delay_ns: u64,
    },
}

/// What must be free before a request is admitted to a step; blocks are taken as the prompt is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The blocks of the first piece of its prompt.
    ChunkFits,
    /// The blocks of its whole prompt, so that it is not admitted only to be preempted at its second piece.
    PromptFits,
}

impl Scheduler {
    /// Returns the bound on the tokens of a step.
    pub(crate) fn step_tokens(&self) -> u32 {
        match *self {
            Scheduler::Chunked { token_budget: tokens, .. }
            | Scheduler::Sarathi { chunk: tokens }
            | Scheduler::WholePrompts { padded_tokens: tokens }
            | Scheduler::PrefillFirst { token_budget: tokens }
            | Scheduler::InFlight { token_budget: tokens, .. } => tokens,
            Scheduler::Static { .. } => u32::MAX,
        }
    }

    /// Forms the next step of `replica`.
    pub(crate) fn form(&self, replica: &mut Replica, jobs: &mut [Job], now: Time) {
        match *self {
            Scheduler::Chunked { token_budget, admission } => {
                let reserve = match admission {
                    Admission::ChunkFits => mixed::Reserve::Chunk,
                    Admission::PromptFits => mixed::Reserve::PromptChecked,
                };
                mixed::Mixed::in_pieces(token_budget, reserve, false).form(replica, jobs, now);
            }
            Scheduler::Sarathi { chunk } => {
                mixed::Mixed::in_pieces(chunk, mixed::Reserve::Prompt, true).form(replica, jobs, now);
            }
            Scheduler::WholePrompts { padded_tokens } => {
                whole_prompts::form(padded_tokens, replica, jobs, now);
            }
            Scheduler::PrefillFirst { token_budget } => prefill_first::form(token_budget, replica, jobs, now),
            Scheduler::Static { queue_delay_ns } => static_batch::form(queue_delay_ns, replica, jobs, now),
            Scheduler::InFlight { token_budget, groups } => {
                let reserve = mixed::Reserve::Prompt;
                mixed::Mixed { token_budget, reserve, admits_after_eviction: false, whole: true, groups }
                    .form(replica, jobs, now);
            }
        }
    }
}
