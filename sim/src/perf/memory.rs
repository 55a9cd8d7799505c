//! What one rank must hold to serve, and how many tokens of cache are left.
//!
//! A replica is as large as its smallest rank: the stage with the most layers and the larger embedding decides.
//! Fragmentation of the cache is not modelled; engines page it in blocks, so at most one block per sequence is lost.

use super::coefficients as fit;
use super::operators::Operators;
use super::parameters::{self, Weights};
use super::rejection::Reason;
use super::split::Split;
use super::step::Setup;
use capstan_types::catalog::Engine;
use capstan_types::hardware::Accelerator;
use capstan_types::model::Model;
use capstan_types::origin::Origin;
use capstan_types::units::Bytes;

/// Whether a model and at least one request fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fit {
    /// Yes.
    Fits {
        /// Tokens of cache.
        kv_tokens: f64,
    },
    /// Perhaps: what is left after one request is within the error of the memory model.
    Tight {
        /// Tokens of cache.
        kv_tokens: f64,
        /// What one rank must hold with one longest request.
        needed: Bytes,
        /// What one rank may use.
        free: Bytes,
    },
    /// No.
    DoesNotFit {
        /// What one rank must hold with one longest request.
        needed: Bytes,
        /// What one rank may use.
        free: Bytes,
    },
}

/// The memory of the most loaded rank.
#[derive(Debug, Clone, PartialEq)]
pub struct ServingMemory {
    /// What programs can use of the device.
    pub device: Bytes,
    /// What the engine takes of it.
    pub budget: Bytes,
    /// Weights.
    pub weights: Bytes,
    /// Held back for activations, graphs and the runtime.
    pub reserve: Bytes,
    /// Left for the cache; may be negative.
    pub cache: Bytes,
    /// Cache bytes of one token, all layers of the rank, windows ignored.
    pub bytes_per_token: Bytes,
    /// The same for layers that have a window, and the window.
    windowed: (Bytes, f64),
    /// Bytes of one sequence whatever its length: the states of linear attention.
    pub state: Bytes,
    /// Whether it fits.
    pub fit: Fit,
    /// How the worst number in it came to be.
    pub origin: Origin,
}

/// The memory model misses published start-up logs by up to this share of the cache …
const TIGHT_SHARE: f64 = 0.08;
/// … or this many bytes, whichever is more.
const TIGHT_BYTES: f64 = 1_073_741_824.0;

impl ServingMemory {
    /// Returns the memory of a configuration in which a request holds up to `context` tokens.
    ///
    /// # Errors
    /// A [`Reason`] where the ranks cannot split the model or the request is longer than the model reads.
    /// A model that does not fit is not an error: see [`ServingMemory::fit`].
    pub fn of(setup: &Setup<'_>, context: u32) -> Result<Self, Reason> {
        Self::divided(setup, &Split::tensor(setup.ranks.tensor), setup.weights(), context)
    }

    /// The same for one rank of a split; `setup.ranks.tensor` and `setup.precision` are not read.
    ///
    /// # Errors
    /// As [`ServingMemory::of`].
    pub fn divided(setup: &Setup<'_>, split: &Split, stored: Weights, context: u32) -> Result<Self, Reason> {
        let model = setup.model;
        if context > model.context {
            return Err(Reason::ContextTooLong { needed: context, limit: model.context });
        }
        let pipeline = setup.ranks.pipeline;
        if pipeline == 0 || pipeline > model.layers {
            return Err(Reason::TooManyStages { layers: model.layers, pipeline });
        }
        let operators = Operators::divided(model, split, stored)?;
        let weights = split_weight_bytes(model, stored, split, pipeline);
        let (device, origin) = setup.accelerator.programmable_memory();
        let reserve = reserve_bytes(setup.engine, split.ranks().saturating_mul(pipeline), device);
        let budget = budget_bytes(setup.engine, device, weights + reserve);
        let cache = budget - weights - reserve;
        let share = stage_share(model, pipeline);
        let of_layers = |count: f64| Bytes(operators.attention.cached * setup.cache_bytes() * count * share);
        let windowed = operators.attention.layers.iter().filter(|kind| kind.window.is_some());
        let windowed: f64 = windowed.map(|kind| kind.count).sum();
        let window = model.window.map_or(0.0, |window| f64::from(window.tokens));
        let mut memory = Self {
            device,
            budget,
            weights,
            reserve,
            cache,
            bytes_per_token: of_layers(operators.layers - operators.attention.linear_layers),
            windowed: (of_layers(windowed), window),
            state: Bytes(
                operators.attention.state * operators.attention.linear_layers * fit::STATE_BYTES * share,
            ),
            fit: Fit::Fits { kv_tokens: 0.0 },
            origin: origin.weaker(setup.engine.origin).weaker(Origin::Analytic),
        };
        memory.fit = memory.judge(context);
        Ok(memory)
    }

