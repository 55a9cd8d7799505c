//! How was it, summed up while it happens? What a summary needs of each request: three numbers, not its record.

use super::config::ServingConfig;
use super::request::{Outcome, Record};
use super::run::Stop;
use super::stats::{Attained, Distribution, Metric, Objective, Summary, Window, Yielded, quantile_of};
use super::work::Work;
use crate::engine::Time;
use std::collections::BTreeMap;

/// The sums of a run so far. Percentiles are exact: of each request in the window its times are kept, 24 bytes at most, and
/// 8 more for each objective with windows of its own.
#[derive(Debug, Clone)]
pub struct Tally {
    window: Window,
    objectives: Vec<Fate>,
    /// Nanoseconds, by [`Metric`].
    values: [Vec<f64>; 3],
    /// Requests that yielded; objectives are not for them.
    background: Background,
    arrived: u64,
    completed: u64,
    rejected: u64,
    lost: u64,
    preempted: u64,
    good: u64,
    /// Completed within the window, whenever they arrived.
    served: u64,
    output_tokens: u64,
}

/// What those saw who yielded to the others.
#[derive(Debug, Clone, Default)]
struct Background {
    arrived: u64,
    completed: u64,
    rejected: u64,
    values: [Vec<f64>; 3],
}

/// How an objective fares.
#[derive(Debug, Clone)]
struct Fate {
    objective: Objective,
    /// Requests that have the metric.
    n: u64,
    within: u64,
    /// By number; none where all requests are taken together.
    windows: BTreeMap<u64, Part>,
}

/// The requests of one window of an objective.
#[derive(Debug, Clone, Default)]
struct Part {
    all: u64,
    n: u64,
    within: u64,
    values: Vec<f64>,
}

impl Tally {
    /// Returns the tally of no request yet.
    pub fn new(window: Window, objectives: &[Objective]) -> Tally {
        let fate = |&objective| Fate { objective, n: 0, within: 0, windows: BTreeMap::new() };
        Tally {
            window,
            objectives: objectives.iter().map(fate).collect(),
            values: Default::default(),
            background: Background::default(),
            arrived: 0,
            completed: 0,
            rejected: 0,
            lost: 0,
            preempted: 0,
            good: 0,
            served: 0,
            output_tokens: 0,
        }
    }

    /// Counts a request that has left, in any order.
    pub fn add(&mut self, record: &Record) {
        self.judge(record);
    }

    /// Counts a request that has left, and says whether it counts and meets every objective; one that yields has none.
    pub fn judge(&mut self, record: &Record) -> bool {
        self.served +=
            u64::from(self.window.from <= record.completed && record.completed < self.window.until);
        if !self.window.holds(record) {
            return false;
        }
        self.arrived += 1;
        self.preempted += u64::from(record.restarts > 0);
        match record.outcome {
            Outcome::Completed => {
                self.completed += 1;
                self.output_tokens += u64::from(record.output);
            }
            Outcome::Rejected(_) => self.rejected += 1,
            Outcome::Lost => self.lost += 1,
            Outcome::InFlight => {}
        }
        if record.background {
            return self.background.add(record);
        }
        keep(&mut self.values, record);
        let mut good = true;
        for fate in &mut self.objectives {
            good &= fate.add(record, self.window);
        }
        self.good += u64::from(good);
        good
    }

    /// Sums the run up, given what its replicas did, why it stopped and when.
    pub fn summarize(mut self, config: &ServingConfig, replicas: &[Work], stop: Stop, end: Time) -> Summary {
        let [ttft, tpot, e2e] = distributions(&mut self.values);
        let until = if self.window.until == Time::NEVER { end } else { self.window.until };
        let seconds = until.since(self.window.from) as f64 / 1e9;
        let per_second = |n: u64| if seconds > 0.0 { n as f64 / seconds } else { 0.0 };
        let work = replicas.iter().fold(Work::default(), Work::plus);
        let busy = work.busy_ns.max(1) as f64;
        let run_ns = (end.ns() as f64).max(1.0) * replicas.len() as f64;
        let blocks = f64::from(config.kv.blocks);
        Summary {
            stop,
            end,
            arrived: self.arrived,
            completed: self.completed,
            rejected: self.rejected,
            lost: self.lost,
            preempted: self.preempted,
            attained: self.objectives.iter().map(|fate| self.attained(fate)).collect(),
            ttft,
            tpot,
            e2e,
            itl: None,
            background: self.background.summarize(),
            seconds,
            requests_per_second: per_second(self.completed),
            served_per_second: per_second(self.served),
            output_tokens_per_second: per_second(self.output_tokens),
            goodput_per_second: per_second(self.good),
            iterations: work.iterations,
            leapt_iterations: work.leapt_iterations,
            prefill_tokens: work.prefill_tokens,
            reused_tokens: work.reused_tokens,
            read_back_tokens: work.read_back_tokens,
            output_tokens: work.output_tokens,
            discarded_tokens: work.discarded_tokens,
            preemptions: work.preemptions,
            utilisation: work.busy_ns as f64 / run_ns,
            mean_batch: work.sequence_ns as f64 / busy,
            kv_peak: f64::from(work.kv_peak_blocks) / blocks,
            kv_mean: work.kv_block_ns as f64 / busy / blocks,
        }
    }

