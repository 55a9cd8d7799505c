//! What fails, which replicas does it take along, and how did requests fare before, meanwhile and afterwards?

use super::{SimulateError, seconds};
use crate::assemble::restart;
use capstan_sim::engine::Time;
use capstan_sim::serving::{Effect, Fault, Interrupted, Outcome, Record, Reject, Slice, Window};
use capstan_types::blueprint::{Blueprint, Placement};
use capstan_types::offering::PurchaseOption;
use capstan_types::simulation::SimulatedFailure;
pub use capstan_types::spec::Failing;
use capstan_types::spec::{OnFailure, Serve};
use capstan_types::units::Seconds;

/// A failure in the busiest hour.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What fails.
    pub what: Failing,
    /// How many of them at once; of spot machines, how many, where not all of them.
    pub count: Option<u32>,
    /// For how long replicas are down; where nothing is said, as long as a container takes to start elsewhere.
    pub lasts: Option<Seconds>,
    /// How long before it takes a machine back the spot market says so.
    pub notice: Seconds,
    /// How many times as long the steps of a slow replica take.
    pub slower: f64,
    /// Whether requests in flight are lost, whatever the plan says becomes of them.
    pub loses_requests: bool,
}

/// For how long a replica is slow where nothing is said: what it takes until somebody has looked.
///
/// Origin: Assumed.
const SLOW_FOR: Seconds = Seconds(600.0);

/// A failure at its instant.
pub(super) struct Planned {
    pub faults: Vec<Fault>,
    what: &'static str,
    pub at: Time,
    pub back: Time,
}

/// Places a failure a third into the measured time; a notice comes before.
pub(super) fn planned(
    blueprint: &Blueprint,
    failure: &Failure,
    (serve, placement): (&Serve, &Placement),
    replicas: u32,
    window: Window,
) -> Result<Planned, SimulateError> {
    let ns = |seconds: Seconds| Time::from_seconds(seconds.get()).ns();
    let warned = window.from.plus(window.until.since(window.from) / 3);
    let notice = if failure.what == Failing::Spot { ns(failure.notice) } else { 0 };
    let at = warned.plus(notice);
    let lasts = failure.lasts.map(ns).map(|lasts| lasts.max(1));
    let back = match (failure.what, lasts) {
        (_, Some(lasts)) => at.plus(lasts),
        (Failing::Slow, None) => at.plus(ns(SLOW_FOR)),
        (Failing::Crash, None) => at.plus(ns(restart(placement.start)).max(1)),
        // What takes their place is ordered when the notice comes.
        (_, None) => warned.plus(ns(placement.start)).max(at.plus(1)),
    };
    let loses = failure.loses_requests || serve.on_failure == OnFailure::Lose;
    let interrupted = if loses { Interrupted::Lost } else { Interrupted::Retried };
    let effect = match failure.what {
        Failing::Slow => Effect::Slow { per_mille: (failure.slower * 1e3).clamp(1.0, 1e9) as u32 },
        _ => Effect::Down(interrupted),
    };
    let struck = struck(blueprint, failure, (serve, placement), replicas)?;
    // The highest numbers: routers prefer the lowest where replicas are equal, so the others are no idle ones.
    let faults = (0..replicas).rev().take(struck as usize);
    let faults = faults.map(|replica| Fault { warned, at, replica, back, effect }).collect();
    Ok(Planned { faults, what: failure.what.words(), at: warned, back })
}

/// Returns how many replicas go down.
fn struck(
    blueprint: &Blueprint,
    failure: &Failure,
    (serve, placement): (&Serve, &Placement),
    replicas: u32,
) -> Result<u32, SimulateError> {
    let count = failure.count.unwrap_or(1);
    let on_nodes = |nodes: u32| on_nodes(placement, nodes);
    let site = blueprint.inputs.spec.sites.iter().find(|site| site.name == placement.site);
    Ok(match failure.what {
        Failing::Gpu | Failing::Crash | Failing::Slow => count,
        Failing::Node => on_nodes(count),
        Failing::Rack => {
            let rack = nodes_of_a_rack(blueprint, placement);
            on_nodes(
                rack.ok_or_else(|| SimulateError::NoRacks(placement.site.clone()))?.saturating_mul(count),
            )
        }
        Failing::Zone => {
            let zones = site.map_or(1, |site| serve.zones_at(site));
            replicas.div_ceil(zones).saturating_mul(count)
        }
        Failing::Spot => {
            let nodes = failure.count.unwrap_or_else(|| spot_nodes(blueprint, placement));
            if nodes == 0 {
                return Err(SimulateError::NoSpot(placement.site.clone()));
            }
            on_nodes(nodes)
        }
    })
}

/// Returns the replicas that have a part on so many nodes: those of a node fail together, and one over several nodes
/// with the first of them.
fn on_nodes(placement: &Placement, nodes: u32) -> u32 {
    let each = placement.candidate.replicas_per_node.max(1);
    nodes.saturating_mul(each).div_ceil(placement.candidate.nodes_per_replica.max(1))
}

