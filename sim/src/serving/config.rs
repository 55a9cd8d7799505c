//! What serves: replicas, scheduler, cache, router, and the bounds of a run.

use super::adapters::Adapters;
use super::arrivals::Workload;
use super::background::Background;
use super::kv::KvCache;
use super::prefix::{Beginnings, CacheTier};
use super::request::{Reject, Request};
use super::router::Router;
use super::scheduler::Scheduler;
use crate::engine::Time;

/// A group of equal replicas behind one router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServingConfig {
    /// Replicas.
    pub n_replicas: u32,
    /// Pipeline stages of a replica. More than one needs `Sarathi` or `WholePrompts`, nothing reserved, nothing unseen.
    pub n_stages: u32,
    /// How a replica forms its steps.
    pub scheduler: Scheduler,
    /// Most requests that hold blocks in a replica (vLLM: `max_num_seqs`).
    pub max_sequences: u32,
    /// The cache of a replica.
    pub kv: KvCache,
    /// Most tokens of prompt and output; a longer request is rejected.
    pub max_context: u32,
    /// Steps for which a request stays unseen after it has arrived. An engine that forms the next step while one runs
    /// sees a request so many steps late; one that is idle sees it at once.
    pub visibility_steps: u32,
    /// Share of the output, in thousandths, for which a request must find blocks free, beside its prompt, to be
    /// admitted. At 1,000 nothing is ever preempted; at 0 blocks are counted only when they are needed.
    pub reserved_output_per_mille: u32,
    /// Tokens of a step that a decode takes: one, and those that are drafted for it.
    pub decode_tokens: u32,
    /// Host memory and disk of a replica that keep beginnings of prompts.
    pub tiers: [CacheTier; 2],
    /// Adapters on the model, of which each request needs one.
    pub adapters: Option<Adapters>,
    /// Requests that yield to the others.
    pub background: Option<Background>,
    /// Whether prompts arrive computed, with their cache: only their last token is run.
    pub prompts_arrive: bool,
    /// Most requests that wait at a replica; one that finds so many is turned away.
    pub max_waiting: u32,
    /// Which replica gets a request.
    pub router: Router,
    /// The run stops before the first event after this instant, and after [`Time::LATEST`] in any case.
    pub until: Time,
    /// The run stops after this many events (arrivals and ends of steps), or a few more, and says so.
    pub max_events: u64,
}

/// Events after which a run stops if nothing else is said: about an hour of computing.
pub const DEFAULT_MAX_EVENTS: u64 = 20_000_000_000;

/// Beyond these a count is a mistake, and memory would be taken for it.
const MAX_REPLICAS: u32 = 1 << 17;
const MAX_STAGES: u32 = 1 << 10;
const MAX_SEQUENCES: u32 = 1 << 20;
const MAX_BLOCK_TOKENS: u32 = 1 << 12;
const MAX_DECODE_TOKENS: u32 = 1 << 10;

/// All of the output.
pub(crate) const WHOLE_OUTPUT_PER_MILLE: u32 = 1_000;
/// Steps after which vLLM sees a request, and TensorRT-LLM (reference/step-time.md, section 4: chosen by the error on
/// published measurements; both form a step while the one before it runs).
pub(crate) const VLLM_VISIBILITY_STEPS: u32 = 1;
pub(crate) const TENSORRT_LLM_VISIBILITY_STEPS: u32 = 2;
/// What SGLang reserves of an output (reference/step-time.md, section 4: plausible, not tested on its own).
pub(crate) const SGLANG_RESERVED_PER_MILLE: u32 = 600;

/// Why a configuration cannot be simulated.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// Its autoscaler cannot work.
    #[error(transparent)]
    Autoscale(#[from] super::autoscale::AutoscaleError),
    /// A count is zero or absurd.
    #[error("{what} is {value}, it must be from 1 to {most}")]
    OutOfRange {
        /// Which count.
        what: &'static str,
        /// Its value.
        value: u32,
        /// Most that is allowed.
        most: u32,
    },
    /// vLLM refuses this too: every running request must get a token in every step.
    #[error("a step of {token_budget} tokens is shorter than {max_sequences} sequences")]
    BudgetBelowSequences {
        /// Tokens in a step.
        token_budget: u32,
        /// Sequences that may run.
        max_sequences: u32,
    },
    /// The pipeline would have less than one sequence per step.
    #[error("{max_sequences} sequences cannot fill {n_stages} pipeline stages")]
    FewerSequencesThanStages {
        /// Sequences that may run.
        max_sequences: u32,
        /// Stages.
        n_stages: u32,
    },
    /// There is no more than the whole output.
    #[error("{0} thousandths of an output cannot be reserved")]
    ReservedOutput(u32),
    /// Not planned yet.
    #[error("{what} with {n_stages} pipeline stages is not simulated yet")]
    NotInStages {
        /// What.
        what: &'static str,
        /// Stages.
        n_stages: u32,
    },
    /// Hashes stand for whole blocks, and a scheduler must know what to do with them.
    #[error(
        "prompts with hashes of {tokens} tokens need vLLM's scheduler, SGLang's or TensorRT-LLM's, one stage, and blocks \
         that divide them"
    )]
    Prefixes {
        /// Tokens of one hash.
        tokens: u32,
    },
    /// Requests with hashes are numbered by their rows.
    #[error("requests with hashes must be given by arrival, those of one instant by prompt, then output")]
    PrefixesUnsorted,
    /// A scheduler must know what to do with them.
    #[error("adapters need vLLM's scheduler, SGLang's or TensorRT-LLM's, one stage, and a place at least")]
    Adapters,
    /// A scheduler must know what to do with them.
    #[error("requests that yield to others need vLLM's scheduler and one stage")]
    Background,
    /// A scheduler must know what to do with them.
    #[error("prompts that arrive computed need vLLM's scheduler and one stage")]
    PromptsArrive,
    /// Not planned yet.
    #[error("a chunked scheduler with {n_stages} pipeline stages is not simulated yet")]
    ChunkedPipeline {
        /// Stages.
        n_stages: u32,
    },
}

