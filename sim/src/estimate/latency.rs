//! Percentiles of latencies from a few moments.

use capstan_types::units::Seconds;

/// Mean and percentiles of one latency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latencies {
    /// Mean.
    pub mean: Seconds,
    /// Median.
    pub p50: Seconds,
    /// 90th percentile.
    pub p90: Seconds,
    /// 99th percentile.
    pub p99: Seconds,
}

/// Returns the share of a standard normal above `z`.
fn normal_tail(z: f64) -> f64 {
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}

/// Solves `tail(x) = 1 − q` for a falling tail between `low` and `high`.
fn solve(tail: impl Fn(f64) -> f64, q: f64, mut low: f64, mut high: f64) -> f64 {
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if tail(middle) > 1.0 - q { low = middle } else { high = middle }
    }
    high
}

/// Returns the quantile of the standard normal distribution.
pub(super) fn normal_quantile(q: f64) -> f64 {
    solve(normal_tail, q, -6.0, 6.0)
}

/// A latency whose tail can be asked for: cheaper than a percentile, and enough to judge a limit.
pub(super) trait Tail {
    /// Returns the share of requests above `x`.
    fn above(&self, x: f64) -> f64;
    /// Returns bounds between which every percentile of interest lies.
    fn range(&self) -> (f64, f64);

    /// Returns the percentile.
    fn quantile(&self, q: f64) -> f64 {
        let (low, high) = self.range();
        if low < high { solve(|x| self.above(x), q, low, high) } else { high }
    }
}

/// A mixture of normals with one mean: what requests of different lengths see.
pub(super) struct Spread {
    pub(super) mean: f64,
    /// Share of requests and their standard deviation.
    pub(super) deviations: Vec<(f64, f64)>,
}

impl Tail for Spread {
    fn above(&self, x: f64) -> f64 {
        let share = |&(weight, deviation): &(f64, f64)| {
            if deviation > 0.0 {
                weight * normal_tail((x - self.mean) / deviation)
            } else if x < self.mean {
                weight
            } else {
                0.0
            }
        };
        self.deviations.iter().map(share).sum()
    }

    fn range(&self) -> (f64, f64) {
        let widest = self.deviations.iter().fold(0.0, |a: f64, &(_, b)| a.max(b));
        ((self.mean - 6.0 * widest).max(0.0).min(self.mean), self.mean + 6.0 * widest)
    }
}

/// Own time plus queueing time.
///
/// Queueing is zero with probability 1 − load and else exponential with mean `mean_wait / load`, which is exact for
/// M/M/1 and the usual heavy-traffic form of G/G/1.
pub(super) struct Queued {
    /// Shares of requests and their own time.
    pub(super) own: Vec<(f64, f64)>,
    pub(super) mean_wait: f64,
    pub(super) load: f64,
}

impl Queued {
    fn scale(&self) -> f64 {
        if self.load > 0.0 { self.mean_wait / self.load } else { 0.0 }
    }
}

impl Tail for Queued {
    fn above(&self, x: f64) -> f64 {
        let scale = self.scale();
        let beyond = |&(weight, base): &(f64, f64)| {
            if x < base {
                weight
            } else if scale > 0.0 {
                weight * self.load * libm::exp(-(x - base) / scale)
            } else {
                0.0
            }
        };
        self.own.iter().map(beyond).sum()
    }

    fn range(&self) -> (f64, f64) {
        let longest = self.own.iter().fold(0.0, |a: f64, &(_, b)| a.max(b));
        (0.0, longest + 40.0 * self.scale())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: f64, expected: f64, tolerance: f64) {
        assert!((value - expected).abs() <= tolerance, "{value} against {expected}");
    }

    #[test]
    fn the_normal_quantile_is_the_textbook_one() {
        check(normal_quantile(0.5), 0.0, 1e-6);
        check(normal_quantile(0.99), 2.326_348, 1e-5);
    }

    #[test]
    fn without_load_the_quantile_is_that_of_own_times() {
        let queued = Queued { own: vec![(0.5, 1.0), (0.49, 2.0), (0.01, 9.0)], mean_wait: 0.0, load: 0.0 };
        check(queued.quantile(0.4), 1.0, 1e-9);
        check(queued.quantile(0.985), 2.0, 1e-9);
        check(queued.quantile(0.995), 9.0, 1e-9);
    }

    #[test]
    fn queueing_of_a_memoryless_server_is_exponential() {
        // M/M/1 with service 1 and load 0.8: mean wait 4, P(W > x) = 0.8 exp(−x/5).
        let expected = -5.0 * libm::log(0.01 / 0.8);
        let queued = Queued { own: vec![(1.0, 0.0)], mean_wait: 4.0, load: 0.8 };
        check(queued.quantile(0.99), expected, 1e-6);
    }

    #[test]
    fn a_mixture_of_equal_spreads_is_a_normal() {
        let spread = Spread { mean: 10.0, deviations: vec![(0.3, 2.0), (0.7, 2.0)] };
        check(spread.quantile(0.99), 10.0 + 2.0 * 2.326_348, 1e-4);
    }
}
