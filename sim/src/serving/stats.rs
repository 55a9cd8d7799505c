//! What did users wait for, and how busy were the replicas? Exact order statistics of one run.

use super::config::ServingConfig;
use super::request::Record;
use super::run::{RunResult, Stop};
use super::tally::Tally;
use super::work::Work;
use crate::engine::Time;

/// What is measured of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Time to first token, queueing included.
    Ttft,
    /// (Last token − first token) / (output tokens − 1); requests of one token have none.
    Tpot,
    /// Arrival to last token.
    E2e,
}

/// A target: the `quantile` of `metric` over all requests is at most `limit_ns`, and over those of every window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// What is measured.
    pub metric: Metric,
    /// Which quantile, from 0 to 1.
    pub quantile: f64,
    /// Most nanoseconds.
    pub limit_ns: f64,
    /// Length of the windows into which requests fall by their arrival; of the time that is left over the last one is longer.
    pub window_ns: Option<u64>,
}

impl Objective {
    /// Says whether so many requests have a quantile: one of them at least lies beyond it.
    pub(crate) fn is_defined_for(&self, n: u64) -> bool {
        n as f64 * (1.0 - self.quantile) > 1.0 - 1e-9
    }
}

/// Which requests count: those that arrive from `from` on and before `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// End of the warm-up.
    pub from: Time,
    /// End of the measurement; `NEVER` for the end of the run.
    pub until: Time,
}

impl Window {
    /// Every request counts.
    pub const ALL: Window = Window { from: Time::ZERO, until: Time::NEVER };

    pub(crate) fn holds(&self, record: &Record) -> bool {
        self.from <= record.arrival && record.arrival < self.until
    }
}

/// Mean and exact percentiles, in nanoseconds. Between two order statistics it is linear (type 7 of Hyndman and Fan,
/// Amer. Statist. 50(4), 1996; numpy's default).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distribution {
    /// Values.
    pub n: u64,
    /// Mean.
    pub mean_ns: f64,
    /// Median.
    pub p50_ns: f64,
    /// 90th percentile.
    pub p90_ns: f64,
    /// 95th percentile.
    pub p95_ns: f64,
    /// 99th percentile.
    pub p99_ns: f64,
    /// 99.9th percentile.
    pub p999_ns: f64,
    /// Largest value.
    pub max_ns: f64,
}

impl Distribution {
    /// Returns the distribution of `values`, which are sorted; `None` if there are none.
    pub(crate) fn of_sorted(values: &[f64]) -> Option<Distribution> {
        let max_ns = *values.last()?;
        Some(Distribution {
            n: values.len() as u64,
            mean_ns: values.iter().sum::<f64>() / values.len() as f64,
            p50_ns: quantile(values, 0.5),
            p90_ns: quantile(values, 0.9),
            p95_ns: quantile(values, 0.95),
            p99_ns: quantile(values, 0.99),
            p999_ns: quantile(values, 0.999),
            max_ns,
        })
    }

    /// Returns the distribution of (nanoseconds, how many), sorted; `None` if there are none.
    pub(crate) fn of_weighted(values: &[(u64, u32)]) -> Option<Distribution> {
        let max_ns = values.last()?.0 as f64;
        let n: u64 = values.iter().map(|value| u64::from(value.1)).sum();
        let sum: u128 = values.iter().map(|&(ns, n)| u128::from(ns) * u128::from(n)).sum();
        let mut before = 0;
        let ends: Vec<u64> = values
            .iter()
            .map(|value| {
                before += u64::from(value.1);
                before
            })
            .collect();
        let order =
            |rank: u64| values[ends.partition_point(|&end| end <= rank).min(values.len() - 1)].0 as f64;
        let quantile = |share: f64| {
            let place = share * (n.max(1) - 1) as f64;
            let (low, high) = (order(place.floor() as u64), order(place.ceil() as u64));
            low + (high - low) * (place - place.floor())
        };
        Some(Distribution {
            n,
            mean_ns: sum as f64 / n.max(1) as f64,
            p50_ns: quantile(0.5),
            p90_ns: quantile(0.9),
            p95_ns: quantile(0.95),
            p99_ns: quantile(0.99),
            p999_ns: quantile(0.999),
            max_ns,
        })
    }

    /// Returns mean, p50, p90, p95, p99 and p999.
    pub(crate) fn points(&self) -> [f64; 6] {
        [self.mean_ns, self.p50_ns, self.p90_ns, self.p95_ns, self.p99_ns, self.p999_ns]
    }
}

/// How one objective fared in one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attained {
    /// The objective.
    pub objective: Objective,
    /// The quantile over all requests that have the metric, or over those of the worst window; infinite if it falls on one
    /// that was rejected or not completed. `None` if no request counts.
    pub quantile_ns: Option<f64>,
    /// Share of requests within the limit, of all or of the worst window; rejected and incomplete ones are not. `None` if no
    /// request counts.
    pub share: Option<f64>,
}

/// What requests saw that yielded to the others. They are among all those that a [`Summary`] counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yielded {
    /// Requests in the window.
    pub arrived: u64,
    /// Of those, completed.
    pub completed: u64,
    /// Of those, rejected.
    pub rejected: u64,
    /// Time to first token of requests that have one.
    pub ttft: Option<Distribution>,
    /// Time per output token of completed requests.
    pub tpot: Option<Distribution>,
    /// End to end time of completed requests.
    pub e2e: Option<Distribution>,
}