impl ServingConfig {
    /// Returns one replica with vLLM V1's scheduler and no other limit than the given ones.
    pub fn chunked(token_budget: u32, max_sequences: u32, kv: KvCache) -> ServingConfig {
        ServingConfig {
            n_replicas: 1,
            n_stages: 1,
            scheduler: Scheduler::Chunked {
                token_budget,
                admission: super::scheduler::Admission::PromptFits,
            },
            max_sequences,
            kv,
            max_context: u32::MAX,
            visibility_steps: 0,
            reserved_output_per_mille: 0,
            decode_tokens: 1,
            adapters: None,
            background: None,
            prompts_arrive: false,
            max_waiting: u32::MAX,
            tiers: [CacheTier::default(); 2],
            router: Router::LeastOutstanding,
            until: Time::NEVER,
            max_events: DEFAULT_MAX_EVENTS,
        }
    }

    /// Returns one replica of vLLM V1 as it is measured: `chunked`, and a request is seen one step late.
    pub fn vllm(token_budget: u32, max_sequences: u32, kv: KvCache) -> ServingConfig {
        let chunked = ServingConfig::chunked(token_budget, max_sequences, kv);
        ServingConfig { visibility_steps: VLLM_VISIBILITY_STEPS, ..chunked }
    }

    /// Returns one replica of SGLang: prompts first, a part of every output reserved.
    pub fn sglang(token_budget: u32, max_sequences: u32, kv: KvCache) -> ServingConfig {
        ServingConfig {
            scheduler: Scheduler::PrefillFirst { token_budget },
            reserved_output_per_mille: SGLANG_RESERVED_PER_MILLE,
            ..ServingConfig::chunked(token_budget, max_sequences, kv)
        }
    }

    /// Returns one replica of TensorRT-LLM with in-flight batching and its policy of no eviction.
    pub fn tensorrt_llm(token_budget: u32, max_sequences: u32, kv: KvCache) -> ServingConfig {
        ServingConfig {
            scheduler: Scheduler::InFlight { token_budget, groups: 1 },
            visibility_steps: TENSORRT_LLM_VISIBILITY_STEPS,
            reserved_output_per_mille: WHOLE_OUTPUT_PER_MILLE,
            ..ServingConfig::chunked(token_budget, max_sequences, kv)
        }
    }

    /// Returns the replica with `groups` groups of ranks that have their own sequences, where its scheduler knows of them.
    #[must_use]
    pub fn in_groups(self, groups: u32) -> ServingConfig {
        let scheduler = match self.scheduler {
            Scheduler::InFlight { token_budget, .. } => Scheduler::InFlight { token_budget, groups },
            other => other,
        };
        ServingConfig { scheduler, ..self }
    }

    /// Returns one replica that serves a batch at a time, with room for the whole outputs.
    pub fn static_batching(batch: u32, queue_delay_ns: u64, kv: KvCache) -> ServingConfig {
        ServingConfig {
            scheduler: Scheduler::Static { queue_delay_ns },
            reserved_output_per_mille: WHOLE_OUTPUT_PER_MILLE,
            ..ServingConfig::chunked(u32::MAX, batch, kv)
        }
    }

    /// Says whether the request that came after `number` others yields to those that do not.
    pub fn yields(&self, number: u64) -> bool {
        self.background.is_some_and(|background| background.holds(number))
    }

    /// Returns how many may wait at a replica for a request to be taken.
    pub(super) fn most_before(&self, number: u32) -> u32 {
        match &self.background {
            Some(background) if background.holds(u64::from(number)) => {
                self.max_waiting.min(background.max_waiting)
            }
            _ => self.max_waiting,
        }
    }

