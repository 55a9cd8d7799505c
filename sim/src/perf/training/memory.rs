//! What one accelerator must hold to train.
//!
//! Mixed precision with Adam: weights 2, gradients 2, optimizer 12 bytes per parameter, the optimizer sharded over
//! data-parallel ranks. Activations of fused attention per token and layer, and the in-flight micro-batches of
//! 1F1B or interleaved pipelines, without sequence parallelism only partly split, divided by context-parallel ranks.
//! States may be sharded in stages (ZeRO) or lie in the host's memory; adapters train few parameters over frozen ones.
//! Fragmentation and communication buffers are a constant.

use super::flops::attention_widths;
use super::{Cluster, Exchange, Job, Layout, Method, Offload, Recompute, Sharding};
use crate::perf::parameters;
use crate::perf::rejection::Reason;
use capstan_types::hardware::Precision;
use capstan_types::model::Model;
use capstan_types::origin::Origin;
use capstan_types::units::Bytes;

/// Context, graphs and communication buffers (set by judgement).
const CONTEXT: f64 = 3.0 * 1_073_741_824.0;
/// Bytes of Adam per parameter: weights and two averages in 32 bits.
const OPTIMIZER: f64 = 12.0;
/// Share of the device that a training process can fill.
const USABLE: f64 = 0.95;
/// Share up to which a plan is safe; beyond it is tight. There is no published out-of-memory row to test against.
const SAFE: f64 = 0.90;

/// Memory of the most loaded accelerator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingMemory {
    /// Weights.
    pub weights: Bytes,
    /// Gradients.
    pub gradients: Bytes,
    /// Optimizer states of this rank.
    pub optimizer: Bytes,
    /// Activations of all micro-batches in flight.
    pub activations: Bytes,
    /// Context and communication.
    pub context: Bytes,
    /// What lies in the memory of the host for this accelerator; see [`TrainingMemory::check_host`].
    pub host: Bytes,
    /// What a training process can fill.
    pub free: Bytes,
    /// Share of layers that are computed twice so that it fits.
    pub recompute: f64,
    /// Whether more than 0.90 of the device is used.
    pub tight: bool,
    /// How the size of the device came to be.
    pub origin: Origin,
}

impl TrainingMemory {
    /// Returns the sum.
    pub fn needed(&self) -> Bytes {
        self.weights + self.gradients + self.optimizer + self.activations + self.context
    }

    /// Returns the memory of a layout with the smallest share of recomputed layers that fits.
    ///
    /// # Errors
    /// [`Reason::DoesNotFit`] where it does not fit even with every layer recomputed.
    pub fn of(
        cluster: &Cluster<'_>,
        job: &Job<'_>,
        layout: &Layout,
        micro_batches: u64,
    ) -> Result<Self, Reason> {
        Self::under(cluster, job, layout, micro_batches, &Method::default())
    }

    /// The same for a job that trains in another way than by default.
    ///
    /// # Errors
    /// As [`TrainingMemory::of`].
    pub fn under(
        cluster: &Cluster<'_>,
        job: &Job<'_>,
        layout: &Layout,
        micro_batches: u64,
        method: &Method,
    ) -> Result<Self, Reason> {
        let ranks = cluster.accelerators() as f64 / f64::from(layout.tensor) / f64::from(layout.pipeline);
        let states = States::of(job, layout, method, ranks);
        let row = ActivationRow::of(job, method, layout.tensor, layout.micro_batch);
        let layers = layers_in_flight(job.model.layers, layout, micro_batches);
        let activations = Activations::of(&row, layers, layout.pipeline == 1);
        Self::settle(&Room::of(cluster), &states, &activations, method.offload, method.recompute)
    }

