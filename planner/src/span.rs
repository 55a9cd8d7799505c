//! How much is simulated of an hour? On how many of the replicas, for how long, which requests, and in which windows a level
//! must hold.

use crate::shortcuts::hash_tokens;
use crate::verify::{Trial, overhead_ns};
use capstan_sim::bridge::length;
use capstan_sim::engine::Time;
use capstan_sim::random::QuantileTableError;
use capstan_sim::serving::{
    Lengths, Metric, Objective, OpenLoop, Rate, Recording, Replications, Window, Workload,
};
use capstan_types::spec::{Part, Slo, SloMetric};

/// Time before the measured hour in which queues and caches fill: so many times what a request takes, within these bounds.
const WARM_UP_S: f64 = 300.0;
const SHORTEST_WARM_UP_S: f64 = 60.0;
const WARM_UP_REQUESTS: f64 = 10.0;

/// The measured time is the busiest hour, or a sample of it that holds enough requests, so many times as long as the
/// warm-up at least.
const HOUR_S: f64 = 3600.0;
const SHORTEST_WARM_UPS: f64 = 2.0;

/// Requests of one replication that are enough: 240 of them lie above the 99th percentile, in each of eight
/// replications and more.
const ENOUGH_REQUESTS: f64 = 24_000.0;

/// Requests that a replication holds at least, if it takes longer than the hour, and the lowest rate that is simulated: a
/// replica that sees less is no worse off.
const FEWEST_REQUESTS: f64 = 200.0;
const SLOWEST: f64 = 1e-4;

/// How long the rate rises from one hour's to the next's, and how long it stays there, where replicas follow it.
const RISE_S: f64 = 3600.0;
const HOLD_S: f64 = 1800.0;

/// Requests of one replication that are enough where a level has windows: of a whole hour, so that there are more, in
/// fewer replications.
const ENOUGH_OF_WINDOWS: f64 = 2.0 * ENOUGH_REQUESTS;

/// Fewest replications at once: of fewer, hardly any interval decides.
const FEWEST_AT_ONCE: u32 = 4;

/// Chance that all replications decide below which no more of them are run. What stays open is planned as if it were missed.
const LEAST_CHANCE: f64 = 0.1;

/// Windows of a level that are measured at least, however few requests are wanted.
const FEWEST_WINDOWS: f64 = 4.0;

/// Requests of one replication at most where replicas follow them, unless fewer than [`FEWEST_THAT_FOLLOW`] have more.
const MOST_HOURLY_REQUESTS: f64 = 120_000.0;
const FEWEST_THAT_FOLLOW: u32 = 4;

/// Most replicas that are simulated; more are simulated on a split. So many share a queue as well as any larger number.
const MOST_REPLICAS: u32 = 64;

/// The replicas that are simulated, and what comes to them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    /// How many.
    pub replicas: u32,
    /// Of all replicas.
    pub share: f64,
    /// Their requests per second.
    pub rate: f64,
}

impl Group {
    /// Returns the group that stands for the replicas of a trial.
    pub fn of(trial: &Trial<'_>) -> Group {
        let replicas = split(trial);
        let share = f64::from(replicas) / f64::from(trial.replicas.max(1));
        Group { replicas, share, rate: (trial.rate * share).max(SLOWEST) }
    }
}

/// Returns how many replicas are simulated.
fn split(trial: &Trial<'_>) -> u32 {
    if trial.trace.is_some() {
        return trial.replicas.max(1);
    }
    let within = |requests: f64, seconds: f64| {
        let most = requests / (each(trial) * seconds);
        most.floor().min(1e6) as u32
    };
    if trial.serve.autoscale.is_some() {
        let most = within(MOST_HOURLY_REQUESTS, WARM_UP_S + RISE_S + HOLD_S);
        return trial.replicas.clamp(1, most.max(FEWEST_THAT_FOLLOW));
    }
    let most = if has_windows(trial) {
        within(ENOUGH_OF_WINDOWS, WARM_UP_S + HOUR_S)
    } else {
        within(ENOUGH_REQUESTS, (1.0 + SHORTEST_WARM_UPS) * warm_up_s(trial))
    };
    trial.replicas.clamp(1, most.clamp(1, MOST_REPLICAS))
}

