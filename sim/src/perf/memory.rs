//! What one rank must hold to serve, and how many tokens of cache are left.
//!
//! A replica is as large as its smallest rank: every stage is looked at, and the one that leaves the fewest tokens
//! decides. Fragmentation of the cache is not modelled; engines page it in blocks, so at most one block per sequence is
//! lost.

use super::held::Held;
use super::operators::Operators;
use super::parameters::{self, Parameters, Weights};
use super::rejection::Reason;
use super::split::Split;
use super::step::{Ranks, Setup};
use capstan_types::catalog::{Engine, EngineFamily};
use capstan_types::hardware::{Accelerator, Precision};
use capstan_types::model::{Model, STATE_BYTES};
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

/// How sure it is that an engine starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It starts, with more to spare than the memory model misses by.
    Fits,
    /// Within the error of the memory model, on either side.
    Tight,
    /// It is refused.
    Refused,
}

impl Verdict {
    /// Returns the word shown to people and in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Tight => "tight",
            Self::Refused => "refused",
        }
    }
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
    /// Held back for activations, collectives and the runtime.
    pub reserve: Bytes,
    /// The same by reason.
    pub held: Held,
    /// Left for the cache; may be negative.
    pub cache: Bytes,
    /// Cache bytes of one token, all layers of the rank, windows ignored.
    pub bytes_per_token: Bytes,
    /// The same for layers that have a window, and the window.
    windowed: (Bytes, f64),
    /// Bytes of one sequence whatever its length: the states of linear attention and state spaces.
    pub state: Bytes,
    /// Whether the engine pads the pages of a compressed cache.
    padded: bool,
    /// Which pipeline stage decides, from 0.
    pub stage: u32,
    /// Bytes of one sequence of the length that was asked for.
    pub sequence: Bytes,
    /// Whether it fits.
    pub fit: Fit,
    /// How the worst number in it came to be.
    pub origin: Origin,
}

/// The memory model misses published start-up logs by up to this share of the cache …
const TIGHT_SHARE: f64 = 0.08;
/// … or this many bytes, whichever is more.
const TIGHT_BYTES: f64 = 1_073_741_824.0;
/// The share where pages are padded as one log shows: the cache of that log is overestimated by a third.
const TIGHT_PADDED: f64 = 0.4;

/// Returns whether an engine runs on an accelerator at all, and with such weights: TensorRT-LLM is made for accelerators of
/// NVIDIA, and no engine starts in bf16 where the chip has only fp16.
fn runs(setup: &Setup<'_>) -> Result<(), Reason> {
    let Setup { engine, accelerator, precision, .. } = *setup;
    let sixteen = accelerator.sixteen();
    if precision == Precision::Bf16 && sixteen != precision {
        return Err(Reason::unsupported(&accelerator.id, precision, Some(sixteen)));
    }
    if engine.family == EngineFamily::TensorRtLlm && !accelerator.vendor.eq_ignore_ascii_case("NVIDIA") {
        let (engine, accelerator) = (engine.id.clone(), accelerator.id.clone());
        return Err(Reason::EngineNotMade { engine, accelerator });
    }
    Ok(())
}

impl ServingMemory {
    /// Returns the memory of a configuration in which a request holds up to `context` tokens.
    ///
    /// # Errors
    /// A [`Reason`] where the ranks cannot split the model or the request is longer than the model reads.
    /// A model that does not fit is not an error: see [`ServingMemory::fit`].
    pub fn of(setup: &Setup<'_>, context: u32) -> Result<Self, Reason> {
        Self::stored(setup, setup.weights(), context)
    }

    /// The same with parts of the model stored as `stored` says; `setup.precision` is not read.
    ///
    /// # Errors
    /// As [`ServingMemory::of`].
    pub fn stored(setup: &Setup<'_>, stored: Weights, context: u32) -> Result<Self, Reason> {
        let limits = default_limits(setup.engine, setup.accelerator);
        Self::limited(setup, stored, context, limits)
    }

