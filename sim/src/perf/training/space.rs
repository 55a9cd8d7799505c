//! Which configurations of a job are tried?
//!
//! The usual space has the degrees that published runs use and one way to train. The wide space has every choice of
//! Calculon's exhaustive search (`llm-optimal-execution`, commit caa4b11f): 3,232,128 configurations of GPT-3 175B on
//! 64 accelerators. What changes nothing is not counted twice: without tensor ranks there is nothing to overlap, without
//! data-parallel ranks nothing to shard.

use super::{Cluster, Exchange, Job, Link, Method, Offload, Overlap, Recompute, Sharding};
use crate::perf::parameters::check_tensor;
use capstan_types::spec::Parallelism;

/// Largest micro-batch of the usual space, in sequences.
const LARGEST_MICRO_BATCH: u32 = 16;
/// Most chunks of a stage in the usual space; published runs use up to 8 and 5 is usual.
const LARGEST_INTERLEAVE: u32 = 6;
/// Most stages of the usual space.
const MOST_STAGES: u32 = 64;

/// Choices of every kind; the first of each is taken where the choice does not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    /// Ranks that split every layer.
    pub tensor: Vec<u32>,
    /// Stages.
    pub pipeline: Vec<u32>,
    /// Most chunks of a stage; each divides its layers.
    pub interleave: u32,
    /// Sequences of a micro-batch.
    pub micro_batch: Vec<u32>,
    /// Ranks that split the experts.
    pub expert: Vec<u32>,
    /// What is computed twice.
    pub recompute: Vec<Recompute>,
    /// What is sharded.
    pub sharding: Vec<Sharding>,
    /// How tensor ranks exchange.
    pub exchange: Vec<Exchange>,
    /// What of that overlaps.
    pub overlap: Vec<Overlap>,
    /// Whether the exchange of data-parallel ranks overlaps.
    pub data_overlap: Vec<bool>,
    /// What lies on the host.
    pub offload: Vec<Offload>,
    /// Links that each group may use.
    pub link: Vec<Link>,
}

impl Space {
    /// Returns the usual space around one way to train; `fixed` degrees have no choice.
    pub fn usual(cluster: &Cluster<'_>, job: &Job<'_>, fixed: &Parallelism, method: &Method) -> Self {
        let domain = cluster.domain() as u32;
        Self {
            tensor: fixed.tensor.map_or_else(|| powers(domain.min(job.model.heads)), |t| vec![t.max(1)]),
            pipeline: usual_stages(fixed, job.model.layers),
            interleave: LARGEST_INTERLEAVE,
            micro_batch: powers(LARGEST_MICRO_BATCH),
            expert: experts(job, domain),
            recompute: vec![method.recompute],
            sharding: vec![method.sharding],
            exchange: vec![method.exchange],
            overlap: vec![method.overlap],
            data_overlap: vec![method.data_overlap],
            offload: vec![method.offload],
            link: vec![Link::Nearest],
        }
    }

    /// Returns the wide space; `hosted` says whether states may lie in the memory of the host.
    pub fn wide(cluster: &Cluster<'_>, job: &Job<'_>, fixed: &Parallelism, hosted: bool) -> Self {
        let n = cluster.accelerators();
        let splits = |t: &u32| n.is_multiple_of(u64::from(*t)) && check_tensor(job.model, *t).is_ok();
        let most = u32::try_from(n).unwrap_or(u32::MAX).min(job.model.heads);
        let sequences = u32::try_from(job.sequences()).unwrap_or(u32::MAX);
        let anywhere = [false, true].into_iter().flat_map(|activations| {
            [false, true].into_iter().flat_map(move |weights| {
                [false, true].map(|optimizer| Offload { weights, activations, optimizer })
            })
        });
        Self {
            tensor: fixed.tensor.map_or_else(|| (1..=most).filter(splits).collect(), |t| vec![t.max(1)]),
            pipeline: stages(fixed, job.model.layers, job.model.layers),
            interleave: u32::MAX,
            micro_batch: (1..=sequences.min(MOST_SEQUENCES))
                .filter(|b| sequences.is_multiple_of(*b))
                .collect(),
            expert: experts(job, most),
            recompute: vec![Recompute::Selective, Recompute::Attention, Recompute::Full],
            sharding: vec![Sharding::Optimizer, Sharding::Nothing],
            exchange: vec![
                Exchange::Sequence,
                Exchange::SequenceKept,
                Exchange::Scattered,
                Exchange::AllReduce,
            ],
            overlap: vec![Overlap::Pipelined, Overlap::Ring, Overlap::Nothing],
            data_overlap: vec![true, false],
            offload: if hosted { anywhere.collect() } else { vec![Offload::NOTHING] },
            link: vec![Link::Nearest, Link::Network],
        }
    }

    /// Returns the chunks that a stage may have.
    pub(super) fn interleaves(&self, layers: u32, pipeline: u32) -> impl Iterator<Item = u32> {
        let per_stage = layers.div_ceil(pipeline);
        let most = if pipeline > 1 { self.interleave.min(per_stage) } else { 1 };
        (1..=most).filter(move |&v| per_stage.is_multiple_of(v))
    }

    /// Returns the expert ranks that fit beside `tensor` ranks and divide the data-parallel ones.
    pub(super) fn experts(&self, tensor: u32, ranks: u64) -> impl Iterator<Item = u32> {
        let most = self.expert.last().copied().unwrap_or(1) / tensor.max(1);
        let fits = move |&e: &u32| e == 1 || (e <= most && ranks.is_multiple_of(u64::from(e)));
        self.expert.iter().copied().filter(fits)
    }
}

/// Largest micro-batch of the wide space.
const MOST_SEQUENCES: u32 = 4096;

/// Returns the powers of two up to `most`.
fn powers(most: u32) -> Vec<u32> {
    (0..32).map(|i| 1u32 << i).take_while(|&degree| degree <= most.max(1)).collect()
}

/// Returns the fixed number of stages, or those that are usual: what divides the layers, or the layers counted with embedding
/// and loss, and powers of two.
fn usual_stages(fixed: &Parallelism, layers: u32) -> Vec<u32> {
    let mut all = stages(fixed, layers, MOST_STAGES);
    if fixed.pipeline.is_none() {
        all.extend(powers(layers.min(MOST_STAGES)));
        all.sort_unstable();
        all.dedup();
    }
    all
}

/// Returns the fixed number of stages, or those that divide the layers, or the layers counted with embedding and loss.
fn stages(fixed: &Parallelism, layers: u32, most: u32) -> Vec<u32> {
    let divides = |p: &u32| layers.is_multiple_of(*p) || (layers + 2).is_multiple_of(*p);
    fixed.pipeline.map_or_else(|| (1..=layers.min(most)).filter(divides).collect(), |p| vec![p.max(1)])
}

/// Returns how many ranks may split the experts: powers of two that divide them.
fn experts(job: &Job<'_>, within: u32) -> Vec<u32> {
    let Some(experts) = job.model.experts else { return vec![1] };
    powers(within.min(experts.routed)).into_iter().filter(|&e| experts.routed.is_multiple_of(e)).collect()
}
