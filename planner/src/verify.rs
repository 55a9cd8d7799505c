//! Does the draft hold? Each placement is simulated at the hour that strains its replicas most.
//!
//! A placement with many replicas is simulated on some of them with their share of the requests, and of each burst; a
//! smaller group balances worse, so the verdict errs on the careful side.

use crate::apart;
use crate::autoscale;
use crate::candidates::Way;
use crate::scheduling;
use crate::shortcuts::{adapters, background, beginnings, grain, reused, router, tiers};
use crate::span::{Group, objective, replications, stream, workload_within};
use capstan_sim::random::QuantileTableError;
use capstan_sim::serving::{
    self, Autoscaler, ConfigError, Judged, KvCache, Objective, Record, Recording, Replicated, ServingConfig,
    Tally, Tandem, TandemTotals, Unwatched, Verdict as Judgement, Workload, replicate_runs, simulate_tandem,
    simulate_watched,
};
use capstan_types::blueprint::{BackgroundSeen, HOURS, Latency, Verdict, VerdictStatus};
use capstan_types::catalog::Engine;
use capstan_types::spec::{Part, Serve, Slo, SloMetric};
use capstan_types::units::{BytesPerSecond, RequestsPerSecond, Seconds};

/// Stands for "never": a percentile that falls on a request without an answer is infinite, which JSON cannot say.
const MOST_NS: f64 = 1e18;

/// What is simulated.
pub struct Trial<'a> {
    /// The workload.
    pub serve: &'a Serve,
    /// How it runs.
    pub way: &'a Way,
    /// The engine.
    pub engine: &'a Engine,
    /// Where.
    pub site: &'a str,
    /// Period of the hour.
    pub period: usize,
    /// The hour, of 48.
    pub hour: usize,
    /// Requests per second of the whole placement.
    pub rate: f64,
    /// Those of the hour before.
    pub before: f64,
    /// Requests per second that a replica is planned to serve at most.
    pub capacity: f64,
    /// Replicas that share them.
    pub replicas: u32,
    /// Real arrivals (seconds, prompt, output), scaled to the rate, where the plan names a trace.
    pub trace: Option<&'a Recording>,
    /// Those that read the prompts, where they come with their cache.
    pub readers: Option<Readers<'a>>,
    /// Seed of every stream.
    pub seed: u64,
}

impl Trial<'_> {
    /// Returns the mean time per output token of a replica with its share of the requests.
    fn pace(&self) -> Seconds {
        self.way.pace.at(self.rate / f64::from(self.replicas.max(1)))
    }
}

/// The replicas that read the prompts of a workload in two parts.
#[derive(Clone, Copy)]
pub struct Readers<'a> {
    /// The other part.
    pub serve: &'a Serve,
    /// How it runs.
    pub way: &'a Way,
    /// Its engine.
    pub engine: &'a Engine,
    /// Replicas.
    pub replicas: u32,
    /// Share of what all replicas could send that the network leaves them.
    pub network: f64,
}

/// Why a placement could not be simulated: a mistake of ours that must not pass for a verdict.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// The simulator refuses the configuration.
    #[error("the simulator refuses the configuration of `{workload}`")]
    Config {
        /// The workload.
        workload: String,
        /// Why.
        #[source]
        source: ConfigError,
    },
    /// The lengths are no distribution.
    #[error("the lengths of `{workload}` are no distribution")]
    Lengths {
        /// The workload.
        workload: String,
        /// Why.
        #[source]
        source: QuantileTableError,
    },
}

/// Returns the hours of the 48 × periods grid that strain the replicas most: the one in which a replica gets the most,
/// and, where fewer replicas ever serve, the busiest with the fewest, since a small group balances worse.
pub fn busiest(rates: &[Vec<f64>], replicas: &[Vec<u32>]) -> Vec<(usize, usize)> {
    let hours = || {
        let periods = rates.iter().enumerate();
        let all =
            periods.flat_map(|(period, hours)| (0..HOURS.min(hours.len())).map(move |hour| (period, hour)));
        all.filter(|&(period, hour)| rates[period][hour] > 0.0 && replicas[period][hour] > 0)
    };
    let count = |(period, hour): (usize, usize)| replicas[period][hour];
    let each = |at: (usize, usize)| rates[at.0][at.1] / f64::from(count(at));
    // The earliest of equals: `max_by` keeps the last, so the order is reversed.
    let most_strained = |a: &(usize, usize), b: &(usize, usize)| {
        each(*a).total_cmp(&each(*b)).then(count(*a).cmp(&count(*b))).then(b.cmp(a))
    };
    let Some(first) = hours().max_by(most_strained) else { return Vec::new() };
    let fewest = hours().map(count).min().unwrap_or(0);
    let mut found = vec![first];
    if fewest < count(first) {
        found.extend(hours().filter(|&at| count(at) == fewest).max_by(most_strained));
    }
    found
}