    /// The same for an engine that is started with other limits on its steps than by default.
    ///
    /// # Errors
    /// As [`ServingMemory::of`].
    pub fn limited(setup: &Setup<'_>, stored: Weights, context: u32, limits: Limits) -> Result<Self, Reason> {
        let model = setup.model;
        if context > model.context {
            return Err(Reason::ContextTooLong { needed: context, limit: model.context });
        }
        runs(setup)?;
        let Ranks { split, pipeline } = setup.ranks;
        if pipeline == 0 || pipeline > model.layers {
            return Err(Reason::TooManyStages { layers: model.layers, pipeline });
        }
        let operators = Operators::divided(model, &split, stored)?;
        let rank = Rank { setup, stored, operators: &operators, parameters: of_split(model, &split) };
        let together = (split.ranks().saturating_mul(pipeline), setup.accelerator.scale_up.kind);
        let held = Held::of(setup.engine, model, &split, together, limits);
        let stages = stages(model, pipeline);
        let mut all = stages.into_iter().map(|stage| rank.stage(stage, held, context));
        // Capacity is that of the stage which leaves the fewest tokens; the first of equals.
        let first = all.next().ok_or(Reason::TooManyStages { layers: model.layers, pipeline })?;
        let mut memory =
            all.fold(first, |least, stage| if stage.spare() < least.spare() { stage } else { least });
        memory.fit = memory.judge();
        Ok(memory)
    }

    /// Returns the memory with something more beside the weights of each rank.
    #[must_use]
    pub fn holding(self, more: Bytes) -> Self {
        let both = Self { weights: self.weights + more, cache: self.cache - more, ..self };
        Self { fit: both.judge(), ..both }
    }

    /// Returns the memory with something more held back on each rank.
    #[must_use]
    pub fn reserving(self, more: Bytes) -> Self {
        let held = Held { context: self.held.context + more, ..self.held };
        let less = Self { reserve: self.reserve + more, held, cache: self.cache - more, ..self };
        Self { fit: less.judge(), ..less }
    }

    /// Returns the memory with a second model beside the first, which keeps every token too.
    #[must_use]
    pub fn beside(self, other: &ServingMemory) -> Self {
        let both = Self {
            weights: self.weights + other.weights,
            cache: self.cache - other.weights,
            bytes_per_token: self.bytes_per_token + other.bytes_per_token,
            windowed: (self.windowed.0 + other.windowed.0, self.windowed.1.max(other.windowed.1)),
            state: self.state + other.state,
            sequence: self.sequence + other.sequence,
            origin: self.origin.weaker(other.origin),
            ..self
        };
        Self { fit: both.judge(), ..both }
    }

    /// Returns how many sequences of the length that was asked for are left, negative where not one is.
    fn spare(&self) -> f64 {
        (self.cache - self.sequence).get() / self.sequence.get().max(1.0)
    }

    /// Returns what one rank must hold with one longest request.
    pub fn needed(&self) -> Bytes {
        self.weights + self.reserve + self.sequence
    }

    /// Returns how sure it is that the engine starts. On either side of the edge within the error of the model it is
    /// tight; a plan treats a negative balance as a no all the same, see [`ServingMemory::refusal`].
    pub fn verdict(&self) -> Verdict {
        let slack = (self.budget - self.needed()).get();
        let band = self.band();
        match slack {
            slack if slack >= band => Verdict::Fits,
            slack if slack <= -band => Verdict::Refused,
            _ => Verdict::Tight,
        }
    }

    fn band(&self) -> f64 {
        let share = if self.padded { TIGHT_PADDED } else { TIGHT_SHARE };
        (share * self.cache.get()).max(TIGHT_BYTES)
    }

    /// Returns the cache bytes of one sequence of `tokens` tokens; layers with a window hold at most the window.
    pub fn sequence_bytes(&self, tokens: f64) -> Bytes {
        let (windowed, window) = self.windowed;
        (self.bytes_per_token - windowed) * tokens + windowed * tokens.min(window) + self.state
    }

    /// Returns how many sequences of `tokens` tokens the cache holds at once.
    pub fn concurrency(&self, tokens: f64) -> f64 {
        (self.cache.get() / self.sequence_bytes(tokens.max(1.0)).get().max(1.0)).max(0.0)
    }

