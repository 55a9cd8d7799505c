//! One step of a given layout, and the layout that is fastest among those that fit.

use super::flops::training_per_token;
use super::kernels::Kernels;
use super::memory::TrainingMemory;
use super::time::{MicroBatch, Times};
use super::{Cluster, Job, Layout, Method, Part, TrainingStep, micro_batches};
use crate::perf::operators::check_sizes;
use crate::perf::rejection::Reason;
use capstan_types::spec::Parallelism;
use capstan_types::units::Seconds;

/// Largest micro-batch that is tried, in sequences.
const LARGEST_MICRO_BATCH: u32 = 16;
/// Most chunks of a stage that are tried; published runs use up to 8 and 5 is usual.
const LARGEST_INTERLEAVE: u32 = 6;
/// Below this many micro-batches the model is too optimistic (measured 0.62, predicted 0.70 at six).
const FEW_MICRO_BATCHES: u64 = 16;

/// Returns one step of `job` on `cluster` in `layout`.
///
/// # Errors
/// A [`Reason`] where the layout does not divide machine, model or batch, or does not fit.
pub fn step(cluster: &Cluster<'_>, job: &Job<'_>, layout: &Layout) -> Result<TrainingStep, Reason> {
    step_of(cluster, job, layout, &Method::default())
}

/// The same for a job that trains in another way than by default.
///
/// # Errors
/// As [`step`].
pub fn step_of(
    cluster: &Cluster<'_>,
    job: &Job<'_>,
    layout: &Layout,
    method: &Method,
) -> Result<TrainingStep, Reason> {
    let kernels = kernels(cluster, job)?;
    price(cluster, job, layout, &kernels, method)
}

fn kernels(cluster: &Cluster<'_>, job: &Job<'_>) -> Result<Kernels, Reason> {
    if !(job.batch.get().is_finite() && job.batch.get() > 0.0) {
        return Err(Reason::NotPositive { what: "batch" });
    }
    if job.sequence == 0 || cluster.accelerators() == 0 {
        return Err(Reason::NotPositive { what: "sequence length and accelerators" });
    }
    check_sizes(job.model)?;
    let rates = [cluster.accelerator.scale_up.bandwidth.get(), cluster.scale_out_each()];
    if !rates.iter().all(|rate| rate.is_finite() && *rate > 0.0) {
        return Err(Reason::NotPositive { what: "link rate" });
    }
    if job.sequence > job.model.context {
        return Err(Reason::ContextTooLong { needed: job.sequence, limit: job.model.context });
    }
    Kernels::of(cluster.accelerator, job.precision).ok_or_else(|| Reason::PrecisionUnsupported {
        accelerator: cluster.accelerator.id.clone(),
        precision: job.precision,
    })
}

/// Returns micro-batches, memory and times of a layout, without what only a report needs.
fn time(
    cluster: &Cluster<'_>,
    job: &Job<'_>,
    layout: &Layout,
    kernels: &Kernels,
    method: &Method,
) -> Result<(u64, TrainingMemory, Times), Reason> {
    let m = micro_batches(cluster, job, layout, method)?;
    let memory = TrainingMemory::under(cluster, job, layout, m, method)?;
    let flops =
        job.sequences() as f64 * f64::from(job.sequence) * training_per_token(job.model, job.sequence);
    // Adapters compute no weight gradient: at least half of the FLOPs remain.
    let flops = if method.adapters { flops / 2.0 } else { flops };
    let floor = flops / (cluster.accelerators() as f64 * kernels.peak.max(kernels.peak_16bit));
    let times = MicroBatch::new(cluster, job, layout, kernels, method).step(m, memory.recompute, floor);
    Ok((m, memory, times))
}

