//! Factors that turn stand-alone kernel times into the time of a step inside an engine.
//!
//! Each has a prior here; rows `coefficient` of the catalog, which `capstan fit` writes, say what measurements made of
//! it. Priors are tight: kernels are measured, and a factor that a few cells pull far away describes those cells only.
//! What is set by judgement and never fitted is a constant.

use capstan_types::catalog::{Catalog, Engine, EngineFamily};
use capstan_types::hardware::Precision;

/// Share of memory bandwidth at which the state of linear attention is read and written (set by judgement).
pub const STATE_MEMORY: f64 = 0.6;
/// Bytes of one value of that state: 32 bits (`mamba_ssm_dtype` of published configurations).
pub const STATE_BYTES: f64 = 4.0;
/// Share of memory bandwidth of element-wise work (set by judgement).
pub const ELEMENTWISE_MEMORY: f64 = 0.7;
/// Share of memory bandwidth of the reads and writes around prefill attention (middle of 0.3–0.6, by judgement).
pub const PREFILL_MEMORY: f64 = 0.45;
/// Share of memory bandwidth of latent decode attention (set by judgement).
pub const LATENT_MEMORY: f64 = 0.8;
/// Share of the 16-bit peak of latent decode attention (set by judgement).
pub const LATENT_COMPUTE: f64 = 0.45;
/// The same of decode attention whose query heads share keys: shares of the bandwidth fall from 0.81 with four query heads
/// per key to 0.62 with sixteen over an 8-bit cache of H100, from 0.65 to 0.55 on B200, from 0.55 to 0.45 over 16 bits on
/// A100. One share explains the three within a few per cent.
pub const SHARED_COMPUTE: f64 = 0.12;
/// Time that each stage beyond the first adds to a pipeline, as a share of the ideal: 0.90 of the rate with two stages,
/// 0.75 with four, 0.56 with eight (published maximum throughput of one model on one to eight cards).
pub const STAGE: f64 = 0.11;
/// Latency of handing activations to the next stage, in microseconds (NCCL send and receive, by judgement).
pub const STAGE_HANDOVER_US: f64 = 10.0;
/// Steps that imbalance between ranks costs grouped experts: q = 1 + this · skew · (1 − 1/e).
pub const EXPERT_SKEW: f64 = 1.01;

