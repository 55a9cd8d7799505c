//! What failures, checkpoints and restarts leave of the time: the effective share.
//!
//! E[ETTR] ≈ (1 − N r (u + Δ/2)) / (1 + w/Δ), N nodes, r failures per node and second, u restart, Δ interval, w write
//! stall (Kokolis et al., arXiv 2410.21680). It assumes that failures are rare within an interval and that a spare
//! node is at hand.

use capstan_types::model::Model;
use capstan_types::origin::Origin;
use capstan_types::units::{Bytes, Seconds};

/// Failures per 1,000 node-days: a range, because seven public runs span 2.3 to 15.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Failures {
    /// Best public cluster (Meta RSC-2: 2.34).
    pub low: f64,
    /// Default (Meta RSC-1: 6.50).
    pub middle: f64,
    /// Worst public cluster (Alibaba fleet: 15).
    pub high: f64,
}

impl Default for Failures {
    fn default() -> Self {
        Self { low: 2.34, middle: 6.5, high: 15.0 }
    }
}

/// Time from a failure to the first new step where a plan states none: detection below 10 minutes and recovery
/// below 15 minutes are what a well-run cluster reports (MegaScale); half of both.
pub const RESTART: Seconds = Seconds(750.0);

/// Bytes of a checkpoint per parameter: 16-bit weights 2, 32-bit master 4, two moments 8.
pub const CHECKPOINT_BYTES: f64 = 14.0;

/// What is left of the time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goodput {
    /// Mean time between failures of the job.
    pub mttf: Seconds,
    /// Time between two checkpoints.
    pub interval: Seconds,
    /// Share of time that counts, at the middle failure rate.
    pub effective: f64,
    /// The same at the high failure rate.
    pub effective_low: f64,
    /// The same at the low failure rate.
    pub effective_high: f64,
    /// How the failure rate came to be.
    pub origin: Origin,
}

/// Returns the bytes of a full checkpoint.
pub fn checkpoint_bytes(model: &Model) -> Bytes {
    Bytes(model.params_total_b * 1e9 * CHECKPOINT_BYTES)
}

/// Returns the mean time between failures of a job on `nodes` nodes.
pub fn mttf(nodes: u32, per_1000_node_days: f64) -> Seconds {
    Seconds(86_400.0 * 1000.0 / (f64::from(nodes.max(1)) * per_1000_node_days))
}

/// Returns the checkpoint interval that loses least: Daly's higher-order form, for a stall δ and mean time M:
/// √(2 δ M) [1 + ⅓ √(δ/2M) + ⅑ δ/2M] − δ for δ < 2M, else M (J. T. Daly, FGCS 22, 2006).
pub fn daly(stall: Seconds, mttf: Seconds) -> Seconds {
    let (stall, mean) = (stall.get().max(1e-3), mttf.get());
    if stall >= 2.0 * mean {
        return mttf;
    }
    let ratio = stall / (2.0 * mean);
    Seconds((2.0 * stall * mean).sqrt() * (1.0 + ratio.sqrt() / 3.0 + ratio / 9.0) - stall)
}

/// Returns the effective share of time; zero where failures come faster than restarts.
pub fn effective(mttf: Seconds, interval: Seconds, restart: Seconds, stall: Seconds) -> f64 {
    let lost = (restart.get() + interval.get() / 2.0) / mttf.get();
    ((1.0 - lost) / (1.0 + stall.get() / interval.get().max(1e-9))).clamp(0.0, 1.0)
}

impl Goodput {
    /// Returns the effective share of a job on `nodes` nodes that stalls for `stall` at each checkpoint.
    ///
    /// `every` is the plan's longest interval; without one, or where Daly's is shorter, Daly's is used.
    pub fn of(
        nodes: u32,
        failures: Failures,
        restart: Seconds,
        stall: Seconds,
        every: Option<Seconds>,
    ) -> Self {
        let middle = mttf(nodes, failures.middle);
        let best = daly(stall, middle);
        let interval = every.map_or(best, |limit| limit.min(best).max(Seconds(1.0)));
        let at = |rate: f64| effective(mttf(nodes, rate), interval, restart, stall);
        Self {
            mttf: middle,
            interval,
            effective: at(failures.middle),
            effective_low: at(failures.high),
            effective_high: at(failures.low),
            origin: Origin::Assumed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: f64, expected: f64, tolerance: f64) {
        assert!((value - expected).abs() <= tolerance, "{value} against {expected}");
    }

    #[test]
    fn daly_reproduces_the_worked_examples() {
        // 16,384 GPUs, 3.09 h between failures: 797 s at a stall of 30 s, 330 s at 5 s.
        let mttf = Seconds(3.09 * 3600.0);
        check(daly(Seconds(30.0), mttf).get(), 797.0, 1.0);
        check(daly(Seconds(5.0), mttf).get(), 330.0, 1.0);
    }

    #[test]
    fn effective_time_reproduces_the_paper() {
        // 16,384 GPUs in 2,048 nodes at 6.5: 1.80 h; checkpoints each 60 min 0.676, each 5 min 0.931.
        let mttf = mttf(2048, 6.5);
        check(mttf.hours(), 1.80, 0.005);
        check(effective(mttf, Seconds(3600.0), Seconds(300.0), Seconds(0.0)), 0.676, 0.001);
        check(effective(mttf, Seconds(300.0), Seconds(300.0), Seconds(0.0)), 0.931, 0.001);
    }

    #[test]
    fn a_plan_may_ask_for_shorter_intervals_but_not_longer_than_the_best() {
        let of = |every| Goodput::of(128, Failures::default(), RESTART, Seconds(30.0), every);
        let best = of(None);
        assert_eq!(of(Some(Seconds(1e9))).interval, best.interval);
        assert_eq!(of(Some(Seconds(60.0))).interval, Seconds(60.0));
        assert!(of(Some(Seconds(60.0))).effective < best.effective);
        assert!(best.effective_low < best.effective && best.effective < best.effective_high);
    }

    #[test]
    fn a_cluster_that_fails_faster_than_it_restarts_does_nothing() {
        assert_eq!(effective(Seconds(60.0), Seconds(60.0), Seconds(600.0), Seconds(0.0)), 0.0);
    }
}
