//! What is done about a placement that misses a level: its replicas are asked less, or it never has so few. And about one
//! that holds: fewer of them may do, each with more.
//!
//! Replicas that are as busy as planned are asked less. Those that have little to do and miss all the same, or miss at any
//! load, are too few for the bursts that reach them: more of them share a burst, and the busy hours keep their rate.
//! Counts only ever rise, and a factor rises once and else only falls, so the loop ends.

use crate::batches;
use crate::candidates::Way;
use crate::frame::Frame;
use crate::settle::Proof;
use crate::span::{Group, each};
use crate::verify::{Trial, VerifyError, verify, watch};
use capstan_sim::serving::Recording;
use capstan_types::blueprint::{OfflineSeen, Verdict, VerdictStatus};
use capstan_types::catalog::Engine;
use capstan_types::spec::{Serve, level_word};
use std::collections::{BTreeMap, BTreeSet};

/// Shares of the load at which a placement that missed is tried again; the last means "not at all".
const STEPS: [f64; 12] = [0.97, 0.94, 0.9, 0.86, 0.82, 0.77, 0.7, 0.6, 0.5, 0.4, 0.25, 0.1];

/// Share of what a replica may be asked below which it has little to do.
const IDLE: f64 = 0.9;

/// Counts of replicas up to which more of them are tried: this many at least, and this many times those of the busiest hour.
const TRIED_AT_LEAST: u32 = 16;
const TRIED_OF_PEAK: u32 = 2;

/// What a replica may carry at most of what is estimated, and the share of the replicas in whose steps fewer are tried.
const MOST_OF_ESTIMATE: u32 = 16;
const TRIED_STEP: u32 = 50;

/// Share of what a replica answers where more always wait that it may carry for good: an hour is too short to see that a
/// queue grows for days.
const SUSTAINED: f64 = 0.95;

/// How much more than estimated is hoped of a replica before a plan is said not to be possible.
const HOPE: f64 = 4.0;

/// What the simulator asks of a way of a workload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Derating {
    /// Factor on the estimated rate.
    pub factor: f64,
    /// Fewest replicas.
    pub fewest: u32,
}

/// Nothing.
impl Default for Derating {
    fn default() -> Self {
        Derating { factor: 1.0, fewest: 0 }
    }
}

/// What was asked of ways so far, and what was simulated already.
#[derive(Debug, Default)]
pub struct Deratings {
    of_ways: BTreeMap<(String, String), Derating>,
    /// Ways of which the simulator was asked already whether they carry more, and what is hoped of the others.
    stretched: BTreeSet<(String, String)>,
    hope: Option<f64>,
    seen: BTreeMap<String, Vec<Verdict>>,
    offline: BTreeMap<(String, String), Option<OfflineSeen>>,
}

impl Deratings {
    /// Returns what is asked of a way of a workload.
    pub fn of(&self, workload: &str, way: &Way) -> Derating {
        let key = (workload.to_owned(), way.candidate.key());
        let known = self.of_ways.get(&key).copied().unwrap_or_default();
        let hope = self.hope.filter(|_| !self.stretched.contains(&key)).unwrap_or(1.0);
        Derating { factor: known.factor * hope, ..known }
    }

    /// Returns the same, with more hoped of the ways of which the simulator was not asked yet.
    pub fn hopeful(&self) -> Deratings {
        Deratings {
            of_ways: self.of_ways.clone(),
            stretched: self.stretched.clone(),
            hope: Some(HOPE),
            ..Deratings::default()
        }
    }

    /// Returns the ways of which the simulator was asked whether they carry more.
    pub fn asked_of(&self) -> usize {
        self.stretched.len()
    }

    /// Returns the ways of a workload that the simulator turned down at every load that was tried.
    pub fn refused(&self, workload: &str) -> Vec<&str> {
        let of_ways = self.of_ways.iter();
        let refused = of_ways.filter(|((name, _), derating)| name == workload && derating.factor <= 0.0);
        refused.map(|((_, way), _)| way.as_str()).collect()
    }

