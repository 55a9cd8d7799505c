//! How did one hour of one placement go? Replications that are watched, summed up as they end.

use super::asked;
use super::failure::{Phases, Planned, outcome, planned};
use super::hours::Hour;
use super::twin::random_arrivals;
use super::{Details, Progress, Question, SimulateError, seconds};
use crate::apart::share_of_fabric;
use crate::candidates::Way;
use crate::shortcuts::{beginnings, reused};
use crate::span;
use crate::verify::{self, Readers, outside_ns, overhead_ns, run_apart, serving_config, verdict_status};
use capstan_sim::engine::Time;
use capstan_sim::serving::{
    Autoscaler, ConfigError, Estimates, Interval, Judged, Objective, Probe, Record, Recording, Replicated,
    Replications, Scaled, ServingConfig, StepSeen, Stop, Summary, Tally, Trial, Watch, Window, Workload,
    replicate_runs, simulate_watched,
};
use capstan_types::blueprint::{Blueprint, Placement};
use capstan_types::catalog::Engine;
use capstan_types::simulation::{
    Estimated, Latency, RandomArrivals, SimulatedHour, SimulatedLevel, SimulatedScaling, TimelinePoint,
};
use capstan_types::spec::{Part, Serve, Slo, SloMetric, Speculative};
use capstan_types::units::{RequestsPerSecond, Seconds};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Slices of a timeline: what a terminal is wide.
const SLICES: usize = 120;

/// One hour of one placement, and what is asked of it.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub blueprint: &'a Blueprint,
    pub serve: &'a Serve,
    pub placement: &'a Placement,
    pub way: &'a Way,
    pub hour: Hour,
    pub question: &'a Question,
}

/// What is simulated, prepared.
pub(super) struct Stage<'a> {
    pub scene: &'a Scene<'a>,
    trial: verify::Trial<'a>,
    pub config: ServingConfig,
    workload: Workload,
    window: Window,
    pub objectives: Vec<Objective>,
    failure: Option<Planned>,
    autoscaler: Option<Autoscaler>,
}

/// Runs one hour.
pub(super) fn run(
    scene: &Scene<'_>,
    traces: &BTreeMap<String, Recording>,
    progress: &(dyn Fn(&Progress<'_>) + Sync),
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<(SimulatedHour, Details), SimulateError> {
    let requests = scaled_trace(scene, traces)?;
    let partner = partner(scene)?;
    let readers = partner.as_ref().map(|partner| partner.readers());
    let stage = Stage::prepare(scene, requests.as_ref(), readers)?;
    let phases: Mutex<BTreeMap<u32, Phases>> = Mutex::default();
    let (done, served) = (AtomicU32::new(0), AtomicU64::new(0));
    let one = |replication: u32| {
        let (summary, seen) = stage.replication(replication, stop)?;
        if let Ok(mut all) = phases.lock() {
            all.insert(replication, seen);
        }
        let requests = served.fetch_add(summary.arrived, Ordering::Relaxed) + summary.arrived;
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        progress(&Progress { workload: &scene.serve.name, done, requests });
        Ok(summary)
    };
    // A trace has nothing random in it.
    let replications = match requests {
        Some(_) => Replications { batch: 1, least_batches: 1, most_batches: 1, least_chance: 0.0 },
        None => Replications::at_least(scene.question.replications),
    };
    let seen = replicate_runs(replications, &stage.objectives, &one)?;
    let phases = phases.into_inner().unwrap_or_default();
    let phases = phases.values().fold(Phases::default(), Phases::plus);
    let (watch, details, scaled) = stage.first(stop)?;
    let told = stage.told(&seen, &phases, &watch);
    let scaling = scaled.map(|scaled| stage.scaling(&scaled));
    let random_arrivals = match &requests {
        Some(_) if stop() || scene.serve.stage.is_some() => None,
        Some(rows) => random_arrivals(&stage, rows.requests())?,
        None => None,
    };
    Ok((SimulatedHour { scaling, random_arrivals, ..told }, details))
}

/// The part of a workload that reads the prompts of another.
struct Partner<'a> {
    serve: &'a Serve,
    way: Way,
    engine: &'a Engine,
    replicas: u32,
    network: f64,
}

impl Partner<'_> {
    fn readers(&self) -> Readers<'_> {
        let Partner { serve, way, engine, replicas, network } = self;
        Readers { serve, way, engine, replicas: *replicas, network: *network }
    }
}

