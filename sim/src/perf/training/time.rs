//! The time of one training step from its parts, in seconds.
//!
//! step = [m (1 + x I) + (p − 1)/v] · t_mb · S + exposed data-parallel exchange + optimizer + fixed time,
//! m micro-batches, t_mb the mean time of a stage per micro-batch, I how much longer the last stage takes,
//! S the straggler factor.

use super::flops::{attention_widths, seen_keys};
use super::kernels::{self as fit, Kernels};
use super::memory::parameters_per_rank;
use super::{Cluster, Job, Layout, Method, Part, Sharding};
use crate::perf::roofline::gate;
use capstan_types::model::Model;

/// What every term needs: one micro-batch on one rank.
pub(super) struct MicroBatch<'a> {
    cluster: &'a Cluster<'a>,
    job: &'a Job<'a>,
    layout: &'a Layout,
    kernels: &'a Kernels,
    method: &'a Method,
    /// Tokens of a micro-batch.
    tokens: f64,
    tensor: f64,
    pipeline: f64,
    ranks: f64,
}

/// Seconds of a whole step by part, and the physical floor of the step.
pub(super) struct Times {
    pub(super) parts: Vec<(Part, f64)>,
    pub(super) total: f64,
}

impl<'a> MicroBatch<'a> {
    pub(super) fn new(
        cluster: &'a Cluster<'a>,
        job: &'a Job<'a>,
        layout: &'a Layout,
        kernels: &'a Kernels,
        method: &'a Method,
    ) -> Self {
        let (tensor, pipeline) = (f64::from(layout.tensor), f64::from(layout.pipeline));
        Self {
            cluster,
            job,
            layout,
            kernels,
            method,
            tokens: f64::from(layout.micro_batch) * f64::from(job.sequence) / f64::from(method.context),
            tensor,
            pipeline,
            ranks: cluster.accelerators() as f64 / tensor / pipeline,
        }
    }

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
            // Separate kernels: the whole square of scores at the speed of linear layers, and 12 bytes per score.
            let scores = f64::from(model.layers) * f64::from(model.heads) * f64::from(self.job.sequence);
            let bytes = 12.0 * scores * self.tokens / self.tensor * fit::SOFTMAX / self.kernels.memory;
            let math = 2.0 * forward / (self.kernels.peak * self.kernels.linear.min(1.0));
            return 3.0 * (math + bytes);
        }
        let small = if model.head_dim <= 64 { fit::SMALL_HEAD } else { 1.0 };
        let floor = 3.0 * forward / self.kernels.peak_16bit;
        gate(fit::ATTENTION_PASSES * forward / (self.kernels.attention * small), floor)
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
        let norms = if self.method.sequence_parallel { 1.0 } else { self.tensor };
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

    /// Returns routed experts, their permutation, all-to-all and host time.
    fn experts(&self) -> f64 {
        let Some(e) = self.model().experts else { return 0.0 };
        let (speed, shape_speed, host, _) = fit::EXPERT;
        let (layers, k, width) = (f64::from(e.layers), f64::from(e.active), f64::from(e.width));
        let (h, t) = (self.model().expert_hidden(), self.tensor);
        let ranks = f64::from(self.layout.expert);
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
        let release = if self.method.recent_experts { fit::EXPERT_RELEASE } else { 1.0 };
        layers * ((math + permuted + exchange) * release + host)
    }

    /// Returns what all-to-all of one layer takes over the network: a token is sent to each node once, to four at most
    /// where routing is limited to nodes.
    fn exchange_between_nodes(&self, tokens: f64) -> f64 {
        let (Some(e), ranks) = (self.model().experts, f64::from(self.layout.expert)) else { return 0.0 };
        let nodes = (ranks * self.tensor / self.cluster.domain()).ceil();
        if nodes <= 1.0 {
            return 0.0;
        }
        let limit = if self.model().latent.is_some() { 4.0 } else { f64::from(e.active) };
        let sent = f64::from(e.active).min(nodes).min(limit);
        let bytes = 4.0 * sent * tokens * 2.0 * self.model().expert_hidden() * (nodes - 1.0) / nodes;
        bytes / self.cluster.scale_out_each() * fit::EXPERT.3
    }

    /// Returns the exchange of keys and values between context-parallel ranks at the full link rate.
    fn context_traffic(&self) -> f64 {
        let (model, c) = (self.model(), f64::from(self.method.context));
        let keys = f64::from(model.kv_heads) * f64::from(model.head_dim);
        let bytes =
            3.0 * f64::from(model.caching_layers()) * 4.0 * keys * self.tokens * (c - 1.0) / self.tensor;
        bytes / self.link(self.tensor * c <= self.cluster.domain())
    }

    /// Returns what gathering all weights for every micro-batch shows of itself, beside `compute` seconds.
    fn gathering(&self, compute: f64, micro_batches: f64) -> f64 {
        let held = parameters_per_rank(self.model(), self.layout);
        let bytes = 2.0 * (held.dense + held.experts) * (self.ranks - 1.0) / self.ranks;
        let inside = (self.cluster.domain() / self.tensor).floor().clamp(1.0, self.ranks);
        let up = bytes / self.cluster.accelerator.scale_up.bandwidth.get();
        let crosses = self.cluster.accelerators() as f64 > self.cluster.domain();
        let out = if crosses { bytes / (inside * self.cluster.scale_out_each()) } else { 0.0 };
        let time = 3.0 * up.max(out);
        micro_batches * (fit::GATHER_EXPOSED * time + (time - compute).max(0.0))
    }

    /// Returns all tensor-parallel traffic of a micro-batch at the full link rate: 8 collectives per layer of
    /// 2 T h (t − 1)/t bytes.
    fn tensor_traffic(&self) -> f64 {
        let bytes = 16.0 * self.tokens * f64::from(self.model().hidden) * (self.tensor - 1.0) / self.tensor;
        let within = f64::from(self.layout.tensor) <= self.cluster.domain();
        self.model().halves() / 2.0 * bytes / self.link(within)
    }

    /// Returns the hand-over between stages of a micro-batch at the full link rate.
    fn stage_traffic(&self) -> f64 {
        if self.layout.pipeline == 1 {
            return 0.0;
        }
        let chunks = f64::from(self.layout.interleave);
        let bytes = 8.0 * self.tokens * f64::from(self.model().hidden) * chunks / self.tensor;
        bytes
            / self.link(self.tensor * self.pipeline * f64::from(self.method.context) <= self.cluster.domain())
    }

    fn link(&self, within: bool) -> f64 {
        if within { self.cluster.accelerator.scale_up.bandwidth.get() } else { self.cluster.scale_out_each() }
    }

    /// Returns how much longer the last stage takes than the mean, as a share of the mean.
    fn imbalance(&self, layers_s: f64, head_s: f64) -> f64 {
        let (layers, p) = (f64::from(self.model().layers), self.pipeline);
        if self.layout.pipeline == 1 || self.model().experts.is_some() {
            return 0.0;
        }
        let counted = self.model().layers + 2;
        let held = if self.model().layers.is_multiple_of(self.layout.pipeline) {
            layers / p
        } else if counted.is_multiple_of(self.layout.pipeline) {
            (layers + 2.0) / p - 1.0
        } else {
            (layers / p).floor()
        };
        let mean = (layers_s + head_s) / p;
        ((layers_s * held / layers + head_s) / mean - 1.0).max(0.0)
    }

    /// Returns (all, exposed) data-parallel exchange: reduce-scatter and all-gather of 2 bytes per parameter.
    fn data_parallel(&self, compute: f64) -> (f64, f64) {
        if self.ranks <= 1.0 || self.method.adapters || self.method.shards_weights() {
            return (0.0, 0.0);
        }
        let held = parameters_per_rank(self.model(), self.layout);
        let bytes = 2.0 * (held.dense + held.experts) * (self.ranks - 1.0) / self.ranks;
        let inside = (self.cluster.domain() / self.tensor).floor().clamp(1.0, self.ranks);
        let up = bytes / self.cluster.accelerator.scale_up.bandwidth.get();
        let crosses = self.cluster.accelerators() as f64 > self.cluster.domain();
        let out = if crosses { bytes / (inside * self.cluster.scale_out_each()) } else { 0.0 };
        let each = up.max(out);
        let overlapped = if self.layout.interleave > 1 { self.pipeline } else { 1.0 };
        let exposed = |share: f64| fit::DATA_EXPOSED * each + (each - share * compute * overlapped).max(0.0);
        (2.0 * each, exposed(2.0 / 3.0) + exposed(1.0 / 3.0))
    }

    fn optimizer(&self) -> f64 {
        if self.method.adapters {
            return 0.0;
        }
        let held = parameters_per_rank(self.model(), self.layout);
        let experts = held.experts * f64::from(self.layout.expert) / self.ranks.max(1.0);
        fit::OPTIMIZER_BYTES * (held.dense / self.ranks + experts) / self.kernels.memory
    }

    /// Returns a step of `sum` seconds joined with gathering as ZeRO-3 of 2021 did it: every accelerator received all
    /// 6 bytes per parameter over its own network card. The two join as a norm of order 4 (SC'21, table 2).
    fn slowed_by_gathering(&self, sum: f64, parts: &mut Vec<(Part, f64)>) -> f64 {
        if self.method.sharding != Sharding::EverythingOf2021 {
            return sum;
        }
        let held = parameters_per_rank(self.model(), self.layout);
        let gather = 6.0 * (held.dense + held.experts) / self.cluster.scale_out_each() * fit::GATHER_2021;
        let joined = libm::pow(libm::pow(sum, 4.0) + libm::pow(gather, 4.0), 0.25);
        parts.push((Part::DataParallel, joined - sum));
        joined
    }

    /// Returns the whole step of `micro_batches` micro-batches in which a share of layers is computed twice.
    pub(super) fn step(&self, micro_batches: u64, recompute: f64, floor: f64) -> Times {
        let (m, p) = (micro_batches as f64, self.pipeline);
        let (linear, head, attention) = (self.linear(), self.head(), self.attention());
        let (bound, loss, experts) = (self.memory_bound(), self.loss(), self.experts());
        let layers = linear + attention + bound + experts;
        let again = match (self.method.early, self.method.adapters) {
            // Nothing hides a recomputed layer there.
            (true, _) => recompute * layers / 3.0,
            (_, true) => fit::RECOMPUTE_ADAPTERS * recompute * layers / 3.0,
            _ => fit::RECOMPUTE * recompute * layers / 3.0,
        };
        let traffic = self.tensor_traffic();
        let host = fit::LAYER_S * f64::from(self.model().layers);
        let imbalance = self.imbalance(layers + again, head + loss);
        let stage = |seconds: f64| m * seconds / p;
        let traffic = if self.method.early { traffic * (1.0 + 0.5 * recompute) } else { traffic };
        let tensor_share = match (self.method.early, self.method.adapters) {
            (true, _) => fit::TENSOR_EXPOSED_EARLY,
            (_, true) => fit::TENSOR_EXPOSED_ADAPTERS,
            _ => fit::TENSOR_EXPOSED,
        };
        let sent = stage(tensor_share * traffic + fit::CONTEXT_EXPOSED * self.context_traffic());
        let handed = stage(fit::PIPELINE_EXPOSED * self.stage_traffic() * p);
        let mut parts = vec![
            (Part::Linear, stage(linear + head)),
            (Part::Attention, stage(attention)),
            (Part::MemoryBound, stage(bound + loss)),
            (Part::Experts, stage(experts)),
            (Part::Recompute, stage(again)),
            (Part::TensorParallel, sent),
            (Part::PipelineTransfer, handed),
        ];
        let mixture = self.model().experts.is_some();
        let pace = self.method.release(&self.cluster.accelerator.id, mixture)
            * if self.method.adapters { fit::ADAPTERS } else { 1.0 };
        for (_, seconds) in &mut parts {
            *seconds *= pace;
        }
        let busy: f64 = parts.iter().map(|(_, seconds)| seconds).sum::<f64>() + stage(host);
        let idle = (p - 1.0) / f64::from(self.layout.interleave) / m;
        let bubble = busy * (fit::IMBALANCE * imbalance + idle);
        let accelerators = self.cluster.accelerators() as f64;
        let straggler = fit::STRAGGLER * libm::log2((accelerators / 8.0).max(1.0));
        let compute = (layers + head + loss) / p;
        let (exchanged, mut exposed) = self.data_parallel(compute);
        if self.method.sharding == Sharding::Everything {
            exposed += self.gathering(compute, m);
        }
        parts.push((Part::Bubble, bubble));
        parts.push((Part::DataParallel, exposed));
        parts.push((Part::Optimizer, self.optimizer()));
        parts.push((Part::Overhead, stage(host) + (busy + bubble) * straggler + fit::STEP_S));
        let sum: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
        let sum = self.slowed_by_gathering(sum, &mut parts);
        let total = gate(sum, floor.max(stage(traffic)).max(exchanged));
        // What physics adds to the model is communication that cannot hide.
        parts.push((Part::DataParallel, total - sum));
        Times { parts, total }
    }
}
