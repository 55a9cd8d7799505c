//! What one micro-batch takes on one rank, whatever the stages, the data-parallel ranks and the states: a row of a table
//! over (tensor ranks, micro-batch, expert ranks), from which every configuration is put together.

use super::flops::{attention_widths, seen_keys};
use super::kernels::{self as fit, Kernels};
use super::{Cluster, Exchange, Job, Link, Method};
use crate::perf::roofline::gate;
use capstan_types::model::Model;

/// Share of tensor-parallel collectives where gathered activations are kept: six of eight.
const KEPT_COLLECTIVES: f64 = 0.75;

/// Degrees that a row depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Degrees {
    pub(super) tensor: u32,
    pub(super) micro_batch: u32,
    pub(super) expert: u32,
}

/// Seconds of one micro-batch over all layers on one rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// Linear layers without the head.
    pub(super) linear: f64,
    /// Output head.
    pub(super) head: f64,
    /// Attention.
    pub(super) attention: f64,
    /// Norms, activations, casts.
    pub(super) bound: f64,
    /// Loss.
    pub(super) loss: f64,
    /// Routed experts.
    pub(super) experts: f64,
    /// Tensor-parallel exchange at the full link rate.
    pub(super) tensor_traffic: f64,
    /// Exchange of keys and values at the full link rate.
    pub(super) context_traffic: f64,
    /// Bytes that a chunk of a stage hands to the next and back.
    pub(super) handed: f64,
}

impl Row {
    /// Computes the row of some degrees.
    pub(super) fn of(
        cluster: &Cluster<'_>,
        job: &Job<'_>,
        kernels: &Kernels,
        method: &Method,
        degrees: Degrees,
    ) -> Self {
        let batch = MicroBatch {
            cluster,
            job,
            kernels,
            method,
            tokens: f64::from(degrees.micro_batch) * f64::from(job.sequence) / f64::from(method.context),
            tensor: f64::from(degrees.tensor),
            expert: f64::from(degrees.expert),
        };
        let parts = if method.exchange.hands_parts() { batch.tensor } else { 1.0 };
        let (linear, attention, bound) = (batch.linear(), batch.attention(), batch.memory_bound());
        Self {
            linear,
            head: batch.head(),
            attention,
            bound,
            loss: batch.loss(),
            experts: batch.experts((linear + attention + bound) / f64::from(job.model.layers)),
            tensor_traffic: batch.tensor_traffic(),
            context_traffic: batch.context_traffic(),
            handed: 8.0 * batch.tokens * f64::from(job.model.hidden) / parts,
        }
    }
}

/// Returns the longer of two times that run beside each other, rounded off where they are alike: (a⁴ + b⁴)^¼.
fn either(a: f64, b: f64) -> f64 {
    let squares = (a * a, b * b);
    (squares.0 * squares.0 + squares.1 * squares.1).sqrt().sqrt()
}

/// One micro-batch on one rank.
struct MicroBatch<'a> {
    cluster: &'a Cluster<'a>,
    job: &'a Job<'a>,
    kernels: &'a Kernels,
    method: &'a Method,
    tokens: f64,
    tensor: f64,
    expert: f64,
}

