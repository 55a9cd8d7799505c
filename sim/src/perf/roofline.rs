//! The time of one operator: the larger of compute and memory, smoothed, plus what is fixed; in microseconds.
//!
//! Gate of physics: every function returns at least its floor, which counts the peak rate, the whole memory
//! bandwidth and the whole link rate, and asserts it. Reads that a cache would serve are still counted at
//! memory speed, so the gate is on the safe side for operators that fit a cache.

use super::coefficients as fit;
use super::device::{AttentionCurve, CollectiveCurve, ExpertCurve, GemmCurve};
use super::operators::{Attention, Grouped};

/// Slack of the assertion for rounding.
const ROUNDING: f64 = 1.0 - 1e-9;

/// Returns `time_us` lifted to `floor_us`, and asserts that the result is a time that physics allows.
///
/// # Panics
/// Where the model yields something that is not a time: that is a bug here, not a property of the input.
pub fn gate(time_us: f64, floor_us: f64) -> f64 {
    let lifted = time_us.max(floor_us);
    assert!(
        lifted.is_finite() && lifted >= floor_us * ROUNDING && floor_us >= 0.0,
        "a step of {time_us} µs against a physical floor of {floor_us} µs"
    );
    lifted
}

/// Joins two limits: (a^p + b^p)^(1/p), scaled so that large p stay finite.
fn join(a: f64, b: f64, p: f64) -> f64 {
    let (large, small) = if a > b { (a, b) } else { (b, a) };
    if large <= 0.0 {
        return 0.0;
    }
    large * libm::pow(1.0 + libm::pow(small / large, p), 1.0 / p)
}

/// Returns compute and memory time at full rates of an m × k by k × n product.
fn gemm_limits(curve: &GemmCurve, bandwidth: f64, m: f64, n: f64, k: f64) -> (f64, f64) {
    let flops = 2.0 * m * n * k / curve.peak;
    let bytes = (curve.weight_bytes * n * k + curve.activation_bytes * m * k + 2.0 * m * n) / bandwidth;
    (flops, bytes)
}

/// Returns the time of a stand-alone product, fixed time included, as kernel tables measure it.
pub fn gemm_alone(curve: &GemmCurve, bandwidth: f64, m: f64, n: f64, k: f64) -> f64 {
    let (flops, bytes) = gemm_limits(curve, bandwidth, m, n, k);
    let compute = flops / curve.compute * (1.0 + curve.half_m / m);
    let memory = bytes / curve.memory * (1.0 + curve.half_nk_m * 1e6 / (n * k));
    curve.t0_us + join(compute, memory, curve.p)
}

/// Returns the time of a product within a step, without the time between kernels.
///
/// The fixed time of the tables holds dynamic quantisation that engines fuse, so only the shape-dependent
/// part counts: max(factor (T − t0), F, B).
pub fn gemm(curve: &GemmCurve, bandwidth: f64, shape: (f64, f64, f64), factor: f64) -> f64 {
    let (m, n, k) = shape;
    if m <= 0.0 {
        return 0.0;
    }
    let (flops, bytes) = gemm_limits(curve, bandwidth, m, n, k);
    let alone = gemm_alone(curve, bandwidth, m, n, k) - curve.t0_us;
    gate(factor * alone, flops.max(bytes))
}

/// Returns the time of the routed experts of one layer over `tokens` tokens.
///
/// `ranks` is the expert-parallel degree; the rank with most visited experts reads longest. A fitted memory efficiency above 1 means that fewer experts are hit
/// than a uniform draw says; the floor counts that smaller number at full bandwidth.
pub fn experts(
    curve: &ExpertCurve,
    bandwidth: f64,
    grouped: &Grouped,
    tokens: f64,
    ranks: f64,
    factor: f64,
) -> f64 {
    if tokens <= 0.0 {
        return 0.0;
    }
    let rows = tokens * grouped.active / ranks;
    let hit = grouped.busiest(tokens, ranks);
    let weights = grouped.matrices * grouped.hidden * grouped.width;
    let flops = 2.0 * rows * weights / curve.peak;
    let bytes = curve.weight_bytes * weights * hit / bandwidth;
    let moved =
        (curve.activation_bytes + 2.0) * rows * (2.0 * grouped.hidden + 3.0 * grouped.width) / bandwidth;
    let skew = 1.0 + fit::EXPERT_SKEW * curve.skew * (1.0 - 1.0 / ranks);
    let compute = flops / curve.compute * (1.0 + curve.tile * hit / rows);
    let joined = join(compute, bytes / curve.memory, curve.p);
    let time = curve.t0_us + curve.per_expert_us * hit + skew * joined + moved / curve.activation;
    gate(factor * time, flops.max(bytes / curve.memory.max(1.0)))
}

/// Returns the time that one cached token adds to decode attention of one layer.
///
/// Bytes over the bandwidth share reached; where query heads share what is cached, root of the squares of that and of
/// FLOPs.
pub fn decode_token(
    curve: &AttentionCurve,
    rates: (f64, f64),
    attention: &Attention,
    cache_bytes: f64,
    factor: f64,
) -> f64 {
    let (bandwidth, peak_16bit) = rates;
    let bytes = attention.cached * cache_bytes / bandwidth;
    let flops = attention.decode_flops / peak_16bit;
    let time = if attention.latent {
        let (read, math) = (bytes / fit::LATENT_MEMORY, flops / fit::LATENT_COMPUTE);
        (read * read + math * math).sqrt()
    } else {
        let share = match (cache_bytes < 2.0, attention.shared) {
            (true, true) => curve.decode_8bit,
            (true, false) => curve.decode_8bit_single,
            (false, _) => curve.decode_16bit,
        };
        let (read, math) = (bytes / share, flops / fit::SHARED_COMPUTE);
        if attention.shared { (read * read + math * math).sqrt() } else { read }
    };
    gate(factor * time, bytes.max(flops))
}