    /// Says what is wrong with it, if anything is.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let counts = [
            ("the number of replicas", self.n_replicas, MAX_REPLICAS),
            ("the number of pipeline stages", self.n_stages, MAX_STAGES),
            ("the number of sequences", self.max_sequences, MAX_SEQUENCES),
            ("the number of tokens in a block", self.kv.block_tokens, MAX_BLOCK_TOKENS),
            ("the number of blocks", self.kv.blocks, u32::MAX),
            ("the number of tokens in a step", self.scheduler.step_tokens(), u32::MAX),
            ("the number of requests that wait", self.max_waiting, u32::MAX),
            ("the number of tokens that a decode takes", self.decode_tokens, MAX_DECODE_TOKENS),
        ];
        for (what, value, most) in counts {
            if !(1..=most).contains(&value) {
                return Err(ConfigError::OutOfRange { what, value, most });
            }
        }
        let (n_stages, max_sequences) = (self.n_stages, self.max_sequences);
        if max_sequences < n_stages {
            return Err(ConfigError::FewerSequencesThanStages { max_sequences, n_stages });
        }
        if self.reserved_output_per_mille > WHOLE_OUTPUT_PER_MILLE {
            return Err(ConfigError::ReservedOutput(self.reserved_output_per_mille));
        }
        if let Scheduler::Chunked { token_budget, .. } = self.scheduler
            && token_budget < max_sequences
        {
            return Err(ConfigError::BudgetBelowSequences { token_budget, max_sequences });
        }
        let chunked = matches!(self.scheduler, Scheduler::Chunked { .. }) && n_stages == 1;
        if self.adapters.is_some_and(|adapters| adapters.places == 0 || !self.is_of_an_engine()) {
            return Err(ConfigError::Adapters);
        }
        if self.background.is_some() && !chunked {
            return Err(ConfigError::Background);
        }
        if self.prompts_arrive && !chunked {
            return Err(ConfigError::PromptsArrive);
        }
        if n_stages > 1 { self.validate_stages() } else { Ok(()) }
    }

    /// Says whether steps are formed as engines of today do, in one stage: they keep what prompts begin with.
    fn is_of_an_engine(&self) -> bool {
        let known = matches!(
            self.scheduler,
            Scheduler::Chunked { .. } | Scheduler::PrefillFirst { .. } | Scheduler::InFlight { .. }
        );
        known && self.n_stages == 1
    }

    /// Says why prompts with hashes cannot be served so, if they cannot.
    pub(crate) fn validate_workload(
        &self,
        workload: &Workload,
        beginnings: Option<&Beginnings>,
    ) -> Result<(), ConfigError> {
        let (rows, tokens) = match (workload, beginnings) {
            (Workload::Prefixed(rows, prefixes), _) => (rows.as_slice(), prefixes.tokens),
            (_, Some(beginnings)) => (&[][..], beginnings.tokens),
            _ => return Ok(()),
        };
        if !self.is_of_an_engine() || tokens == 0 || !tokens.is_multiple_of(self.kv.block_tokens) {
            return Err(ConfigError::Prefixes { tokens });
        }
        if rows.is_sorted() { Ok(()) } else { Err(ConfigError::PrefixesUnsorted) }
    }

    /// Says what a pipeline as Vidur has it does not know.
    fn validate_stages(&self) -> Result<(), ConfigError> {
        let n_stages = self.n_stages;
        let what = match self.scheduler {
            Scheduler::Chunked { .. } => return Err(ConfigError::ChunkedPipeline { n_stages }),
            Scheduler::PrefillFirst { .. } => "SGLang's scheduler",
            Scheduler::InFlight { .. } => "TensorRT-LLM's scheduler",
            Scheduler::Static { .. } => "static batching",
            _ if self.visibility_steps > 0 => "a request that is seen late",
            _ if self.reserved_output_per_mille > 0 => "reserved output",
            Scheduler::Sarathi { .. } | Scheduler::WholePrompts { .. } => return Ok(()),
        };
        Err(ConfigError::NotInStages { what, n_stages })
    }

    /// Says why `request` cannot be served, if it cannot.
    ///
    /// What passes can always be served alone, so no queue ever waits for the impossible.
    pub fn rejects(&self, request: &Request) -> Option<Reject> {
        let total = u64::from(request.prompt) + u64::from(request.output);
        if request.prompt == 0 || request.output == 0 {
            return Some(Reject::Empty);
        }
        if total > u64::from(self.max_context) {
            return Some(Reject::Context);
        }
        let blocks = total.div_ceil(u64::from(self.kv.block_tokens));
        if blocks + u64::from(self.kv.watermark_blocks) > u64::from(self.kv.blocks)
            || total > u64::from(u32::MAX)
        {
            return Some(Reject::Cache);
        }
        match self.scheduler {
            Scheduler::WholePrompts { padded_tokens: most }
            | Scheduler::InFlight { token_budget: most, .. }
                if request.prompt > most =>
            {
                Some(Reject::Step)
            }
            _ => None,
        }
    }
}