    fn attained(&self, fate: &Fate) -> Attained {
        let Fate { objective, n, within, .. } = *fate;
        let sorted = &self.values[objective.metric as usize];
        let whole = (n > 0).then(|| quantile_of(sorted, n as usize, objective.quantile));
        // All requests together count too: of few values a quantile lies between two, and can be below that of all.
        let parts = fate.windows.values().filter(|part| objective.is_defined_for(part.n));
        let quantiles = parts.clone().map(|part| part.quantile(objective.quantile));
        let shares = parts.map(|part| part.within as f64 / part.all as f64);
        Attained {
            objective,
            quantile_ns: whole.map(|whole| quantiles.fold(whole, f64::max)),
            share: self.share_of_urgent(within).map(|whole| shares.fold(whole, f64::min)),
        }
    }

    /// Returns the share of so many among those that do not yield.
    fn share_of_urgent(&self, n: u64) -> Option<f64> {
        let all = self.arrived - self.background.arrived;
        (all > 0).then(|| n as f64 / all as f64)
    }
}

impl Fate {
    /// Counts a request of the window, and says whether it meets the objective.
    fn add(&mut self, record: &Record, window: Window) -> bool {
        let within = meets(record, &self.objective);
        let n = u64::from(has(record, self.objective.metric));
        self.n += n;
        self.within += u64::from(within);
        if let Some(number) = self.number(record, window) {
            let part = self.windows.entry(number).or_default();
            part.all += 1;
            part.n += n;
            part.within += u64::from(within);
            part.values.extend(value(record, self.objective.metric));
        }
        within
    }

    /// Returns the window that a request falls into.
    fn number(&self, record: &Record, window: Window) -> Option<u64> {
        let length = self.objective.window_ns?.max(1);
        let whole = if window.until == Time::NEVER { u64::MAX } else { window.until.since(window.from) };
        let last = (whole / length).max(1) - 1;
        Some((record.arrival.since(window.from) / length).min(last))
    }
}

impl Part {
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        quantile_of(&sorted, self.n as usize, share)
    }
}

impl Background {
    /// Counts a request; it is good if it was answered at all.
    fn add(&mut self, record: &Record) -> bool {
        self.arrived += 1;
        let completed = record.outcome == Outcome::Completed;
        self.completed += u64::from(completed);
        self.rejected += u64::from(matches!(record.outcome, Outcome::Rejected(_)));
        keep(&mut self.values, record);
        completed
    }

    fn summarize(mut self) -> Option<Yielded> {
        let [ttft, tpot, e2e] = distributions(&mut self.values);
        let Background { arrived, completed, rejected, .. } = self;
        (arrived > 0).then_some(Yielded { arrived, completed, rejected, ttft, tpot, e2e })
    }
}

/// Adds what a request took to the values of each metric.
fn keep(values: &mut [Vec<f64>; 3], record: &Record) {
    for metric in [Metric::Ttft, Metric::Tpot, Metric::E2e] {
        values[metric as usize].extend(value(record, metric));
    }
}

/// Sorts the values of each metric and returns how they are distributed.
fn distributions(values: &mut [Vec<f64>; 3]) -> [Option<Distribution>; 3] {
    values.each_mut().map(|values| {
        values.sort_unstable_by(f64::total_cmp);
        Distribution::of_sorted(values)
    })
}

fn value(record: &Record, metric: Metric) -> Option<f64> {
    match metric {
        Metric::Ttft => record.ttft_ns().map(|ns| ns as f64),
        Metric::Tpot => record.tpot_ns(),
        Metric::E2e => record.e2e_ns().map(|ns| ns as f64),
    }
}

/// Says whether the metric is defined for the request once it is complete.
fn has(record: &Record, metric: Metric) -> bool {
    metric != Metric::Tpot || record.output > 1 || record.outcome != Outcome::Completed
}

fn meets(record: &Record, objective: &Objective) -> bool {
    match value(record, objective.metric) {
        Some(ns) => ns <= objective.limit_ns,
        None => !has(record, objective.metric),
    }
}
