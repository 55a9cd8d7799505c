//! The time of one training step from its parts, in seconds.
//!
//! step = [m (1 + x I) + (p − 1)/v] · t_mb · S + exposed data-parallel exchange + optimizer + fixed time,
//! m micro-batches, t_mb the mean time of a stage per micro-batch, I how much longer the last stage takes,
//! S the straggler factor. A step is put together from a [`Row`] (one micro-batch), a [`Stage`] (stages, ranks and
//! states) and a [`Pace`] (all that is the same for a whole job), so that a search computes each of them once.

use super::kernels::{self as fit, Kernels};
use super::memory::parameters_per_rank;
use super::rows::Row;
use super::{Cluster, Job, Layout, Link, Method, Offload, Overlap, PARTS, Part, Sharding};
use crate::perf::roofline::gate;

/// Seconds of a whole step by part, in the order of [`Part::ALL`], and of the whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    pub(super) parts: [f64; PARTS],
    pub(super) total: f64,
}

/// What is the same for every configuration of a job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    /// Factor of release and adapters on the time of micro-batches.
    factor: f64,
    /// Slowest of many ranks: what it adds, as a share.
    straggler: f64,
    /// Seconds that physics needs at least.
    floor: f64,
    /// Layers.
    layers: f64,
    /// Whether the last stage's extra work is modelled.
    uneven: bool,
    early: bool,
    adapters: bool,
    imbalance: f64,
    tensor_exposed: f64,
    tensor_exposed_early: f64,
    /// What own measurements say of the job.
    own: f64,
}

impl Pace {
    pub(super) fn of(cluster: &Cluster<'_>, job: &Job<'_>, kernels: &Kernels, method: &Method) -> Self {
        let factors = &cluster.known.factors;
        let mixture = job.model.experts.is_some();
        let flops = job.sequences() as f64
            * f64::from(job.sequence)
            * super::flops::training_per_token(job.model, job.sequence);
        // Adapters compute no weight gradient: at least half of the FLOPs remain.
        let flops = if method.adapters { flops / 2.0 } else { flops };
        let accelerators = cluster.accelerators() as f64;
        Self {
            factor: method.release(factors, &cluster.accelerator.id, mixture)
                * if method.adapters { fit::ADAPTERS } else { 1.0 },
            straggler: factors.training_straggler * libm::log2((accelerators / 8.0).max(1.0)),
            floor: flops / (accelerators * kernels.peak.max(kernels.peak_16bit)),
            layers: f64::from(job.model.layers),
            uneven: !mixture,
            early: method.early,
            adapters: method.adapters,
            imbalance: factors.training_imbalance,
            tensor_exposed: factors.training_tensor_exposed,
            tensor_exposed_early: factors.training_tensor_exposed_early,
            own: cluster.known.correction(cluster, job, method),
        }
    }

    /// Returns how much of tensor-parallel exchange shows.
    pub(super) fn tensor_share(&self, overlap: Overlap, tensor: f64) -> f64 {
        if self.early {
            return self.tensor_exposed_early;
        }
        if self.adapters {
            return fit::TENSOR_EXPOSED_ADAPTERS;
        }
        match overlap {
            Overlap::Nothing => self.tensor_exposed.max(1.0),
            Overlap::Ring => self.tensor_exposed.max(1.0 / tensor),
            Overlap::Pipelined => self.tensor_exposed.max(PIPELINED_EXPOSED),
        }
    }

    /// Returns what computing a share of all layers a second time takes.
    fn again(&self, layers: f64, recompute: f64) -> f64 {
        match (self.early, self.adapters) {
            // Nothing hides a recomputed layer there.
            (true, _) => recompute * layers / 3.0,
            (_, true) => fit::RECOMPUTE_ADAPTERS * recompute * layers / 3.0,
            _ => fit::RECOMPUTE * recompute * layers / 3.0,
        }
    }
}

/// The first of four parts always shows.
const PIPELINED_EXPOSED: f64 = 0.25;

/// What stages, data-parallel ranks and the place of states make of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stage {
    pipeline: f64,
    interleave: f64,
    /// Layers of the last stage.
    held: f64,
    /// Bytes per second from stage to stage.
    handover: f64,
    /// Seconds of reduce-scatter of gradients, and of all-gather of weights.
    exchange: (f64, f64),
    /// Whether those overlap with compute.
    overlaps: bool,
    /// Seconds of gathering all weights for one micro-batch; none where weights are whole.
    gathering: f64,
    /// Seconds of gathering all weights as ZeRO-3 of 2021 did it.
    gathering_2021: f64,
    /// Seconds of the optimizer.
    optimizer: f64,
    /// Seconds on the bus of the host: weights per micro-batch, and once per step.
    host_weights: f64,
    /// Bytes per second of that bus; none where nothing crosses it.
    host_bus: f64,
}