    /// Returns the memory of states and activations with the smallest share of recomputed layers that fits.
    ///
    /// # Errors
    /// As [`TrainingMemory::of`].
    pub(super) fn settle(
        room: &Room,
        states: &States,
        activations: &Activations,
        offload: Offload,
        recompute: Recompute,
    ) -> Result<Self, Reason> {
        let [weights, gradients, optimizer] = states.on_device(offload);
        let activations = if offload.activations { activations.moved() } else { *activations };
        let mut memory = Self {
            weights: Bytes(weights),
            gradients: Bytes(gradients),
            optimizer: Bytes(optimizer),
            activations: Bytes(activations.bytes(0.0)),
            context: Bytes(CONTEXT),
            host: Bytes(states.on_host(offload) + activations.host),
            free: room.device * USABLE,
            recompute: 0.0,
            tight: false,
            origin: room.origin,
        };
        match recompute {
            Recompute::AsNeeded => {}
            Recompute::Selective | Recompute::Attention => return memory.settled(room.device),
            Recompute::Full => {
                memory.recompute = 1.0;
                memory.activations = Bytes(activations.bytes(1.0));
                return memory.settled(room.device);
            }
        }
        let over = (memory.needed() - memory.free).get();
        if over > 0.0 {
            memory.recompute = activations.share_that_saves(over).min(1.0);
            memory.activations = Bytes(activations.bytes(memory.recompute));
        }
        memory.settled(room.device)
    }

    /// Returns whether the host of `per_node` such accelerators holds what they put there. Loading and its programs take
    /// a tenth of it.
    ///
    /// # Errors
    /// [`Reason::DoesNotFit`] with both numbers.
    pub fn check_host(&self, per_node: u32, host: Bytes) -> Result<(), Reason> {
        let (needed, free) = (self.host * f64::from(per_node), host * SAFE);
        if needed > free { Err(Reason::DoesNotFit { needed, free }) } else { Ok(()) }
    }

    fn settled(mut self, device: Bytes) -> Result<Self, Reason> {
        if self.needed() > self.free * (1.0 + 1e-12) {
            return Err(Reason::DoesNotFit { needed: self.needed(), free: self.free });
        }
        self.tight = self.needed() > device * SAFE;
        Ok(self)
    }
}

/// What a device offers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Room {
    device: Bytes,
    origin: Origin,
}

impl Room {
    pub(super) fn of(cluster: &Cluster<'_>) -> Self {
        let (device, origin) = cluster.accelerator.programmable_memory();
        Self { device, origin: origin.weaker(Origin::Analytic) }
    }
}

/// Parameters that one accelerator holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankParameters {
    /// Everything but routed experts.
    pub dense: f64,
    /// Routed experts.
    pub experts: f64,
}

/// Returns the parameters of the most loaded rank: its layers, and one embedding (both on a single stage if untied).
pub fn parameters_per_rank(model: &Model, layout: &Layout) -> RankParameters {
    let rank = parameters::of_rank(model, layout.tensor);
    let experts = model.experts.map_or(0.0, |e| f64::from(e.layers) * rank.routed);
    let p = f64::from(layout.pipeline);
    RankParameters {
        dense: (rank.layers(model) - experts) / p + tables_per_rank(model, layout),
        experts: experts / p / f64::from(layout.expert),
    }
}

/// Bytes of one rank before anything is moved to the host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct States {
    weights: f64,
    gradients: f64,
    optimizer: f64,
    /// Weights that must be on the device at any time: the layer that computes and the one that is being fetched.
    working: f64,
}

impl States {
    pub(super) fn of(job: &Job<'_>, layout: &Layout, method: &Method, ranks: f64) -> Self {
        let params = parameters_per_rank(job.model, layout);
        let expert_ranks = (ranks / f64::from(layout.expert)).max(1.0);
        let total = params.dense + params.experts;
        let sharded = params.dense / ranks + params.experts / expert_ranks;
        let two_layers = 2.0 / f64::from(job.model.layers.max(1));
        if method.adapters {
            return Self::of_adapters(job, layout, method, (total, two_layers, ranks));
        }
        // Gathered layers come on top where weights are sharded.
        let (weights, gradients, optimizer) = match method.sharding {
            Sharding::Nothing => (2.0 * total, total, total),
            Sharding::Optimizer => (2.0 * total, total, sharded),
            Sharding::Gradients => (2.0 * total, sharded, sharded),
            Sharding::Everything | Sharding::EverythingOf2021 => {
                (2.0 * (sharded + two_layers * total), sharded, sharded)
            }
        };
        Self {
            weights,
            gradients: method.gradient_bytes * gradients,
            optimizer: OPTIMIZER * optimizer,
            working: 2.0 * two_layers * total,
        }
    }

