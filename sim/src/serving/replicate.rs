//! Does it hold, and how sure are we? Independent replications of a run, and a verdict on each objective.
//!
//! Replications run in batches of [`BATCH`], in parallel; after each batch every objective that is still open is tested
//! at a level divided by the most batches, [`MAX_BATCHES`] or more (Bonferroni), so looking several times does not make a false verdict likelier
//! than the stated level. Results are collected by index: the number of threads changes nothing.

use rayon::prelude::*;

use super::arrivals::Workload;
use super::config::{ConfigError, ServingConfig};
use super::request::Record;
use super::run::{Stop, simulate_into};
use super::stats::{Distribution, Objective, Summary, Window};
use super::step::StepTime;
use super::student::two_sided_t;
use super::tally::Tally;

/// Replications in a batch.
pub const BATCH: u32 = 8;
/// Most batches.
pub const MAX_BATCHES: u32 = 8;
/// Confidence of the intervals that are reported.
pub const CONFIDENCE: f64 = 0.95;

/// A mean over replications and its interval: mean ± half width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Mean over replications.
    pub mean: f64,
    /// Half of the width; zero where nothing is random.
    pub half_width: f64,
}

/// What the simulator saw against an objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The interval lies at or below the limit.
    Met,
    /// The interval lies above the limit.
    Missed,
    /// All batches were run and the interval holds the limit, or a run hit its bound on events or was interrupted, or nothing arrived.
    Undecided,
}

/// An objective, judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// The objective.
    pub objective: Objective,
    /// Its quantile in nanoseconds, over the replications that decided; 95 % interval. `None` if nothing arrived.
    pub quantile_ns: Option<Interval>,
    /// Share of requests within the limit, over the same replications. `None` if nothing arrived.
    pub share: Option<Interval>,
    /// The verdict.
    pub verdict: Verdict,
    /// Replications it rests on.
    pub replications: u32,
}

/// Mean over replications of the mean and of each percentile, in nanoseconds, with 95 % intervals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimates {
    /// Mean.
    pub mean: Interval,
    /// Median.
    pub p50: Interval,
    /// 90th percentile.
    pub p90: Interval,
    /// 95th percentile.
    pub p95: Interval,
    /// 99th percentile.
    pub p99: Interval,
    /// 99.9th percentile.
    pub p999: Interval,
}

/// Replications of a run, summed up.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicated {
    /// Each replication, by number.
    pub runs: Vec<Summary>,
    /// Time to first token.
    pub ttft: Option<Estimates>,
    /// Time per output token.
    pub tpot: Option<Estimates>,
    /// End to end time.
    pub e2e: Option<Estimates>,
    /// Time between two tokens of a request; only of runs that were watched.
    pub itl: Option<Estimates>,
    /// Requests per second that meet every objective.
    pub goodput_per_second: Interval,
    /// Completed requests per second.
    pub requests_per_second: Interval,
    /// Requests completed within the window, per second of it: what the replicas achieve.
    pub served_per_second: Interval,
    /// Share of time in which a replica ran a step.
    pub utilisation: Interval,
    /// Each objective, in the order given.
    pub judged: Vec<Judged>,
}

/// How many replications are run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Replications {
    /// In a batch.
    pub batch: u32,
    /// Batches that are run in any case.
    pub least_batches: u32,
    /// Most batches.
    pub most_batches: u32,
    /// No further batch where the chance that all of them would decide is less: who asks for a yes need not know how long
    /// it stays open. 0 runs them all.
    pub least_chance: f64,
}

impl Replications {
    /// As many as it takes to decide; of a trace one, since nothing in it is random.
    pub fn until_decided(workload: &Workload) -> Replications {
        let random = !workload.is_given();
        let (batch, most_batches) = if random { (BATCH, MAX_BATCHES) } else { (1, 1) };
        Replications { batch, least_batches: 1, most_batches, least_chance: 0.0 }
    }

    /// At least so many, in whole batches, and more where that does not decide.
    pub fn at_least(n: u32) -> Replications {
        let least_batches = n.div_ceil(BATCH).max(1);
        let most_batches = least_batches.max(MAX_BATCHES);
        Replications { batch: BATCH, least_batches, most_batches, least_chance: 0.0 }
    }
}

