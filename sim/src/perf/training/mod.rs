//! How long one training step takes, what it must hold, which parallelism is best, and what failures take away.
//!
//! The step is compute (linear layers, attention, memory-bound work), exposed communication, the pipeline bubble
//! and the optimizer. Kernels: [`kernels`]; fitted factors and how sure they are: [`known`]. It knows dense models well
//! and mixtures of experts badly: their software moves by more than that between releases.
//!
//! Every step is put together from parts that depend on few degrees each, so that a search ([`search`]) over a space of
//! configurations ([`space`]) computes each part once.

pub mod flops;
pub mod goodput;
pub mod kernels;
pub mod known;
pub mod memory;
pub mod method;
mod rows;
pub mod search;
pub mod space;
mod sweep;
mod time;

use super::rejection::Reason;
use capstan_types::hardware::{Accelerator, Precision};
use capstan_types::model::Model;
use capstan_types::origin::Origin;
use capstan_types::units::{BytesPerSecond, Seconds, Tokens};
pub use goodput::{Failures, Goodput};
pub use known::Known;
pub use memory::TrainingMemory;
pub use method::{Adapters, Exchange, Link, Links, Method, Offload, Overlap, Recompute, Sharding};
pub use search::{Found, Search, best, search, step, step_of};
pub use space::Space;

/// The machines of a job: equal nodes on one network.
#[derive(Debug, Clone, Copy)]
pub struct Cluster<'a> {
    /// What measurements say of training.
    pub known: &'a Known,
    /// What computes.
    pub accelerator: &'a Accelerator,
    /// Accelerators of one node.
    pub per_node: u32,
    /// Nodes.
    pub nodes: u32,
    /// Network of a node, per direction; where unknown, 100 Gbit/s are assumed.
    pub scale_out: Option<BytesPerSecond>,
}

/// Returns the network of one accelerator in the machines that published runs used, in bytes per second and direction:
/// 200 Gbit/s with A100, 800 with B300 and GB300, else 400.
pub fn usual_network(accelerator: &str) -> f64 {
    if accelerator.starts_with("a100") {
        25e9
    } else if accelerator.starts_with("b300") || accelerator.starts_with("gb300") {
        100e9
    } else {
        50e9
    }
}

/// Network of a node where nobody states one: 100 Gbit/s, the least that clouds sell with training machines.
const UNKNOWN_SCALE_OUT: f64 = 12.5e9;

impl Cluster<'_> {
    /// Returns all accelerators.
    pub fn accelerators(&self) -> u64 {
        u64::from(self.per_node) * u64::from(self.nodes)
    }

    /// Returns how many machines of `per_node` accelerators hold exactly `accelerators`.
    ///
    /// # Errors
    /// [`Reason::NotWholeMachines`].
    pub fn machines(accelerators: u32, per_node: u32) -> Result<u32, Reason> {
        let per_node = per_node.max(1);
        if accelerators.is_multiple_of(per_node) {
            Ok(accelerators / per_node)
        } else {
            Err(Reason::NotWholeMachines { accelerators, per_node })
        }
    }

    /// Returns how many accelerators share the fast links: the scale-up domain, or the node where that is smaller and its
    /// links do not leave it.
    pub fn domain(&self) -> f64 {
        let links = self.accelerator.scale_up;
        let most = if links.spans_machines() { self.accelerators() } else { u64::from(self.per_node) };
        u64::from(links.domain).min(most).max(1) as f64
    }

    /// Returns the bytes per second between neighbours of a group that spans `reach` accelerators.
    pub(super) fn link(&self, reach: f64, link: Link) -> f64 {
        if link == Link::Nearest && reach <= self.domain() {
            self.accelerator.scale_up.bandwidth.get()
        } else {
            self.scale_out_each()
        }
    }

    /// Returns the network rate of one accelerator in bytes per second.
    pub fn scale_out_each(&self) -> f64 {
        self.scale_out.map_or(UNKNOWN_SCALE_OUT, |rate| rate.get()) / f64::from(self.per_node.max(1))
    }
}

/// What is trained.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The model.
    pub model: &'a Model,
    /// Tokens per optimizer step.
    pub batch: Tokens,
    /// Tokens per sequence.
    pub sequence: u32,
    /// Precision of the linear layers' math.
    pub precision: Precision,
}

impl Job<'_> {
    /// Returns the sequences of one batch, at least one.
    pub fn sequences(&self) -> u64 {
        (self.batch.get() / f64::from(self.sequence.max(1))).round().max(1.0) as u64
    }
}

/// How the work is split. Data-parallel ranks follow: accelerators / (tensor · pipeline).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layout {
    /// Ranks that split every layer.
    pub tensor: u32,
    /// Stages that split the layers.
    pub pipeline: u32,
    /// Chunks of layers per stage.
    pub interleave: u32,
    /// Sequences of one micro-batch.
    pub micro_batch: u32,
    /// Ranks that split the experts; 1 for dense models.
    pub expert: u32,
}