impl Stage {
    pub(super) fn of(
        cluster: &Cluster<'_>,
        job: &Job<'_>,
        kernels: &Kernels,
        layout: &Layout,
        method: &Method,
    ) -> Self {
        let (t, p) = (f64::from(layout.tensor), f64::from(layout.pipeline));
        let ranks = cluster.accelerators() as f64 / t / p;
        let held = parameters_per_rank(job.model, layout);
        let params = held.dense + held.experts;
        let gathered_once = exchange(cluster, t, ranks, 2.0 * params, method.links.data);
        let reduced = exchange(cluster, t, ranks, method.gradient_bytes * params, method.links.data);
        let gathered = 6.0 * params / cluster.scale_out_each() * cluster.known.factors.training_gather_2021;
        let sharding = method.sharding;
        let own = match (method.adapters, sharding) {
            (true, _) => 0.0,
            (_, Sharding::Nothing) => params,
            _ => held.dense / ranks + held.experts * f64::from(layout.expert) / ranks.max(1.0),
        };
        let whole = ranks > 1.0 && !method.adapters && !method.shards_weights();
        let reach = t * p * f64::from(method.context);
        let bus = host_bus(&cluster.accelerator.id);
        Self {
            pipeline: p,
            interleave: f64::from(layout.interleave),
            held: last_stage(job.model.layers, layout.pipeline),
            handover: cluster.link(reach, method.links.pipeline),
            exchange: if whole { (reduced, gathered_once) } else { (0.0, 0.0) },
            overlaps: method.data_overlap,
            gathering: if sharding == Sharding::Everything { 3.0 * gathered_once } else { 0.0 },
            gathering_2021: if sharding == Sharding::EverythingOf2021 { gathered } else { 0.0 },
            optimizer: optimizer(own, kernels, method.offload, bus),
            host_weights: if method.offload.weights { 2.0 * 2.0 * params / bus } else { 0.0 },
            host_bus: if method.offload.activations { bus } else { 0.0 },
        }
    }

    /// Returns how much longer the last stage takes than the mean, as a share of the mean.
    fn imbalance(&self, pace: &Pace, layers_s: f64, head_s: f64) -> f64 {
        if self.pipeline <= 1.0 || !pace.uneven {
            return 0.0;
        }
        let mean = (layers_s + head_s) / self.pipeline;
        ((layers_s * self.held / pace.layers + head_s) / mean - 1.0).max(0.0)
    }

    /// Returns (all, exposed) data-parallel exchange: gradients beside the backward pass, two thirds of compute, weights
    /// beside the forward pass.
    fn data_parallel(&self, compute: f64) -> (f64, f64) {
        let (reduced, gathered) = self.exchange;
        let all = reduced + gathered;
        if !self.overlaps {
            return (all, all);
        }
        let overlapped = if self.interleave > 1.0 { self.pipeline } else { 1.0 };
        let exposed =
            |each: f64, share: f64| fit::DATA_EXPOSED * each + (each - share * compute * overlapped).max(0.0);
        (all, exposed(reduced, 2.0 / 3.0) + exposed(gathered, 1.0 / 3.0))
    }

    /// Returns what gathering all weights for every micro-batch shows of itself, beside `compute` seconds of each.
    fn gathered(&self, compute: f64, micro_batches: f64) -> f64 {
        micro_batches * (fit::GATHER_EXPOSED * self.gathering + (self.gathering - compute).max(0.0))
    }

    /// Returns what traffic with the host's memory shows of itself, beside `busy` seconds: weights cross twice per
    /// micro-batch, kept activations of `bytes` leave and return.
    fn hosted(&self, busy: f64, micro_batches: f64, bytes: f64) -> f64 {
        let activations = if self.host_bus > 0.0 { 2.0 * bytes / self.host_bus } else { 0.0 };
        let time = micro_batches * (self.host_weights + activations);
        fit::HOST_EXPOSED * time + (time - busy).max(0.0)
    }
}

/// Returns the layers that the last stage holds: embedding and loss may count as layers of their own.
fn last_stage(layers: u32, pipeline: u32) -> f64 {
    let p = f64::from(pipeline);
    if layers.is_multiple_of(pipeline) {
        f64::from(layers) / p
    } else if (layers + 2).is_multiple_of(pipeline) {
        (f64::from(layers) + 2.0) / p - 1.0
    } else {
        // Uneven stages: the fullest one holds the others up, wherever it stands.
        (f64::from(layers) / p).ceil()
    }
}

/// Returns the seconds in which `ranks` ranks gather or reduce `bytes` each.
fn exchange(cluster: &Cluster<'_>, tensor: f64, ranks: f64, bytes: f64, link: Link) -> f64 {
    let bytes = bytes * (ranks - 1.0) / ranks;
    let inside = match link {
        Link::Nearest => (cluster.domain() / tensor).floor().clamp(1.0, ranks),
        Link::Network => 1.0,
    };
    let up = bytes / cluster.accelerator.scale_up.bandwidth.get();
    let crosses = link == Link::Network || cluster.accelerators() as f64 > cluster.domain();
    let out = if crosses { bytes / (inside * cluster.scale_out_each()) } else { 0.0 };
    up.max(out)
}