    /// Adapters: frozen weights without gradients; their own parameters have everything.
    fn of_adapters(job: &Job<'_>, layout: &Layout, method: &Method, of: (f64, f64, f64)) -> Self {
        let (total, two_layers, ranks) = of;
        // Frozen weights in the precision of the math, unless said otherwise.
        let math = if job.precision.math() == Precision::Bf16 { 2.0 } else { 1.0 };
        let (frozen, own) = match method.low_rank {
            None => (math * total, 0.0),
            Some(adapters) => {
                let tables = tables_per_rank(job.model, layout);
                let layers = (total - tables) * adapters.frozen.weight_bytes();
                (layers + 2.0 * tables, low_rank_parameters(job.model, layout, adapters.rank))
            }
        };
        let working = two_layers * frozen;
        let (weights, own) =
            if method.shards_weights() { (frozen / ranks + working, own / ranks) } else { (frozen, own) };
        // Weights, gradients and Adam's two averages of adapters are kept in 32 bits.
        Self { weights: weights + 4.0 * own, gradients: 4.0 * own, optimizer: 8.0 * own, working }
    }

    fn on_device(&self, offload: Offload) -> [f64; 3] {
        let weights = if offload.weights { self.working.min(self.weights) } else { self.weights };
        [weights, self.gradients, if offload.optimizer { 0.0 } else { self.optimizer }]
    }

    fn on_host(&self, offload: Offload) -> f64 {
        let weights = if offload.weights { self.weights } else { 0.0 };
        weights + if offload.optimizer { self.optimizer } else { 0.0 }
    }
}

/// Returns the parameters of adapters of a rank: r (n + k) for every matrix of n by k, of attention and feed-forward.
/// Those of the routed experts are left alone.
pub fn low_rank_parameters(model: &Model, layout: &Layout, rank: u32) -> f64 {
    let f = f64::from;
    let hidden = f(model.hidden);
    let (query, value) = attention_widths(model);
    let kv = match model.latent {
        Some(latent) => latent.cached(),
        None => 2.0 * f(model.kv_heads) * f(model.head_dim),
    };
    let attention = hidden + query + kv + value + hidden;
    let width = match model.experts {
        Some(experts) if model.dense_layers() == 0 => f(experts.shared) * f(experts.shared_width),
        _ => f(model.ffn),
    };
    let feed = if width > 0.0 { model.matrices() * (hidden + width) } else { 0.0 };
    f(rank) * f(model.layers) * (attention + feed) / f(layout.tensor) / f(layout.pipeline)
}

/// Returns the parameters of the embedding tables on the most loaded rank.
fn tables_per_rank(model: &Model, layout: &Layout) -> f64 {
    let rank = parameters::of_rank(model, layout.tensor);
    if layout.pipeline == 1 && !model.tied { rank.embedding + rank.head } else { rank.head }
}

/// Activation bytes of one layer and micro-batch on one rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ActivationRow {
    /// Of a layer that is kept.
    pub(super) each: f64,
    /// Of a layer that is computed again: its input.
    inputs: f64,
    /// Logits, where the last stage is the only one.
    logits: f64,
}