/// One run in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Why the run ended.
    pub stop: Stop,
    /// When its last event was.
    pub end: Time,
    /// Requests in the window.
    pub arrived: u64,
    /// Of those, completed.
    pub completed: u64,
    /// Of those, rejected.
    pub rejected: u64,
    /// Of those, lost when their replica failed.
    pub lost: u64,
    /// Of those, preempted at least once, or sent again.
    pub preempted: u64,
    /// Time to first token of requests that have one.
    pub ttft: Option<Distribution>,
    /// Time per output token of completed requests.
    pub tpot: Option<Distribution>,
    /// End to end time of completed requests.
    pub e2e: Option<Distribution>,
    /// Time between two tokens of a request, over all tokens; only of runs that were watched.
    pub itl: Option<Distribution>,
    /// What those saw who yielded to the others, where any did; the times above and the objectives are not theirs.
    pub background: Option<Yielded>,
    /// Each objective.
    pub attained: Vec<Attained>,
    /// Seconds of the window.
    pub seconds: f64,
    /// Completed requests of the window, per second of it.
    pub requests_per_second: f64,
    /// Requests that completed within the window, whenever they arrived, per second of it: what the replicas achieve.
    pub served_per_second: f64,
    /// Their output tokens, per second.
    pub output_tokens_per_second: f64,
    /// Requests of the window that meet every objective, per second; of those that yield, all that were answered.
    pub goodput_per_second: f64,
    /// Steps of all replicas, in the whole run.
    pub iterations: u64,
    /// Of those, computed in a leap and no event of their own.
    pub leapt_iterations: u64,
    /// Tokens of prompts read in the whole run, those read again included.
    pub prefill_tokens: u64,
    /// Tokens of prompts found in the cache in the whole run.
    pub reused_tokens: u64,
    /// Of those, read back from a tier beside the accelerators.
    pub read_back_tokens: u64,
    /// Output tokens in the whole run.
    pub output_tokens: u64,
    /// Tokens computed in vain because of preemption, in the whole run.
    pub discarded_tokens: u64,
    /// Preemptions in the whole run.
    pub preemptions: u64,
    /// Share of the run in which a replica ran a step, mean over replicas.
    pub utilisation: f64,
    /// Sequences in the batch, mean over busy time.
    pub mean_batch: f64,
    /// Largest share of a replica's KV blocks in use.
    pub kv_peak: f64,
    /// Share of KV blocks in use, mean over busy time.
    pub kv_mean: f64,
}

impl RunResult {
    /// Sums the run up.
    pub fn summarize(&self, config: &ServingConfig, window: Window, objectives: &[Objective]) -> Summary {
        let mut tally = Tally::new(window, objectives);
        self.records.iter().for_each(|record| tally.add(record));
        tally.summarize(config, &self.replicas, self.stop, self.end)
    }
}

/// Returns the quantile of sorted values, of which there is one at least.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    quantile_of(sorted, sorted.len(), share)
}

/// Returns the quantile of `n` values of which the least are given and the others are infinite.
pub(crate) fn quantile_of(sorted: &[f64], n: usize, share: f64) -> f64 {
    let position = share.clamp(0.0, 1.0) * (n - 1) as f64;
    let below = position.floor();
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::INFINITY);
    let (low, part) = (at(below as usize), position - below);
    // Between two infinite values lies nothing else, though their difference is no number.
    let exact = part == 0.0 || low == f64::INFINITY;
    if exact { low } else { low + (at(below as usize + 1) - low) * part }
}

impl Work {
    /// Returns the sum; of peaks the larger.
    pub(crate) fn plus(self, other: &Work) -> Work {
        Work {
            iterations: self.iterations + other.iterations,
            leapt_iterations: self.leapt_iterations + other.leapt_iterations,
            prefill_tokens: self.prefill_tokens + other.prefill_tokens,
            reused_tokens: self.reused_tokens + other.reused_tokens,
            read_back_tokens: self.read_back_tokens + other.read_back_tokens,
            decode_tokens: self.decode_tokens + other.decode_tokens,
            output_tokens: self.output_tokens + other.output_tokens,
            discarded_tokens: self.discarded_tokens + other.discarded_tokens,
            preemptions: self.preemptions + other.preemptions,
            busy_ns: self.busy_ns + other.busy_ns,
            kv_peak_blocks: self.kv_peak_blocks.max(other.kv_peak_blocks),
            kv_block_ns: self.kv_block_ns + other.kv_block_ns,
            sequence_ns: self.sequence_ns + other.sequence_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_numpys() {
        // numpy.quantile([1, 2, 4, 8], [0, .5, .9, 1]) == [1, 3, 6.8, 8]
        let values = [1.0, 2.0, 4.0, 8.0];
        for (share, expect) in [(0.0, 1.0), (0.5, 3.0), (0.9, 6.8), (1.0, 8.0)] {
            assert!((quantile(&values, share) - expect).abs() < 1e-12, "{share}");
        }
    }

    #[test]
    fn what_was_not_served_counts_as_never() {
        assert_eq!(quantile_of(&[1.0, 2.0], 4, 0.5), f64::INFINITY);
        assert_eq!(quantile_of(&[1.0, 2.0, 3.0], 4, 2.0 / 3.0), 3.0);
        assert_eq!(quantile_of(&[], 1, 0.0), f64::INFINITY);
        assert_eq!(quantile_of(&[1.0], 3, 0.9), f64::INFINITY);
    }

    #[test]
    fn values_that_are_counted_have_the_quantiles_of_those_written_out() {
        let counted = [(1, 3), (4, 1), (9, 6)];
        let written = [1.0, 1.0, 1.0, 4.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0];
        assert_eq!(Distribution::of_weighted(&counted), Distribution::of_sorted(&written));
        assert_eq!(Distribution::of_weighted(&[]), None);
    }
}
