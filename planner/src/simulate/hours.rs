//! Which hours are simulated? Those that the plan was verified at; where nothing was asked, the busiest.

use crate::settle::hour_before;
use crate::verify::busiest;
use capstan_types::blueprint::{Blueprint, Placement, Service};
use capstan_types::spec::Serve;

/// One hour of one placement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hour {
    pub period: usize,
    /// Of 48.
    pub hour: usize,
    /// Replicas that serve, spares not counted.
    pub replicas: u32,
    /// Requests per second of all of them.
    pub rate: f64,
    /// Those of the hour before, over these.
    pub before: f64,
}

/// Returns the hours of each placement of a service, in order.
pub(super) fn of(blueprint: &Blueprint, service: &Service, serve: &Serve) -> Vec<Vec<Hour>> {
    let verdicts: Vec<_> =
        blueprint.verdicts.iter().filter(|verdict| verdict.workload == service.workload).collect();
    let mut groups = verdicts.chunks(serve.slos.len().max(1)).peekable();
    let mut found = Vec::new();
    for placement in &service.placements {
        // Verdicts stand in the order of the placements; one that never serves has none.
        let group = groups.next_if(|group| group[0].site == placement.site).unwrap_or_default();
        let mut hours: Vec<Hour> = Vec::new();
        for verdict in group {
            let share = f64::from(verdict.replicas_planned) / f64::from(verdict.replicas.max(1));
            let hour = Hour {
                period: verdict.period as usize,
                hour: verdict.hour as usize,
                replicas: verdict.replicas_planned.max(1),
                rate: verdict.rate.get() * share,
                before: before(blueprint, service, verdict.period as usize, verdict.hour as usize),
            };
            if !hours.contains(&hour) {
                hours.push(hour);
            }
        }
        found.push(hours);
    }
    if serve.slos.is_empty() {
        found =
            service.placements.iter().map(|placement| unverified(blueprint, service, placement)).collect();
    }
    found
}

/// Returns the demand of the hour before over that of an hour.
fn before(blueprint: &Blueprint, service: &Service, period: usize, hour: usize) -> f64 {
    let demand = blueprint.demand.iter().find(|curve| curve.workload == service.workload);
    let hours = demand.and_then(|curve| curve.rates.get(period));
    let rate = |hour: usize| hours.and_then(|hours| hours.get(hour)).copied().unwrap_or(0.0);
    let (now, before) = (rate(hour), rate(hour_before(hour)));
    if now > 0.0 { before / now } else { 1.0 }
}

/// The hours that strain a placement most: demand is split in proportion to capacity.
fn unverified(blueprint: &Blueprint, service: &Service, placement: &Placement) -> Vec<Hour> {
    let Some(demand) = blueprint.demand.iter().find(|curve| curve.workload == service.workload) else {
        return Vec::new();
    };
    let capacity = |placement: &Placement, period: usize, hour: usize| {
        f64::from(placement.replicas[period][hour]) * placement.estimate.rate.get()
    };
    let share = |period: usize, hour: usize| {
        let all: f64 = service.placements.iter().map(|other| capacity(other, period, hour)).sum();
        if all > 0.0 { capacity(placement, period, hour) / all } else { 0.0 }
    };
    let rates: Vec<Vec<f64>> = demand
        .rates
        .iter()
        .enumerate()
        .map(|(period, hours)| {
            hours.iter().enumerate().map(|(hour, rate)| rate * share(period, hour)).collect()
        })
        .collect();
    let hour = |(period, hour): (usize, usize)| Hour {
        period,
        hour,
        replicas: placement.replicas[period][hour],
        rate: rates[period][hour],
        before: before(blueprint, service, period, hour),
    };
    busiest(&rates, &placement.replicas).into_iter().map(hour).collect()
}