/// Runs replications until every objective is decided, or all batches are run; without objectives, one batch.
pub fn replicate<S: StepTime + ?Sized>(
    config: &ServingConfig,
    step: &S,
    workload: &Workload,
    seed: u64,
    window: Window,
    objectives: &[Objective],
) -> Result<Replicated, ConfigError> {
    config.validate()?;
    let one = |replication| {
        let mut tally = Tally::new(window, objectives);
        let mut log = |_, record: &Record| tally.add(record);
        let totals = simulate_into(config, step, workload, seed, replication, &mut log)?;
        Ok(tally.summarize(config, &totals.replicas, totals.stop, totals.end))
    };
    replicate_runs(Replications::until_decided(workload), objectives, &one)
}

/// Runs replications that `one` runs by number, and judges the objectives that it tallies.
pub fn replicate_runs(
    replications: Replications,
    objectives: &[Objective],
    one: &(dyn Fn(u32) -> Result<Summary, ConfigError> + Sync),
) -> Result<Replicated, ConfigError> {
    let Replications { batch, least_batches, most_batches, least_chance } = replications;
    let mut runs: Vec<Summary> = Vec::new();
    let mut judged: Vec<Option<Judged>> = vec![None; objectives.len()];
    for number in 0..most_batches {
        let numbers = number * batch..(number + 1) * batch;
        let results: Result<Vec<Summary>, ConfigError> = numbers.into_par_iter().map(one).collect();
        runs.extend(results?);
        if runs.iter().any(|run| run.stop == Stop::Interrupted) {
            return Ok(interrupted(runs, objectives, most_batches));
        }
        if number + 1 < least_batches {
            continue;
        }
        for (index, open) in judged.iter_mut().enumerate().filter(|(_, judged)| judged.is_none()) {
            let judgement = judge(&runs, index, objectives[index], most_batches);
            let is_last = number + 1 == most_batches
                || least_chance > 0.0
                    && chance(&quantiles(&runs, index), objectives[index].limit_ns, &replications)
                        < least_chance;
            *open = (judgement.verdict != Verdict::Undecided || is_last).then_some(judgement);
        }
        if judged.iter().all(Option::is_some) {
            break;
        }
    }
    Ok(conclude(runs, judged.into_iter().flatten().collect()))
}

/// Concludes from the replications that came to their end; from the longest where none did. Nothing is decided then.
fn interrupted(mut runs: Vec<Summary>, objectives: &[Objective], most_batches: u32) -> Replicated {
    if runs.iter().any(|run| run.stop != Stop::Interrupted) {
        runs.retain(|run| run.stop != Stop::Interrupted);
    } else {
        let longest = runs.iter().map(|run| run.end).max();
        runs.retain(|run| Some(run.end) == longest);
        runs.truncate(1);
    }
    let judged = objectives.iter().enumerate().map(|(index, objective)| Judged {
        verdict: Verdict::Undecided,
        ..judge(&runs, index, *objective, most_batches)
    });
    let judged = judged.collect();
    conclude(runs, judged)
}

fn conclude(runs: Vec<Summary>, judged: Vec<Judged>) -> Replicated {
    let over = |part: fn(&Summary) -> f64| interval(&runs.iter().map(part).collect::<Vec<f64>>(), CONFIDENCE);
    Replicated {
        ttft: estimates(&runs, |run| run.ttft),
        tpot: estimates(&runs, |run| run.tpot),
        e2e: estimates(&runs, |run| run.e2e),
        itl: estimates(&runs, |run| run.itl),
        goodput_per_second: over(|run| run.goodput_per_second),
        requests_per_second: over(|run| run.requests_per_second),
        served_per_second: over(|run| run.served_per_second),
        utilisation: over(|run| run.utilisation),
        judged,
        runs,
    }
}

fn estimates(runs: &[Summary], part: fn(&Summary) -> Option<Distribution>) -> Option<Estimates> {
    let points: Vec<[f64; 6]> =
        runs.iter().filter_map(part).map(|distribution| distribution.points()).collect();
    if points.is_empty() {
        return None;
    }
    let point = |index: usize| interval(&points.iter().map(|p| p[index]).collect::<Vec<f64>>(), CONFIDENCE);
    Some(Estimates {
        mean: point(0),
        p50: point(1),
        p90: point(2),
        p95: point(3),
        p99: point(4),
        p999: point(5),
    })
}