    /// Returns the longest sequence that the cache holds alone; not a number of a model without a growing cache.
    pub fn longest(&self) -> f64 {
        let (windowed, window) = self.windowed;
        let left = self.cache - self.state;
        let short = left / self.bytes_per_token;
        let long = (left - windowed * window) / (self.bytes_per_token - windowed);
        if short <= window { short.max(0.0) } else { long.max(0.0) }
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

    fn judge(&self) -> Fit {
        let (needed, free) = (self.needed(), self.budget);
        let kv_tokens = self.kv_tokens();
        let slack = (free - needed).get();
        if slack < 0.0 {
            Fit::DoesNotFit { needed, free }
        } else if slack < self.band() {
            Fit::Tight { kv_tokens, needed, free }
        } else {
            Fit::Fits { kv_tokens }
        }
    }
}

/// What is the same on every stage.
struct Rank<'a> {
    setup: &'a Setup<'a>,
    stored: Weights,
    operators: &'a Operators,
    parameters: Parameters,
}

impl Rank<'_> {
    /// Returns the memory of one stage.
    fn stage(&self, stage: Stage, held: Held, context: u32) -> ServingMemory {
        let Setup { model, engine, accelerator, .. } = *self.setup;
        let attention = &self.operators.attention;
        let weights = stage_bytes(model, self.stored, &self.parameters, stage);
        let (device, origin) = accelerator.programmable_memory();
        let reserve = held.sum();
        let budget = budget_bytes(engine, device, weights + reserve);
        let share = f64::from(stage.layers) / f64::from(model.layers);
        let of_layers = |count: f64| attention.cached * self.setup.cache_bytes() * count * share;
        let count = |windowed: bool| -> f64 {
            let kinds = attention.layers.iter().filter(|kind| kind.window.is_some() == windowed);
            kinds.map(|kind| kind.count).sum()
        };
        let windowed = of_layers(count(true));
        let growing = of_layers(count(false)) + model.index_bytes_per_token().get() * share;
        let window = model.window.map_or(0.0, |window| f64::from(window.tokens));
        let conv =
            model.recurrent().map_or(0.0, |r| 2.0 * r.conv_values() / f64::from(self.operators.tensor));
        let state = (attention.state * STATE_BYTES + conv) * attention.linear_layers * share;
        let (growing, state) = match model.latent.filter(|_| pads(engine, model)) {
            Some(latent) => {
                let values = f64::from(stage.layers) * latent.cached();
                (PADDED_TOKEN * values, PADDED_SEQUENCE * values)
            }
            None => (growing, state),
        };
        let mut memory = ServingMemory {
            device,
            budget,
            weights,
            reserve,
            held,
            cache: budget - weights - reserve,
            bytes_per_token: Bytes(growing + windowed),
            windowed: (Bytes(windowed), window),
            state: Bytes(state),
            padded: pads(engine, model),
            stage: stage.place,
            sequence: Bytes::ZERO,
            fit: Fit::Fits { kv_tokens: 0.0 },
            origin: origin.weaker(engine.origin).weaker(if pads(engine, model) {
                Origin::Assumed
            } else {
                Origin::Analytic
            }),
        };
        memory.sequence = memory.sequence_bytes(f64::from(context.max(1)));
        memory
    }
}

/// Bytes per value and layer that vLLM sets aside for one token, and for one sequence, of a compressed cache: all kinds of
/// layers share pages of one size, which few fill. Origin: one start-up log (DeepSeek V4 Flash, vLLM 0.22: 6.66 GiB for
/// 30,000 tokens, 5.44 GiB for 13,528); counts as assumed.
const PADDED_TOKEN: f64 = 3.61;
const PADDED_SEQUENCE: f64 = 216_700.0;

/// Says whether an engine pads the pages of a compressed cache as that log shows.
fn pads(engine: &Engine, model: &Model) -> bool {
    model.compression.is_some() && engine.id == "vllm"
}

/// A pipeline stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stage {
    /// Its place, from 0.
    place: u32,
    /// Its layers.
    layers: u32,
    /// How many of them have experts.
    expert_layers: u32,
    first: bool,
    last: bool,
}