/// Returns who reads the prompts of a workload that only writes; what else is asked of one in two parts is refused.
fn partner<'a>(scene: &Scene<'a>) -> Result<Option<Partner<'a>>, SimulateError> {
    let Scene { blueprint, serve, question, .. } = *scene;
    let Some(stage) = &serve.stage else { return Ok(None) };
    if question.failure.is_some() || question.clients.is_some() {
        return Err(SimulateError::Apart(stage.of.clone()));
    }
    if stage.part == Part::Prefill {
        return Ok(None);
    }
    let missing = || SimulateError::Missing(stage.with.clone());
    let other =
        blueprint.inputs.spec.serves.iter().find(|other| other.name == stage.with).ok_or_else(missing)?;
    let service =
        blueprint.services.iter().find(|service| service.workload == stage.with).ok_or_else(missing)?;
    let placement = service.placements.last().ok_or_else(missing)?;
    let engine = blueprint.inputs.catalog.engine(&placement.candidate.engine).ok_or_else(missing)?;
    Ok(Some(Partner {
        serve: other,
        way: super::way(blueprint, other, placement)?,
        engine,
        replicas: placement.replicas[scene.hour.period][scene.hour.hour].max(1),
        network: share_of_fabric(&blueprint.inputs.spec, &placement.site),
    }))
}

/// Says how requests of the mean of the plan's trace would fare at random, where it names one.
pub(super) fn at_random(
    scene: &Scene<'_>,
    traces: &BTreeMap<String, Recording>,
) -> Result<Option<RandomArrivals>, SimulateError> {
    let Some(rows) = scaled_trace(scene, traces)? else { return Ok(None) };
    let stage = Stage::prepare(scene, Some(&rows), None)?;
    Ok(random_arrivals(&stage, rows.requests())?)
}

/// Returns the requests of the plan's trace, closer together or further apart so that their busiest ten minutes come at
/// the rate of the hour: bursts stay bursts.
fn scaled_trace(
    scene: &Scene<'_>,
    traces: &BTreeMap<String, Recording>,
) -> Result<Option<Recording>, SimulateError> {
    let Some(trace) = &scene.serve.load.trace else { return Ok(None) };
    let requests = traces.get(&trace.path).ok_or_else(|| SimulateError::NoTrace(trace.path.clone()))?;
    let factor = scene.hour.rate * scene.question.surge / trace.busiest.get();
    Ok(Some(requests.faster(factor)))
}

impl<'a> Stage<'a> {
    fn prepare(
        scene: &'a Scene<'a>,
        trace: Option<&'a Recording>,
        readers: Option<Readers<'a>>,
    ) -> Result<Self, SimulateError> {
        let (hour, question) = (scene.hour, scene.question);
        let catalog = &scene.blueprint.inputs.catalog;
        let engine = &scene.placement.candidate.engine;
        let engine = catalog.engine(engine).ok_or_else(|| SimulateError::Missing(engine.clone()))?;
        let trial = verify::Trial {
            serve: scene.serve,
            way: scene.way,
            engine,
            site: &scene.placement.site,
            period: hour.period,
            hour: hour.hour,
            rate: hour.rate * question.surge,
            before: hour.before * hour.rate * question.surge,
            capacity: scene.placement.estimate.rate.get() * scene.placement.derating,
            replicas: hour.replicas,
            trace,
            readers,
            seed: question.seed,
        };
        let config = serving_config(&trial, hour.replicas);
        let max_events = question.most_events.unwrap_or(config.max_events);
        let config = ServingConfig { max_events, ..config };
        let (workload, window) = span::workload_within(&trial, (trial.rate, 1.0), question.most_requests)?;
        let outside_ns = overhead_ns(&trial, SloMetric::E2e, 0.5);
        let (config, workload) = asked::changed((question, outside_ns), config, workload, window);
        let slos = scene.serve.slos.iter();
        let objectives = slos.map(|slo| span::objective(&trial, slo, trial.rate)).collect();
        let failure = question.failure.as_ref();
        let failure = failure
            .map(|failure| {
                planned(scene.blueprint, failure, (scene.serve, scene.placement), hour.replicas, window)
            })
            .transpose()?;
        let autoscaler = verify::autoscaler(&trial, hour.replicas);
        Ok(Stage { scene, trial, config, workload, window, objectives, failure, autoscaler })
    }