fn price(
    cluster: &Cluster<'_>,
    job: &Job<'_>,
    layout: &Layout,
    kernels: &Kernels,
    method: &Method,
) -> Result<TrainingStep, Reason> {
    let (m, memory, Times { parts, total }) = time(cluster, job, layout, kernels, method)?;
    let tokens = job.sequences() as f64 * f64::from(job.sequence);
    let model_flops = training_per_token(job.model, job.sequence);
    let (low, high) = interval(job, kernels, m);
    Ok(TrainingStep {
        layout: *layout,
        step: Seconds(total),
        low: Seconds(total * libm::exp(low)),
        high: Seconds(total * libm::exp(high)),
        tokens_per_s: tokens / total,
        model_flops_per_token: model_flops,
        utilization: tokens * model_flops / total / (cluster.accelerators() as f64 * kernels.peak),
        memory,
        parts: merge(parts),
        origin: kernels.origin.weaker(memory.origin),
        notes: notes(cluster, job, &memory, m),
    })
}

/// Returns the logarithms of the ends of a 90 % interval: cross-validated residuals, wider for mixtures and for
/// few micro-batches.
fn interval(job: &Job<'_>, kernels: &Kernels, micro_batches: u64) -> (f64, f64) {
    let (mut low, mut high) = kernels.interval;
    if job.model.experts.is_some() {
        (low, high) = (low.min(-0.33), high.max(0.48));
    }
    if micro_batches < FEW_MICRO_BATCHES { (low - 0.08, high + 0.08) } else { (low, high) }
}

fn merge(mut parts: Vec<(Part, f64)>) -> Vec<(Part, Seconds)> {
    parts.sort_by_key(|&(part, _)| part);
    let mut merged: Vec<(Part, Seconds)> = Vec::new();
    for (part, seconds) in parts {
        match merged.last_mut() {
            Some(last) if last.0 == part => last.1 = last.1 + Seconds(seconds),
            _ => merged.push((part, Seconds(seconds))),
        }
    }
    merged.retain(|(_, seconds)| seconds.get() > 0.0);
    merged
}

fn notes(cluster: &Cluster<'_>, job: &Job<'_>, memory: &TrainingMemory, m: u64) -> Vec<String> {
    let mut notes = Vec::new();
    if memory.tight {
        let (needed, free) = (memory.needed().gib(), memory.free.gib());
        notes.push(format!("memory is tight: {needed:.1} GiB of {free:.1} GiB per accelerator"));
    }
    if memory.recompute > 0.0 {
        notes.push(format!("{:.0} % of layers are computed twice to save memory", 100.0 * memory.recompute));
    }
    if m < FEW_MICRO_BATCHES {
        notes.push(format!("{m} micro-batches per step: estimates are optimistic below {FEW_MICRO_BATCHES}"));
    }
    if cluster.scale_out.is_none() && cluster.nodes > 1 {
        notes.push("the network of the node is unknown; 100 Gbit/s are assumed".to_owned());
    }
    if job.model.experts.is_some() {
        notes.push("mixtures of experts vary by release more than any model of them".to_owned());
    }
    notes
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The fastest layout that fits.
    pub best: TrainingStep,
    /// Layouts that were priced.
    pub priced: u32,
    /// Layouts that were rejected.
    pub rejected: u32,
}

/// Returns the fastest layout of `job` on `cluster` that fits, among all that divide machine, model and batch.
///
/// # Errors
/// The nearest miss: [`Reason::DoesNotFit`] with the smallest need where any layout divides, else the first reason.
pub fn best(cluster: &Cluster<'_>, job: &Job<'_>, fixed: &Parallelism) -> Result<Found, Reason> {
    let kernels = kernels(cluster, job)?;
    let (mut priced, mut rejected) = (0, 0);
    let mut fastest: Option<(f64, Layout)> = None;
    let mut nearest: Option<Reason> = None;
    for layout in layouts(cluster, job, fixed) {
        match time(cluster, job, &layout, &kernels, &Method::default()) {
            Ok((_, _, times)) => {
                priced += 1;
                if fastest.is_none_or(|(other, _)| times.total < other) {
                    fastest = Some((times.total, layout));
                }
            }
            Err(reason) => {
                rejected += 1;
                nearest = Some(nearer(nearest, reason));
            }
        }
    }
    let none = || Reason::BatchTooSmall { sequences: job.sequences(), ranks: cluster.accelerators() };
    let (_, layout) = fastest.ok_or_else(|| nearest.unwrap_or_else(none))?;
    Ok(Found { best: price(cluster, job, &layout, &kernels, &Method::default())?, priced, rejected })
}

