//! The speed of one accelerator: catalog rows resolved per precision, and what stands in where nobody measured.
//!
//! Fallbacks (origin Assumed): matrix multiplications reach the best published rate of the chip over its peak,
//! or 0.60 where none is published (0.50 in 8 bits, 0.40 in 4), and 0.75 of the memory bandwidth, cards on the host bus,
//! whose memory is GDDR, 0.88; decode attention 0.60 of the bandwidth, such cards 0.75; prefill attention 0.45 of the
//! 16-bit peak; links 0.70 of their rate. Each is at or below what measured chips reach, so an unmeasured accelerator is
//! not flattered.

use super::coefficients::Coefficients;
use super::rejection::Reason;
use capstan_types::catalog::Catalog;
use capstan_types::hardware::{Accelerator, Precision, ScaleUpKind};
use capstan_types::origin::Origin;
use std::collections::BTreeMap;

/// Time of a matrix multiplication as a function of its shape; see
/// [`GemmEfficiency`](capstan_types::catalog::GemmEfficiency) for the formula.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GemmCurve {
    /// Fixed time per call, in microseconds.
    pub t0_us: f64,
    /// Share of the peak.
    pub compute: f64,
    /// Share of the bandwidth.
    pub memory: f64,
    /// Exponent that joins both.
    pub p: f64,
    /// Rows at which compute efficiency halves.
    pub half_m: f64,
    /// Millions of weights at which memory efficiency halves.
    pub half_nk_m: f64,
    /// Peak, in FLOP per microsecond.
    pub peak: f64,
    /// Bytes per weight.
    pub weight_bytes: f64,
    /// Bytes per activation.
    pub activation_bytes: f64,
    /// How the numbers came to be.
    pub origin: Origin,
}

/// Time of grouped experts; see [`ExpertEfficiency`](capstan_types::catalog::ExpertEfficiency).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpertCurve {
    /// Fixed time per call, in microseconds.
    pub t0_us: f64,
    /// Time per distinct expert, in microseconds.
    pub per_expert_us: f64,
    /// Share of the peak.
    pub compute: f64,
    /// Share of the bandwidth.
    pub memory: f64,
    /// Exponent that joins both.
    pub p: f64,
    /// Rows lost per expert.
    pub tile: f64,
    /// Share of the bandwidth for activations.
    pub activation: f64,
    /// Uneven load over ranks.
    pub skew: f64,
    /// Peak, in FLOP per microsecond.
    pub peak: f64,
    /// Bytes per weight.
    pub weight_bytes: f64,
    /// Bytes per activation.
    pub activation_bytes: f64,
    /// How the numbers came to be.
    pub origin: Origin,
}

/// Speed of attention kernels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionCurve {
    /// Fixed time of a decode call, in microseconds.
    pub decode_t0_us: f64,
    /// Share of the bandwidth with a 16-bit cache.
    pub decode_16bit: f64,
    /// The same with an 8-bit cache.
    pub decode_8bit: f64,
    /// The same with an 8-bit cache of which each query head has its own.
    pub decode_8bit_single: f64,
    /// Share of the 16-bit peak of prefill.
    pub prefill: f64,
    /// The same for small heads.
    pub prefill_small_head: f64,
    /// Context at which prefill efficiency halves.
    pub half_context: f64,
    /// How the numbers came to be.
    pub origin: Origin,
}

/// Time of an all-reduce among the ranks of a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CollectiveCurve {
    /// Latency of two ranks, in microseconds.
    pub latency_us: f64,
    /// How latency grows with ranks.
    pub exponent: f64,
    /// Share of the link rate.
    pub efficiency: f64,
    /// Square-root term.
    pub root: f64,
    /// How the share of the link rate and the square-root term grow with ranks beyond two.
    pub growth: (f64, f64),
    /// Whether the ranks are joined by the host bus.
    pub bus: bool,
    /// Link rate per direction, in bytes per microsecond.
    pub link: f64,
    /// How the numbers came to be.
    pub origin: Origin,
}

/// One accelerator with every coefficient that a step needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Catalog name.
    pub id: String,
    /// Memory bandwidth, in bytes per microsecond.
    pub bandwidth: f64,
    /// 16-bit peak, in FLOP per microsecond.
    pub peak_16bit: f64,
    /// Matrix multiplication by weight precision, for every precision that the chip computes in.
    pub gemm: BTreeMap<Precision, GemmCurve>,
    /// Experts by weight precision.
    pub experts: BTreeMap<Precision, ExpertCurve>,
    /// Attention.
    pub attention: AttentionCurve,
    /// All-reduce within the node.
    pub collective: CollectiveCurve,
    /// Factors between kernels and steps.
    pub coefficients: Coefficients,
    /// Factor on the device time of a step.
    pub factor: f64,
}