impl MicroBatch<'_> {
    fn model(&self) -> &Model {
        self.job.model
    }

    /// Returns the linear layers without the head: forward, data and weight gradient have one form each.
    fn linear(&self) -> f64 {
        let (model, t, tokens) = (self.model(), self.tensor, self.tokens);
        let column = |n: f64, k: f64| self.kernels.linear_s(tokens, n / t, k);
        let row = |n: f64, k: f64| self.kernels.linear_s(tokens, n, k / t);
        let h = f64::from(model.hidden);
        let (q, value) = attention_widths(model);
        let attention = match model.latent {
            Some(l) => {
                let (rank, cached) = (f64::from(l.query_rank), f64::from(l.kv_rank + l.rope));
                let up = f64::from(model.heads) * f64::from(l.nope + l.value);
                let query = if l.query_rank > 0 {
                    self.kernels.linear_s(tokens, rank, h) + column(q, rank)
                } else {
                    column(q, h)
                };
                let output = match model.compression {
                    Some(c) => {
                        let [groups, low] = [c.output_groups, c.output_rank].map(f64::from);
                        row(low, value) + row(h, groups * low)
                    }
                    None => column(up, f64::from(l.kv_rank)) + row(h, value),
                };
                query + self.kernels.linear_s(tokens, cached, h) + output
            }
            None => {
                let kv = 2.0 * f64::from(model.kv_heads) * f64::from(model.head_dim);
                let gate = if model.attention_gate() { q } else { 0.0 };
                column(q + gate + kv, h) + row(h, value)
            }
        };
        let up = if model.gated { 2.0 } else { 1.0 };
        let pair = |width: f64| column(up * width, h) + row(h, width);
        let dense = if model.dense_layers() > 0 { pair(f64::from(model.ffn)) } else { 0.0 };
        let shared = model.experts.map_or(0.0, |e| {
            let width = f64::from(e.shared) * f64::from(e.shared_width);
            let shared = if width > 0.0 { pair(width) } else { 0.0 };
            let latent = f64::from(e.latent);
            let around = if e.latent > 0 { column(latent, h) + column(h, latent) } else { 0.0 };
            f64::from(e.layers) * (shared + around)
        });
        let recurrent = model
            .recurrent()
            .map_or(0.0, |r| f64::from(r.layers) * (column(r.input_width, h) + row(h, r.output_width)));
        // Forward, data gradient, and the weight gradient that adapters do not need.
        let passes = if self.method.adapters { 2.0 } else { 3.0 };
        let attention = f64::from(model.caching_layers()) * attention;
        passes * (attention + recurrent + f64::from(model.dense_layers()) * dense + shared)
    }

    /// Returns the output head, always in 16 bits.
    fn head(&self) -> f64 {
        let vocab = f64::from(self.model().vocab) / self.tensor;
        let passes = if self.method.adapters { 2.0 } else { 3.0 };
        passes * self.kernels.head_s(self.tokens, vocab, f64::from(self.model().hidden))
    }

    fn attention(&self) -> f64 {
        let model = self.model();
        let (q, value) = attention_widths(model);
        let forward = 2.0 * (q + value) * self.tokens * seen_keys(model, self.job.sequence) / self.tensor;
        if self.method.early {
            let softmax = self.cluster.known.factors.training_softmax;
            // Separate kernels: the whole square of scores at the speed of linear layers, and 12 bytes per score.
            let scores = f64::from(model.layers) * f64::from(model.heads) * f64::from(self.job.sequence);
            let bytes = 12.0 * scores * self.tokens / self.tensor * softmax / self.kernels.memory;
            let math = 2.0 * forward / (self.kernels.peak * self.kernels.linear.min(1.0));
            return 3.0 * (math + bytes);
        }
        let small = if model.head_dim <= 64 { fit::SMALL_HEAD } else { 1.0 };
        let floor = 3.0 * forward / self.kernels.peak_16bit;
        gate(fit::ATTENTION_PASSES * forward / (self.kernels.attention * small), floor) + self.scan()
    }

    /// Returns the scan of recurrent layers in chunks: what a token sees of its own chunk, and what it writes to the
    /// state and reads of it (Mamba-2, arXiv 2405.21060, section 6).
    fn scan(&self) -> f64 {
        let Some(recurrent) = self.model().recurrent() else { return 0.0 };
        let each = fit::SCAN_CHUNK * recurrent.output_width + 4.0 * recurrent.state;
        let forward = f64::from(recurrent.layers) * each * self.tokens / self.tensor;
        fit::ATTENTION_PASSES * forward / (self.kernels.attention * fit::SCAN)
    }

    /// Returns norms, residuals, attention inputs, activations and casts, with sequence parallelism.
    fn memory_bound(&self) -> f64 {
        let model = self.model();
        let (q, value) = attention_widths(model);
        let (layers, h) = (model.halves() / 2.0, f64::from(model.hidden));
        let attention = f64::from(model.caching_layers());
        let gates = if model.gated { 2.0 } else { 1.0 };
        let dense = f64::from(model.dense_layers()) * f64::from(model.ffn);
        let shared = model
            .experts
            .map_or(0.0, |e| f64::from(e.layers) * f64::from(e.shared) * f64::from(e.shared_width));
        let width = dense + shared;
        let norms = if self.method.exchange.splits_norms() { 1.0 } else { self.tensor };
        // The scan of a recurrent layer: 24 bytes per channel (set by judgement on Mamba-2).
        let scan = model.recurrent().map_or(0.0, |r| 24.0 * f64::from(r.layers) * r.output_width);
        let plain =
            norms * 20.0 * h * layers + 4.0 * (q + value) * attention + 2.0 * (gates + 1.0) * width + scan;
        let casts =
            if self.kernels.casts { 4.0 * (2.0 * h * layers + value * attention + width) } else { 0.0 };
        3.0 * (plain + casts) * self.tokens / self.tensor / self.kernels.memory
    }

    fn loss(&self) -> f64 {
        16.0 * f64::from(self.model().vocab) / self.tensor * self.tokens / self.kernels.memory
    }

    /// Returns routed experts, their permutation, all-to-all, and what the host takes longer than the device, of whose
    /// layers the rest takes `rest` each: the host prepares the next kernels while the device computes.
    fn experts(&self, rest: f64) -> f64 {
        let Some(e) = self.model().experts else { return 0.0 };
        let factors = &self.cluster.known.factors;
        let (speed, shape_speed) = (factors.training_experts, factors.training_experts_shape);
        let host = factors.training_experts_layer_ms * 1e-3;
        let (layers, k, width) = (f64::from(e.layers), f64::from(e.active), f64::from(e.width));
        let (h, t) = (self.model().expert_hidden(), self.tensor);
        let ranks = self.expert;
        let rows = self.tokens / t * k;
        let per_expert = (rows * ranks / f64::from(e.routed)).max(1.0);
        let gates = if self.model().gated { 2.0 } else { 1.0 };
        let product = |n: f64, k: f64| {
            let loss = 1.0 / speed + fit::EXPERT_SHAPE * (1.0 / per_expert + 1.0 / n + 1.0 / k) / shape_speed;
            2.0 * rows * n * k / (self.kernels.peak * self.kernels.linear.min(1.0)) * loss
        };
        let math = 3.0 * (product(gates * width, h) + product(h, width));
        let permuted = 3.0 * rows * (8.0 * h + 2.0 * (gates + 1.0) * width) / self.kernels.memory;
        let exchange = if ranks > 1.0 {
            let link = self.cluster.accelerator.scale_up.bandwidth.get();
            let inside = 4.0 * rows * 2.0 * h * (ranks - 1.0) / ranks / link * fit::ALL_TO_ALL;
            inside.max(self.exchange_between_nodes(rows / k))
        } else {
            0.0
        };
        let pure = self.model().recurrent().is_none();
        let release = if self.method.recent_experts && pure { factors.training_experts_release } else { 1.0 };
        let device = (math + permuted + exchange) * release;
        layers * (either(device + rest, host) - rest)
    }

    /// Returns what all-to-all of one layer takes over the network: a token is sent to each node once, to four at most
    /// where routing is limited to nodes.
    fn exchange_between_nodes(&self, tokens: f64) -> f64 {
        let (Some(e), ranks) = (self.model().experts, self.expert) else { return 0.0 };
        let nodes = (ranks * self.tensor / self.cluster.domain()).ceil();
        if nodes <= 1.0 {
            return 0.0;
        }
        let limit = if self.model().latent.is_some() { 4.0 } else { f64::from(e.active) };
        let sent = f64::from(e.active).min(nodes).min(limit);
        let bytes = 4.0 * sent * tokens * 2.0 * self.model().expert_hidden() * (nodes - 1.0) / nodes;
        bytes / self.cluster.scale_out_each() * self.cluster.known.factors.training_experts_network
    }

    /// Returns the exchange of keys and values between context-parallel ranks at the full link rate.
    fn context_traffic(&self) -> f64 {
        let (model, c) = (self.model(), f64::from(self.method.context));
        let keys = f64::from(model.kv_heads) * f64::from(model.head_dim);
        let bytes =
            3.0 * f64::from(model.caching_layers()) * 4.0 * keys * self.tokens * (c - 1.0) / self.tensor;
        bytes / self.cluster.link(self.tensor * c, Link::Nearest)
    }

    /// Returns all tensor-parallel traffic of a micro-batch at the full link rate: 8 collectives per layer of
    /// 2 T h (t − 1)/t bytes, of which two are not needed where gathered activations are kept.
    fn tensor_traffic(&self) -> f64 {
        let bytes = 16.0 * self.tokens * f64::from(self.model().hidden) * (self.tensor - 1.0) / self.tensor;
        let kept = if self.method.exchange == Exchange::SequenceKept { KEPT_COLLECTIVES } else { 1.0 };
        self.model().halves() / 2.0 * bytes * kept / self.cluster.link(self.tensor, self.method.links.tensor)
    }
}