/// Returns the reason that is nearer to a "yes": not fitting by little before not dividing.
fn nearer(so_far: Option<Reason>, reason: Reason) -> Reason {
    match (so_far, reason) {
        (Some(Reason::DoesNotFit { needed, free }), Reason::DoesNotFit { needed: other, free: room }) => {
            if other < needed {
                Reason::DoesNotFit { needed: other, free: room }
            } else {
                Reason::DoesNotFit { needed, free }
            }
        }
        (_, reason @ Reason::DoesNotFit { .. }) => reason,
        (Some(so_far), _) => so_far,
        (None, reason) => reason,
    }
}

/// Returns the layouts worth pricing, in a fixed order.
fn layouts(cluster: &Cluster<'_>, job: &Job<'_>, fixed: &Parallelism) -> Vec<Layout> {
    let n = cluster.accelerators();
    let domain = cluster.domain() as u32;
    let divides = |degree: u32| n.is_multiple_of(u64::from(degree));
    let tensors = degrees(fixed.tensor, domain.min(job.model.heads)).into_iter().filter(|&t| divides(t));
    let mut layouts = Vec::new();
    for tensor in tensors {
        for pipeline in pipelines(fixed.pipeline, job.model.layers) {
            if !n.is_multiple_of(u64::from(tensor) * u64::from(pipeline)) {
                continue;
            }
            let ranks = n / u64::from(tensor) / u64::from(pipeline);
            for interleave in interleaves(job.model.layers, pipeline) {
                for micro_batch in degrees(None, LARGEST_MICRO_BATCH) {
                    for expert in expert_degrees(job, domain / tensor.max(1), ranks) {
                        layouts.push(Layout { tensor, pipeline, interleave, micro_batch, expert });
                    }
                }
            }
        }
    }
    layouts
}

/// Returns the fixed degree, or the powers of two up to `most`.
fn degrees(fixed: Option<u32>, most: u32) -> Vec<u32> {
    match fixed {
        Some(degree) => vec![degree.max(1)],
        None => (0..32).map(|i| 1u32 << i).take_while(|&degree| degree <= most.max(1)).collect(),
    }
}

/// Returns the fixed number of stages, or those that divide the layers, or the layers counted with embedding and loss.
fn pipelines(fixed: Option<u32>, layers: u32) -> Vec<u32> {
    match fixed {
        Some(stages) => vec![stages.max(1)],
        None => (1..=layers.min(64))
            .filter(|&p| layers.is_multiple_of(p) || (layers + 2).is_multiple_of(p))
            .collect(),
    }
}

fn interleaves(layers: u32, pipeline: u32) -> Vec<u32> {
    let per_stage = layers.div_ceil(pipeline);
    let most = if pipeline > 1 { LARGEST_INTERLEAVE } else { 1 };
    (1..=most).filter(|&v| per_stage.is_multiple_of(v)).collect()
}

/// Returns how many ranks may split the experts: powers of two within the fast domain.
fn expert_degrees(job: &Job<'_>, within: u32, ranks: u64) -> Vec<u32> {
    match job.model.experts {
        None => vec![1],
        Some(experts) => degrees(None, within.min(experts.routed))
            .into_iter()
            .filter(|&e| experts.routed.is_multiple_of(e) && ranks.is_multiple_of(u64::from(e)))
            .collect(),
    }
}