const PER_MICROSECOND: f64 = 1e-6;

impl Device {
    /// Returns the speeds of `accelerator`, from rows of `catalog` where they exist.
    ///
    /// # Errors
    /// [`Reason::NotPositive`] where a peak, the memory bandwidth or the link rate is not a positive number.
    pub fn resolve(catalog: &Catalog, accelerator: &Accelerator) -> Result<Self, Reason> {
        let positive = |value: f64, what: &'static str| {
            if value.is_finite() && value > 0.0 { Ok(value) } else { Err(Reason::NotPositive { what }) }
        };
        let bandwidth = positive(accelerator.memory_bandwidth.get(), "memory bandwidth")? * PER_MICROSECOND;
        let peak = accelerator.peak(accelerator.sixteen()).map_or(0.0, |peak| peak.get());
        let peak_16bit = positive(peak, "16-bit peak")? * PER_MICROSECOND;
        positive(accelerator.scale_up.bandwidth.get(), "link rate")?;
        for peak in accelerator.peaks.values() {
            positive(peak.get(), "peak")?;
        }
        check_rows(catalog, &accelerator.id)?;
        let coefficients = Coefficients::of(catalog);
        // What a checkpoint leaves in 16 bits is, on a chip without bf16, in the 16 bits that it has.
        let of = |p: Precision| if p == Precision::Bf16 { accelerator.sixteen() } else { p };
        let supported = |p: &Precision| math_peak(accelerator, of(*p)).is_some();
        let precisions = || Precision::ALL.into_iter().filter(supported);
        Ok(Self {
            id: accelerator.id.clone(),
            bandwidth,
            peak_16bit,
            gemm: precisions().map(|p| (p, gemm_curve(catalog, accelerator, of(p)))).collect(),
            experts: precisions().map(|p| (p, expert_curve(catalog, accelerator, of(p)))).collect(),
            attention: attention_curve(catalog, accelerator),
            collective: collective_curve(catalog, accelerator),
            coefficients,
            factor: coefficients.device(&accelerator.id),
        })
    }

    /// Returns the matrix-multiplication curve of a weight precision.
    ///
    /// # Errors
    /// [`Reason::PrecisionUnsupported`].
    pub fn gemm(&self, precision: Precision) -> Result<&GemmCurve, Reason> {
        self.gemm.get(&precision).ok_or_else(|| self.unsupported(precision))
    }

    /// Returns the expert curve of a weight precision.
    ///
    /// # Errors
    /// [`Reason::PrecisionUnsupported`].
    pub fn experts(&self, precision: Precision) -> Result<&ExpertCurve, Reason> {
        self.experts.get(&precision).ok_or_else(|| self.unsupported(precision))
    }

    fn unsupported(&self, precision: Precision) -> Reason {
        Reason::unsupported(&self.id, precision, None)
    }
}

/// Returns whether every coefficient of the accelerator's rows is one that the formulas can divide by.
fn check_rows(catalog: &Catalog, id: &str) -> Result<(), Reason> {
    let ours = |name: &str| name == id || name == "pcie";
    let gemm = catalog.gemm.iter().filter(|row| row.accelerator == id);
    let gemm = gemm.flat_map(|row| [row.compute, row.memory, row.p]);
    let experts = catalog.experts.iter().filter(|row| row.accelerator == id);
    let experts = experts.flat_map(|row| [row.compute, row.memory, row.p, row.activation]);
    let attention = catalog.attention.iter().filter(|row| row.accelerator == id);
    let attention = attention.flat_map(|row| {
        let cache = row.decode_memory_8bit.unwrap_or(row.decode_memory_16bit);
        let single = row.decode_memory_8bit_single.unwrap_or(cache);
        [row.decode_memory_16bit, cache, single, row.prefill_compute, row.prefill_compute_small_head]
    });
    let collectives = catalog.collectives.iter().filter(|row| ours(&row.accelerator));
    let collectives = collectives.map(|row| row.efficiency);
    let mut all = gemm.chain(experts).chain(attention).chain(collectives);
    if all.all(|value| value.is_finite() && value > 0.0) {
        Ok(())
    } else {
        Err(Reason::NotPositive { what: "an efficiency of the catalog" })
    }
}

/// Returns the peak of the math in FLOP per microsecond.
fn math_peak(accelerator: &Accelerator, precision: Precision) -> Option<f64> {
    accelerator.peaks.get(&accelerator.math_of(precision)).map(|peak| peak.get() * PER_MICROSECOND)
}

