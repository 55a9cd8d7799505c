//! Do the replicas carry the demand at every hour, and is the demand the one that the plan states?

use super::nodes::open_to;
use super::{Check, at, same};
use capstan_types::blueprint::{AuditCheck, Blueprint, HOURS, Placement, Service};
use capstan_types::spec::{Daily, Serve};

/// Share by which the busiest of 24 sampled hours may lie below the peak of a smooth day.
///
/// A cosine sampled at whole or half hours misses its peak by at most 1 − cos 7.5°, below 0.9 %.
const SAMPLING: f64 = 0.01;

fn curve<'a>(blueprint: &'a Blueprint, workload: &str) -> Option<&'a [Vec<f64>]> {
    blueprint.demand.iter().find(|curve| curve.workload == workload).map(|curve| curve.rates.as_slice())
}

/// The busiest hour of every period is the stated peak, grown or shrunk to the period's busiest month.
pub(super) fn demand(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("coverage: the demand is the one that the plan states");
    for serve in &blueprint.inputs.spec.serves {
        let Some(rates) = curve(blueprint, &serve.name) else {
            check.that(false, || format!("`{}` has no demand", serve.name));
            continue;
        };
        for (index, period) in blueprint.periods.iter().enumerate() {
            let ends = [period.first_month, (period.first_month + period.months).saturating_sub(1)];
            let grown = ends.map(|month| libm::pow(1.0 + serve.load.growth_per_month, f64::from(month)));
            let peak = serve.load.peak.get() * grown[0].max(grown[1]);
            let row = rates.get(index).map_or(&[] as &[f64], Vec::as_slice);
            let busiest = row.iter().copied().fold(0.0, f64::max);
            let peak = peak * serve.load.weekend.max(1.0);
            check.that(
                row.len() == HOURS && busiest <= peak * 1.000_001 && busiest >= peak * (1.0 - SAMPLING),
                || {
                    format!(
                        "`{}`, period {index}: the busiest hour has {busiest:.3} req/s, not {peak:.3}",
                        serve.name
                    )
                },
            );
            let flat = matches!(serve.load.daily, Daily::Flat);
            let even = row.iter().take(HOURS / 2).all(|&rate| same(rate, row[0]));
            check.that(!flat || even, || format!("`{}`, period {index}: a flat day is not flat", serve.name));
        }
    }
    check.done()
}

/// Returns requests per second that all replicas of a service carry at an hour.
fn carried(service: &Service, period: usize, hour: usize) -> f64 {
    let of = |p: &Placement| f64::from(at(&p.replicas, period, hour)) * p.estimate.rate.get() * p.derating;
    service.placements.iter().map(of).sum()
}

/// Returns whether a round says that the simulator saw replicas carry so much of what is estimated.
fn is_shown(blueprint: &Blueprint, workload: &str, placement: &Placement) -> bool {
    let way = placement.candidate.key();
    let mut rounds = blueprint.solver.rounds.iter().flat_map(|round| &round.derated);
    let last = rounds.rfind(|(name, key, _)| name == workload && *key == way);
    last.is_some_and(|(_, _, factor)| same(*factor, placement.derating))
}

fn service<'a>(blueprint: &'a Blueprint, serve: &Serve) -> Option<&'a Service> {
    blueprint.services.iter().find(|service| service.workload == serve.name)
}

/// Σ replicas × rate × derating is at least demand × (1 + headroom) at every hour.
pub(super) fn capacity(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("coverage: replicas carry demand and headroom at every hour");
    for serve in &blueprint.inputs.spec.serves {
        let Some(service) = service(blueprint, serve) else {
            check.that(false, || format!("`{}` runs nowhere", serve.name));
            continue;
        };
        for placement in &service.placements {
            let shown = placement.derating <= 1.0 || is_shown(blueprint, &serve.name, placement);
            check.that(placement.derating > 0.0 && shown, || {
                format!("`{}` at {}: derated by {}", serve.name, placement.site, placement.derating)
            });
        }
        let rates = curve(blueprint, &serve.name).unwrap_or(&[]);
        for period in 0..blueprint.periods.len() {
            let asked = |hour| at(rates, period, hour) * (1.0 + serve.headroom);
            let short = (0..HOURS).find(|&hour| carried(service, period, hour) < asked(hour) * (1.0 - 1e-9));
            check.that(short.is_none(), || {
                let hour = short.unwrap_or(0);
                let carried = carried(service, period, hour);
                let asked = asked(hour);
                format!("`{}`, period {period}, hour {hour}: {carried:.2} of {asked:.2} req/s", serve.name)
            });
        }
    }
    check.done()
}

