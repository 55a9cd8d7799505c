//! One serving step, prepared once for a (model, accelerator, parallelism, precision, engine).
//!
//! A step of m tokens that samples b sequences over a cache of KV tokens takes
//!   `linear(m) + head(b) + slope · KV + windows + prefill attention + host + host_sequence · b`.
//! `linear` and `head` are tables over m and b: exact up to 16, then eight knots per octave with straight
//! lines between (0.04 % median error at half that density). Evaluation takes tens of nanoseconds.
//!
//! Pipeline stages: p groups of sequences are in flight, so a step that advances b sequences by one token is a
//! whole pass over all layers with b/p of them, and each stage beyond the first costs 11 %. A prompt cannot be spread over stages at
//! once: its share of a pass is (2p − 1)/p² instead of 1/p, the fill time of p pieces.

mod floor;
mod lines;
mod speculation;
mod table;

use super::coefficients as fit;
use super::device::Device;
use super::operators::{Operators, Part};
use super::parameters::Weights;
use super::rejection::Reason;
use super::roofline;
use super::split::Split;
use capstan_types::catalog::{Catalog, Engine};
use capstan_types::degrees::Degrees;
use capstan_types::hardware::{Accelerator, Precision};
use capstan_types::model::Model;
use capstan_types::origin::Origin;
use floor::FloorSlopes;
pub use floor::Floors;
use lines::Lines;
pub use speculation::{Drafter, Speculation};
use table::Table;

/// Tensor and pipeline ranks of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ranks {
    /// How the ranks of a stage divide its layers.
    pub split: Split,
    /// Stages that split the layers.
    pub pipeline: u32,
}

impl Ranks {
    /// One accelerator.
    pub const ONE: Self = Self::of(1, 1);

    /// Returns stages in which every layer is divided by the same `tensor` ranks.
    pub const fn of(tensor: u32, pipeline: u32) -> Self {
        Self { split: Split::tensor(tensor), pipeline }
    }

    /// Returns the ranks of a replica with these degrees; none where the experts' ranks do not divide those of a stage.
    pub fn with(degrees: Degrees) -> Option<Self> {
        let Degrees { tensor, pipeline, data, expert } = degrees;
        let expert_tensor = degrees.of_each_expert()?;
        Some(Self { split: Split { tensor, data, expert_tensor, expert }, pipeline })
    }

    /// Returns the degrees; none of a split that is not sound.
    pub fn degrees(self) -> Option<Degrees> {
        self.split.degrees(self.pipeline)
    }

    /// Returns the accelerators of one replica.
    pub fn accelerators(self) -> u32 {
        self.split.ranks().saturating_mul(self.pipeline)
    }

    /// Returns the ranks that hold one sequence: those of one attention-parallel group, in all stages.
    pub fn of_sequence(self) -> u32 {
        self.split.tensor.saturating_mul(self.pipeline)
    }
}

/// What runs in one step, as sums over its sequences. Counts need not be whole, so that means can be priced too.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepShape {
    /// Sequences that decode one token each.
    pub decodes: f64,
    /// Tokens beyond these that are drafted for them and verified.
    pub drafted: f64,
    /// Tokens in the cache of the decoding sequences.
    pub decode_kv: f64,
    /// Tokens of prompts that are computed.
    pub prefill_tokens: f64,
    /// Sequences that yield a token: decodes, and prompts that end in this step.
    pub sampled: f64,
    /// Twice the (query, key) pairs of prompts: Σ c (2 s + c), c tokens after s cached ones.
    pub pairs_twice: f64,
    /// The same over the context: Σ c (2 s + c) / (s + c).
    pub pairs_over_context: f64,
}

impl StepShape {
    /// Returns a step in which `sequences` sequences decode over `kv_tokens` cached tokens in total.
    pub fn decode(sequences: f64, kv_tokens: f64) -> Self {
        Self { decodes: sequences, sampled: sequences, decode_kv: kv_tokens, ..Self::default() }
    }