/// Returns the precisions whose rows stand in for a missing row, the nearest first.
fn substitutes(accelerator: &Accelerator, precision: Precision) -> &'static [Precision] {
    use Precision::{Bf16, Fp8, Fp8Block, Fp16};
    match (precision, accelerator.math_of(precision)) {
        (_, Bf16) => &[Bf16],
        (_, Fp16) => &[Fp16],
        (Fp8Block, _) => &[Fp8],
        (Precision::Int8 | Precision::Mxfp4, _) => &[Fp8, Fp8Block],
        _ => &[],
    }
}

/// Share of the 16-bit rate at which products run whose 4-bit integers are widened as they are read (by judgement, between
/// 0.6 and 0.8; a prompt of 16,000 tokens on an A100 took 3.3 s, at the full rate 2.4).
const WIDENED: f64 = 0.7;

fn gemm_curve(catalog: &Catalog, accelerator: &Accelerator, precision: Precision) -> GemmCurve {
    let row = |wanted: Precision| {
        catalog.gemm.iter().find(|row| row.accelerator == accelerator.id && row.precision == wanted)
    };
    let nearest =
        || substitutes(accelerator, precision).iter().find_map(|&p| row(p)).map(|row| (row, Origin::Assumed));
    let found = row(precision).map(|row| (row, row.origin)).or_else(nearest);
    let (peak, weight_bytes, activation_bytes) = sizes(accelerator, precision);
    let of_own =
        catalog.gemm.iter().any(|row| row.accelerator == accelerator.id && row.precision == precision);
    let widened = precision == Precision::Int4 && accelerator.math_of(precision).is_sixteen_bit() && !of_own;
    let share = if widened { WIDENED } else { 1.0 };
    match found {
        Some((row, origin)) => GemmCurve {
            t0_us: row.t0_us,
            compute: share * row.compute,
            memory: row.memory,
            p: row.p,
            half_m: row.half_m,
            half_nk_m: row.half_nk_m,
            peak,
            weight_bytes,
            activation_bytes,
            // bf16 and fp16 are the same kernels at the same rate.
            origin: if precision == Precision::Fp16 { row.origin } else { origin },
        },
        None => GemmCurve {
            t0_us: 5.0,
            compute: share * achievable(accelerator, precision),
            memory: weights_memory(accelerator),
            p: 2.0,
            half_m: 0.1,
            half_nk_m: 0.0,
            peak,
            weight_bytes,
            activation_bytes,
            origin: Origin::Assumed,
        },
    }
}

/// Returns the peak in FLOP per microsecond and the bytes of a weight and of an activation.
fn sizes(accelerator: &Accelerator, precision: Precision) -> (f64, f64, f64) {
    let peak = math_peak(accelerator, precision).expect("only supported precisions are resolved");
    let wide = accelerator.math_of(precision).is_sixteen_bit();
    let activation = if wide { 2.0 } else { precision.activation_bytes() };
    (peak, precision.weight_bytes(), activation)
}

/// Returns whether a chip is a card on the host bus; their memory is GDDR, of which kernels reach more (L40S: 0.93).
fn card(accelerator: &Accelerator) -> bool {
    matches!(accelerator.scale_up.kind, ScaleUpKind::Pcie | ScaleUpKind::Bridge)
}

/// Returns the share of the memory bandwidth at which weights are read where nobody measured it.
fn weights_memory(accelerator: &Accelerator) -> f64 {
    if card(accelerator) { 0.88 } else { 0.75 }
}

/// Returns the best published rate over the peak, or 0.60; 0.50 in 8 bits and 0.40 in 4.
///
/// Published best rates run from 0.51 (MI300X) to 0.97 (Gaudi 2) of the peak; 0.60 is near the low end. Measured curves
/// of kernels reach 0.59 to 0.83 in 16 bits, 0.46 to 0.60 in 8, 0.38 in 4.
fn achievable(accelerator: &Accelerator, precision: Precision) -> f64 {
    let math = accelerator.math_of(precision);
    let best = accelerator.achievable.get(&math).map(|rate| rate.get());
    let peak = accelerator.peaks.get(&math).map(|rate| rate.get());
    match (best, peak) {
        (Some(best), Some(peak)) if best > 0.0 => (best / peak).min(1.0),
        _ => match math {
            Precision::Fp8 | Precision::Fp8Block | Precision::Int8 => 0.50,
            Precision::Nvfp4 | Precision::Mxfp4 => 0.40,
            _ => 0.60,
        },
    }
}