    /// Asks more of a way, and says so in the proof.
    fn ask(&mut self, (workload, way): (&str, &Way), asked: Derating, proof: &mut Proof) {
        let known = self.of(workload, way);
        let key = (workload.to_owned(), way.candidate.key());
        if asked.factor < known.factor {
            proof.derated.push((key.0.clone(), key.1.clone(), asked.factor));
        }
        if asked.fewest > known.fewest {
            proof.raised.push((key.0.clone(), key.1.clone(), asked.fewest));
        }
        let (factor, fewest) = (known.factor.min(asked.factor), known.fewest.max(asked.fewest));
        self.of_ways.insert(key, Derating { factor, fewest });
    }
}

/// Simulates one placement at one hour, asks more of its way where it does not hold, and returns what was seen.
/// `peak` is the count of its replicas at the busiest hour, where they can be more at others.
pub(crate) fn judge(
    frame: &Frame<'_>,
    trial: &Trial<'_>,
    peak: Option<u32>,
    deratings: &mut Deratings,
    proof: &mut Proof,
) -> Result<Vec<Verdict>, VerifyError> {
    let verdicts = simulated(trial, deratings)?;
    if all_met(&verdicts) {
        stretch(frame, trial, deratings, proof)?;
    } else {
        let missed = verdicts.iter().filter(|verdict| verdict.status != VerdictStatus::Met);
        proof.missed.extend(missed.map(words));
        let asked = asked(frame, trial, peak, deratings)?;
        deratings.ask((&trial.serve.name, trial.way), asked, proof);
    }
    Ok(verdicts)
}

/// Returns what is asked of the way of a trial that misses a level.
fn asked(
    frame: &Frame<'_>,
    trial: &Trial<'_>,
    peak: Option<u32>,
    deratings: &mut Deratings,
) -> Result<Derating, VerifyError> {
    let is_busy = each(trial) > IDLE * trial.capacity;
    let more = |deratings: &mut Deratings| match peak {
        Some(peak) => more(trial, peak, deratings),
        None => Ok(None),
    };
    if !is_busy && let Some(fewest) = more(deratings)? {
        return Ok(Derating { fewest, ..Derating::default() });
    }
    let factor = lower(frame, trial, deratings)?;
    if is_busy
        && factor <= 0.0
        && let Some(fewest) = more(deratings)?
    {
        return Ok(Derating { fewest, ..Derating::default() });
    }
    Ok(Derating { factor, ..Derating::default() })
}

/// Simulates one replica of a way of offline inference, asks less of the way where it does less, and returns what was seen.
pub(crate) fn judge_offline(
    (serve, way, engine): (&Serve, &Way, &Engine),
    seed: u64,
    deratings: &mut Deratings,
    proof: &mut Proof,
) -> Result<Option<OfflineSeen>, VerifyError> {
    let key = (serve.name.clone(), way.candidate.key());
    let seen = match deratings.offline.get(&key) {
        Some(seen) => seen.clone(),
        None => batches::watch(serve, way, engine, seed)?,
    };
    deratings.offline.insert(key, seen.clone());
    if let Some(seen) = &seen {
        let factor = seen.rate.get() / way.estimate.rate.get();
        let known = deratings.of(&serve.name, way).factor;
        if factor < known {
            let (did, planned) = (seen.rate.get(), way.estimate.rate.get() * known);
            proof
                .missed
                .push(format!("{} answers {did:.3} req/s a replica, {planned:.3} planned", serve.name));
            deratings.ask((&serve.name, way), Derating { factor, ..Derating::default() }, proof);
        }
    }
    Ok(seen)
}

/// Asks the simulator how much the way of a trial carries, which is at as many replicas as its capacity needs; no more of
/// it is hoped then.
pub(crate) fn explore(
    frame: &Frame<'_>,
    trial: &Trial<'_>,
    _peak: Option<u32>,
    deratings: &mut Deratings,
    proof: &mut Proof,
) -> Result<Vec<Verdict>, VerifyError> {
    let known = deratings.of(&trial.serve.name, trial.way).factor;
    let capacity = trial.way.estimate.rate.get() * known;
    let needed = (trial.rate * (1.0 + trial.serve.headroom) / capacity).ceil().clamp(1.0, 1e9) as u32;
    let trial = Trial { capacity, replicas: needed, ..*trial };
    if known > 0.0 && all_met(&simulated(&trial, deratings)?) {
        stretch(frame, &trial, deratings, proof)?;
    }
    deratings.stretched.insert((trial.serve.name.clone(), trial.way.candidate.key()));
    Ok(Vec::new())
}

