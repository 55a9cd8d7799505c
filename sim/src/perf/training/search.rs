//! One step of a given configuration, and the configurations of a space that are fastest among those that fit.

use super::flops::{adapters_per_token, training_per_token};
use super::kernels::Kernels;
use super::memory::{ActivationRow, TrainingMemory};
use super::rows::{Degrees, Row};
use super::space::Space;
use super::sweep::{Sweep, Swept, Timed};
use super::time::{self, Pace, Shape, Stage, Times};
use super::{Cluster, Job, Layout, Method, Part, Recompute, TrainingStep, known, micro_batches};
use crate::perf::operators::check_sizes;
use crate::perf::rejection::Reason;
use capstan_types::spec::Parallelism;
use capstan_types::units::{Bytes, Seconds};

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

pub(super) fn kernels(cluster: &Cluster<'_>, job: &Job<'_>) -> Result<Kernels, Reason> {
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
    Kernels::of(&cluster.known.factors, cluster.accelerator, job.precision).ok_or_else(|| {
        Reason::unsupported(&cluster.accelerator.id, job.precision, Some(cluster.accelerator.sixteen()))
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
    let pace = Pace::of(cluster, job, kernels, method);
    let degrees = Degrees { tensor: layout.tensor, micro_batch: layout.micro_batch, expert: layout.expert };
    let row = Row::of(cluster, job, kernels, method, degrees);
    let stage = Stage::of(cluster, job, kernels, layout, method);
    let kept = ActivationRow::of(job, method, layout.tensor, layout.micro_batch).each;
    let shape = Shape {
        micro_batches: m as f64,
        recompute: memory.recompute,
        attention_again: method.recompute == Recompute::Attention,
        tensor_share: pace.tensor_share(method.overlap, f64::from(layout.tensor)),
        kept: kept * f64::from(job.model.layers) / f64::from(layout.pipeline),
    };
    Ok((m, memory, time::step(&pace, &row, &stage, &shape)))
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
    let per_token = if method.low_rank.is_some() { adapters_per_token } else { training_per_token };
    let model_flops = per_token(job.model, job.sequence);
    let spread = cluster.known.spread(cluster, job, method, m);
    let parts = Part::ALL.into_iter().zip(parts).filter(|(_, seconds)| *seconds > 0.0);
    Ok(TrainingStep {
        layout: *layout,
        method: *method,
        micro_batches: m,
        step: Seconds(total),
        low: Seconds(total * libm::exp(spread.low)),
        high: Seconds(total * libm::exp(spread.high)),
        tokens_per_s: tokens / total,
        model_flops_per_token: model_flops,
        utilization: tokens * model_flops / total / (cluster.accelerators() as f64 * kernels.peak),
        memory,
        parts: parts.map(|(part, seconds)| (part, Seconds(seconds))).collect(),
        origin: kernels.origin.weaker(memory.origin),
        wide_because: spread.because,
        notes: notes(cluster, job, &memory, m),
    })
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
    if m < known::FEW.0 {
        notes.push(format!("{m} micro-batches per step: estimates are optimistic below {}", known::FEW.0));
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
    /// The fastest configuration that fits.
    pub best: TrainingStep,
    /// The next ones, in order.
    pub others: Vec<TrainingStep>,
    /// Configurations that fit, and were timed.
    pub priced: u64,
    /// Configurations that do not fit. What does not divide machine, model or batch is no configuration.
    pub rejected: u64,
}

/// What a search is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Search<'a> {
    /// What is tried.
    pub space: &'a Space,
    /// How the job trains where the space has no choice.
    pub method: &'a Method,
    /// How many of the fastest are wanted, at least one.
    pub wanted: usize,
    /// Memory of a host, where it is known and states may lie there.
    pub host: Option<Bytes>,
}

/// Returns the fastest configurations of a space that fit.
///
/// # Errors
/// The nearest miss: [`Reason::DoesNotFit`] with the smallest need where any layout divides, else the first reason.
pub fn search(cluster: &Cluster<'_>, job: &Job<'_>, search: &Search<'_>) -> Result<Found, Reason> {
    let kernels = kernels(cluster, job)?;
    let mut sweep = Sweep::new(cluster, job, &kernels, search);
    sweep.run();
    let Swept { fastest, priced, rejected, nearest } = sweep.swept;
    let mut best =
        fastest.iter().map(|Timed { layout, method, .. }| price(cluster, job, layout, &kernels, method));
    let none = || Reason::BatchTooSmall { sequences: job.sequences(), ranks: cluster.accelerators() };
    let first = best.next().unwrap_or_else(|| Err(nearest.unwrap_or_else(none)))?;
    Ok(Found { best: first, others: best.collect::<Result<_, _>>()?, priced, rejected })
}

/// Returns the fastest layout of `job` on `cluster` that fits, among all that divide machine, model and batch.
///
/// # Errors
/// As [`search`].
pub fn best(cluster: &Cluster<'_>, job: &Job<'_>, fixed: &Parallelism) -> Result<Found, Reason> {
    let method = Method::default();
    let space = Space::usual(cluster, job, fixed, &method);
    search(cluster, job, &Search { space: &space, method: &method, wanted: 1, host: None })
}
