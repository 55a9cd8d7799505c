//! What physics allows: no pass is shorter than its FLOPs at the peak, its bytes at the full bandwidth, or its bytes over
//! the link. All three are sums over a shape, so that they are worked out once for all shapes.

use super::StepShape;
use super::lines::Lines;
use crate::perf::operators::Rows;
use crate::perf::roofline;

/// The shortest times that physics allows for a pass, one by one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Floors {
    /// FLOPs at the peak.
    pub compute_ns: f64,
    /// Bytes at the full memory bandwidth.
    pub memory_ns: f64,
    /// Bytes over the link.
    pub link_ns: f64,
}

/// What each count of a shape adds, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct FloorSlopes {
    /// Of a token, and of a sequence that yields one: its FLOPs.
    token: f64,
    sampled: f64,
    /// Weights that any token, and any sequence that yields one, reads.
    token_weights: f64,
    sampled_weights: f64,
    /// Of a cached token in a layer that sees it: FLOPs and bytes; layers that see all, and those with a window.
    cached_math: f64,
    cached_read: f64,
    full: f64,
    windowed: f64,
    window: f64,
    /// Of a pair of a prompt's tokens in all layers that see all.
    pair: f64,
    /// Of a token over the link.
    link: f64,
}

impl FloorSlopes {
    /// Works them out. Of routed experts only those that a single token visits count as read.
    pub(super) fn of(lines: &Lines<'_>) -> FloorSlopes {
        let (device, operators) = (&lines.context.device, lines.operators);
        let attention = &operators.attention;
        let mut slopes = FloorSlopes::default();
        for gemm in &operators.gemms {
            let curve = &device.gemm[&gemm.precision];
            let weights = gemm.count * gemm.n * gemm.k;
            let (math, read) = match gemm.rows {
                Rows::Tokens => (&mut slopes.token, &mut slopes.token_weights),
                Rows::Sequences => (&mut slopes.sampled, &mut slopes.sampled_weights),
            };
            *math += 2.0 * weights / curve.peak * 1e3;
            *read += weights * curve.weight_bytes / device.bandwidth * 1e3;
        }
        if let Some(grouped) = &operators.experts {
            let curve = &device.experts[&grouped.precision];
            let active = grouped.active / grouped.ranks;
            let weights = grouped.count * active * grouped.matrices * grouped.hidden * grouped.width;
            slopes.token += 2.0 * weights / curve.peak * 1e3;
            slopes.token_weights +=
                weights * curve.weight_bytes / curve.memory.max(1.0) / device.bandwidth * 1e3;
        }
        let pair = 2.0 * attention.heads * (attention.score_dim + attention.value_dim) / device.peak_16bit;
        let wire = operators.reduces * roofline::wire(f64::from(operators.tensor)) * operators.reduce_bytes;
        let full = lines.layers_of_kind(false);
        FloorSlopes {
            cached_math: attention.decode_flops / device.peak_16bit * 1e3,
            cached_read: attention.cached * lines.context.cache_bytes / device.bandwidth * 1e3,
            full,
            windowed: lines.layers_of_kind(true),
            window: lines.window(),
            pair: full * pair * 1e3,
            link: wire / device.collective.link * 1e3,
            ..slopes
        }
    }

    /// Returns the limits of a pass of `shape`.
    pub(super) fn floors(&self, shape: &StepShape) -> Floors {
        let tokens = shape.decodes + shape.prefill_tokens;
        if tokens <= 0.0 {
            return Floors::default();
        }
        let seen = shape.decode_kv.min(shape.decodes * self.window);
        let cached = self.full * shape.decode_kv + self.windowed * seen;
        Floors {
            compute_ns: self.token * tokens
                + self.sampled * shape.sampled
                + self.cached_math * cached
                + self.pair * shape.pairs_twice / 2.0,
            // Counts below one are means over steps of which only some read these weights.
            memory_ns: self.token_weights * tokens.min(1.0)
                + self.sampled_weights * shape.sampled.min(1.0)
                + self.cached_read * cached,
            link_ns: self.link * tokens,
        }
    }
}
