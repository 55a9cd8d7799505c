//! How a job trains beside its layout: what is trained, what is sharded, what is computed twice, with which software.

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

/// Which states lie in the memory of the host and cross its bus in every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offload {
    /// None.
    Nothing,
    /// Optimizer states.
    Optimizer,
    /// Optimizer states and weights: only the layers that compute are on the device.
    Everything,
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
    /// Whether norms are split over tensor-parallel ranks.
    pub sequence_parallel: bool,
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
            offload: Offload::Nothing,
            gradient_bytes: 2.0,
            recompute: Recompute::AsNeeded,
            early: false,
            sequence_parallel: true,
            years: None,
            recent_experts: true,
        }
    }
}

/// Speed-up per year of releases on Blackwell, and on everything older (fitted on ten releases of one framework).
const TREND_BLACKWELL: f64 = 0.123;
const TREND: f64 = 0.022;
/// The release that the coefficients describe: January 2026, in years after July 2024.
const REFERENCE: f64 = 1.5;

impl Method {
    /// Says whether no rank holds all weights, so that layers are gathered.
    pub fn shards_weights(&self) -> bool {
        matches!(self.sharding, Sharding::Everything | Sharding::EverythingOf2021)
    }

    /// Returns the factor that the release has on the time of a micro-batch.
    pub fn release(&self, accelerator: &str, mixture: bool) -> f64 {
        let Some(years) = self.years.filter(|_| !mixture) else { return 1.0 };
        let blackwell = ["b200", "b300", "gb200", "gb300"].iter().any(|name| accelerator.starts_with(name));
        let trend = if blackwell { TREND_BLACKWELL } else { TREND };
        libm::exp(-trend * (years - REFERENCE))
    }
}