/// Returns the nodes of the placement's shape in one rack of its site, where the plan has racks.
fn nodes_of_a_rack(blueprint: &Blueprint, placement: &Placement) -> Option<u32> {
    let site = blueprint.inputs.spec.sites.iter().find(|site| site.name == placement.site)?;
    let shapes = &blueprint.inputs.catalog.shapes;
    let shape = shapes.iter().find(|shape| shape.id == placement.candidate.shape)?;
    site.rack.as_ref()?.holds(shape).filter(|nodes| *nodes > 0)
}

/// Returns the nodes of the placement's shape and site that are bought on the spot market.
fn spot_nodes(blueprint: &Blueprint, placement: &Placement) -> u32 {
    let here = blueprint.pools.iter();
    let here = here.filter(|pool| pool.site == placement.site && pool.shape == placement.candidate.shape);
    let bought = here.flat_map(|pool| &pool.purchases);
    bought.filter(|purchase| purchase.option == PurchaseOption::Spot).map(|purchase| purchase.nodes).sum()
}

/// Requests that met every level, and all of them: over before, there meanwhile, arrived afterwards.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Phases([(u64, u64); 3]);

impl Phases {
    pub fn add(&mut self, planned: &Planned, window: Window, record: &Record, good: bool) {
        if matches!(record.outcome, Outcome::Rejected(why) if why != Reject::Queue)
            || record.arrival < window.from
            || record.arrival >= window.until
        {
            return;
        }
        // What was in flight when it failed is what the failure hits.
        let over = match record.outcome {
            Outcome::Rejected(_) => record.arrival,
            _ => record.completed,
        };
        let phase = usize::from(over >= planned.at) + usize::from(record.arrival >= planned.back);
        self.0[phase].0 += u64::from(good);
        self.0[phase].1 += 1;
    }

    pub fn plus(mut self, other: &Phases) -> Phases {
        for (mine, more) in self.0.iter_mut().zip(other.0) {
            *mine = (mine.0 + more.0, mine.1 + more.1);
        }
        self
    }
}

/// Says what came of a failure.
pub(super) fn outcome(
    planned: &Planned,
    phases: &Phases,
    slices: &[Slice],
    warm_up: Time,
) -> SimulatedFailure {
    let share = |phase: usize| {
        let (good, all) = phases.0[phase];
        (all > 0).then(|| good as f64 / all as f64)
    };
    SimulatedFailure {
        what: planned.what.to_owned(),
        replicas: planned.faults.len() as u32,
        at: seconds(planned.at),
        back: seconds(planned.back),
        attainment_before: share(0),
        attainment_during: share(1),
        attainment_after: share(2),
        recovery: recovery(planned, slices, warm_up),
    }
}

/// Returns the time from the failure to the end of the first slice after it in which no more requests wait than in the
/// fullest slice between warm-up and failure, and after which no slice has more than twice as many: a queue may build up
/// late, and come back.
fn recovery(planned: &Planned, slices: &[Slice], warm_up: Time) -> Option<Seconds> {
    let before = slices.iter().filter(|slice| warm_up <= slice.from && slice.from < planned.at);
    let usual = before.map(|slice| slice.waiting).fold(0.0, f64::max);
    let is_full = |slice: &Slice| slice.waiting > 2.0 * usual + 1.0;
    let calm = slices.iter().rposition(is_full).map_or(0, |last| last + 1);
    let later = slices.get(calm..)?;
    let mut ends = later.iter().zip(later.get(1..)?).filter(|(slice, _)| slice.from > planned.at);
    let (_, next) = ends.find(|(slice, _)| slice.waiting <= usual)?;
    Some(Seconds(next.from.since(planned.at) as f64 / 1e9))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recovered(waiting: &[f64]) -> Option<Seconds> {
        let at = |second: usize| Time::from_seconds(second as f64);
        let planned = Planned { faults: Vec::new(), what: "a node", at: at(20), back: at(50) };
        let slice = |(index, &waiting): (usize, &f64)| Slice {
            from: at(10 * index),
            waiting,
            running: 0.0,
            utilisation: 0.0,
            blocks_used: 0.0,
            arrived: 0,
            completed: 0,
        };
        let slices: Vec<Slice> = waiting.iter().enumerate().map(slice).collect();
        recovery(&planned, &slices, Time::ZERO)
    }

    #[test]
    fn a_service_has_not_recovered_before_its_queue_has_built_up() {
        assert_eq!(recovered(&[2.0, 1.0, 1.0, 1.0, 40.0, 90.0, 30.0, 2.0, 1.0]), Some(Seconds(60.0)));
        assert_eq!(recovered(&[2.0, 1.0, 1.0, 1.0, 40.0, 90.0, 30.0, 20.0, 10.0]), None);
        assert_eq!(
            recovered(&[2.0, 1.0, 3.0, 1.0, 2.0, 1.0]),
            Some(Seconds(20.0)),
            "what spare machines carry"
        );
    }
}
