//! Does the draft hold? Every placement is simulated at the hours that strain it most.

use crate::apart;
use crate::assemble::{Draft, Piece, pieces};
use crate::candidates::Way;
use crate::columns::ServeColumns;
use crate::derate::{Deratings, judge_offline, scaled_trace};
use crate::formulate::Formulation;
use crate::frame::Frame;
use crate::program::Solution;
use crate::verify::{Readers, Trial, VerifyError, busiest};
use capstan_types::blueprint::{Verdict, VerdictStatus};
use capstan_types::spec::{self, Serve};

/// What one turn proved.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proof {
    /// A verdict on each service level.
    pub verdicts: Vec<Verdict>,
    /// Levels that were not met, in words.
    pub missed: Vec<String>,
    /// Factors that fell: workload, way, new factor.
    pub derated: Vec<(String, String, f64)>,
    /// Counts that rose: workload, way, fewest replicas.
    pub raised: Vec<(String, String, u32)>,
}

impl Proof {
    /// Returns whether nothing more is asked of any way.
    pub fn is_settled(&self) -> bool {
        self.derated.is_empty() && self.raised.is_empty()
    }
}

/// What is asked of a placement at an hour; the count is that of its replicas at the busiest hour, where they can be more
/// at others.
pub(crate) type Judge =
    fn(&Frame<'_>, &Trial<'_>, Option<u32>, &mut Deratings, &mut Proof) -> Result<Vec<Verdict>, VerifyError>;

/// Has every placement of the draft simulated at the hours that strain it most, and judged; keeps the worst verdicts of each.
///
/// # Errors
/// See [`VerifyError`].
pub(crate) fn prove(
    frame: &Frame<'_>,
    serves: &[ServeColumns<'_>],
    solution: &Solution,
    deratings: &mut Deratings,
    judge: Judge,
) -> Result<Proof, VerifyError> {
    let mut proof = Proof::default();
    for (index, serve) in serves[..frame.spec.serves.len()].iter().enumerate() {
        let parts = parts(frame, serves, solution, index);
        for (at, part) in parts.iter().enumerate() {
            let rates = share_of(serve, &parts, at);
            let mut worst = Vec::new();
            let peak = can_have_more(serves, serve).then(|| most_of(&part.working));
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
                let readers = readers(frame, serves, solution, serve.serve, (period, hour));
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
                keep_worse(&mut worst, judge(frame, &trial, peak, deratings, &mut proof)?);
            }
            proof.verdicts.extend(worst);
        }
    }
    Ok(proof)
}

/// Simulates a replica of each workload of offline inference, and writes what was seen into the draft.
///
/// # Errors
/// See [`VerifyError`].
pub(crate) fn prove_offline(
    frame: &Frame<'_>,
    (serves, formulation): (&[ServeColumns<'_>], &Formulation<'_>),
    (draft, solution): (&mut Draft, &Solution),
    deratings: &mut Deratings,
    proof: &mut Proof,
) -> Result<(), VerifyError> {
    let chosen = &solution.columns[serves.len() + draft.trainings.len() + draft.apps.len()..];
    for ((columns, &column), run) in formulation.batches.iter().zip(chosen).zip(&mut draft.batches) {
        let Some(engine) = frame.catalog.engine(&columns.batch.engine) else { continue };
        let way = &columns.ways[columns.columns[column].way];
        let serve = columns.batch.served();
        run.simulated = judge_offline((&serve, way, engine), frame.spec.frame.seed, deratings, proof)?;
    }
    Ok(())
}

/// Can a quiet hour have more replicas than its demand needs? Not where replicas follow demand, where machines that stand
/// there carry a part, or where the other part of the workload is sized with it.
fn can_have_more(serves: &[ServeColumns<'_>], serve: &ServeColumns<'_>) -> bool {
    let has_base = serves.iter().any(|leg| leg.of == serve.of && leg.base.is_some());
    serve.serve.autoscale.is_none() && !has_base && serve.serve.stage.is_none()
}

fn most_of(working: &[Vec<u32>]) -> u32 {
    working.iter().flatten().copied().max().unwrap_or(0)
}

/// Returns the replicas that read the prompts of a workload which only writes.
fn readers<'a>(
    frame: &Frame<'a>,
    serves: &'a [ServeColumns<'a>],
    solution: &Solution,
    serve: &Serve,
    (period, hour): (usize, usize),
) -> Option<Readers<'a>> {
    let stage = serve.stage.as_ref().filter(|stage| stage.part == spec::Part::Decode)?;
    let index = serves.iter().position(|other| other.serve.name == stage.with)?;
    let parts = parts(frame, serves, solution, index);
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

/// Returns the placements of a workload, in the order of the draft.
fn parts<'a>(
    frame: &Frame<'a>,
    serves: &[ServeColumns<'a>],
    solution: &Solution,
    of: usize,
) -> Vec<Part<'a>> {
    let ways = serves[of].ways;
    let part = |piece: Piece| Part {
        site: &frame.market.stands[piece.stand].site.name,
        way: &ways[piece.way],
        rate: piece.rate,
        working: piece.working,
    };
    pieces(serves, &solution.columns, of).into_iter().map(part).collect()
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
