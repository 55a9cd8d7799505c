//! What fails, which replicas does it take along, and how did requests fare before, meanwhile and afterwards?

use super::seconds;
use capstan_sim::engine::Time;
use capstan_sim::serving::{Fault, Interrupted, Outcome, Record, Slice, Window};
use capstan_types::blueprint::Placement;
use capstan_types::simulation::SimulatedFailure;
use capstan_types::units::Seconds;

/// What can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failing {
    /// One accelerator, and with it the replica that runs on it.
    Gpu,
    /// One node, and with it every replica that has a part on it.
    Node,
}

impl Failing {
    /// Returns the word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Failing::Gpu => "gpu",
            Failing::Node => "node",
        }
    }
}

/// A failure in the busiest hour.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What fails.
    pub what: Failing,
    /// For how long replicas are down; where nothing is said, as long as a container takes to start elsewhere.
    pub lasts: Option<Seconds>,
    /// Whether requests in flight are lost; otherwise they are sent again.
    pub loses_requests: bool,
}

/// A failure at its instant.
pub(super) struct Planned {
    pub faults: Vec<Fault>,
    what: &'static str,
    pub at: Time,
    pub back: Time,
}

/// Places a failure a third into the measured time.
pub(super) fn planned(failure: &Failure, placement: &Placement, replicas: u32, window: Window) -> Planned {
    let at = window.from.plus(window.until.since(window.from) / 3);
    let lasts = failure.lasts.unwrap_or(placement.start);
    let back = at.plus(Time::from_seconds(lasts.get()).ns().max(1));
    let struck = match failure.what {
        Failing::Gpu => 1,
        Failing::Node => placement.candidate.replicas_per_node.max(1),
    };
    let requests = if failure.loses_requests { Interrupted::Lost } else { Interrupted::Retried };
    // The highest numbers: routers prefer the lowest where replicas are equal, so the others are no idle ones.
    let faults = (0..replicas).rev().take(struck as usize);
    let faults = faults.map(|replica| Fault { at, replica, back, requests }).collect();
    Planned { faults, what: failure.what.word(), at, back }
}

/// Requests that met every level, and all of them, by when they arrived: before, meanwhile, afterwards.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Phases([(u64, u64); 3]);

impl Phases {
    pub fn add(&mut self, planned: &Planned, window: Window, record: &Record, good: bool) {
        if matches!(record.outcome, Outcome::Rejected(_))
            || record.arrival < window.from
            || record.arrival >= window.until
        {
            return;
        }
        let phase = usize::from(record.arrival >= planned.at) + usize::from(record.arrival >= planned.back);
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
/// fullest slice between warm-up and failure.
fn recovery(planned: &Planned, slices: &[Slice], warm_up: Time) -> Option<Seconds> {
    let before = slices.iter().filter(|slice| warm_up <= slice.from && slice.from < planned.at);
    let usual = before.map(|slice| slice.waiting).fold(0.0, f64::max);
    let mut ends = slices.iter().zip(&slices[1..]).filter(|(slice, _)| slice.from > planned.at);
    let (_, next) = ends.find(|(slice, _)| slice.waiting <= usual)?;
    Some(Seconds(next.from.since(planned.at) as f64 / 1e9))
}