/// Returns the stages as engines divide layers: evenly, what is left over one each to the stages before the last
/// (vLLM, `get_pp_indices`). Dense layers of a mixture come first where few layers lack experts, else they are spread.
fn stages(model: &Model, pipeline: u32) -> Vec<Stage> {
    let (even, over) = (model.layers / pipeline, model.layers % pipeline);
    let experts = model.experts.map_or(0, |experts| experts.layers.min(model.layers));
    let dense_first = model.layers - experts < even.max(1) && model.without_feed_forward == 0;
    let mut begin = 0;
    let mut stages = Vec::with_capacity(pipeline as usize);
    for place in 0..pipeline {
        let from_last = pipeline - 1 - place;
        let layers = even + u32::from(from_last >= 1 && from_last <= over);
        let end = begin + layers;
        let expert_layers = if dense_first {
            end.saturating_sub((model.layers - experts).max(begin))
        } else {
            // Rounded up: the larger stage decides.
            let share = u64::from(experts) * u64::from(layers);
            share.div_ceil(u64::from(model.layers)).min(u64::from(layers)) as u32
        };
        stages.push(Stage { place, layers, expert_layers, first: place == 0, last: from_last == 0 });
        begin = end;
    }
    stages
}

fn of_split(model: &Model, split: &Split) -> Parameters {
    parameters::of_rank(model, split.tensor).divided(split)
}

/// Returns the bytes of weights on one rank of a stage. Embeddings and what the sizes do not account for stay in 16 bits;
/// the latter and a tower that sees are whole on every rank.
fn stage_bytes(model: &Model, weights: Weights, rank: &Parameters, stage: Stage) -> Bytes {
    let share = f64::from(stage.layers) / f64::from(model.layers);
    let experts = model.experts.map_or(0.0, |experts| f64::from(experts.layers));
    let expert_layer = rank.expert_layer_bytes(weights);
    let dense_layer = rank.dense * weights.dense.weight_bytes();
    let other = rank.layer_bytes(model, weights)
        - experts * expert_layer
        - f64::from(model.dense_layers()) * dense_layer;
    let dense_layers = match model.without_feed_forward {
        0 => f64::from(stage.layers - stage.expert_layers.min(stage.layers)),
        _ => f64::from(model.dense_layers()) * share,
    };
    let layers = other * share + f64::from(stage.expert_layers) * expert_layer + dense_layers * dense_layer;
    let tables = match (stage.first, stage.last) {
        (true, true) if model.tied => rank.embedding.max(rank.head),
        (first, last) => f64::from(u8::from(first)) * rank.embedding + f64::from(u8::from(last)) * rank.head,
    };
    let rest = (model.params_total_b * 1e9 - parameters::total(model)).max(0.0) * share;
    let tower = if stage.first { model.tower_b * 1e9 } else { 0.0 };
    Bytes(layers + 2.0 * (tables + rest + tower))
}

/// Returns the bytes of weights on the most loaded rank: the largest stage, with the embedding or head that it has.
pub fn weight_bytes(model: &Model, weights: Weights, tensor: u32, pipeline: u32) -> Bytes {
    split_weight_bytes(model, weights, &Split::tensor(tensor), pipeline)
}

/// The same for one rank of a split.
pub fn split_weight_bytes(model: &Model, weights: Weights, split: &Split, pipeline: u32) -> Bytes {
    let rank = of_split(model, split);
    let all = stages(model, pipeline.clamp(1, model.layers.max(1)));
    all.into_iter().fold(Bytes::ZERO, |most, stage| most.max(stage_bytes(model, weights, &rank, stage)))
}

/// Devices below this get small steps by default (vLLM: 2,048 instead of 8,192 tokens), and with them small activations.
const LARGE_DEVICE: f64 = 70.0 * 1_073_741_824.0;

/// Returns what the engine takes of a device.
///
/// vLLM and SGLang take a share of the whole device; TensorRT-LLM gives the cache a share of what weights and
/// reserve leave, so that a tenth of both comes on top of its budget.
fn budget_bytes(engine: &Engine, device: Bytes, held: Bytes) -> Bytes {
    let share = engine.memory_utilization;
    let outside = if engine.family == EngineFamily::TensorRtLlm { held * (1.0 - share) } else { Bytes::ZERO };
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
/// The server of vLLM defaults to 256 sequences and 2,048 tokens on devices below 70 GiB and on every A100
/// (`EngineArgs.get_batch_defaults`).
pub fn default_limits(engine: &Engine, accelerator: &Accelerator) -> Limits {
    let Engine { max_sequences, step_tokens, .. } = *engine;
    let small =
        accelerator.programmable_memory().0.get() < LARGE_DEVICE || accelerator.id.starts_with("a100");
    if engine.family == EngineFamily::Vllm && small {
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
            ranks: Ranks::of(tensor, 1),
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