/// What a step is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Linear layers and output head.
    Linear,
    /// Attention.
    Attention,
    /// Norms, activations, casts, loss.
    MemoryBound,
    /// Routed experts, permutation and all-to-all.
    Experts,
    /// Layers computed twice.
    Recompute,
    /// Exposed tensor-parallel communication.
    TensorParallel,
    /// Exposed hand-over between stages.
    PipelineTransfer,
    /// Idle stages and uneven stages.
    Bubble,
    /// Exposed gradient and parameter exchange.
    DataParallel,
    /// Optimizer.
    Optimizer,
    /// Exposed traffic with the memory of the host.
    Host,
    /// Slowest rank of many, and host work.
    Overhead,
}

/// How many parts there are.
pub(crate) const PARTS: usize = Part::ALL.len();

impl Part {
    /// Every one, in order.
    pub const ALL: [Self; 12] = [
        Self::Linear,
        Self::Attention,
        Self::MemoryBound,
        Self::Experts,
        Self::Recompute,
        Self::TensorParallel,
        Self::PipelineTransfer,
        Self::Bubble,
        Self::DataParallel,
        Self::Optimizer,
        Self::Host,
        Self::Overhead,
    ];

    /// Returns the words of reports.
    pub fn words(self) -> &'static str {
        match self {
            Self::Linear => "linear layers",
            Self::Attention => "attention",
            Self::MemoryBound => "norms, activations, loss",
            Self::Experts => "experts",
            Self::Recompute => "layers computed twice",
            Self::TensorParallel => "exchange between tensor ranks",
            Self::PipelineTransfer => "hand-over between stages",
            Self::Bubble => "idle stages",
            Self::DataParallel => "exchange of gradients and weights",
            Self::Optimizer => "optimizer",
            Self::Host => "traffic with the host",
            Self::Overhead => "slowest of many, host work",
        }
    }
}

/// One training step.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingStep {
    /// How the work is split.
    pub layout: Layout,
    /// How it trains beside that.
    pub method: Method,
    /// Micro-batches of one data-parallel rank.
    pub micro_batches: u64,
    /// Time of a step.
    pub step: Seconds,
    /// A 90 % interval: low end.
    pub low: Seconds,
    /// High end.
    pub high: Seconds,
    /// Tokens per second over all accelerators.
    pub tokens_per_s: f64,
    /// FLOPs of the model per token, recomputation not counted.
    pub model_flops_per_token: f64,
    /// Model FLOPs over the peak of the precision.
    pub utilization: f64,
    /// Memory of the most loaded accelerator.
    pub memory: TrainingMemory,
    /// Where the time goes; sums to `step`.
    pub parts: Vec<(Part, Seconds)>,
    /// How the worst number in it came to be.
    pub origin: Origin,
    /// What makes the interval wider than usual, one cause each.
    pub wide_because: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Returns whether the experts of a model can be dealt out to so many ranks.
fn check_experts(model: &Model, ranks: u32) -> Result<(), Reason> {
    let experts = model.experts.map_or(0, |experts| experts.routed);
    match ranks {
        1 => Ok(()),
        _ if experts == 0 => Err(Reason::NoExperts { ranks }),
        _ if ranks > experts || !experts.is_multiple_of(ranks) => {
            Err(Reason::ExpertsNotDivisible { experts, ranks })
        }
        _ => Ok(()),
    }
}

/// Returns whether a layout divides the machine, the model and the batch; and its micro-batches per step.
pub(crate) fn micro_batches(
    cluster: &Cluster<'_>,
    job: &Job<'_>,
    layout: &Layout,
    method: &Method,
) -> Result<u64, Reason> {
    let n = cluster.accelerators();
    let group = u64::from(layout.tensor) * u64::from(layout.pipeline);
    let group = group.saturating_mul(u64::from(method.context));
    if group == 0 || layout.micro_batch == 0 || layout.interleave == 0 || layout.expert == 0 {
        return Err(Reason::NotPositive { what: "parallel degrees" });
    }
    if group > n || !n.is_multiple_of(group) {
        let available = n.min(u64::from(u32::MAX)) as u32;
        return Err(Reason::TooFewAccelerators { needed: group.min(u64::from(u32::MAX)) as u32, available });
    }
    let chunks = layout.pipeline.saturating_mul(layout.interleave);
    // Embedding and loss may count as layers of their own.
    if chunks > job.model.layers + 2 {
        return Err(Reason::TooManyStages { layers: job.model.layers, pipeline: chunks });
    }
    super::parameters::check_tensor(job.model, layout.tensor)?;
    check_experts(job.model, layout.expert)?;
    let ranks = n / group;
    let sequences = job.sequences();
    let each = ranks * u64::from(layout.micro_batch);
    if sequences < each || !sequences.is_multiple_of(each) {
        return Err(Reason::BatchTooSmall { sequences, ranks: each });
    }
    Ok(sequences / each)
}