/// Returns the bytes per second and direction between an accelerator and the memory of its host, per accelerator.
///
/// Assumed by generation: 0.8 of PCIe 4.0 x16 with A100, of PCIe 5.0 x16 with later cards, half of 450 GB/s where
/// chip and host share a module.
pub(super) fn host_bus(id: &str) -> f64 {
    if id.starts_with("gb") || id.starts_with("gh") {
        225e9
    } else if id.starts_with("a100") || id.starts_with("a800") {
        25e9
    } else {
        50e9
    }
}

/// Returns the seconds of the optimizer over `own` parameters. On the host it reads and writes as many bytes at what a
/// host's memory gives one of eight accelerators (400 GB/s, assumed), after gradients and before weights have crossed.
fn optimizer(own: f64, kernels: &Kernels, offload: Offload, bus: f64) -> f64 {
    if offload.optimizer {
        own * (fit::OPTIMIZER_BYTES / fit::HOST_MEMORY + 4.0 / bus)
    } else {
        fit::OPTIMIZER_BYTES * own / kernels.memory
    }
}

/// What a configuration adds to row and stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shape {
    pub(super) micro_batches: f64,
    /// Share of layers that are computed twice.
    pub(super) recompute: f64,
    /// Whether attention is computed once more.
    pub(super) attention_again: bool,
    /// Share of tensor-parallel exchange that shows.
    pub(super) tensor_share: f64,
    /// Activation bytes of a micro-batch that are kept on this rank.
    pub(super) kept: f64,
}

/// Returns the whole step.
pub(super) fn step(pace: &Pace, row: &Row, stage: &Stage, shape: &Shape) -> Times {
    let (m, p) = (shape.micro_batches, stage.pipeline);
    let layers = row.linear + row.attention + row.bound + row.experts;
    let mut again = pace.again(layers, shape.recompute);
    if shape.attention_again {
        again += pace.again(row.attention, 1.0);
    }
    let host = fit::LAYER_S * pace.layers;
    let imbalance = stage.imbalance(pace, layers + again, row.head + row.loss);
    let per_stage = |seconds: f64| m * seconds / p;
    let traffic = row.tensor_traffic * if pace.early { 1.0 + 0.5 * shape.recompute } else { 1.0 };
    let handed = if p > 1.0 { row.handed * stage.interleave / stage.handover } else { 0.0 };
    let paced = |seconds: f64| seconds * pace.factor;
    let mut parts = [0.0; PARTS];
    parts[Part::Linear as usize] = paced(per_stage(row.linear + row.head));
    parts[Part::Attention as usize] = paced(per_stage(row.attention));
    parts[Part::MemoryBound as usize] = paced(per_stage(row.bound + row.loss));
    parts[Part::Experts as usize] = paced(per_stage(row.experts));
    parts[Part::Recompute as usize] = paced(per_stage(again));
    parts[Part::TensorParallel as usize] =
        paced(per_stage(shape.tensor_share * traffic + fit::CONTEXT_EXPOSED * row.context_traffic));
    parts[Part::PipelineTransfer as usize] = paced(per_stage(fit::PIPELINE_EXPOSED * handed * p));
    let busy: f64 = parts.iter().sum::<f64>() + per_stage(host);
    let idle = (p - 1.0) / stage.interleave / m;
    let bubble = busy * (pace.imbalance * imbalance + idle);
    let (exchanged, mut exposed) = stage.data_parallel((layers + row.head + row.loss) / p);
    if stage.gathering > 0.0 {
        exposed += stage.gathered((layers + row.head + row.loss) / p, m);
    }
    parts[Part::Bubble as usize] = bubble;
    parts[Part::DataParallel as usize] = exposed;
    parts[Part::Optimizer as usize] = stage.optimizer;
    parts[Part::Host as usize] = stage.hosted(busy, m, shape.kept);
    parts[Part::Overhead as usize] = per_stage(host) + (busy + bubble) * pace.straggler + fit::STEP_S;
    let mut sum: f64 = parts.iter().sum();
    if stage.gathering_2021 > 0.0 {
        // ZeRO-3 of 2021: every accelerator received all 6 bytes per parameter over its own network card. The two join
        // as a norm of order 3: of table 2, where they are equal the longer one counts 1.26 times, where one is much longer
        // the other hides.
        let joined =
            libm::cbrt(sum * sum * sum + stage.gathering_2021 * stage.gathering_2021 * stage.gathering_2021);
        parts[Part::DataParallel as usize] += joined - sum;
        sum = joined;
    }
    if pace.own != 1.0 {
        parts.iter_mut().for_each(|seconds| *seconds *= pace.own);
        sum *= pace.own;
    }
    let total = gate(sum, pace.floor.max(per_stage(traffic)).max(exchanged));
    // What physics adds to the model is communication that cannot hide.
    parts[Part::DataParallel as usize] += total - sum;
    Times { parts, total }
}