fn expert_curve(catalog: &Catalog, accelerator: &Accelerator, precision: Precision) -> ExpertCurve {
    let row = |wanted: Precision| {
        catalog.experts.iter().find(|row| row.accelerator == accelerator.id && row.precision == wanted)
    };
    let four_bit = matches!(precision, Precision::Int4 | Precision::Mxfp4);
    let nearest = || {
        let names: &[Precision] = match precision {
            Precision::Fp16 => &[Precision::Bf16],
            Precision::Fp8 | Precision::Int8 => &[Precision::Fp8Block],
            _ => &[],
        };
        names.iter().find_map(|&p| row(p)).map(|row| (row, Origin::Assumed))
    };
    let found = row(precision).map(|row| (row, row.origin)).or_else(nearest);
    let (peak, weight_bytes, activation_bytes) = sizes(accelerator, precision);
    let curve = ExpertCurve {
        t0_us: 30.0,
        per_expert_us: 0.1,
        compute: achievable(accelerator, precision) * 0.85,
        memory: weights_memory(accelerator),
        p: 2.0,
        tile: 64.0,
        activation: 0.3,
        skew: 0.25,
        peak,
        weight_bytes,
        activation_bytes,
        origin: Origin::Assumed,
    };
    match found {
        Some((row, origin)) => ExpertCurve {
            t0_us: row.t0_us,
            per_expert_us: row.per_expert_us,
            compute: row.compute,
            memory: row.memory,
            p: row.p,
            tile: row.tile,
            activation: row.activation,
            skew: row.skew,
            origin,
            ..curve
        },
        // Weight-only kernels: set by judgement (step-time model), 0.3 where 4-bit weights are widened, else 0.5.
        None if four_bit => {
            let wide = accelerator.math_of(precision).is_sixteen_bit();
            let compute = match precision {
                Precision::Mxfp4 if wide => 0.25,
                _ if wide => 0.3,
                _ => 0.5,
            };
            ExpertCurve { t0_us: 8.0, compute, p: 1.5, tile: 16.0, activation: 0.4, skew: 0.25, ..curve }
        }
        None => curve,
    }
}

fn attention_curve(catalog: &Catalog, accelerator: &Accelerator) -> AttentionCurve {
    match catalog.attention.iter().find(|row| row.accelerator == accelerator.id) {
        Some(row) => AttentionCurve {
            decode_t0_us: row.decode_t0_us,
            decode_16bit: row.decode_memory_16bit,
            // Hopper and Blackwell lose between 3 and 8 % with an 8-bit cache; the middle where unknown.
            decode_8bit: row.decode_memory_8bit.unwrap_or(row.decode_memory_16bit * 0.95),
            decode_8bit_single: row
                .decode_memory_8bit_single
                .or(row.decode_memory_8bit)
                .unwrap_or(row.decode_memory_16bit * 0.82),
            prefill: row.prefill_compute,
            prefill_small_head: row.prefill_compute_small_head,
            half_context: row.prefill_half_context,
            origin: row.origin,
        },
        None => AttentionCurve {
            decode_t0_us: 8.0,
            decode_16bit: if card(accelerator) { 0.75 } else { 0.60 },
            decode_8bit: if card(accelerator) { 0.70 } else { 0.50 },
            decode_8bit_single: if card(accelerator) { 0.70 } else { 0.50 },
            prefill: 0.45,
            prefill_small_head: 0.38,
            half_context: 600.0,
            origin: Origin::Assumed,
        },
    }
}

fn collective_curve(catalog: &Catalog, accelerator: &Accelerator) -> CollectiveCurve {
    let row = |name: &str| catalog.collectives.iter().find(|row| row.accelerator == name);
    let bus = matches!(accelerator.scale_up.kind, ScaleUpKind::Pcie | ScaleUpKind::Bridge);
    let found = row(&accelerator.id).or_else(|| if bus { row("pcie") } else { None });
    // A bridge joins pairs only, so a wider group is as slow as the host bus: PCIe 4 x16, 31 GB/s, at most.
    let rate = accelerator.scale_up.bandwidth.get();
    let bridge = accelerator.scale_up.kind == ScaleUpKind::Bridge;
    let link = if bridge { rate.min(31e9) } else { rate } * PER_MICROSECOND;
    match found {
        Some(row) => CollectiveCurve {
            latency_us: row.latency_us,
            exponent: row.exponent,
            efficiency: row.efficiency.min(1.0),
            root: row.root,
            growth: (row.efficiency_exponent, row.root_exponent),
            bus,
            link,
            origin: row.origin,
        },
        None => CollectiveCurve {
            latency_us: if bus { 9.0 } else { 5.0 },
            exponent: if bus { 0.5 } else { 0.3 },
            efficiency: 0.70,
            root: 2.0,
            growth: (0.0, 0.0),
            bus,
            link,
            origin: Origin::Assumed,
        },
    }
}