/// Returns the time that reading and writing the states of linear attention takes per sequence, all layers.
pub fn state(bandwidth: f64, attention: &Attention, factor: f64) -> f64 {
    let bytes = 2.0 * fit::STATE_BYTES * attention.state * attention.linear_layers / bandwidth;
    gate(factor * bytes / fit::STATE_MEMORY, bytes)
}

/// Returns the time that one (query, key) pair of a prompt adds in one layer, at unbounded context.
///
/// A shorter context costs (1 + L0 / context) as much; the caller adds that.
pub fn prefill_pair(curve: &AttentionCurve, peak_16bit: f64, attention: &Attention, factor: f64) -> f64 {
    let flops = 2.0 * attention.heads * (attention.score_dim + attention.value_dim) / peak_16bit;
    let share = if attention.score_dim <= 64.0 { curve.prefill_small_head } else { curve.prefill };
    gate(factor * flops / share, flops)
}

/// Returns the time that the reads and writes around prefill attention take per token and layer.
pub fn prefill_token(bandwidth: f64, attention: &Attention, factor: f64) -> f64 {
    let bytes = 6.0 * attention.heads * attention.score_dim / bandwidth;
    gate(factor * bytes / fit::PREFILL_MEMORY, bytes)
}

/// Share of the link rate that is left where a ring over the host bus crosses from one half of the machine to the other.
/// Origin: published rates of A100 and RTX PRO 6000 cards, eight against four.
const ACROSS: f64 = 0.75;
/// Cards on the host bus of one processor, at most.
const OF_ONE_PROCESSOR: u32 = 4;

/// Returns the fewest bytes per byte of an all-reduce that one of `t` ranks sends: 2 (t − 1)/t in a ring, (t + 1)/t where
/// the switch adds up.
pub fn wire(t: f64) -> f64 {
    (2.0 * (t - 1.0) / t).min((t + 1.0) / t)
}

/// Returns the time of an all-reduce of `bytes` among `ranks`: a t^x + B / (f (t/2)^y) + s (t/2)^z √B.
///
/// B is the ideal time of a ring's wire bytes, 2 (t − 1)/t · S; the floor counts the fewer bytes of in-switch reduction.
pub fn all_reduce(curve: &CollectiveCurve, bytes: f64, ranks: u32, factor: f64) -> f64 {
    if ranks <= 1 || bytes <= 0.0 {
        return 0.0;
    }
    let t = f64::from(ranks);
    let ideal = 2.0 * (t - 1.0) / t * bytes / curve.link;
    let latency = curve.latency_us * libm::pow(t, curve.exponent);
    let grown = |exponent: f64| libm::pow(t / 2.0, exponent);
    let across = if curve.bus && ranks > OF_ONE_PROCESSOR { ACROSS } else { 1.0 };
    let share = across * curve.efficiency * grown(curve.growth.0);
    let time = latency + ideal / share + curve.root * grown(curve.growth.1) * ideal.sqrt();
    gate(factor * time, wire(t) * bytes / curve.link)
}

/// Returns the time of element-wise work on `bytes`.
pub fn elementwise(bandwidth: f64, bytes: f64, factor: f64) -> f64 {
    // Fused kernels keep part of this traffic on chip, so the byte count is an upper bound and no floor.
    factor * bytes / (fit::ELEMENTWISE_MEMORY * bandwidth)
}

/// Returns the time of handing `bytes` to the next stage.
pub fn handover(curve: &CollectiveCurve, bytes: f64) -> f64 {
    let ideal = bytes / curve.link;
    gate(fit::STAGE_HANDOVER_US + ideal / curve.efficiency, ideal)
}

#[cfg(test)]
mod tests {
    use super::super::device::Device;
    use super::*;
    use capstan_types::hardware::Precision;
    use capstan_types::testing;

    fn h100() -> Device {
        let catalog = testing::catalog();
        Device::resolve(&catalog, catalog.accelerator("h100_sxm").unwrap()).unwrap()
    }

    #[test]
    fn one_row_reads_the_weights_and_many_rows_compute() {
        let device = h100();
        let curve = device.gemm(Precision::Bf16).unwrap();
        let one = gemm(curve, device.bandwidth, (1.0, 8192.0, 8192.0), 1.0);
        let weights = 2.0 * 8192.0 * 8192.0 / device.bandwidth;
        assert!(one > weights && one < 1.4 * weights, "{one} against {weights}");
        let many = gemm(curve, device.bandwidth, (8192.0, 8192.0, 8192.0), 1.0);
        let math = 2.0 * 8192.0 * 8192.0 * 8192.0 / curve.peak;
        assert!(many > math && many < 1.4 * math, "{many} against {math}");
    }

    #[test]
    fn a_single_rank_sends_nothing() {
        assert_eq!(all_reduce(&h100().collective, 1e6, 1, 1.0), 0.0);
    }

    #[test]
    fn large_exponents_stay_finite() {
        assert!((join(1e9, 1.0, 8.4) / 1e9 - 1.0).abs() < 1e-9);
        assert!((join(3.0, 4.0, 2.0) - 5.0).abs() < 1e-12);
        assert_eq!(join(0.0, 0.0, 2.0), 0.0);
    }

    #[test]
    #[should_panic(expected = "physical floor")]
    fn a_time_that_is_no_number_is_caught() {
        gate(f64::INFINITY, 1.0);
    }
}