impl ActivationRow {
    pub(super) fn of(job: &Job<'_>, method: &Method, tensor: u32, micro_batch: u32) -> Self {
        let model = job.model;
        // Context-parallel ranks hold a part of each sequence.
        let tokens = f64::from(micro_batch) * f64::from(job.sequence) / f64::from(method.context);
        let (t, hidden) = (f64::from(tensor), f64::from(model.hidden));
        let beta = if job.precision.math() == Precision::Bf16 { 2.0 } else { 1.0 };
        let whole = match method.exchange {
            // Norms and the inputs of linear layers are whole on every rank where sequences are not split over them.
            Exchange::AllReduce | Exchange::Scattered => (4.0 + 2.0 * beta) * hidden,
            Exchange::SequenceKept => 2.0 * beta * hidden,
            Exchange::Sequence => 0.0,
        };
        let split = if method.exchange.splits_norms() { t } else { 1.0 };
        Self {
            each: tokens * (whole + (layer_bytes_per_token(model, job.precision) - whole) / t),
            inputs: tokens * 2.0 * hidden / split,
            logits: 6.0 * tokens * f64::from(model.vocab) / t,
        }
    }
}

/// Activation bytes as a line over the share of recomputed layers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Activations {
    /// All layers kept.
    kept: f64,
    /// All layers recomputed: their inputs, and all of the one layer that is being recomputed.
    inputs: f64,
    /// Logits of a single stage.
    logits: f64,
    /// Of one layer.
    each: f64,
    /// In the memory of the host.
    host: f64,
}

impl Activations {
    /// Returns what `layers` layers times micro-batches hold.
    pub(super) fn of(row: &ActivationRow, layers: f64, single: bool) -> Self {
        let kept = layers * row.each;
        let inputs = (layers * row.inputs + row.each).min(kept);
        Self { kept, inputs, logits: if single { row.logits } else { 0.0 }, each: row.each, host: 0.0 }
    }

    /// Returns the same with all but two layers in the memory of the host: the one that computes and the one that moves.
    fn moved(&self) -> Self {
        let kept = (2.0 * self.each).min(self.kept);
        Self { kept, inputs: self.inputs.min(kept), host: self.kept - kept, ..*self }
    }

    fn bytes(&self, recompute: f64) -> f64 {
        self.logits + self.kept + (self.inputs - self.kept) * recompute
    }

    fn share_that_saves(&self, bytes: f64) -> f64 {
        let all = self.kept - self.inputs;
        if all > 0.0 { bytes / all } else { 1.0 }
    }
}

/// Returns layers times micro-batches of which a rank holds activations.
///
/// 1F1B holds min(p, m) micro-batches of the first stage; interleaving adds 1 + (p − 1)/(p v)
/// (Korthikanti et al. 2022, arXiv 2205.05198).
pub fn layers_in_flight(layers: u32, layout: &Layout, micro_batches: u64) -> f64 {
    let (p, v) = (f64::from(layout.pipeline), f64::from(layout.interleave));
    let extra = if layout.interleave > 1 { 1.0 + (p - 1.0) / (p * v) } else { 1.0 };
    f64::from(layers) / p * p.min(micro_batches as f64) * extra
}

/// Returns the activation bytes of fused attention per token and layer, before division by tensor ranks
/// (sequence parallelism assumed).
pub fn layer_bytes_per_token(model: &Model, precision: Precision) -> f64 {
    let (q, value) = attention_widths(model);
    let h = f64::from(model.hidden);
    // One byte where linear layers keep their inputs in 8 or 4 bits.
    let beta = if precision.math() == Precision::Bf16 { 2.0 } else { 1.0 };
    let gates = if model.gated { 2.0 } else { 1.0 };
    let inputs = match model.latent {
        Some(_) => 2.0 * (2.0 * q + value),
        None => {
            let heads = f64::from(model.heads) + 2.0 * f64::from(model.kv_heads);
            2.0 * heads * f64::from(model.head_dim)
        }
    };
    let output = if beta >= 2.0 { 2.0 } else { 3.0 } * value;
    let layers = f64::from(model.layers);
    let per_width = 2.0 * gates + beta;
    let dense = f64::from(model.dense_layers()) / layers * f64::from(model.ffn) * per_width;
    let sparse = model.experts.map_or(0.0, |e| {
        let (k, width) = (f64::from(e.active), f64::from(e.width));
        let shared = f64::from(e.shared) * f64::from(e.shared_width) * per_width;
        f64::from(e.layers) / layers * (k * ((beta + 2.0) * h + width * per_width) + shared)
    });
    let attention = (inputs + output) * f64::from(model.caching_layers()) / layers;
    // A recurrent layer keeps 16 bytes per channel of its scan.
    let recurrent = model.recurrent().map_or(0.0, |r| 16.0 * r.output_width * f64::from(r.layers) / layers);
    let norms = (2.0 + beta) * h * model.halves() / layers;
    norms + attention + recurrent + dense + sparse
}

