//! Fitted speeds of training kernels by chip architecture, and the factors between kernels and steps.
//!
//! Kernel constants come from kernel tables (rows ≥ 1,024, widths ≥ 512); factors between kernels and steps are fitted
//! to published training runs with tight priors (the names `training_…` of [`Coefficients`]). Chips that nobody trained on use the best published matrix rate, or 0.60 of
//! the peak, with the shape loss of Ampere; origin Assumed.

use crate::perf::coefficients::Coefficients;
use capstan_types::hardware::{Accelerator, Precision};
use capstan_types::origin::Origin;

/// Share of memory bandwidth of memory-bound work (set by judgement).
pub const MEMORY: f64 = 0.85;
/// Exposed share of tensor-parallel communication with adapters, whose short steps hide nothing (set by judgement).
pub const TENSOR_EXPOSED_ADAPTERS: f64 = 1.0;
/// Exposed share of the exchange of keys and values between context-parallel ranks (set by judgement).
pub const CONTEXT_EXPOSED: f64 = 0.3;
/// Exposed share of gathering weights layer by layer, even where it fits behind compute (set by judgement).
pub const GATHER_EXPOSED: f64 = 0.1;
/// Steps with adapters take this much longer than their parts (set by judgement).
pub const ADAPTERS: f64 = 1.05;
/// Share of a recomputed layer that shows with adapters (set by judgement).
pub const RECOMPUTE_ADAPTERS: f64 = 0.45;
/// Exposed share of hand-over between stages (set by judgement).
pub const PIPELINE_EXPOSED: f64 = 0.2;
/// Exposed share of data-parallel communication even where it would fit behind compute (set by judgement).
pub const DATA_EXPOSED: f64 = 0.3;
/// Share of a recomputed layer's forward pass that shows (set by judgement).
pub const RECOMPUTE: f64 = 0.4;
/// Host time per layer of a stage and micro-batch, in seconds (set by judgement).
pub const LAYER_S: f64 = 30e-6;
/// Exposed share of traffic with the host's memory, even where it fits behind compute (set by judgement).
pub const HOST_EXPOSED: f64 = 0.1;
/// Bytes per second of a host's memory for one accelerator: 400 GB/s over eight (set by judgement).
pub const HOST_MEMORY: f64 = 50e9;
/// Fixed time per step, in seconds (set by judgement).
pub const STEP_S: f64 = 0.02;
/// Bytes that the optimizer reads and writes per parameter that a rank holds.
pub const OPTIMIZER_BYTES: f64 = 28.0;
/// Forward and backward of fused attention over forward alone.
pub const ATTENTION_PASSES: f64 = 3.5;
/// Sustained share of the attention kernel's rate within a step.
pub const ATTENTION: f64 = 0.85;
/// The same for heads of 64 and less.
pub const SMALL_HEAD: f64 = 0.65;
/// Tokens of a chunk in which recurrent layers scan a sequence.
pub const SCAN_CHUNK: f64 = 256.0;
/// Rate of that scan against attention. On A100 the two take equally long over 2,048 tokens (Mamba-2, arXiv 2405.21060,
/// figure 10: 2.2 MFLOP per token against 8.4), which is 0.26; since then attention kernels have become four (Hopper) to
/// eight times (Blackwell) as fast, memory two to four times, which leaves 0.11 to 0.13 on all that such models are trained on.
pub const SCAN: f64 = 0.13;
/// Rows at which an expert kernel loses half.
pub const EXPERT_SHAPE: f64 = 470.0;
/// Exposed share of all-to-all within a domain.
pub const ALL_TO_ALL: f64 = 0.3;

/// Speeds of one chip at one precision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kernels {
    /// Peak of the precision in FLOP/s.
    pub peak: f64,
    /// 16-bit peak in FLOP/s.
    pub peak_16bit: f64,
    /// Share of the peak that linear layers reach at large shapes, all factors included.
    pub linear: f64,
    /// Shape loss of linear layers.
    pub shape: f64,
    /// The same of the output head, always in 16 bits.
    pub head: f64,
    /// Its shape loss.
    pub head_shape: f64,
    /// Attention, causal half counted, in FLOP/s.
    pub attention: f64,
    /// Memory-bound bytes per second.
    pub memory: f64,
    /// Whether linear layers run below 16 bits and cast.
    pub casts: bool,
    /// How the numbers came to be.
    pub origin: Origin,
}

/// One architecture: (ε, d₀) by precision class, attention rate at a reference peak, factors between kernels and steps.
struct Architecture {
    bf16: (f64, f64),
    fp8: Option<(f64, f64)>,
    block: Option<(f64, f64)>,
    fp4: Option<(f64, f64)>,
    attention: (f64, f64),
    factor: fn(&Coefficients) -> f64,
    factor_fp8: fn(&Coefficients) -> f64,
}