    /// Returns the step with a piece of `tokens` tokens of a prompt added, after `cached` tokens; `ends` if it is the last.
    #[must_use]
    pub fn with_chunk(mut self, tokens: f64, cached: f64, ends: bool) -> Self {
        let pairs = tokens * (2.0 * cached + tokens);
        self.prefill_tokens += tokens;
        self.sampled += if ends { 1.0 } else { 0.0 };
        self.pairs_twice += pairs;
        self.pairs_over_context += if tokens > 0.0 { pairs / (cached + tokens) } else { 0.0 };
        self
    }
}

/// The time of every step of one configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedStep {
    linear: Table,
    /// Over the tokens of all attention-parallel ranks; absent where there is one.
    shared: Option<Table>,
    head: Table,
    cache: CacheSlopes,
    prefill: PrefillSlopes,
    floor: FloorSlopes,
    host_ns: f64,
    host_sequence_ns: f64,
    prefill_step_ns: f64,
    handover: f64,
    stages: f64,
    /// Factor that own measurements put on every step.
    scale: f64,
    origin: Origin,
    operators: Operators,
    context: Context,
    /// Tokens that are drafted, if any are.
    speculation: Option<Speculation>,
}

/// Everything that explains a step again.
#[derive(Debug, Clone, PartialEq)]
struct Context {
    device: Device,
    factor: f64,
    layer_us: f64,
    cache_bytes: f64,
}

/// Time that cached tokens add to a step, in nanoseconds per token, all layers of a kind.
#[derive(Debug, Clone, Copy, PartialEq)]
struct CacheSlopes {
    full_ns: f64,
    windowed_ns: f64,
    window: f64,
    /// Per sequence: the states of linear attention.
    sequence_ns: f64,
}

/// Time that prompts add to a step beyond their tokens, in nanoseconds, all layers of a kind.
#[derive(Debug, Clone, Copy, PartialEq)]
struct PrefillSlopes {
    pair_ns: f64,
    windowed_pair_ns: f64,
    window: f64,
    half_context: f64,
    token_ns: f64,
}

impl CacheSlopes {
    fn ns(&self, sequences: f64, kv_tokens: f64) -> f64 {
        self.full_ns * kv_tokens
            + self.windowed_ns * kv_tokens.min(sequences * self.window)
            + self.sequence_ns * sequences
    }
}

impl PrefillSlopes {
    /// Layers with a window see at most tokens × window pairs; that bound is used, which is at most a window too much.
    fn ns(&self, shape: &StepShape) -> f64 {
        let (pairs, relative) = (shape.pairs_twice / 2.0, shape.pairs_over_context / 2.0);
        let windowed = pairs.min(shape.prefill_tokens * self.window);
        let short = self.half_context * relative;
        self.pair_ns * (pairs + short)
            + self.windowed_pair_ns * (windowed + short)
            + self.token_ns * shape.prefill_tokens
    }
}

/// What to prepare a step for.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// The model.
    pub model: &'a Model,
    /// The accelerator.
    pub accelerator: &'a Accelerator,
    /// The engine.
    pub engine: &'a Engine,
    /// Ranks.
    pub ranks: Ranks,
    /// Precision of the weights.
    pub precision: Precision,
    /// Precision of the cache; `None` is what the checkpoint asks for, 16 bits where it asks for nothing.
    pub kv_precision: Option<Precision>,
}

impl Setup<'_> {
    /// Returns the bytes of one cached value.
    pub fn cache_bytes(&self) -> f64 {
        let stored = self.model.stored.filter(|_| self.precision == self.model.published);
        self.kv_precision.or_else(|| stored?.cache).map_or(2.0, Precision::weight_bytes)
    }

    /// Returns how the parts of the model are stored.
    pub fn weights(&self) -> Weights {
        Weights::of(self.model, self.precision)
    }
}

impl PreparedStep {
    /// Prepares the step of a configuration with coefficients of `catalog`.
    ///
    /// # Errors
    /// A [`Reason`] where the ranks cannot split the model, or the chip lacks the precision.
    pub fn prepare(catalog: &Catalog, setup: &Setup<'_>) -> Result<Self, Reason> {
        Self::with_device(&Device::resolve(catalog, setup.accelerator)?, setup)
    }

