//! Factors that turn stand-alone kernel times into the time of a step inside an engine.
//!
//! Fitted on 811 published serving measurements with tight priors around kernel tables; leaving a
//! (model, accelerator, engine) cell out moves most of them by 1–3 %. Factors that one cell alone
//! determines are marked; they count as assumed.

use capstan_types::hardware::Precision;

/// Time between two kernels of a step that no kernel accounts for, in microseconds per matrix multiplication.
pub const CALL_US: f64 = 3.2;
/// Additional time of a layer with experts (routing, permutation), in microseconds.
pub const EXPERT_LAYER_US: f64 = 14.8;
/// Additional time of a layer with latent attention, in microseconds.
pub const LATENT_LAYER_US: f64 = 11.3;
/// Additional time of a layer with linear attention, in microseconds (fitted on one cell).
pub const LINEAR_LAYER_US: f64 = 16.4;
/// Share of memory bandwidth at which the state of linear attention is read and written (set by judgement).
pub const STATE_MEMORY: f64 = 0.6;
/// Bytes of one value of that state: 32 bits (`mamba_ssm_dtype` of published configurations).
pub const STATE_BYTES: f64 = 4.0;
/// Factor on the fixed time of a decode-attention call: part of it overlaps with the kernel before.
pub const DECODE_CALL: f64 = 0.80;
/// Factor on the time that reading the cache takes.
pub const KV_SLOPE: f64 = 0.97;
/// The same for latent attention.
pub const LATENT_SLOPE: f64 = 1.03;
/// Factor on prefill attention.
pub const PREFILL_ATTENTION: f64 = 0.96;
/// Factor on all-reduce.
pub const ALL_REDUCE: f64 = 1.12;
/// Factor on element-wise work.
pub const ELEMENTWISE: f64 = 0.91;
/// Share of memory bandwidth of element-wise work (set by judgement).
pub const ELEMENTWISE_MEMORY: f64 = 0.7;
/// Share of memory bandwidth of the reads and writes around prefill attention (middle of 0.3–0.6, by judgement).
pub const PREFILL_MEMORY: f64 = 0.45;
/// Share of memory bandwidth of latent decode attention (set by judgement).
pub const LATENT_MEMORY: f64 = 0.8;
/// Share of the 16-bit peak of latent decode attention (set by judgement).
pub const LATENT_COMPUTE: f64 = 0.45;
/// Throughput that a pipeline of stages keeps of the ideal (fitted on published maximum throughput).
pub const PIPELINE: f64 = 0.90;
/// Latency of handing activations to the next stage, in microseconds (NCCL send and receive, by judgement).
pub const STAGE_HANDOVER_US: f64 = 10.0;
/// Steps that imbalance between ranks costs grouped experts: q = 1 + this · skew · (1 − 1/e).
pub const EXPERT_SKEW: f64 = 1.01;

/// Returns the factor on matrix multiplications of a precision.
pub fn gemm_factor(precision: Precision) -> f64 {
    match precision {
        Precision::Fp16 | Precision::Bf16 | Precision::Int4 => 0.95,
        Precision::Fp8 | Precision::Int8 => 1.03,
        Precision::Fp8Block | Precision::Mxfp4 => 1.05,
        Precision::Nvfp4 => 0.91,
    }
}

/// Returns the factor on grouped experts of a precision. `mxfp4` and `int4` rest on few cells.
pub fn expert_factor(precision: Precision) -> f64 {
    match precision {
        Precision::Mxfp4 => 0.79,
        Precision::Int4 => 1.70,
        _ => 1.00,
    }
}

/// Returns the factor on the device time of a step by accelerator: engines lose less between kernels on
/// Blackwell and more on H200 than the kernel tables of those chips say.
pub fn device_factor(accelerator: &str) -> f64 {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| accelerator.starts_with(prefix));
    if starts(&["b200", "b300", "gb200", "gb300"]) {
        0.92
    } else if starts(&["h200"]) {
        1.04
    } else {
        1.0
    }
}
