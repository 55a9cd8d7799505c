//! How a job trains beside its layout: what is trained, what is sharded, what is computed twice, with which software.

/// Which states every data-parallel rank holds a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharding {
    /// Optimizer states.
    Optimizer,
    /// Weights, gradients and optimizer states, gathered layer by layer and hidden behind compute (FSDP).
    Everything,
    /// The same as published in 2021 (ZeRO-3), when gathering was hardly hidden.
    EverythingOf2021,
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
    /// Returns the factor that the release has on the time of a micro-batch.
    pub fn release(&self, accelerator: &str, mixture: bool) -> f64 {
        let Some(years) = self.years.filter(|_| !mixture) else { return 1.0 };
        let blackwell = ["b200", "b300", "gb200", "gb300"].iter().any(|name| accelerator.starts_with(name));
        let trend = if blackwell { TREND_BLACKWELL } else { TREND };
        libm::exp(-trend * (years - REFERENCE))
    }
}