    /// The same with a device that is resolved already, for many configurations of one accelerator.
    ///
    /// # Errors
    /// As [`PreparedStep::prepare`].
    pub fn with_device(device: &Device, setup: &Setup<'_>) -> Result<Self, Reason> {
        Self::stored(device, setup, setup.weights())
    }

    /// The same with parts of the model stored as `weights` says; `setup.precision` is not read.
    ///
    /// # Errors
    /// As [`PreparedStep::prepare`].
    pub fn stored(device: &Device, setup: &Setup<'_>, weights: Weights) -> Result<Self, Reason> {
        let Ranks { split, pipeline } = setup.ranks;
        if pipeline == 0 || pipeline > setup.model.layers {
            return Err(Reason::TooManyStages { layers: setup.model.layers, pipeline });
        }
        let operators = Operators::divided(setup.model, &split, weights)?;
        for gemm in &operators.gemms {
            device.gemm(gemm.precision)?;
        }
        if let Some(grouped) = operators.experts {
            device.experts(grouped.precision)?;
        }
        let engine = setup.engine;
        let factors = [engine.factor, engine.host_step_us.max(1.0), engine.layer_us.max(1.0)];
        if !factors.iter().all(|value| value.is_finite() && *value > 0.0) {
            return Err(Reason::NotPositive { what: "a coefficient of the engine" });
        }
        let known = &device.coefficients;
        let latent = if operators.attention.latent { known.latent_layer_us } else { 0.0 };
        let layer_us = operators.layers * (engine.layer_us + latent)
            + operators.expert_layers * known.expert_layer_us
            + operators.attention.linear_layers * known.linear_layer_us;
        let context = Context {
            device: device.clone(),
            factor: engine.factor * device.factor,
            layer_us,
            cache_bytes: setup.cache_bytes(),
        };
        Ok(Self::assemble(operators, context, engine, pipeline))
    }

    fn assemble(operators: Operators, context: Context, engine: &Engine, pipeline: u32) -> Self {
        let lines = Lines { operators: &operators, context: &context };
        let linear = Table::new(|m| lines.linear(m).iter().map(|(_, us)| us).sum::<f64>() * 1e3);
        let shared = (operators.split.data > 1)
            .then(|| Table::new(|m| lines.shared(m).iter().map(|(_, us)| us).sum::<f64>() * 1e3));
        let head = Table::new(|b| lines.head(b) * 1e3);
        let (cache, prefill) = (lines.cache_slopes(), lines.prefill_slopes());
        let (floor, origin) = (FloorSlopes::of(&lines), lines.origin(engine, pipeline));
        Self {
            linear,
            shared,
            head,
            cache,
            prefill,
            floor,
            host_ns: engine.host_step_us * 1e3,
            host_sequence_ns: engine.host_sequence_us * 1e3,
            prefill_step_ns: engine.prefill_step_us * 1e3,
            handover: 2.0 * operators.hidden,
            stages: f64::from(pipeline),
            scale: 1.0,
            origin,
            operators,
            context,
            speculation: None,
        }
    }

    /// Returns the step with tokens that are drafted.
    #[must_use]
    pub fn speculating(self, speculation: Speculation) -> Self {
        Self { speculation: Some(speculation), ..self }
    }

    /// Returns the nanoseconds that `shape` takes through all layers, host work included.
    ///
    /// With several stages this is one group of sequences on its way through all of them.
    pub fn pass_ns(&self, shape: &StepShape) -> f64 {
        let time = self.measured(self.device_ns(shape) + self.host(shape), shape);
        debug_assert!(time >= self.floor_ns(shape) * (1.0 - 1e-9), "{time} ns is faster than physics");
        time
    }

    /// Returns the attention-parallel groups, each of which has its own sequences.
    pub fn groups(&self) -> u32 {
        self.operators.split.data
    }