/// Returns the activation bytes of a layer without fused attention, 16 bits (Korthikanti et al. 2022, equations 2–6):
/// s b h (10 + 24/t + 5 a s / (h t)) plain, s b h · 34/t with sequence parallelism and selective recomputation.
pub fn unfused_layer_bytes(shape: (f64, f64, f64), heads: f64, tensor: f64, selective: bool) -> f64 {
    let (sequence, batch, hidden) = shape;
    let base = sequence * batch * hidden;
    if selective {
        base * 34.0 / tensor
    } else {
        base * (10.0 + 24.0 / tensor + 5.0 * heads * sequence / (hidden * tensor))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Adapters, Known};
    use super::*;
    use capstan_types::testing;
    use capstan_types::units::Tokens;

    const GIB: f64 = 1_073_741_824.0;

    /// Llama 2 7B, the sizes of which many reports use.
    fn llama_7b() -> Model {
        let mut model = testing::models().remove(3);
        (model.kv_heads, model.ffn, model.vocab, model.context) = (32, 11_008, 32_000, 4096);
        model
    }

    struct Run {
        model: Model,
        accelerator: &'static str,
        accelerators: u32,
        sequence: u32,
        layout: Layout,
        micro_batches: u64,
        method: Method,
    }

    const ONE: Layout = Layout { tensor: 1, pipeline: 1, interleave: 1, micro_batch: 1, expert: 1 };

    impl Run {
        fn memory(&self) -> Result<TrainingMemory, Reason> {
            let catalog = testing::catalog();
            let accelerator = catalog.accelerator(self.accelerator).unwrap();
            let known = Known::default();
            let cluster = Cluster {
                known: &known,
                accelerator,
                per_node: self.accelerators,
                nodes: 1,
                scale_out: None,
            };
            let (model, sequence) = (&self.model, self.sequence);
            let job = Job { model, batch: Tokens(1e6), sequence, precision: Precision::Bf16 };
            TrainingMemory::under(&cluster, &job, &self.layout, self.micro_batches, &self.method)
        }
    }

    fn full(model: Model, accelerators: u32, micro_batch: u32, sequence: u32) -> Run {
        let method = Method { sharding: Sharding::Everything, ..Method::default() };
        let layout = Layout { micro_batch, ..ONE };
        Run { model, accelerator: "h100_sxm", accelerators, sequence, layout, micro_batches: 1, method }
    }

    /// tatsu-lab/stanford_alpaca#56, meta-llama/llama#342: 16 bytes per parameter over the cards.
    #[test]
    fn full_fine_tuning_of_seven_and_thirteen_billion() {
        assert!(full(llama_7b(), 1, 4, 128).memory().is_err());
        let two = full(llama_7b(), 2, 4, 128).memory().unwrap();
        let states = (two.weights + two.gradients + two.optimizer).get() / GIB;
        assert!((50.2..52.0).contains(&states), "{states}");
        let mut thirteen = llama_7b();
        (thirteen.layers, thirteen.hidden, thirteen.heads, thirteen.kv_heads, thirteen.ffn) =
            (40, 5120, 40, 40, 13_824);
        assert!(full(thirteen.clone(), 2, 1, 512).memory().is_err());
        assert!(full(thirteen, 4, 1, 512).memory().is_ok());
    }

    /// The card of Qwen-7B-Chat: 4-bit adapters of rank 64, one sequence, layers computed twice.
    #[test]
    fn four_bit_adapters_grow_with_the_vocabulary() {
        let mut model = llama_7b();
        (model.vocab, model.context) = (151_936, 8192);
        let low_rank = Some(Adapters { rank: 64, frozen: Precision::Int4 });
        let method = Method { adapters: true, low_rank, recompute: Recompute::Full, ..Method::default() };
        for (sequence, gb) in
            [(256, 11.5), (512, 11.5), (1024, 12.3), (2048, 13.9), (4096, 16.9), (8192, 23.5)]
        {
            let run = Run { method, ..full(model.clone(), 1, 1, sequence) };
            let needed = run.memory().unwrap().needed().gb();
            assert!((needed / gb - 1.0).abs() < 0.15, "{sequence}: {needed} GB against {gb}");
        }
    }

    /// NVIDIA/Megatron-LM#482, gradients in 32 bits; the excerpt prints no length, 2,048 agrees with both.
    #[test]
    fn two_layouts_of_eight_cards_agree_with_what_was_measured() {
        let plain = Method { gradient_bytes: 4.0, exchange: Exchange::Scattered, ..Method::default() };
        let pipeline = Layout { pipeline: 2, micro_batch: 2, ..ONE };
        let tensor = Layout { tensor: 8, micro_batch: 4, ..ONE };
        for (layout, micro_batches, gb) in [(pipeline, 256, 49.5), (tensor, 32, 28.6)] {
            let run = Run { layout, micro_batches, method: plain, ..full(llama_7b(), 8, 1, 2048) };
            let needed = run.memory().unwrap().needed().gb();
            assert!((needed / gb - 1.0).abs() < 0.08, "{needed} GB against {gb}");
        }
    }

    #[test]
    fn each_stage_of_sharding_holds_less_and_the_host_takes_the_rest() {
        let of = |sharding, offload| {
            let method = Method { sharding, offload, ..Method::default() };
            Run { method, ..full(llama_7b(), 8, 1, 2048) }.memory()
        };
        assert!(
            of(Sharding::Nothing, Offload::NOTHING).is_err(),
            "16 bytes of 6.7 billion are too much for one"
        );
        let needed = |sharding| of(sharding, Offload::NOTHING).unwrap().needed();
        let stages = [Sharding::Optimizer, Sharding::Gradients, Sharding::Everything].map(needed);
        assert!(stages[0] > stages[1] && stages[1] > stages[2], "{stages:?}");
        let moved = of(Sharding::Nothing, Offload::OPTIMIZER).unwrap();
        assert_eq!(moved.optimizer, Bytes::ZERO);
        assert!((moved.host.get() / (12.0 * 6.738e9) - 1.0).abs() < 0.01, "{:?}", moved.host);
        assert!(moved.check_host(8, Bytes(512e9)).is_err() && moved.check_host(8, Bytes(1e12)).is_ok());
        let all = of(Sharding::Everything, Offload::STATES).unwrap();
        assert!(all.weights < of(Sharding::Everything, Offload::NOTHING).unwrap().weights);
    }

    #[test]
    fn parts_of_a_sequence_hold_parts_of_its_activations() {
        let of = |context| {
            let method = Method { context, ..full(llama_7b(), 8, 1, 4096).method };
            Run { method, ..full(llama_7b(), 8, 1, 4096) }.memory().unwrap().activations
        };
        assert!((of(1).get() / of(4).get() - 4.0).abs() < 1e-9);
    }

    /// axolotl#1428 and #1522: 21 GB a card without offload, 14 GB with; a real card leaves 23.6 GiB.
    #[test]
    fn seventy_billion_in_four_bits_on_two_small_cards_is_a_matter_of_offload() {
        let low_rank = Some(Adapters { rank: 16, frozen: Precision::Int4 });
        let of = |offload| {
            let method = Method {
                adapters: true,
                low_rank,
                recompute: Recompute::Full,
                sharding: Sharding::Everything,
                offload,
                ..Method::default()
            };
            let model = testing::models().remove(2);
            let memory = Run { method, ..full(model, 2, 1, 512) }.memory().unwrap();
            (memory.needed() - memory.context).get() / 1e9
        };
        let (without, with) = (of(Offload::NOTHING), of(Offload::STATES));
        assert!((19.0..24.0).contains(&without), "{without}");
        assert!(with < 14.0, "{with}");
    }
}