/// Simulates one placement and returns a verdict on each service level.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify(trial: &Trial<'_>) -> Result<Vec<Verdict>, VerifyError> {
    let serve = trial.serve;
    if serve.slos.is_empty() || trial.rate <= 0.0 {
        return Ok(Vec::new());
    }
    let group = Group::of(trial);
    let objectives: Vec<Objective> = serve.slos.iter().map(|slo| objective(trial, slo, group.rate)).collect();
    let seen = watch(trial, group, &objectives)?;
    let judged = seen.judged.iter().zip(&serve.slos);
    Ok(judged.map(|(judged, slo)| verdict(trial, slo, judged, &seen, group)).collect())
}

/// Simulates one placement on a part of its replicas; returns what was seen.
///
/// # Errors
/// See [`VerifyError`].
pub(crate) fn watch(
    trial: &Trial<'_>,
    group: Group,
    objectives: &[Objective],
) -> Result<Replicated, VerifyError> {
    let way = trial.way;
    let config = serving_config(trial, group.replicas);
    let (workload, window) = workload_within(trial, (group.rate, group.share), f64::INFINITY)
        .map_err(|source| VerifyError::Lengths { workload: trial.serve.name.clone(), source })?;
    let autoscaler = autoscaler(trial, group.replicas);
    let one = |replication: u32| {
        let mut tally = Tally::new(window, objectives);
        let mut log = |_: u64, record: &Record| tally.add(record);
        if let Some(readers) = &trial.readers {
            let totals = run_apart(trial, readers, &config, &workload, replication, &mut log)?;
            return Ok(tally.summarize(&config, &totals.writers, totals.stop, totals.end));
        }
        let trial = serving::Trial {
            config: &config,
            workload: &workload,
            seed: trial.seed,
            replication,
            faults: &[],
            autoscaler: autoscaler.as_ref(),
            beginnings: beginnings(trial.serve),
        };
        let totals = simulate_watched(&trial, &*way.step, &mut log, &mut Unwatched)?;
        Ok(tally.summarize(&config, &totals.replicas, totals.stop, totals.end))
    };
    replicate_runs(replications(trial, &workload, group.rate), objectives, &one)
        .map_err(|source| VerifyError::Config { workload: trial.serve.name.clone(), source })
}

/// Runs one replication of a workload in two parts: those that write are `writers`, those that read as many as go with them.
pub(crate) fn run_apart(
    trial: &Trial<'_>,
    readers: &Readers<'_>,
    writers: &ServingConfig,
    workload: &Workload,
    replication: u32,
    log: &mut dyn FnMut(u64, &Record),
) -> Result<TandemTotals, ConfigError> {
    let Readers { serve, way, engine, replicas, network } = *readers;
    let share = f64::from(writers.n_replicas) / f64::from(trial.replicas.max(1));
    let n_readers = (f64::from(replicas) * share - 1e-9).ceil().max(1.0) as u32;
    let reading = Trial { serve, way, engine, readers: None, ..*trial };
    let rate = |way: &Way| way.network.unwrap_or(BytesPerSecond(0.0));
    let tandem = Tandem {
        readers: &serving_config(&reading, n_readers),
        writers,
        network: apart::network((n_readers, rate(way)), (writers.n_replicas, rate(trial.way)), network),
        token_bytes: trial.way.kv_token.get(),
        workload,
        beginnings: beginnings(serve),
        seed: trial.seed,
        replication,
    };
    simulate_tandem(&tandem, (&*way.step, &*trial.way.step), log)
}