const AMPERE: Architecture = Architecture {
    bf16: (0.88, 80.0),
    fp8: None,
    block: None,
    fp4: None,
    attention: (140e12, 312e12),
    factor: |factors| factors.training_ampere,
    factor_fp8: |factors| factors.training_fp8,
};
const HOPPER: Architecture = Architecture {
    bf16: (0.80, 45.0),
    fp8: Some((0.72, 460.0)),
    block: Some((0.69, 645.0)),
    fp4: None,
    attention: (530e12, 989e12),
    factor: |factors| factors.training_hopper,
    factor_fp8: |factors| factors.training_fp8_hopper,
};
const BLACKWELL: Architecture = Architecture {
    bf16: (0.68, 32.0),
    fp8: Some((0.62, 420.0)),
    block: Some((0.70, 470.0)),
    fp4: Some((0.51, 840.0)),
    attention: (1150e12, 2250e12),
    factor: |factors| factors.training_blackwell,
    factor_fp8: |factors| factors.training_fp8,
};
const CDNA3: Architecture = Architecture {
    bf16: (0.51, 45.0),
    fp8: Some((0.50, 450.0)),
    block: None,
    fp4: None,
    attention: (500e12, 1307e12),
    factor: |factors| factors.training_cdna3,
    factor_fp8: |factors| factors.training_fp8,
};

fn architecture(id: &str) -> Option<&'static Architecture> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| id.starts_with(prefix));
    if starts(&["a100", "a800"]) {
        Some(&AMPERE)
    } else if starts(&["h100", "h200", "h800", "gh200"]) {
        Some(&HOPPER)
    } else if starts(&["b200", "b300", "gb200", "gb300"]) {
        Some(&BLACKWELL)
    } else if starts(&["mi300", "mi325", "mi355"]) {
        Some(&CDNA3)
    } else {
        None
    }
}

/// Returns the factor of a device beside its architecture.
fn device_factor(factors: &Coefficients, id: &str) -> f64 {
    match id {
        id if id.starts_with("gb300") => factors.training_gb300,
        id if id.starts_with("b200") => factors.training_b200,
        _ => 1.0,
    }
}

impl Kernels {
    /// Returns the speeds of `accelerator` at `precision`; `None` where it does not compute in it.
    pub fn of(factors: &Coefficients, accelerator: &Accelerator, precision: Precision) -> Option<Self> {
        let peak = accelerator.peak(precision)?.get();
        let peak_16bit = accelerator.peak(accelerator.sixteen())?.get();
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let memory = accelerator.memory_bandwidth.get() * MEMORY;
        if !(positive(peak) && positive(peak_16bit) && positive(memory)) {
            return None;
        }
        let casts = precision.math() != Precision::Bf16;
        let common = Self::assumed(accelerator, precision, (peak, peak_16bit), memory, casts);
        Some(match architecture(&accelerator.id) {
            Some(known) => common.with(known, factors, &accelerator.id, precision),
            None => common,
        })
    }

    fn assumed(
        accelerator: &Accelerator,
        precision: Precision,
        (peak, peak_16bit): (f64, f64),
        memory: f64,
        casts: bool,
    ) -> Self {
        let best = |p: Precision, peak: f64| {
            accelerator
                .achievable
                .get(&accelerator.math_of(p))
                .map_or(0.60, |rate| (rate.get() / peak).clamp(0.05, 1.0))
        };
        Self {
            peak,
            peak_16bit,
            linear: best(precision, peak) * 0.85,
            shape: if casts { 460.0 } else { 80.0 },
            head: best(accelerator.sixteen(), peak_16bit) * 0.85,
            head_shape: 80.0,
            attention: 0.40 * peak_16bit * ATTENTION,
            memory,
            casts,
            origin: Origin::Assumed,
        }
    }

    /// Replaces what is fitted for an architecture.
    fn with(self, known: &Architecture, factors: &Coefficients, id: &str, precision: Precision) -> Self {
        let (device, factor) = (device_factor(factors, id), (known.factor)(factors));
        let row = match precision {
            Precision::Fp8 | Precision::Int8 => known.fp8.map(|row| (row, (known.factor_fp8)(factors))),
            Precision::Fp8Block | Precision::Mxfp4 => {
                known.block.or(known.fp8).map(|row| (row, factors.training_fp8_block))
            }
            Precision::Nvfp4 => known.fp4.map(|row| (row, factors.training_nvfp4)),
            Precision::Fp16 | Precision::Bf16 | Precision::Int4 => Some((known.bf16, 1.0)),
        };
        let ((linear, shape), origin) = match row {
            Some(((share, shape), by_precision)) => {
                ((share * by_precision * factor * device, shape), Origin::Analytic)
            }
            None => ((self.linear, self.shape), Origin::Assumed),
        };
        Self {
            linear,
            shape,
            head: known.bf16.0 * factor * device,
            head_shape: known.bf16.1,
            attention: known.attention.0 * (self.peak_16bit / known.attention.1) * ATTENTION * device,
            origin,
            ..self
        }
    }

    /// Returns the seconds of one m × k by k × n product of a linear layer.
    pub fn linear_s(&self, m: f64, n: f64, k: f64) -> f64 {
        let loss = 1.0 + self.shape * (1.0 / m + 1.0 / n + 1.0 / k);
        2.0 * m * n * k / (self.peak * self.linear.min(1.0)) * loss
    }

    /// The same for the output head, in 16 bits.
    pub fn head_s(&self, m: f64, n: f64, k: f64) -> f64 {
        let loss = 1.0 + self.head_shape * (1.0 / m + 1.0 / n + 1.0 / k);
        2.0 * m * n * k / (self.peak_16bit * self.head.min(1.0)) * loss
    }
}