/// The fewest replicas that the plan asks for stand at every hour, and a machine with one in each zone that it names.
pub(super) fn replicas(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("coverage: fewest replicas and zones");
    for serve in &blueprint.inputs.spec.serves {
        let Some(service) = service(blueprint, serve) else { continue };
        let standing =
            |period, hour| -> u32 { service.placements.iter().map(|p| at(&p.replicas, period, hour)).sum() };
        let hours =
            (0..blueprint.periods.len()).flat_map(|period| (0..HOURS).map(move |hour| (period, hour)));
        let fewest = hours.map(|(period, hour)| standing(period, hour)).min().unwrap_or(0);
        check.that(fewest >= serve.min_replicas, || {
            format!("`{}`: {fewest} replicas at the quietest hour, {} asked", serve.name, serve.min_replicas)
        });
        for placement in &service.placements {
            if let Some(fewest) = placement.fewest_that_hold {
                // It may run in some periods only; `capacity` sees to it that something does in each.
                let runs = |hours: &&Vec<u32>| hours.iter().any(|&replicas| replicas > 0);
                let held = placement.replicas.iter().filter(runs).flatten().copied().min().unwrap_or(0);
                check.that(held >= fewest, || {
                    let (workload, site) = (&serve.name, &placement.site);
                    format!("`{workload}` at {site}: {held} replicas at the quietest hour, {fewest} hold")
                });
            }
            in_zones(blueprint, serve, placement, &mut check);
        }
    }
    for site in &blueprint.inputs.spec.sites {
        let used = blueprint.pools.iter().any(|pool| pool.site == site.name);
        let (Some(limit), Some(region), true) = (&site.zones, &site.region, used) else { continue };
        let row = blueprint.inputs.catalog.region(&site.provider, region);
        let zones = row.and_then(|row| row.zones);
        // Every region is one zone at least.
        check.that(zones.unwrap_or(1) >= limit.value, || {
            let zones = zones.map_or_else(|| "an unknown number of".to_owned(), |zones| zones.to_string());
            format!("{} has {zones} zones, {} are asked", site.name, limit.value)
        });
    }
    check.done()
}

/// Replicas that stand in several zones are as many, and have as many machines: one machine is in one zone.
fn in_zones(blueprint: &Blueprint, serve: &Serve, placement: &Placement, check: &mut Check) {
    let site = blueprint.inputs.spec.sites.iter().find(|site| site.name == placement.site);
    let zones = site.map_or(1, |site| serve.zones_at(site));
    let hours = (0..blueprint.periods.len()).flat_map(|period| (0..HOURS).map(move |hour| (period, hour)));
    let stands = |&(period, hour): &(usize, usize)| at(&placement.replicas, period, hour) > 0;
    let room = |(period, hour)| {
        at(&placement.replicas, period, hour).min(open_to(blueprint, placement, period, hour))
    };
    let fewest = hours.filter(stands).map(room).min();
    check.that(fewest.is_none_or(|fewest| fewest >= zones), || {
        let (workload, site, fewest) = (&serve.name, &placement.site, fewest.unwrap_or(0));
        format!("`{workload}` at {site}: replicas on {fewest} machines cannot stand in {zones} zones")
    });
}

#[cfg(test)]
mod tests {
    use super::super::tests::caught_by;

    #[test]
    fn a_smaller_demand_than_stated_is_caught() {
        caught_by("coverage: the demand", |b| {
            for rate in &mut b.demand[0].rates[4] {
                *rate *= 0.95;
            }
        });
        caught_by("coverage: the demand", |b| b.demand.clear());
    }

    #[test]
    fn a_replica_too_few_is_caught() {
        caught_by("coverage: replicas carry", |b| b.services[0].placements[0].replicas[5][14] -= 1);
        caught_by("coverage: replicas carry", |b| b.services[0].placements[0].derating = 0.85);
        caught_by("coverage: replicas carry", |b| b.services[0].placements[0].derating = 1.2);
        caught_by("coverage: replicas carry", |b| b.inputs.spec.serves[0].headroom = 0.3);
        caught_by("coverage: replicas carry", |b| b.services.clear());
    }

    #[test]
    fn more_than_estimated_is_what_a_round_saw() {
        caught_by("coverage: replicas carry", |b| {
            let placement = &mut b.services[0].placements[0];
            placement.derating = 1.1;
            let way = placement.candidate.key();
            b.solver.rounds[0].derated = vec![("chat".to_owned(), way, 1.05)];
        });
    }

    #[test]
    fn fewer_replicas_or_zones_than_asked_are_caught() {
        caught_by("coverage: fewest", |b| b.inputs.spec.serves[0].min_replicas = 6);
        caught_by("coverage: fewest", |b| b.services[0].placements[0].fewest_that_hold = Some(60));
        caught_by("coverage: fewest", |b| {
            let place = b.inputs.spec.serves[0].place.clone();
            b.inputs.spec.serves[0].zones = Some(capstan_types::spec::Limit { value: 50, place });
        });
        caught_by("coverage: fewest", |b| {
            // As many replicas as zones, all of them on one machine.
            let placement = &mut b.services[0].placements[0];
            placement.replicas.iter_mut().flatten().for_each(|replicas| *replicas = 2);
            let (site, shape) = (placement.site.clone(), placement.candidate.shape.clone());
            let pool = b.pools.iter_mut().find(|pool| pool.site == site && pool.shape == shape);
            pool.expect("it runs there").needed.iter_mut().flatten().for_each(|nodes| *nodes = 1);
            let place = b.inputs.spec.serves[0].place.clone();
            b.inputs.spec.serves[0].min_replicas = 1;
            b.inputs.spec.serves[0].zones = Some(capstan_types::spec::Limit { value: 2, place });
        });
        caught_by("coverage: fewest", |b| b.inputs.catalog.regions[0].zones = Some(1));
        caught_by("coverage: fewest", |b| b.inputs.catalog.regions[0].zones = None);
    }
}
