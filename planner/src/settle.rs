//! Does the draft hold, and if not, how much less may a replica be asked? Factors only ever fall, so the loop ends.

use crate::apart;
use crate::assemble::Draft;
use crate::candidates::Way;
use crate::columns::ServeColumns;
use crate::frame::Frame;
use crate::program::Solution;
use crate::verify::{Readers, Trial, VerifyError, busiest, verify};
use capstan_sim::serving::Recording;
use capstan_types::blueprint::{Placement, Verdict, VerdictStatus};
use capstan_types::spec::{self, Serve, percentile_word};
use std::collections::BTreeMap;

/// Shares of the load at which a placement that missed is tried again; the last means "not at all".
const STEPS: [f64; 12] = [0.97, 0.94, 0.9, 0.86, 0.82, 0.77, 0.7, 0.6, 0.5, 0.4, 0.25, 0.1];

/// Factors on estimated rates, and what was simulated already.
#[derive(Debug, Default)]
pub struct Deratings {
    factors: BTreeMap<(String, String), f64>,
    seen: BTreeMap<String, Vec<Verdict>>,
}

impl Deratings {
    /// Returns the factor of a way of a workload.
    pub fn factor(&self, workload: &str, way: &Way) -> f64 {
        self.factors.get(&(workload.to_owned(), way.key())).copied().unwrap_or(1.0)
    }

    /// Returns the ways of a workload that the simulator turned down at every load that was tried.
    pub fn refused(&self, workload: &str) -> Vec<&str> {
        let refused = self.factors.iter().filter(|((name, _), factor)| name == workload && **factor <= 0.0);
        refused.map(|((_, way), _)| way.as_str()).collect()
    }
}

/// What one turn proved.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proof {
    /// A verdict on each service level.
    pub verdicts: Vec<Verdict>,
    /// Levels that were not met, in words.
    pub missed: Vec<String>,
    /// Factors that fell: workload, way, new factor.
    pub derated: Vec<(String, String, f64)>,
}

/// Simulates every placement of the draft and lowers the factor of each that does not hold.
///
/// # Errors
/// See [`VerifyError`].
pub(crate) fn prove(
    frame: &Frame<'_>,
    serves: &[ServeColumns<'_>],
    draft: &Draft,
    solution: &Solution,
    deratings: &mut Deratings,
) -> Result<Proof, VerifyError> {
    let mut proof = Proof::default();
    for (index, serve) in serves.iter().enumerate() {
        let parts = parts(serve, &draft.services[index].placements, solution.columns[index]);
        for (at, part) in parts.iter().enumerate() {
            let rates = share_of(serve, &parts, at);
            let mut worst = Vec::new();
            let mut hours = busiest(&rates, &part.working);
            if serve.serve.autoscale.is_some() {
                for hour in followed(&rates, &part.working) {
                    if !hours.contains(&hour) {
                        hours.push(hour);
                    }
                }
            }
            for (period, hour) in hours {
                let rate = rates[period][hour];
                let before = rates[period][hour_before(hour)];
                let requests = scaled_trace(frame, serve.serve, rate);
                let readers = readers(frame, serves, draft, solution, serve.serve, (period, hour));
                let trial = Trial {
                    serve: serve.serve,
                    way: part.way,
                    engine: frame.engines[index],
                    site: part.site,
                    period,
                    hour,
                    rate,
                    before,
                    capacity: part.rate,
                    replicas: part.working[period][hour],
                    trace: requests.as_ref(),
                    readers,
                    seed: frame.spec.frame.seed,
                };
                keep_worse(&mut worst, judge(frame, &trial, deratings, &mut proof)?);
            }
            proof.verdicts.extend(worst);
        }
    }
    Ok(proof)
}

/// Returns the replicas that read the prompts of a workload which only writes.
fn readers<'a>(
    frame: &Frame<'a>,
    serves: &'a [ServeColumns<'a>],
    draft: &'a Draft,
    solution: &Solution,
    serve: &Serve,
    (period, hour): (usize, usize),
) -> Option<Readers<'a>> {
    let stage = serve.stage.as_ref().filter(|stage| stage.part == spec::Part::Decode)?;
    let index = serves.iter().position(|other| other.serve.name == stage.with)?;
    let parts = parts(&serves[index], &draft.services[index].placements, solution.columns[index]);
    let part = parts.last()?;
    Some(Readers {
        serve: serves[index].serve,
        way: part.way,
        engine: frame.engines[index],
        replicas: part.working[period][hour].max(1),
        network: apart::share_of_fabric(frame.spec, part.site),
    })
}

/// Returns the hours at which replicas that follow the rate may be too few: the one into which it rises most, and the one
/// in which it is highest, whatever a replica gets of it. The earliest of equals.
fn followed(rates: &[Vec<f64>], working: &[Vec<u32>]) -> Vec<(usize, usize)> {
    let rate = |(period, hour): (usize, usize)| rates[period][hour];
    let rise = |(period, hour): (usize, usize)| rates[period][hour] - rates[period][hour_before(hour)];
    let hours = rates.iter().enumerate();
    let hours = hours.flat_map(|(period, hours)| (0..hours.len()).map(move |hour| (period, hour)));
    let hours: Vec<(usize, usize)> = hours.filter(|&at| rate(at) > 0.0 && working[at.0][at.1] > 0).collect();
    let most = |of: &dyn Fn((usize, usize)) -> f64| {
        hours.iter().copied().max_by(|a, b| of(*a).total_cmp(&of(*b)).then(b.cmp(a)))
    };
    most(&rise).into_iter().chain(most(&rate)).collect()
}

/// Returns the hour before, on a day of the same type.
pub(crate) fn hour_before(hour: usize) -> usize {
    let midnight = hour / 24 * 24;
    midnight + (hour - midnight + 23) % 24
}