/// Returns the time in which queues and caches fill. Those of levels over windows are measured in whole hours.
fn warm_up_s(trial: &Trial<'_>) -> f64 {
    if has_windows(trial) {
        return WARM_UP_S;
    }
    // Little's law.
    let each_takes = trial.way.estimate.batch / trial.way.estimate.rate.get();
    (WARM_UP_REQUESTS * each_takes).clamp(SHORTEST_WARM_UP_S, WARM_UP_S)
}

/// Returns the requests per second of one replica.
pub(crate) fn each(trial: &Trial<'_>) -> f64 {
    (trial.rate / f64::from(trial.replicas.max(1))).max(1e-9)
}

/// Returns how many replications are run of so many requests per second; none further once it is unlikely that they show
/// that a level is met. They are fewer of those that hold more requests because a
/// level has windows, so that a verdict on it costs about what one on the whole hour does.
pub(crate) fn replications(trial: &Trial<'_>, workload: &Workload, rate: f64) -> Replications {
    let all = Replications { least_chance: LEAST_CHANCE, ..Replications::until_decided(workload) };
    if trial.trace.is_some() || trial.serve.autoscale.is_some() || !has_windows(trial) {
        return all;
    }
    let enough = f64::from(all.batch) * ENOUGH_REQUESTS / (rate * HOUR_S);
    // A cast from a float saturates.
    Replications { batch: (enough as u32).clamp(FEWEST_AT_ONCE, all.batch), ..all }
}

/// Returns the coefficient of variation between arrivals at a share of the replicas, each arrival being for any of them:
/// of thinned renewals, c² − 1 is the share of the whole's.
fn burstiness(whole: f64, share: f64) -> f64 {
    (1.0 + share.clamp(0.0, 1.0) * (whole * whole - 1.0)).sqrt()
}

/// Returns the requests of the trial that come to a share of its replicas at `rate`, about so many of them at most, and
/// which of them count.
pub(crate) fn workload_within(
    trial: &Trial<'_>,
    (rate, share): (f64, f64),
    most_requests: f64,
) -> Result<(Workload, Window), QuantileTableError> {
    let seconds = |seconds: f64| Time::from_seconds(seconds);
    if let Some(trace) = trial.trace {
        let hashes = trial.readers.map_or(trial.serve, |readers| readers.serve);
        let workload = |trace: &Recording| trace.workload(hash_tokens(hashes));
        let reads = trial.serve.is_part(Part::Prefill);
        let workload = if reads { workload(&trace.first_tokens()) } else { workload(trace) };
        return Ok((workload, Window { from: Time::ZERO, until: end_of(trace) }));
    }
    let load = &trial.serve.load;
    if trial.serve.autoscale.is_some() {
        return rising(trial, (rate, share));
    }
    let longest = HOUR_S.max(FEWEST_REQUESTS / rate);
    let windows_s = longest_window_s(trial, rate);
    // The worst of some windows of an hour is not the worst of all of them.
    let enough = if windows_s > 0.0 { longest } else { ENOUGH_REQUESTS / rate };
    let warm_up = warm_up_s(trial);
    let measured = enough.clamp(SHORTEST_WARM_UPS * warm_up, longest);
    let least = warm_up.max(FEWEST_WINDOWS * windows_s);
    let until = warm_up + measured.min((most_requests / rate - warm_up).max(least));
    let open = OpenLoop {
        name: stream(trial),
        rate: Rate::constant(rate),
        burstiness: burstiness(load.burstiness, share),
        lengths: Lengths::Independent { prompt: length(&load.prompt)?, output: length(&load.output)? },
        max_tokens: u32::MAX,
        until: seconds(until),
        max_requests: u64::MAX,
    };
    Ok((Workload::Open(open), Window { from: seconds(warm_up), until: seconds(until) }))
}

