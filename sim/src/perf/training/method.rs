//! How a job trains beside its layout: what is trained, what is sharded, what is computed twice, with which software.

use crate::perf::coefficients::{Coefficients, is_blackwell};
use capstan_types::hardware::Precision;

/// Which states every data-parallel rank holds a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharding {
    /// Nothing: every rank holds all states.
    Nothing,
    /// Optimizer states (ZeRO-1, distributed optimizer).
    Optimizer,
    /// Optimizer states and gradients (ZeRO-2).
    Gradients,
    /// Weights, gradients and optimizer states, gathered layer by layer and hidden behind compute (FSDP).
    Everything,
    /// The same as published in 2021 (ZeRO-3), when gathering was hardly hidden.
    EverythingOf2021,
}

/// What lies in the memory of the host and crosses its bus in every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offload {
    /// Weights: only the layers that compute are on the device.
    pub weights: bool,
    /// Activations that are kept for the backward pass.
    pub activations: bool,
    /// Optimizer states; the host's processors update the weights.
    pub optimizer: bool,
}

impl Offload {
    /// Nothing.
    pub const NOTHING: Self = Self { weights: false, activations: false, optimizer: false };
    /// Optimizer states.
    pub const OPTIMIZER: Self = Self { optimizer: true, ..Self::NOTHING };
    /// Optimizer states and weights.
    pub const STATES: Self = Self { weights: true, ..Self::OPTIMIZER };
}

/// How tensor-parallel ranks join what each has computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// All-reduce; every rank hands whole activations to the next stage.
    AllReduce,
    /// All-reduce, and each rank hands its part to the next stage, which gathers them (SC'21, section 4.1).
    Scattered,
    /// Reduce-scatter and all-gather, norms on parts of the sequence (Korthikanti et al. 2022); what is gathered is
    /// gathered again in the backward pass.
    Sequence,
    /// The same, and what is gathered is kept.
    SequenceKept,
}

impl Exchange {
    /// Says whether norms are split over tensor-parallel ranks.
    pub fn splits_norms(self) -> bool {
        matches!(self, Self::Sequence | Self::SequenceKept)
    }

    /// Says whether each rank hands only its part to the next stage.
    pub fn hands_parts(self) -> bool {
        self != Self::AllReduce
    }
}

/// How tensor-parallel exchange runs beside matrix multiplications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Not at all: all of it shows.
    Nothing,
    /// From rank to rank around a ring, a part per rank: the first part always shows.
    Ring,
    /// In four parts (the default of Transformer Engine).
    Pipelined,
}

/// Which links a group of ranks talks over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The fast links as far as they reach, with tensor-parallel ranks nearest to each other.
    Nearest,
    /// The network of the nodes.
    Network,
}

/// The links of every group of ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Links {
    /// Ranks that split every layer.
    pub tensor: Link,
    /// Stages.
    pub pipeline: Link,
    /// Data-parallel ranks.
    pub data: Link,
}

impl Links {
    /// Every group as near as it can be.
    pub const NEAREST: Self = Self { tensor: Link::Nearest, pipeline: Link::Nearest, data: Link::Nearest };
}

/// Adapters of low rank on every linear layer, the rest frozen (LoRA, arXiv 2106.09685).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adapters {
    /// Rank.
    pub rank: u32,
    /// Precision of the frozen weights: 4 bits is QLoRA (arXiv 2305.14314). Embeddings and head stay in 16.
    pub frozen: Precision,
}

/// Whether layers are computed twice to save memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recompute {
    /// As many as it takes to fit.
    AsNeeded,
    /// None, or only attention scores.
    Selective,
    /// Attention. Fused kernels compute scores twice anyway, so that this frees nothing there.
    Attention,
    /// All.
    Full,
}

/// A way to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Method {
    /// Ranks that split each sequence.
    pub context: u32,
    /// What is sharded.
    pub sharding: Sharding,
    /// Whether only adapters are trained (LoRA).
    pub adapters: bool,
    /// The adapters, where their own size counts; without, frozen weights take what the math reads.
    pub low_rank: Option<Adapters>,
    /// What lies in the host's memory.
    pub offload: Offload,
    /// Bytes of one gradient: 2, or 4 where they are summed in 32 bits.
    pub gradient_bytes: f64,
    /// What is computed twice.
    pub recompute: Recompute,
    /// Whether the software is that of 2021 and 2022: attention in separate kernels, communication not hidden.
    pub early: bool,
    /// How tensor-parallel ranks exchange activations.
    pub exchange: Exchange,
    /// What of it runs beside compute.
    pub overlap: Overlap,
    /// Whether gradients and weights are exchanged while other layers compute.
    pub data_overlap: bool,
    /// Which links groups of ranks talk over.
    pub links: Links,
    /// Age of the software: years after July 2024; `None` where releases do not matter.
    pub years: Option<f64>,
    /// Whether expert kernels are those of releases since mid 2026.
    pub recent_experts: bool,
}

impl Default for Method {
    fn default() -> Self {
        Self {
            context: 1,
            sharding: Sharding::Optimizer,
            adapters: false,
            low_rank: None,
            offload: Offload::NOTHING,
            gradient_bytes: 2.0,
            recompute: Recompute::AsNeeded,
            early: false,
            exchange: Exchange::Sequence,
            overlap: Overlap::Pipelined,
            data_overlap: true,
            links: Links::NEAREST,
            years: None,
            recent_experts: true,
        }
    }
}

/// The release that the coefficients describe: January 2026, in years after July 2024.
const REFERENCE: f64 = 1.5;

impl Method {
    /// Says whether no rank holds all weights, so that layers are gathered.
    pub fn shards_weights(&self) -> bool {
        matches!(self.sharding, Sharding::Everything | Sharding::EverythingOf2021)
    }

    /// Returns the factor that the release has on the time of a micro-batch.
    pub fn release(&self, factors: &Coefficients, accelerator: &str, mixture: bool) -> f64 {
        let Some(years) = self.years.filter(|_| !mixture) else { return 1.0 };
        let blackwell = is_blackwell(accelerator);
        let trend = if blackwell { factors.training_trend_blackwell } else { factors.training_trend };
        libm::exp(-trend * (years - REFERENCE))
    }
}