/// Lets the way of a trial that holds carry as much as the simulator sees it carry, the first time that it holds: the
/// estimate keeps away from limits that the many replicas of a large placement keep better.
fn stretch(
    frame: &Frame<'_>,
    trial: &Trial<'_>,
    deratings: &mut Deratings,
    proof: &mut Proof,
) -> Result<(), VerifyError> {
    let rate = trial.rate * (1.0 + trial.serve.headroom);
    // Else it is not what they carry that asks for so many.
    let is_full = f64::from(trial.replicas.saturating_sub(1)) * trial.capacity < rate;
    let key = (trial.serve.name.clone(), trial.way.candidate.key());
    let Serve { stage, autoscale, .. } = trial.serve;
    // Replicas that follow demand, or that go with the other part of a workload, are counted otherwise.
    let is_counted_so = stage.is_none() && autoscale.is_none();
    if !is_full || trial.replicas < 2 || !is_counted_so || !deratings.stretched.insert(key.clone()) {
        return Ok(());
    }
    let requests = scaled_trace(frame, trial.serve, rate);
    let before = trial.before * (1.0 + trial.serve.headroom);
    let capacity = |replicas: u32| rate / f64::from(replicas) * (1.0 + 1e-9);
    let enough = fewer(trial.replicas, |replicas| {
        let capacity = capacity(replicas);
        let fuller = Trial { rate, before, replicas, capacity, trace: requests.as_ref(), ..*trial };
        Ok(all_met(&simulated(&fuller, deratings)?))
    })?;
    let enough = if enough < trial.replicas {
        enough.max((rate / (SUSTAINED * flat_out(trial)?)).ceil().min(f64::from(u32::MAX)) as u32)
    } else {
        enough
    };
    if enough < trial.replicas {
        let factor = capacity(enough) / trial.way.estimate.rate.get();
        let fewest = deratings.of(&key.0, trial.way).fewest;
        deratings.of_ways.insert(key.clone(), Derating { factor, fewest });
        proof.derated.push((key.0, key.1, factor));
    }
    Ok(())
}

/// Returns the requests per second that one replica of a trial answers where more always wait.
fn flat_out(trial: &Trial<'_>) -> Result<f64, VerifyError> {
    let rate = f64::from(2 * MOST_OF_ESTIMATE) * trial.capacity.max(trial.way.estimate.rate.get());
    let alone = Trial { replicas: 1, rate, before: rate, trace: None, ..*trial };
    let seen = watch(&alone, Group { replicas: 1, share: 1.0, rate }, &[])?;
    Ok(seen.served_per_second.mean.max(f64::MIN_POSITIVE))
}

/// Returns how many of so many replicas are seen to be enough: the first steps are small, since most estimates are near.
fn fewer(replicas: u32, mut holds: impl FnMut(u32) -> Result<bool, VerifyError>) -> Result<u32, VerifyError> {
    let step = (replicas / TRIED_STEP).max(1);
    let most = (replicas - replicas.div_ceil(MOST_OF_ESTIMATE)) / step;
    let mut good = 0;
    let mut stride = 1;
    let mut bad = most + 1;
    while good < most {
        let next = (good + stride).min(most);
        if !holds(replicas - next * step)? {
            bad = next;
            break;
        }
        (good, stride) = (next, 2 * stride);
    }
    while good + 1 < bad {
        let middle = u32::midpoint(good, bad);
        if holds(replicas - middle * step)? { good = middle } else { bad = middle }
    }
    Ok(replicas - good * step)
}

fn all_met(verdicts: &[Verdict]) -> bool {
    verdicts.iter().all(|verdict| verdict.status == VerdictStatus::Met)
}