/// Returns the requests from the hour before to the one that is busy, whose rates are joined by a line from middle to
/// middle. What counts is the hour in which it is reached: the second half of the rise, and what follows.
fn rising(trial: &Trial<'_>, (rate, share): (f64, f64)) -> Result<(Workload, Window), QuantileTableError> {
    let load = &trial.serve.load;
    let before = if trial.rate > 0.0 { (trial.before / trial.rate).min(1.0) * rate } else { rate };
    let at = Time::from_seconds;
    let points = vec![(Time::ZERO, before), (at(WARM_UP_S), before), (at(WARM_UP_S + RISE_S), rate)];
    let until = at(WARM_UP_S + RISE_S + HOLD_S);
    let open = OpenLoop {
        name: stream(trial),
        rate: Rate::lines(points).unwrap_or_else(|_| Rate::constant(rate)),
        burstiness: burstiness(load.burstiness, share),
        lengths: Lengths::Independent { prompt: length(&load.prompt)?, output: length(&load.output)? },
        max_tokens: u32::MAX,
        until,
        max_requests: u64::MAX,
    };
    Ok((Workload::Open(open), Window { from: at(WARM_UP_S + RISE_S - HOLD_S), until }))
}

/// Returns what the scheduler must reach for a level to hold, where so many requests per second come.
pub(crate) fn objective(trial: &Trial<'_>, slo: &Slo, rate: f64) -> Objective {
    let metric = match slo.metric {
        SloMetric::Ttft => Metric::Ttft,
        SloMetric::Tpot => Metric::Tpot,
        SloMetric::E2e => Metric::E2e,
    };
    let quantile = f64::from(slo.per_mille) / 1000.0;
    let limit_ns = (slo.target.get() * 1e9 - overhead_ns(trial, slo.metric, quantile)).max(0.0);
    let window_ns = window_s(trial, slo, rate).map(|seconds| Time::from_seconds(seconds).ns());
    Objective { metric, quantile, limit_ns, window_ns }
}

fn has_windows(trial: &Trial<'_>) -> bool {
    trial.serve.slos.iter().any(|slo| slo.over.is_some())
}

/// Returns the windows of a level: as long as the plan says, or, in a quiet hour or on a part of the replicas, so long that
/// as many requests are expected as its percentile needs.
fn window_s(trial: &Trial<'_>, slo: &Slo, rate: f64) -> Option<f64> {
    let over = slo.over?.get();
    let rate =
        trial.trace.map_or(rate, |trace| trace.requests().len() as f64 / end_of(trace).seconds().max(1e-9));
    let yielding = trial.serve.background.as_ref().map_or(0.0, |background| background.share);
    Some(over.max(slo.requests_needed() / (rate * (1.0 - yielding)).max(SLOWEST)))
}

/// Returns the longest window of any level; zero where none has one.
fn longest_window_s(trial: &Trial<'_>, rate: f64) -> f64 {
    trial.serve.slos.iter().filter_map(|slo| window_s(trial, slo, rate)).fold(0.0, f64::max)
}

/// Returns the instant after the last arrival.
fn end_of(trace: &Recording) -> Time {
    trace.requests().last().map_or(Time::ZERO, |last| last.arrival.plus(1))
}

pub(crate) fn stream(trial: &Trial<'_>) -> String {
    format!("{}/{}", trial.serve.name, trial.site)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_gets_its_share_of_a_burst() {
        assert_eq!(burstiness(9.9, 1.0), 9.9);
        assert_eq!(burstiness(1.0, 0.25), 1.0);
        // Of arrivals in pairs that are never apart (c² = 3), a half leaves each alone as often as not: c² = 2.
        assert!((burstiness(3.0_f64.sqrt(), 0.5) - 2.0_f64.sqrt()).abs() < 1e-12);
        assert!((burstiness(9.9, 1e-9) - 1.0).abs() < 1e-6);
    }
}
