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

/// Requests of one output length.
pub(super) struct Stratum {
    /// Share of requests.
    pub(super) weight: f64,
    /// Mean time per token.
    pub(super) mean: f64,
    /// Prompts expected to share the request's steps.
    pub(super) prompts: f64,
    /// What each adds to the time per token, and its variance.
    pub(super) each: f64,
    pub(super) each_variance: f64,
}

/// A compound Poisson mixture: what requests of different lengths see.
pub(super) struct Spread {
    /// Standard deviation that the changing batch causes.
    pub(super) batch: f64,
    pub(super) strata: Vec<Stratum>,
}

/// Above this many expected prompts their number is as good as normal.
const MANY: f64 = 12.0;

impl Spread {
    /// Returns the mean over requests.
    pub(super) fn mean(&self) -> f64 {
        self.strata.iter().map(|stratum| stratum.weight * stratum.mean).sum()
    }

    /// Returns the share of normal requests with this centre and variance above `x`.
    fn normal_above(x: f64, centre: f64, variance: f64) -> f64 {
        if variance > 0.0 {
            normal_tail((x - centre) / variance.sqrt())
        } else if x < centre {
            1.0
        } else {
            0.0
        }
    }

    fn above_in(&self, stratum: &Stratum, x: f64) -> f64 {
        let batch = self.batch * self.batch;
        let Stratum { mean, prompts, each, each_variance, .. } = *stratum;
        if prompts > MANY {
            return Self::normal_above(x, mean, batch + prompts * (each * each + each_variance));
        }
        let alone = mean - prompts * each;
        let mut chance = libm::exp(-prompts);
        let mut above = 0.0;
        for count in 0..(4.0 * MANY) as u32 {
            let k = f64::from(count);
            above += chance * Self::normal_above(x, alone + k * each, batch + k * each_variance);
            chance *= prompts / (k + 1.0);
            if k > prompts && chance < 1e-6 {
                break;
            }
        }
        above
    }
}

/// How much further the tail of times per token reaches above the mean than independent arrivals in independent
/// steps say: prompts that arrive together are read together. Origin: Simulated; 1.6 to 2.0 over four
/// configurations (8B and 70B on A100 and H100) in `tests/perf_against_simulation.rs`.
const CLUSTERING: f64 = 1.8;

impl Tail for Spread {
    fn above(&self, x: f64) -> f64 {
        let mean = self.mean();
        let x = if x > mean { mean + (x - mean) / CLUSTERING } else { x };
        self.strata.iter().map(|stratum| stratum.weight * self.above_in(stratum, x)).sum()
    }

    fn range(&self) -> (f64, f64) {
        let widest = self.strata.iter().fold(self.batch, |widest, stratum| {
            let own = (stratum.prompts + 9.0) * (stratum.each + stratum.each_variance.sqrt());
            widest.max(stratum.mean + self.batch * 6.0 + 2.0 * own)
        });
        (0.0, widest * CLUSTERING)
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
    fn without_prompts_the_batch_alone_spreads() {
        let stratum = |weight| Stratum { weight, mean: 10.0, prompts: 0.0, each: 1.0, each_variance: 0.0 };
        let spread = Spread { batch: 2.0, strata: vec![stratum(0.3), stratum(0.7)] };
        check(spread.quantile(0.99), 10.0 + CLUSTERING * 2.0 * 2.326_348, 1e-4);
    }

    #[test]
    fn rare_prompts_count_as_poisson() {
        // Half a prompt expected, worth 4 each: none with 0.607, one with 0.303, two or more with 0.090.
        let strata = vec![Stratum { weight: 1.0, mean: 12.0, prompts: 0.5, each: 4.0, each_variance: 0.0 }];
        let spread = Spread { batch: 0.0, strata };
        check(spread.above(10.5), 1.0 - 0.606_531, 1e-6);
        check(spread.quantile(0.8), 12.0 + CLUSTERING * 2.0, 1e-6);
        check(spread.quantile(0.95), 12.0 + CLUSTERING * 6.0, 1e-6);
    }
}