/// One placement as the simulator sees it.
struct Part<'a> {
    site: &'a str,
    way: &'a Way,
    rate: f64,
    /// Replicas without spares: spares may be down, and the level must hold without them.
    working: Vec<Vec<u32>>,
}

/// Returns the placements of a workload: the part on machines that stand there, if any, then the chosen column.
fn parts<'a>(serve: &ServeColumns<'a>, placements: &'a [Placement], column: usize) -> Vec<Part<'a>> {
    let column = &serve.columns[column];
    let of_base = serve.base.iter().map(|base| (base.way, base.rate, 0));
    let chosen = of_base.chain([(column.way, column.rate, column.spares)]);
    let ways = serve.ways;
    chosen
        .zip(placements)
        .map(|((way, rate, spares), placement)| Part {
            site: &placement.site,
            way: &ways[way],
            rate,
            working: placement
                .replicas
                .iter()
                .map(|hours| hours.iter().map(|replicas| replicas - spares).collect())
                .collect(),
        })
        .collect()
}

/// Returns the requests that one part gets: demand is split in proportion to capacity.
fn share_of(serve: &ServeColumns<'_>, parts: &[Part<'_>], at: usize) -> Vec<Vec<f64>> {
    let capacity =
        |part: &Part<'_>, period: usize, hour: usize| f64::from(part.working[period][hour]) * part.rate;
    let share = |period: usize, hour: usize, rate: f64| {
        let all: f64 = parts.iter().map(|part| capacity(part, period, hour)).sum();
        if all > 0.0 { rate * capacity(&parts[at], period, hour) / all } else { 0.0 }
    };
    let periods = serve.demand.rates.iter().enumerate();
    periods
        .map(|(period, hours)| {
            hours.iter().enumerate().map(|(hour, &rate)| share(period, hour, rate)).collect()
        })
        .collect()
}

/// Simulates one placement at one hour, lowers its factor where it does not hold, and returns what was seen.
fn judge(
    frame: &Frame<'_>,
    trial: &Trial<'_>,
    deratings: &mut Deratings,
    proof: &mut Proof,
) -> Result<Vec<Verdict>, VerifyError> {
    let verdicts = simulated(trial, deratings)?;
    if !all_met(&verdicts) {
        let missed = verdicts.iter().filter(|verdict| verdict.status != VerdictStatus::Met);
        proof.missed.extend(missed.map(words));
        let factor = lower(frame, trial, deratings)?;
        let key = (trial.serve.name.clone(), trial.way.key());
        if factor < deratings.factor(&trial.serve.name, trial.way) {
            proof.derated.push((key.0.clone(), key.1.clone(), factor));
            deratings.factors.insert(key, factor);
        }
    }
    Ok(verdicts)
}

/// Keeps of each service level the verdict that is nearer to its limit, or further beyond it.
fn keep_worse(worst: &mut Vec<Verdict>, verdicts: Vec<Verdict>) {
    if worst.is_empty() {
        *worst = verdicts;
        return;
    }
    for (known, new) in worst.iter_mut().zip(verdicts) {
        let held = |verdict: &Verdict| verdict.status == VerdictStatus::Met;
        if (held(known), -known.seen.get()) > (held(&new), -new.seen.get()) {
            *known = new;
        }
    }
}

fn all_met(verdicts: &[Verdict]) -> bool {
    verdicts.iter().all(|verdict| verdict.status == VerdictStatus::Met)
}

fn words(verdict: &Verdict) -> String {
    format!(
        "{} {} {}: {:.0} ms seen, {:.0} ms asked",
        verdict.workload,
        verdict.metric.word(),
        percentile_word(verdict.per_mille),
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
        trial.way.key(),
        trial.period,
        trial.hour,
        trial.replicas,
        trial.rate.to_bits(),
        trial.capacity.to_bits(),
        trial.readers.map_or(String::new(), |readers| format!(
            "{} × {}",
            readers.replicas,
            readers.way.key()
        ))
    );
    if let Some(verdicts) = deratings.seen.get(&key) {
        return Ok(verdicts.clone());
    }
    let verdicts = verify(trial)?;
    deratings.seen.insert(key, verdicts.clone());
    Ok(verdicts)
}

/// Returns the largest factor that was seen to hold at the trial's replicas, or 0 where none did.
///
/// Bisection over a fixed list of loads: a lower load is taken to be no worse.
fn lower(frame: &Frame<'_>, trial: &Trial<'_>, deratings: &mut Deratings) -> Result<f64, VerifyError> {
    let (mut good, mut bad) = (STEPS.len(), 0_usize);
    let mut holds = |step: usize| -> Result<bool, VerifyError> {
        let rate = trial.rate * STEPS[step];
        let requests = scaled_trace(frame, trial.serve, rate);
        let (before, capacity) = (trial.before * STEPS[step], trial.capacity * STEPS[step]);
        let lighter = Trial { rate, before, capacity, trace: requests.as_ref(), ..*trial };
        Ok(all_met(&simulated(&lighter, deratings)?))
    };
    while bad < good {
        let middle = usize::midpoint(bad, good);
        if holds(middle)? { good = middle } else { bad = middle + 1 }
    }
    let each = trial.rate / f64::from(trial.replicas.max(1));
    let estimated = trial.way.estimate.rate.get();
    Ok(STEPS.get(good).map_or(0.0, |step| each * step / estimated))
}

/// Returns the requests of the plan's trace, closer together so that their busiest ten minutes come at `rate`.
fn scaled_trace(frame: &Frame<'_>, serve: &Serve, rate: f64) -> Option<Recording> {
    let trace = serve.load.trace.as_ref()?;
    Some(frame.traces.get(&trace.path)?.faster(rate / trace.busiest.get()))
}