    fn trial(&self, replication: u32) -> Trial<'_> {
        Trial {
            config: &self.config,
            workload: &self.workload,
            seed: self.scene.question.seed,
            replication,
            faults: self.failure.as_ref().map_or(&[], |failure| &failure.faults),
            autoscaler: self.autoscaler.as_ref(),
            beginnings: beginnings(self.scene.serve),
        }
    }

    fn watch(&self, until: Time, slices: usize) -> Watch {
        let tokens = self.scene.serve.speculative.as_ref().map_or(1.0, Speculative::tokens_per_step);
        Watch::new(self.config.n_replicas, self.window, until, slices).in_bursts(tokens)
    }

    fn replication(
        &self,
        replication: u32,
        stop: &dyn Fn() -> bool,
    ) -> Result<(Summary, Phases), ConfigError> {
        let mut tally = Tally::new(self.window, &self.objectives);
        let mut phases = Phases::default();
        let watch = self.watch(Time::from_ns(1), 1);
        let mut watch = Interruptible { watch, stop };
        let mut log = |_: u64, record: &Record| {
            let good = tally.judge(record);
            if let Some(failure) = self.failure.as_ref().filter(|_| !record.background) {
                phases.add(failure, self.window, record, good);
            }
        };
        let step = &*self.scene.way.step;
        if let Some(readers) = &self.trial.readers {
            let Stage { trial, config, workload, .. } = self;
            let totals = run_apart(trial, readers, config, workload, replication, &mut log)?;
            return Ok((tally.summarize(config, &totals.writers, totals.stop, totals.end), phases));
        }
        let totals = simulate_watched(&self.trial(replication), step, &mut log, &mut watch)?;
        let summary = tally.summarize(&self.config, &totals.replicas, totals.stop, totals.end);
        Ok((Summary { itl: watch.watch.itl(), ..summary }, phases))
    }

    /// Runs the first replication once more, for its course.
    fn first(&self, stop: &dyn Fn() -> bool) -> Result<(Watch, Details, Option<Scaled>), ConfigError> {
        let question = self.scene.question;
        let mut watch = self.watch(self.window.until, SLICES);
        watch.steps = question.keep_steps.then(Vec::new);
        let mut records: Vec<(u64, Record)> = Vec::new();
        let mut log = |number: u64, record: &Record| records.push((number, *record));
        let mut watch = Interruptible { watch, stop };
        let totals = simulate_watched(&self.trial(0), &*self.scene.way.step, &mut log, &mut watch)?;
        let Interruptible { mut watch, .. } = watch;
        records.iter().for_each(|(_, record)| watch.record(record));
        records.sort_unstable_by_key(|(number, _)| *number);
        let requests = if question.keep_requests { records } else { Vec::new() };
        let outside = |record: &Record| Seconds(outside_ns(&self.trial, f64::from(record.prompt)) / 1e9);
        let requests = requests.into_iter().map(|(_, record)| (record, outside(&record))).collect();
        let steps = watch.steps.take().unwrap_or_default();
        Ok((watch, Details { requests, steps }, totals.scaled))
    }

    fn told(&self, seen: &Replicated, phases: &Phases, watch: &Watch) -> SimulatedHour {
        let (scene, runs) = (self.scene, &seen.runs);
        let slices = watch.timeline.slices();
        let count = |part: fn(&Summary) -> u64| runs.iter().map(part).sum::<u64>();
        let latency = |estimates: &Option<Estimates>, metric| estimates.map(|all| self.latency(&all, metric));
        let failure = self.failure.as_ref();
        let judged = seen.judged.iter().zip(&scene.serve.slos);
        let measured = Seconds(self.window.until.since(self.window.from) as f64 / 1e9);
        let (rate, arrivals) = match scene.question.clients {
            // Clients ask as often as they are answered.
            Some(clients) => {
                let asked = count(|run| run.arrived) as f64 / (runs.len().max(1) as f64 * measured.get());
                (RequestsPerSecond(asked), super::clients_words(clients))
            }
            None => (RequestsPerSecond(self.trial.rate), verify::arrivals_words(&self.trial)),
        };
        SimulatedHour {
            workload: scene.serve.name.clone(),
            site: scene.placement.site.clone(),
            period: scene.hour.period as u32,
            hour: scene.hour.hour as u32,
            rate,
            replicas: scene.hour.replicas,
            arrivals,
            replications: runs.len() as u32,
            measured,
            cut_short: runs.iter().any(|run| run.stop == Stop::MaxEvents),
            cut_short_at: cut_short_at(runs),
            requests: count(|run| run.arrived),
            completed: count(|run| run.completed),
            rejected: count(|run| run.rejected),
            lost: count(|run| run.lost),
            restarted: count(|run| run.preempted),
            ttft: latency(&seen.ttft, Some(SloMetric::Ttft)),
            tpot: latency(&seen.tpot, Some(SloMetric::Tpot)),
            itl: latency(&seen.itl, None),
            e2e: latency(&seen.e2e, Some(SloMetric::E2e)),
            goodput_per_s: estimated(seen.goodput_per_second, 1.0, 0.0),
            served_per_s: estimated(seen.served_per_second, 1.0, 0.0),
            utilisation: estimated(seen.utilisation, 1.0, 0.0),
            mean_batch: runs.iter().map(|run| run.mean_batch).sum::<f64>() / runs.len().max(1) as f64,
            peak_kv: runs.iter().map(|run| run.kv_peak).fold(0.0, f64::max),
            reused: reused(scene.serve, runs),
            background: verify::background_seen(&self.trial, runs),
            levels: judged.map(|(judged, slo)| self.level(judged, slo)).collect(),
            failure: failure.map(|failure| outcome(failure, phases, &slices, self.window.from)),
            scaling: None,
            random_arrivals: None,
            timeline: slices
                .iter()
                .map(|slice| TimelinePoint {
                    at_s: seconds(slice.from).get(),
                    waiting: slice.waiting,
                    running: slice.running,
                    kv: slice.blocks_used / f64::from(self.config.kv.blocks),
                    utilisation: slice.utilisation,
                    arrived: slice.arrived,
                    completed: slice.completed,
                })
                .collect(),
        }
    }

    fn scaling(&self, scaled: &Scaled) -> SimulatedScaling {
        let end = self.window.until.seconds();
        let most = scaled.course.iter().filter(|(at, ..)| *at <= self.window.until);
        SimulatedScaling {
            target: self.autoscaler.as_ref().map_or(0.0, |scaler| scaler.target),
            starts: scaled.starts,
            longest_start: Seconds(scaled.longest_start_ns as f64 / 1e9),
            most_serving: scaled.most_serving,
            fewest_serving: most.map(|(_, serving, _)| *serving).min().unwrap_or(0),
            mean_paid: scaled.on_ns as f64 / 1e9 / end.max(1e-9),
        }
    }

    /// Adds to what the scheduler sees what a request waits outside of it, at each percentile.
    fn latency(&self, estimates: &Estimates, metric: Option<SloMetric>) -> Latency {
        let at = |interval: Interval, share: f64| {
            let outside = metric.map_or(0.0, |metric| overhead_ns(&self.trial, metric, share));
            estimated(interval, 1e-9, outside)
        };
        Latency {
            mean_s: at(estimates.mean, 0.5),
            p50_s: at(estimates.p50, 0.5),
            p90_s: at(estimates.p90, 0.9),
            p95_s: at(estimates.p95, 0.95),
            p99_s: at(estimates.p99, 0.99),
            p999_s: at(estimates.p999, 0.999),
        }
    }

    fn level(&self, judged: &Judged, slo: &Slo) -> SimulatedLevel {
        let outside = overhead_ns(&self.trial, slo.metric, share(slo));
        let seen = judged.quantile_ns.filter(|interval| interval.mean.is_finite());
        SimulatedLevel {
            metric: slo.metric,
            per_mille: slo.per_mille,
            over: slo.over,
            target: slo.target,
            seen_s: seen.map(|interval| estimated(interval, 1e-9, outside)),
            attainment: judged.share.map(|share| estimated(share, 1.0, 0.0)),
            status: verdict_status(judged.verdict),
        }
    }
}

/// A watch that ends the run when somebody wants no more.
struct Interruptible<'a> {
    watch: Watch,
    stop: &'a dyn Fn() -> bool,
}

impl Probe for Interruptible<'_> {
    const WATCHES: bool = true;

    fn step(&mut self, seen: &StepSeen) {
        self.watch.step(seen);
    }

    fn stops(&self) -> bool {
        (self.stop)()
    }
}

/// Returns when the first of the runs that hit their bound on events did.
fn cut_short_at(runs: &[Summary]) -> Option<Seconds> {
    let cut = runs.iter().filter(|run| run.stop == Stop::MaxEvents);
    cut.map(|run| run.end).min().map(seconds)
}

fn share(slo: &Slo) -> f64 {
    f64::from(slo.per_mille) / 1000.0
}

/// Returns an interval in another unit, moved by `more` of its own; never below zero.
fn estimated(interval: Interval, factor: f64, more: f64) -> Estimated {
    let Interval { mean, half_width } = interval;
    Estimated {
        mean: (mean + more) * factor,
        low: ((mean - half_width + more) * factor).max(0.0),
        high: (mean + half_width + more) * factor,
    }
}