    /// Returns the cache bytes of one sequence of `tokens` tokens; layers with a window hold at most the window.
    pub fn sequence_bytes(&self, tokens: f64) -> Bytes {
        let (windowed, window) = self.windowed;
        (self.bytes_per_token - windowed) * tokens + windowed * tokens.min(window) + self.state
    }

    /// Returns the tokens that the cache holds in sequences of `tokens` each.
    pub fn kv_tokens_at(&self, tokens: f64) -> f64 {
        if tokens <= 0.0 || self.cache.get() <= 0.0 {
            return 0.0;
        }
        self.cache / self.sequence_bytes(tokens) * tokens
    }

    /// Returns the tokens of cache as an engine without a hybrid cache counts them; zero where nothing is left.
    pub fn kv_tokens(&self) -> f64 {
        let windowless = self.bytes_per_token.get();
        if windowless > 0.0 { (self.cache.get() / windowless).max(0.0) } else { 0.0 }
    }

    /// Returns the blocks of `block_tokens` tokens.
    pub fn kv_blocks(&self, block_tokens: u32) -> u32 {
        (self.kv_tokens() / f64::from(block_tokens.max(1))).floor().min(f64::from(u32::MAX)) as u32
    }

    /// Returns the reason where it does not fit.
    pub fn refusal(&self) -> Option<Reason> {
        match self.fit {
            Fit::DoesNotFit { needed, free } => Some(Reason::DoesNotFit { needed, free }),
            _ => None,
        }
    }

    fn judge(&self, context: u32) -> Fit {
        let one = self.sequence_bytes(f64::from(context.max(1)));
        let needed = self.weights + self.reserve + one;
        let free = self.budget;
        let kv_tokens = self.kv_tokens();
        let slack = (free - needed).get();
        let band = (TIGHT_SHARE * self.cache.get()).max(TIGHT_BYTES);
        if slack < 0.0 {
            Fit::DoesNotFit { needed, free }
        } else if slack < band {
            Fit::Tight { kv_tokens, needed, free }
        } else {
            Fit::Fits { kv_tokens }
        }
    }
}

/// Returns the layers of the largest stage over all layers.
fn stage_share(model: &Model, pipeline: u32) -> f64 {
    f64::from(model.layers.div_ceil(pipeline)) / f64::from(model.layers)
}

/// Returns the bytes of weights on the most loaded rank: the largest stage with the larger of input embedding and
/// output head, both on a single stage unless they are one matrix. Embeddings stay in 16 bits.
pub fn weight_bytes(model: &Model, weights: Weights, tensor: u32, pipeline: u32) -> Bytes {
    split_weight_bytes(model, weights, &Split::tensor(tensor), pipeline)
}

/// The same for one rank of a split.
pub fn split_weight_bytes(model: &Model, weights: Weights, split: &Split, pipeline: u32) -> Bytes {
    let rank = parameters::of_rank(model, split.tensor).divided(split);
    let layers = rank.layer_bytes(model, weights) * stage_share(model, pipeline);
    let tables =
        if pipeline > 1 || model.tied { rank.embedding.max(rank.head) } else { rank.embedding + rank.head };
    Bytes(layers + 2.0 * tables)
}

/// Devices below this get small steps by default (vLLM: 2,048 instead of 8,192 tokens), and with them small activations.
const LARGE_DEVICE: f64 = 70.0 * 1_073_741_824.0;
/// Share of the reserve that remains with small steps. Origin: one start-up log (14B on 2 × RTX 4090: 1.66 GiB
/// where large devices hold back 4.7 GiB); counts as assumed.
const SMALL_DEVICE_RESERVE: f64 = 0.4;

/// Returns what the engine holds back per device.
fn reserve_bytes(engine: &Engine, accelerators: u32, device: Bytes) -> Bytes {
    let parallel = if accelerators > 1 { engine.reserved_parallel_bytes } else { 0.0 };
    let share = if device.get() < LARGE_DEVICE { SMALL_DEVICE_RESERVE } else { 1.0 };
    Bytes((engine.reserved_bytes + parallel) * share)
}

/// Returns what the engine takes of a device.
///
/// vLLM and SGLang take a share of the whole device; TensorRT-LLM gives the cache a share of what weights and
/// reserve leave, so that a tenth of both comes on top of its budget.
fn budget_bytes(engine: &Engine, device: Bytes, held: Bytes) -> Bytes {
    let share = engine.memory_utilization;
    let outside = if engine.id == "trtllm" { held * (1.0 - share) } else { Bytes::ZERO };
    device * share + outside
}