    /// Returns the nanoseconds of a pass in which one rank has `shape` and all attention-parallel ranks together
    /// have `all_tokens` tokens.
    pub fn pass_among_ns(&self, shape: &StepShape, all_tokens: f64) -> f64 {
        let own = (shape.decodes + shape.prefill_tokens) * f64::from(self.operators.split.data);
        let shared = self.shared.as_ref().map_or(0.0, |table| table.at(all_tokens) - table.at(own));
        self.pass_ns(shape) + self.scale * shared / self.pipeline_share()
    }

    /// Returns the step as own measurements say that it takes: `factor` times as long, but never less than physics allows.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let known = factor.is_finite() && factor > 0.0;
        let origin = if known { Origin::Measured } else { self.origin };
        Self { scale: if known { self.scale * factor } else { self.scale }, origin, ..self }
    }

    fn measured(&self, time: f64, shape: &StepShape) -> f64 {
        if self.scale < 1.0 { (self.scale * time).max(self.floor_ns(shape)) } else { self.scale * time }
    }

    /// Returns the nanoseconds that one stage takes for `shape`; `last` is the stage that hands nothing on.
    pub fn stage_ns(&self, shape: &StepShape, last: bool) -> f64 {
        let even = (self.layers_ns(shape) / self.pipeline_share() + self.host(shape)) / self.stages;
        self.scale * if last { even } else { even + self.handover_ns(shape) }
    }

    /// Returns the nanoseconds of a step of a whole replica.
    ///
    /// One stage: the pass. Several: every group of decoding sequences advances by one token. Where tokens are drafted, the
    /// part of it that each token takes.
    pub fn step_ns(&self, shape: &StepShape) -> f64 {
        match &self.speculation {
            None => self.plain_step_ns(shape),
            Some(speculation) => speculation.step_ns(self, shape),
        }
    }

    fn plain_step_ns(&self, shape: &StepShape) -> f64 {
        if self.stages <= 1.0 { self.pass_ns(shape) } else { self.pass_ns(&self.group(shape)) }
    }

    /// Returns the time of a step in which `sequences` sequences decode one token each over `kv_tokens` cached
    /// tokens in total, in nanoseconds.
    pub fn decode_ns(&self, sequences: u32, kv_tokens: f64) -> f64 {
        self.step_ns(&StepShape::decode(f64::from(sequences), kv_tokens))
    }

    /// Returns the time of `steps` decode steps without an event between them: KV grows by `sequences` each.
    pub fn run_ns(&self, sequences: u32, kv_tokens: f64, steps: u32) -> f64 {
        let grown = f64::from(sequences) * (f64::from(steps) - 1.0).max(0.0) / 2.0;
        f64::from(steps) * self.decode_ns(sequences, kv_tokens + grown)
    }

    /// Returns what one of the p groups of a step of the replica holds: 1/p of the decodes, at least one; (2p − 1)/p² of
    /// prompts.
    fn group(&self, shape: &StepShape) -> StepShape {
        let p = self.stages;
        let prompt = (2.0 * p - 1.0) / (p * p);
        let first_tokens = (shape.sampled - shape.decodes).max(0.0);
        // A group that runs holds one sequence at least: fewer sequences than stages leave stages idle.
        let decodes = (shape.decodes / p).max(shape.decodes.min(1.0));
        let share = if shape.decodes > 0.0 { decodes / shape.decodes } else { 0.0 };
        StepShape {
            decodes,
            drafted: shape.drafted * share,
            decode_kv: shape.decode_kv * share,
            prefill_tokens: shape.prefill_tokens * prompt,
            sampled: decodes + first_tokens * prompt,
            pairs_twice: shape.pairs_twice * prompt,
            pairs_over_context: shape.pairs_over_context * prompt,
        }
    }

    fn pipeline_share(&self) -> f64 {
        1.0 / (1.0 + fit::STAGE * (self.stages - 1.0))
    }

    fn layers_ns(&self, shape: &StepShape) -> f64 {
        let tokens = shape.decodes + shape.drafted + shape.prefill_tokens;
        if tokens <= 0.0 {
            return 0.0;
        }
        let prefill = if shape.prefill_tokens > 0.0 { self.prefill.ns(shape) } else { 0.0 };
        let all = tokens * f64::from(self.operators.split.data);
        self.linear.at(tokens)
            + self.shared.as_ref().map_or(0.0, |table| table.at(all))
            + self.head.at(shape.sampled + shape.drafted)
            + self.cache.ns(shape.decodes, shape.decode_kv)
            + prefill
    }

    fn device_ns(&self, shape: &StepShape) -> f64 {
        self.layers_ns(shape) / self.pipeline_share() + (self.stages - 1.0) * self.handover_ns(shape)
    }

    fn handover_ns(&self, shape: &StepShape) -> f64 {
        if self.stages <= 1.0 {
            return 0.0;
        }
        let bytes = (shape.decodes + shape.drafted + shape.prefill_tokens) * self.handover;
        roofline::handover(&self.context.device.collective, bytes) * 1e3
    }

    fn host(&self, shape: &StepShape) -> f64 {
        if shape.decodes + shape.prefill_tokens <= 0.0 {
            return 0.0;
        }
        let prefill = if shape.prefill_tokens > 0.0 { self.prefill_step_ns } else { 0.0 };
        self.host_ns + self.host_sequence_ns * shape.sampled + prefill
    }

    /// Returns how the worst number in the step came to be.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Returns the operators of one rank.
    pub fn operators(&self) -> &Operators {
        &self.operators
    }

    /// Returns the shortest time that physics allows for `shape` in one pass, in nanoseconds: FLOPs at the peak,
    /// bytes at the full memory bandwidth, and bytes over the link, whichever takes longest.
    ///
    /// Of routed experts only those that a single token visits count as read.
    pub fn floor_ns(&self, shape: &StepShape) -> f64 {
        let Floors { compute_ns, memory_ns, link_ns } = self.floors(shape);
        compute_ns.max(memory_ns).max(link_ns)
    }

    /// Returns the three limits whose largest is [`PreparedStep::floor_ns`].
    pub fn floors(&self, shape: &StepShape) -> Floors {
        self.floor.floors(shape)
    }

    /// Returns where the time of a step of the replica goes, in nanoseconds per part; the parts sum to
    /// [`PreparedStep::step_ns`] but for the straight lines between knots. One attention-parallel group has `shape`; all
    /// together have `groups` times its tokens.
    pub fn waterfall(&self, shape: &StepShape, groups: u32) -> Vec<(Part, f64)> {
        let shape = if self.stages > 1.0 { self.group(shape) } else { *shape };
        let lines = Lines { operators: &self.operators, context: &self.context };
        let linear = lines.linear(shape.decodes + shape.prefill_tokens);
        let mut parts: Vec<(Part, f64)> = linear.into_iter().map(|(part, us)| (part, us * 1e3)).collect();
        let all = (shape.decodes + shape.prefill_tokens) * f64::from(groups);
        parts.extend(lines.shared(all).into_iter().map(|(part, us)| (part, us * 1e3)));
        parts.push((Part::Head, lines.head(shape.sampled) * 1e3));
        parts.push((Part::DecodeAttention, self.cache.ns(shape.decodes, shape.decode_kv)));
        parts.push((Part::PrefillAttention, self.prefill.ns(&shape)));
        let layers: f64 = parts.iter().map(|(_, ns)| ns).sum();
        let lost = layers * (1.0 / self.pipeline_share() - 1.0);
        parts.push((Part::Pipeline, lost + (self.stages - 1.0) * self.handover_ns(&shape)));
        parts.push((Part::Host, self.host(&shape)));
        parts.iter_mut().for_each(|(_, ns)| *ns *= self.scale);
        merge(parts)
    }
}

/// Sums the entries of each part, in order of parts, and drops empty ones.
fn merge(mut parts: Vec<(Part, f64)>) -> Vec<(Part, f64)> {
    parts.sort_by_key(|&(part, _)| part);
    let mut merged: Vec<(Part, f64)> = Vec::new();
    for (part, ns) in parts {
        match merged.last_mut() {
            Some(last) if last.0 == part => last.1 += ns,
            _ => merged.push((part, ns)),
        }
    }
    merged.retain(|&(_, ns)| ns > 0.0);
    merged
}