macro_rules! coefficients {
    ($($(#[$words:meta])* $name:ident: $prior:literal within $spread:literal,)*) => {
        /// Every fitted factor, by name.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct Coefficients {
            $($(#[$words])* pub $name: f64,)*
        }

        impl Default for Coefficients {
            fn default() -> Self {
                Self { $($name: $prior,)* }
            }
        }

        /// Names, priors, and standard deviations of the logarithm around them.
        pub const PRIORS: &[(&str, f64, f64)] = &[$((stringify!($name), $prior, $spread),)*];

        impl Coefficients {
            /// Returns the number of a name.
            pub fn value(&self, name: &str) -> Option<f64> {
                match name {
                    $(stringify!($name) => Some(self.$name),)*
                    _ => None,
                }
            }

            /// Returns the place of a name, `None` where there is none of that name.
            fn place(&mut self, name: &str) -> Option<&mut f64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

coefficients! {
    /// Time between two kernels of a step that no kernel accounts for, in microseconds per matrix multiplication.
    call_us: 3.2 within 0.15,
    /// Additional time of a layer with experts (routing, permutation), in microseconds.
    expert_layer_us: 14.8 within 0.25,
    /// Additional time of a layer with latent attention, in microseconds.
    latent_layer_us: 11.3 within 0.3,
    /// Additional time of a layer with linear attention, in microseconds.
    linear_layer_us: 16.4 within 0.3,
    /// Factor on the fixed time of a decode-attention call: part of it overlaps with the kernel before.
    decode_call: 0.80 within 0.1,
    /// Factor on the time that reading the cache takes.
    kv_slope: 0.97 within 0.08,
    /// The same with a cache in 8 bits, of which kernel tables and engines use different kernels.
    kv_slope_8bit: 0.97 within 0.12,
    /// The same for latent attention.
    latent_slope: 1.03 within 0.1,
    /// Factor on prefill attention.
    prefill_attention: 0.96 within 0.1,
    /// Factor on all-reduce.
    all_reduce: 1.12 within 0.12,
    /// Factor on element-wise work.
    elementwise: 0.91 within 0.15,
    /// Factor on matrix multiplications in 16 bits (4-bit integers are widened to them).
    gemm_16bit: 0.95 within 0.06,
    /// The same in 8 bits with one scale per tensor or row.
    gemm_fp8: 1.03 within 0.06,
    /// The same with one scale per block.
    gemm_fp8_block: 1.05 within 0.06,
    /// The same in 4 bits.
    gemm_nvfp4: 0.91 within 0.06,
    /// Factor on grouped experts in 16 or 8 bits.
    experts_wide: 1.00 within 0.08,
    /// The same in NVIDIA's 4 bits.
    experts_nvfp4: 1.00 within 0.12,
    /// The same in microscaled 4 bits.
    experts_mxfp4: 0.79 within 0.2,
    /// The same in 4-bit integers.
    experts_int4: 1.70 within 0.3,
    /// Factor on device time on Blackwell: engines lose less between kernels than the tables of those chips say.
    device_blackwell: 0.92 within 0.04,
    /// The same on H200.
    device_h200: 1.04 within 0.04,
    /// Steps between a token and its delivery on Blackwell, per engine; the engine's own row has those of Hopper.
    vllm_delivery_blackwell: 1.7 within 1.0,
    /// The same of SGLang.
    sglang_delivery_blackwell: 30.5 within 1.0,
    /// The same of TensorRT-LLM with a mixture of experts, on any chip: its launch scripts hand tokens on ten at a time.
    trtllm_delivery_mixture: 9.0 within 0.7,
    /// At an unlimited rate: factor on the time of prompts, which share steps with decodes.
    throughput_prefill: 0.88 within 0.1,
    /// Time per layer that no kernel accounts for there, in microseconds.
    throughput_layer_us: 9.6 within 0.2,
    /// Host time per sequence there, in microseconds.
    throughput_sequence_us: 5.5 within 0.3,
    /// Sequences that run at once there, at most.
    throughput_sequences: 2780.0 within 0.3,
    /// Bytes held back per device there.
    throughput_reserved: 7.2e9 within 0.2,
    /// Time there by accelerator, against H100.
    throughput_a100_sxm: 0.9 within 0.1,
    /// The same of A100 with a PCIe socket.
    throughput_a100_pcie: 1.0 within 0.1,
    /// The same of H200.
    throughput_h200: 0.97 within 0.06,
    /// The same of Blackwell.
    throughput_blackwell: 1.1 within 0.1,
    /// The same of L40S.
    throughput_l40s: 1.0 within 0.1,
    /// The same of RTX PRO 6000, for which no kernel table exists.
    throughput_workstation: 1.0 within 0.1,
    /// Factor there on matrix multiplications in 16 bits.
    throughput_gemm_16bit: 1.0 within 0.1,
    /// Factor there on reading a cache in 8 bits: the engine has kernels of its own.
    throughput_kv_8bit: 0.85 within 0.12,
    /// Time there with release 0.9, against 0.14.
    release_0_9: 1.0 within 0.06,
    /// The same with release 0.20.
    release_0_20: 1.0 within 0.06,
    /// The same with release 1.0.
    release_1_0: 1.0 within 0.06,
    /// The same with later releases.
    release_1_1: 1.0 within 0.06,
    /// Time of steps in MLPerf submissions of the chip's maker, who tunes each.
    mlperf_tuned: 0.85 within 0.1,
    /// Training: speed of Ampere's linear layers within a step, against its kernels alone.
    training_ampere: 0.92 within 0.15,
    /// The same of Hopper.
    training_hopper: 0.92 within 0.15,
    /// The same of Blackwell.
    training_blackwell: 0.92 within 0.15,
    /// The same of MI300 and its like.
    training_cdna3: 0.85 within 0.2,
    /// The same of one scale per tensor in 8 bits on Hopper.
    training_fp8_hopper: 1.0 within 0.1,
    /// The same on other chips.
    training_fp8: 1.0 within 0.12,
    /// The same of one scale per block.
    training_fp8_block: 1.0 within 0.12,
    /// The same of 4 bits.
    training_nvfp4: 1.0 within 0.2,
    /// Speed of B200 against its chip.
    training_b200: 1.0 within 0.05,
    /// The same of GB300, which runs at a higher power limit.
    training_gb300: 1.05 within 0.08,
    /// Exposed share of tensor-parallel communication that overlaps with compute.
    training_tensor_exposed: 0.3 within 0.6,
    /// The same with the software of 2021 and 2022: above 1, kernels wait for each other.
    training_tensor_exposed_early: 1.2 within 0.4,
    /// Slowdown per doubling of accelerators beyond eight: the slowest of many sets the pace.
    training_straggler: 0.004 within 0.8,
    /// Share of the last stage's extra work that shows in every micro-batch.
    training_imbalance: 0.6 within 0.5,
    /// Factor on memory-bound softmax of attention in separate kernels.
    training_softmax: 1.0 within 0.4,
    /// How much more than the bytes at the full rate of its own network card a rank waited with ZeRO-3 of 2021.
    training_gather_2021: 1.6 within 0.5,
    /// Speed-up per year of releases on Blackwell.
    training_trend_blackwell: 0.08 within 0.6,
    /// The same on everything older.
    training_trend: 0.02 within 1.0,
    /// Mixtures of experts: speed of expert kernels at large shapes.
    training_experts: 1.0 within 0.3,
    /// Their speed of the shape loss.
    training_experts_shape: 0.3 within 0.5,
    /// Share of the network's rate that all-to-all takes.
    training_experts_network: 1.0 within 0.3,
    /// Host time per layer with experts and micro-batch, in milliseconds; the device hides it where it takes longer.
    training_experts_layer_ms: 5.0 within 0.5,
    /// Time of experts, permutation and all-to-all of transformers with releases since mid 2026, against earlier ones.
    training_experts_release: 0.8 within 0.2,
}

impl Coefficients {
    /// Returns the priors with what `catalog` says about them; names that this version does not know are ignored.
    pub fn of(catalog: &Catalog) -> Self {
        let mut all = Self::default();
        for row in &catalog.coefficients {
            if let Some(place) = all.place(&row.name).filter(|_| row.value.is_finite() && row.value > 0.0) {
                *place = row.value;
            }
        }
        all
    }

    /// Returns the factor on matrix multiplications of a precision.
    pub fn gemm(&self, precision: Precision) -> f64 {
        match precision {
            Precision::Fp16 | Precision::Bf16 | Precision::Int4 => self.gemm_16bit,
            Precision::Fp8 | Precision::Int8 => self.gemm_fp8,
            Precision::Fp8Block | Precision::Mxfp4 => self.gemm_fp8_block,
            Precision::Nvfp4 => self.gemm_nvfp4,
        }
    }

    /// Returns the factor on grouped experts of a precision.
    pub fn experts(&self, precision: Precision) -> f64 {
        match precision {
            Precision::Nvfp4 => self.experts_nvfp4,
            Precision::Mxfp4 => self.experts_mxfp4,
            Precision::Int4 => self.experts_int4,
            _ => self.experts_wide,
        }
    }

    /// Returns the factor on the device time of a step by accelerator.
    pub fn device(&self, accelerator: &str) -> f64 {
        if is_blackwell(accelerator) {
            self.device_blackwell
        } else if accelerator.starts_with("h200") {
            self.device_h200
        } else {
            1.0
        }
    }

    /// Returns the steps after which a token reaches the client: the stream or poll interval.
    pub fn delivery_steps(&self, engine: &Engine, accelerator: &str, mixture: bool) -> f64 {
        match engine.family {
            EngineFamily::Vllm if is_blackwell(accelerator) => self.vllm_delivery_blackwell,
            EngineFamily::Sglang if is_blackwell(accelerator) => self.sglang_delivery_blackwell,
            EngineFamily::TensorRtLlm if mixture => self.trtllm_delivery_mixture,
            _ => engine.delivery_steps,
        }
    }
}

impl Coefficients {
    /// Returns the factors of steps at an unlimited request rate.
    #[must_use]
    pub fn flat_out(&self) -> Self {
        Self {
            kv_slope_8bit: self.kv_slope_8bit * self.throughput_kv_8bit,
            gemm_16bit: self.gemm_16bit * self.throughput_gemm_16bit,
            ..*self
        }
    }

    /// Returns the factor on time at an unlimited request rate: of the accelerator, times that of the release.
    pub fn throughput(&self, accelerator: &str, release: &str) -> f64 {
        let device = match accelerator {
            id if id.starts_with("a100_sxm") => self.throughput_a100_sxm,
            id if id.starts_with("a100_pcie") => self.throughput_a100_pcie,
            id if id.starts_with("h200") => self.throughput_h200,
            id if is_blackwell(id) => self.throughput_blackwell,
            id if id.starts_with("l40s") => self.throughput_l40s,
            id if id.starts_with("rtx_pro") => self.throughput_workstation,
            _ => 1.0,
        };
        let version = match release {
            "0.9" => self.release_0_9,
            "0.20" => self.release_0_20,
            "1.0" => self.release_1_0,
            later if later.starts_with("1.") => self.release_1_1,
            _ => 1.0,
        };
        device * version
    }
}

/// Says whether a chip is of NVIDIA's Blackwell generation, as catalog names begin.
pub fn is_blackwell(accelerator: &str) -> bool {
    ["b200", "b300", "gb200", "gb300"].iter().any(|prefix| accelerator.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::catalog::Coefficient;
    use capstan_types::origin::Origin;
    use capstan_types::testing;

    #[test]
    fn a_row_of_the_catalog_replaces_a_prior() {
        let mut catalog = testing::catalog();
        assert_eq!(Coefficients::of(&catalog), Coefficients::default());
        for (name, value) in [("all_reduce", 1.3), ("of_another_version", 9.0)] {
            catalog.coefficients.push(Coefficient {
                name: name.to_owned(),
                value,
                cells: 4,
                origin: Origin::Measured,
                provenance: testing::provenance(),
            });
        }
        let all = Coefficients::of(&catalog);
        assert_eq!(all, Coefficients { all_reduce: 1.3, ..Coefficients::default() });
    }

    #[test]
    fn every_prior_has_its_place() {
        let mut all = Coefficients::default();
        for (name, prior, spread) in PRIORS {
            assert_eq!(all.place(name).copied(), Some(*prior), "{name}");
            assert!(*spread > 0.0 && *prior > 0.0, "{name}");
        }
    }
}