/// Returns `split` replicas as the trial's way runs them.
pub(crate) fn serving_config(trial: &Trial<'_>, split: u32) -> ServingConfig {
    let serve = trial.serve;
    // Hashes stand for whole blocks.
    let engines = trial.engine.block_tokens;
    let block_tokens = grain(serve).map_or(engines, |tokens| common_divisor(tokens, engines));
    let blocks = u64::from(trial.way.kv_blocks.max(1)) * u64::from(engines / block_tokens);
    let cache =
        KvCache { blocks: u32::try_from(blocks).unwrap_or(u32::MAX), block_tokens, watermark_blocks: 0 };
    let drafted = serve.speculative.as_ref().map_or(0, |speculative| speculative.tokens);
    ServingConfig {
        n_replicas: split,
        decode_tokens: 1 + drafted,
        adapters: adapters(serve, trial.way.adapter, trial.seed),
        background: background(serve, trial.seed),
        prompts_arrive: serve.is_part(Part::Decode),
        max_waiting: serve.queue.as_ref().map_or(u32::MAX, |limit| limit.value),
        router: router(serve),
        tiers: tiers(serve, trial.way.kv_token, block_tokens),
        ..scheduling::replica(serve, trial.engine, &trial.way.candidate, cache)
    }
}

/// Returns the greatest number that divides both, of which none is zero.
fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a.max(1) } else { common_divisor(b, a % b) }
}

/// Returns the autoscaler of the trial's workload, if it has one: it begins with what the hour before needs.
pub(crate) fn autoscaler(trial: &Trial<'_>, split: u32) -> Option<Autoscaler> {
    let scaled = trial.serve.autoscale.as_ref()?;
    let Way { candidate, estimate, .. } = trial.way;
    let target = autoscale::target(trial.serve, scaled, estimate, trial.capacity);
    let share = if trial.trace.is_some() { 1.0 } else { (trial.before / trial.rate).min(1.0) };
    let initial = (f64::from(split) * share - 1e-9).ceil().max(0.0) as u32;
    Some(autoscale::scaler(scaled, (candidate, estimate), target, initial.max(1), split))
}

/// Returns what a request waits outside the scheduler: tokenising and delivery.
///
/// The prompt is taken at the percentile asked, which is at or above what such a request really waits.
pub(crate) fn overhead_ns(trial: &Trial<'_>, metric: SloMetric, share: f64) -> f64 {
    match metric {
        SloMetric::Tpot => 0.0,
        SloMetric::Ttft | SloMetric::E2e => outside_ns(trial, trial.serve.load.prompt.quantile(share)),
    }
}

/// Returns what a request with such a prompt waits outside the scheduler.
pub(crate) fn outside_ns(trial: &Trial<'_>, prompt: f64) -> f64 {
    let engine = trial.engine;
    let waiting = (engine.request_us + engine.prompt_token_us * prompt) * 1e3;
    waiting + engine.delivered_after() * trial.pace().get() * 1e9
}

fn verdict(trial: &Trial<'_>, slo: &Slo, judged: &Judged, seen: &Replicated, group: Group) -> Verdict {
    let overhead_ns = overhead_ns(trial, slo.metric, f64::from(slo.per_mille) / 1000.0);
    let runs = &seen.runs[..(judged.replications as usize).min(seen.runs.len())];
    let mean = |part: fn(&capstan_sim::serving::Summary) -> f64| {
        runs.iter().map(part).sum::<f64>() / runs.len().max(1) as f64
    };
    let at = |ns: f64| Seconds((ns + overhead_ns) / 1e9);
    let interval = judged.quantile_ns;
    Verdict {
        workload: trial.serve.name.clone(),
        site: trial.site.to_owned(),
        metric: slo.metric,
        per_mille: slo.per_mille,
        over: slo.over,
        target: slo.target,
        seen: at(interval.map_or(MOST_NS, |interval| interval.mean.min(MOST_NS))),
        low: at(interval.map_or(0.0, |interval| (interval.mean - interval.half_width).clamp(0.0, MOST_NS))),
        high: at(interval.map_or(MOST_NS, |interval| (interval.mean + interval.half_width).min(MOST_NS))),
        status: verdict_status(judged.verdict),
        attainment: judged.share.map_or(0.0, |share| share.mean),
        period: trial.period as u32,
        hour: trial.hour as u32,
        rate: RequestsPerSecond(group.rate),
        replicas: group.replicas,
        replicas_planned: trial.replicas,
        requests: runs.iter().map(|run| run.arrived).sum(),
        replications: judged.replications,
        arrivals: arrivals_words(trial),
        stream: stream(trial),
        mean_batch: mean(|run| run.mean_batch),
        peak_kv: runs.iter().map(|run| run.kv_peak).fold(0.0, f64::max),
        reused: reused(trial.serve, runs),
        turned_away: runs.iter().map(|run| run.rejected).sum(),
        background: background_seen(trial, runs),
        latencies: latencies(trial, slo.metric, runs),
    }
}