/// Most sequences and most tokens of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sequences that run at once.
    pub max_sequences: u32,
    /// Tokens of one step.
    pub step_tokens: u32,
}

/// Returns the limits that an engine has on an accelerator where the plan does not say otherwise.
///
/// The server of vLLM defaults to 256 sequences and 2,048 tokens on devices below 70 GiB.
pub fn default_limits(engine: &Engine, accelerator: &Accelerator) -> Limits {
    let Engine { max_sequences, step_tokens, .. } = *engine;
    let small = accelerator.programmable_memory().0.get() < LARGE_DEVICE;
    if engine.id == "vllm" && small {
        Limits { max_sequences: max_sequences.min(256), step_tokens: step_tokens.min(2048) }
    } else {
        Limits { max_sequences, step_tokens }
    }
}

#[cfg(test)]
mod tests {
    use super::super::step::Ranks;
    use super::*;
    use capstan_types::hardware::Precision;
    use capstan_types::testing;

    fn memory(model: &str, accelerator: &str, engine: &str, tensor: u32) -> ServingMemory {
        let catalog = testing::catalog();
        let setup = Setup {
            model: catalog.model(model).unwrap(),
            accelerator: catalog.accelerator(accelerator).unwrap(),
            engine: catalog.engine(engine).unwrap(),
            ranks: Ranks { tensor, pipeline: 1 },
            precision: Precision::Bf16,
            kv_precision: None,
        };
        ServingMemory::of(&setup, 4096).unwrap()
    }

    #[test]
    fn seventy_billion_need_two_large_cards_and_say_both_numbers() {
        let one = memory("llama3_1_70b", "h100_sxm", "vllm", 1);
        let Some(Reason::DoesNotFit { needed, free }) = one.refusal() else { panic!("{:?}", one.fit) };
        assert!(needed.gb() > 141.0 && (free.gb() - 0.9 * 85.5).abs() < 1e-6);
        assert!(memory("llama3_1_70b", "h100_sxm", "vllm", 4).refusal().is_none());
    }

    #[test]
    fn a_latent_cache_is_not_split_by_tensor_ranks() {
        let eight = memory("deepseek_v3", "h200_sxm", "vllm", 8).bytes_per_token;
        assert_eq!(eight, Bytes(61.0 * 576.0 * 2.0));
        assert_eq!(memory("llama3_1_70b", "h100_sxm", "vllm", 8).bytes_per_token, Bytes(80.0 * 256.0 * 2.0));
    }

    #[test]
    fn two_engines_take_different_shares_of_the_same_card() {
        let (vllm, sglang, trtllm) = (
            memory("llama3_1_8b", "h100_sxm", "vllm", 1),
            memory("llama3_1_8b", "h100_sxm", "sglang", 1),
            memory("llama3_1_8b", "h100_sxm", "trtllm", 1),
        );
        assert!((vllm.cache.gb() - (0.9 * 85.5 - 16.06 - 3.0)).abs() < 0.05, "{}", vllm.cache.gb());
        assert!((sglang.cache.gb() - (0.85 * 85.5 - 16.06)).abs() < 0.05, "{}", sglang.cache.gb());
        assert!((trtllm.cache.gb() - (0.9 * (85.5 - 16.06) - 7.2)).abs() < 0.05, "{}", trtllm.cache.gb());
    }

    #[test]
    fn windows_make_tokens_a_matter_of_length() {
        let catalog = testing::catalog();
        let mut model = catalog.model("llama3_1_8b").unwrap().clone();
        model.window = Some(capstan_types::model::Window { tokens: 1024, layers: 16 });
        let setup = Setup {
            model: &model,
            accelerator: catalog.accelerator("h100_sxm").unwrap(),
            engine: catalog.engine("vllm").unwrap(),
            ranks: Ranks::ONE,
            precision: Precision::Bf16,
            kv_precision: None,
        };
        let memory = ServingMemory::of(&setup, 100_000).unwrap();
        assert!(memory.kv_tokens_at(100_000.0) > 1.9 * memory.kv_tokens_at(1024.0));
    }

    #[test]
    fn a_context_beyond_the_model_is_refused() {
        let catalog = testing::catalog();
        let setup = Setup {
            model: catalog.model("mixtral_8x7b").unwrap(),
            accelerator: catalog.accelerator("h200_sxm").unwrap(),
            engine: catalog.engine("vllm").unwrap(),
            ranks: Ranks::ONE,
            precision: Precision::Bf16,
            kv_precision: None,
        };
        let refused = ServingMemory::of(&setup, 40_000).unwrap_err();
        assert_eq!(refused, Reason::ContextTooLong { needed: 40_000, limit: 32_768 });
    }
}