fn judge(runs: &[Summary], index: usize, objective: Objective, most_batches: u32) -> Judged {
    let quantiles = quantiles(runs, index);
    let shares: Vec<f64> = runs.iter().filter_map(|run| run.attained[index].share).collect();
    let level = level(most_batches);
    let cut_short = runs.iter().any(|run| matches!(run.stop, Stop::MaxEvents | Stop::Interrupted));
    let verdict = match (quantiles.is_empty(), interval(&quantiles, level)) {
        (true, _) => Verdict::Undecided,
        _ if cut_short => Verdict::Undecided,
        (_, Interval { mean, half_width }) if mean + half_width <= objective.limit_ns => Verdict::Met,
        (_, Interval { mean, half_width }) if mean - half_width > objective.limit_ns => Verdict::Missed,
        _ => Verdict::Undecided,
    };
    let some = |values: &[f64]| (!values.is_empty()).then(|| interval(values, CONFIDENCE));
    let (quantile_ns, share) = (some(&quantiles), some(&shares));
    Judged { objective, quantile_ns, share, verdict, replications: runs.len() as u32 }
}

/// Returns what each run saw of an objective.
fn quantiles(runs: &[Summary], index: usize) -> Vec<f64> {
    runs.iter().filter_map(|run| run.attained[index].quantile_ns).collect()
}

/// Returns the confidence at which one of so many looks is judged.
fn level(most_batches: u32) -> f64 {
    1.0 - (1.0 - CONFIDENCE) / f64::from(most_batches.max(MAX_BATCHES))
}

/// Returns the chance that an objective is decided once there are `most` replications, going by those there are.
///
/// Their mean will be normal about that of today: of n values with the deviation s, s² (1/n − 1/N) is its variance.
fn chance(values: &[f64], limit: f64, replications: &Replications) -> f64 {
    let most = replications.most_batches * replications.batch;
    let (n, most, degrees) = (values.len() as f64, f64::from(most), most.saturating_sub(1));
    if n < 2.0 || n >= most {
        return 0.0;
    }
    let (mean, variance) = moments(values);
    let deviation = variance.sqrt();
    let moves = deviation * (1.0 / n - 1.0 / most).sqrt();
    let needed = two_sided_t(level(replications.most_batches), degrees) * deviation / most.sqrt();
    let above = |distance: f64| 0.5 * libm::erfc(distance / (moves * core::f64::consts::SQRT_2));
    let gap = (mean - limit).abs();
    above(needed - gap) + above(needed + gap)
}

/// Returns the mean of independent values, and their variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|value| (value - mean) * (value - mean));
    (mean, squares.sum::<f64>() / (n - 1.0))
}

/// Returns the mean of independent values and its t interval. One infinite value makes the mean infinite, for certain.
///
/// A single value has no spread to judge by and stands for itself: only what is not random is run once.
fn interval(values: &[f64], confidence: f64) -> Interval {
    let (mean, variance) = moments(values);
    if values.len() < 2 || mean.is_infinite() {
        return Interval { mean, half_width: 0.0 };
    }
    let n = values.len() as f64;
    let t = two_sided_t(confidence, values.len() as u32 - 1);
    Interval { mean, half_width: t * (variance / n).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Streams;

    /// Means all around the limit, each with 64 normal replications: of those that are given a chance after one batch, as
    /// many are decided in the end as was said; of those that are given up, hardly any.
    #[test]
    fn the_chance_to_decide_is_how_often_it_is_decided() {
        let replications =
            Replications { batch: BATCH, least_batches: 1, most_batches: MAX_BATCHES, least_chance: 0.1 };
        let limit = 100.0;
        let decides = |values: &[f64]| {
            let Interval { mean, half_width } = interval(values, level(MAX_BATCHES));
            (mean - limit).abs() > half_width
        };
        let (mut said, mut decided, mut given_up, mut wrongly, mut open) = (0.0, 0.0, 0, 0, 0);
        for number in 0..4_000_u32 {
            let mut stream = Streams::new(7).stream(&format!("chance {number}"));
            let mean = limit + 3.0 * (f64::from(number) / 2_000.0 - 1.0);
            let values: Vec<f64> = (0..64).map(|_| mean + 2.0 * stream.normal()).collect();
            let of_one_batch = chance(&values[..8], limit, &replications);
            if decides(&values[..8]) {
                continue;
            }
            open += 1;
            said += of_one_batch;
            decided += f64::from(u8::from(decides(&values)));
            let after_three = chance(&values[..24], limit, &replications);
            given_up += u32::from(after_three < 0.1);
            wrongly += u32::from(after_three < 0.1 && decides(&values));
        }
        assert!((said / decided - 1.0).abs() < 0.05, "{said} said, {decided} decided of {open}");
        assert!(given_up > open / 10 && wrongly * 10 < given_up, "{wrongly} wrongly of {given_up} of {open}");
    }
}