/// Returns what requests saw that yield to the others, where there are any.
pub(crate) fn background_seen(trial: &Trial<'_>, runs: &[serving::Summary]) -> Option<BackgroundSeen> {
    let all: Vec<&serving::Yielded> = runs.iter().filter_map(|run| run.background.as_ref()).collect();
    let mean = |metric: SloMetric, share: f64, of: fn(&serving::Yielded) -> Option<f64>| {
        let seen: Vec<f64> = all.iter().filter_map(|one| of(one)).collect();
        let mean = seen.iter().sum::<f64>() / seen.len().max(1) as f64;
        (!seen.is_empty()).then(|| Seconds((mean + overhead_ns(trial, metric, share)) / 1e9))
    };
    (!all.is_empty()).then(|| BackgroundSeen {
        requests: all.iter().map(|one| one.arrived).sum(),
        turned_away: all.iter().map(|one| one.rejected).sum(),
        ttft_p50_s: mean(SloMetric::Ttft, 0.5, |one| one.ttft.map(|ttft| ttft.p50_ns)),
        ttft_p99_s: mean(SloMetric::Ttft, 0.99, |one| one.ttft.map(|ttft| ttft.p99_ns)),
        e2e_p50_s: mean(SloMetric::E2e, 0.5, |one| one.e2e.map(|e2e| e2e.p50_ns)),
        e2e_p99_s: mean(SloMetric::E2e, 0.99, |one| one.e2e.map(|e2e| e2e.p99_ns)),
    })
}

/// Returns how long the requests that were answered took; nothing where a replication answered none.
fn latencies(trial: &Trial<'_>, metric: SloMetric, runs: &[serving::Summary]) -> Vec<Latency> {
    let of = |run: &serving::Summary| match metric {
        SloMetric::Ttft => run.ttft,
        SloMetric::Tpot => run.tpot,
        SloMetric::E2e => run.e2e,
    };
    let Some(all) = runs.iter().map(of).collect::<Option<Vec<serving::Distribution>>>() else {
        return Vec::new();
    };
    let point = |per_mille: u32, part: fn(&serving::Distribution) -> f64| {
        let mean = all.iter().map(part).sum::<f64>() / all.len().max(1) as f64;
        let overhead = overhead_ns(trial, metric, f64::from(per_mille) / 1000.0);
        Latency { per_mille, seen: Seconds((mean + overhead).min(MOST_NS) / 1e9) }
    };
    vec![
        point(500, |all| all.p50_ns),
        point(900, |all| all.p90_ns),
        point(950, |all| all.p95_ns),
        point(990, |all| all.p99_ns),
        point(999, |all| all.p999_ns),
    ]
}

/// Returns the simulator's verdict in the words of a blueprint.
pub(crate) fn verdict_status(judgement: Judgement) -> VerdictStatus {
    match judgement {
        Judgement::Met => VerdictStatus::Met,
        Judgement::Missed => VerdictStatus::Missed,
        Judgement::Undecided => VerdictStatus::Undecided,
    }
}

/// Says where the requests come from.
pub(crate) fn arrivals_words(trial: &Trial<'_>) -> String {
    match (&trial.serve.load.trace, trial.trace) {
        (Some(trace), Some(_)) => format!("trace {}", trace.path),
        _ if trial.serve.load.burstiness == 1.0 => "Poisson".to_owned(),
        _ => format!("gamma, coefficient of variation {}", trial.serve.load.burstiness),
    }
}
