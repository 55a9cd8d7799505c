//! What one accelerator must hold to train.
//!
//! Mixed precision with Adam: weights 2, gradients 2, optimizer 12 bytes per parameter, the optimizer sharded over
//! data-parallel ranks. Activations of fused attention per token and layer, and the in-flight micro-batches of
//! 1F1B or interleaved pipelines. Fragmentation and communication buffers are a constant.

use super::flops::attention_widths;
use super::{Cluster, Job, Layout, Method, Recompute, Sharding};
use crate::perf::parameters;
use crate::perf::rejection::Reason;
use capstan_types::hardware::Precision;
use capstan_types::model::Model;
use capstan_types::origin::Origin;
use capstan_types::units::Bytes;

/// Context, graphs and communication buffers (set by judgement).
const CONTEXT: f64 = 3.0 * 1_073_741_824.0;
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
        let params = parameters_per_rank(job.model, layout);
        let ranks = cluster.accelerators() as f64 / f64::from(layout.tensor) / f64::from(layout.pipeline);
        let expert_ranks = (ranks / f64::from(layout.expert)).max(1.0);
        let (device, origin) = cluster.accelerator.programmable_memory();
        let activations = Activations::of(job, layout, micro_batches, method.context);
        let total = params.dense + params.experts;
        let sharded = params.dense / ranks + params.experts / expert_ranks;
        // Adapters: frozen weights in the precision of the math, no gradients of theirs.
        let frozen = if job.precision.math() == Precision::Bf16 { 2.0 } else { 1.0 };
        let (weights, gradients, optimizer) = match (method.adapters, method.sharding) {
            (true, _) => (frozen * total, 0.0, 0.0),
            (false, Sharding::Optimizer) => (2.0 * total, 2.0 * total, 12.0 * sharded),
            // Two layers are whole at a time: the one that computes and the one that is being gathered.
            (false, _) => {
                let gathered = 2.0 * 2.0 * total / f64::from(job.model.layers);
                (2.0 * sharded + gathered, 2.0 * sharded, 12.0 * sharded)
            }
        };
        let mut memory = Self {
            weights: Bytes(weights),
            gradients: Bytes(gradients),
            optimizer: Bytes(optimizer),
            activations: Bytes(activations.bytes(0.0)),
            context: Bytes(CONTEXT),
            free: device * USABLE,
            recompute: 0.0,
            tight: false,
            origin: origin.weaker(Origin::Analytic),
        };
        match method.recompute {
            Recompute::AsNeeded => {}
            Recompute::Selective => return memory.settled(device),
            Recompute::Full => {
                memory.recompute = 1.0;
                memory.activations = Bytes(activations.bytes(1.0));
                return memory.settled(device);
            }
        }
        let over = (memory.needed() - memory.free).get();
        if over > 0.0 {
            memory.recompute = activations.share_that_saves(over).min(1.0);
            memory.activations = Bytes(activations.bytes(memory.recompute));
        }
        memory.settled(device)
    }

    fn settled(mut self, device: Bytes) -> Result<Self, Reason> {
        if self.needed() > self.free * (1.0 + 1e-12) {
            return Err(Reason::DoesNotFit { needed: self.needed(), free: self.free });
        }
        self.tight = self.needed() > device * SAFE;
        Ok(self)
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
    let tables = if layout.pipeline == 1 && !model.tied { rank.embedding + rank.head } else { rank.head };
    RankParameters {
        dense: (rank.layers(model) - experts) / p + tables,
        experts: experts / p / f64::from(layout.expert),
    }
}

/// Activation bytes as a line over the share of recomputed layers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Activations {
    /// All layers kept.
    kept: f64,
    /// All layers recomputed: their inputs only.
    inputs: f64,
    /// Logits of a single stage.
    logits: f64,
}

impl Activations {
    fn of(job: &Job<'_>, layout: &Layout, micro_batches: u64, context: u32) -> Self {
        let model = job.model;
        let tokens = f64::from(layout.micro_batch) * f64::from(job.sequence) / f64::from(context);
        let t = f64::from(layout.tensor);
        let layers = layers_in_flight(model.layers, layout, micro_batches);
        let logits = if layout.pipeline == 1 { 6.0 * tokens * f64::from(model.vocab) / t } else { 0.0 };
        Self {
            kept: layers * tokens * layer_bytes_per_token(model, job.precision) / t,
            inputs: layers * tokens * 2.0 * f64::from(model.hidden) / t,
            logits,
        }
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
    4.0 * h + 2.0 * beta * h + inputs + output + dense + sparse
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