fn words(verdict: &Verdict) -> String {
    format!(
        "{} {}: {:.0} ms seen, {:.0} ms asked",
        verdict.workload,
        level_word(verdict.metric, verdict.per_mille, verdict.over),
        verdict.seen.millis(),
        verdict.target.millis()
    )
}

/// Simulates a trial, or returns what was seen when the same was simulated before.
fn simulated(trial: &Trial<'_>, deratings: &mut Deratings) -> Result<Vec<Verdict>, VerifyError> {
    let key = format!(
        "{}/{}/{}/{}/{}/{}/{}/{}/{}",
        trial.serve.name,
        trial.site,
        trial.way.candidate.key(),
        trial.period,
        trial.hour,
        trial.replicas,
        trial.rate.to_bits(),
        trial.capacity.to_bits(),
        trial.readers.map_or(String::new(), |readers| format!(
            "{} × {}",
            readers.replicas,
            readers.way.candidate.key()
        ))
    );
    if let Some(verdicts) = deratings.seen.get(&key) {
        return Ok(verdicts.clone());
    }
    let verdicts = verify(trial)?;
    deratings.seen.insert(key, verdicts.clone());
    Ok(verdicts)
}

/// Returns the fewest replicas that were seen to hold what the trial's replicas do not; `None` where no count that was tried
/// holds.
///
/// Bisection: more replicas are taken to be no worse.
fn more(trial: &Trial<'_>, peak: u32, deratings: &mut Deratings) -> Result<Option<u32>, VerifyError> {
    let most = (TRIED_OF_PEAK * peak).max(TRIED_AT_LEAST);
    if trial.replicas >= most {
        return Ok(None);
    }
    let mut holds = |replicas: u32| -> Result<bool, VerifyError> {
        Ok(all_met(&simulated(&Trial { replicas, ..*trial }, deratings)?))
    };
    if !holds(most)? {
        return Ok(None);
    }
    first(trial.replicas + 1, most, holds).map(Some)
}

/// Returns the largest factor that was seen to hold at the trial's replicas, or 0 where none did.
///
/// A fixed list of loads, of which a lower one is taken to be no worse: most that miss miss by little, so the highest are
/// tried first, in steps that double, and then what lies between by bisection.
fn lower(frame: &Frame<'_>, trial: &Trial<'_>, deratings: &mut Deratings) -> Result<f64, VerifyError> {
    let mut holds = |step: u32| -> Result<bool, VerifyError> {
        let share = STEPS[step as usize];
        let rate = trial.rate * share;
        let requests = scaled_trace(frame, trial.serve, rate);
        let (before, capacity) = (trial.before * share, trial.capacity * share);
        let lighter = Trial { rate, before, capacity, trace: requests.as_ref(), ..*trial };
        Ok(all_met(&simulated(&lighter, deratings)?))
    };
    let (mut from, mut good, mut stride) = (0, STEPS.len() as u32, 1);
    while from < good {
        let next = (from + stride - 1).min(good - 1);
        if holds(next)? {
            good = next;
            break;
        }
        (from, stride) = (next + 1, 2 * stride);
    }
    let found = first(from, good, &mut holds)?;
    let estimated = trial.way.estimate.rate.get();
    Ok(STEPS.get(found as usize).map_or(0.0, |step| each(trial) * step / estimated))
}

/// Returns the first number that holds by bisection, `good` where none below it does.
fn first(
    mut from: u32,
    mut good: u32,
    mut holds: impl FnMut(u32) -> Result<bool, VerifyError>,
) -> Result<u32, VerifyError> {
    while from < good {
        let middle = u32::midpoint(from, good);
        if holds(middle)? { good = middle } else { from = middle + 1 }
    }
    Ok(good)
}

/// Returns the requests of the plan's trace, closer together so that their busiest ten minutes come at `rate`.
pub(crate) fn scaled_trace(frame: &Frame<'_>, serve: &Serve, rate: f64) -> Option<Recording> {
    let trace = serve.load.trace.as_ref()?;
    Some(frame.traces.get(&trace.path)?.faster(rate / trace.busiest.get()))
}
