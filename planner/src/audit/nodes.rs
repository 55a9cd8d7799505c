//! Do the machines carry the replicas, and is every machine had in some way?

use super::{Check, at, hour_weight, most_needed, pool_name, same};
use capstan_types::blueprint::{
    AppRun, AuditCheck, BatchRun, Blueprint, Candidate, HOURS, Period, Placement, Pool, Purchase, TrainingRun,
};
use capstan_types::offering::PurchaseOption;
use capstan_types::spec::{Fleet, Redundancy};

/// Returns the nodes that the replicas of one placement take: a share where several fit on one.
fn nodes_of(placement: &Placement, period: usize, hour: usize) -> f64 {
    nodes_for(&placement.candidate, at(&placement.replicas, period, hour))
}

fn nodes_for(candidate: &Candidate, replicas: u32) -> f64 {
    match candidate.replicas_per_node {
        0 => f64::from(replicas) * f64::from(candidate.nodes_per_replica),
        several => f64::from(replicas) / f64::from(several),
    }
}

fn batches_of<'a>(blueprint: &'a Blueprint, pool: &'a Pool) -> impl Iterator<Item = &'a BatchRun> {
    blueprint.batches.iter().filter(|run| run.site == pool.site && run.candidate.shape == pool.shape)
}

/// Returns the nodes that the instances of an hour take: whole accelerators where they share some.
fn nodes_of_app(run: &AppRun, pool: &Pool, hour: usize) -> f64 {
    let instances = run.instances.get(hour).copied().unwrap_or(0);
    match run.per_accelerator {
        // What fills no machine with others has machines of its own.
        0 if !run.per_node.is_power_of_two() => f64::from(instances.div_ceil(run.per_node.max(1))),
        0 => f64::from(instances) / f64::from(run.per_node),
        each if run.per_node == each * pool.accelerators => {
            f64::from(instances.div_ceil(each)) / f64::from(pool.accelerators)
        }
        _ => f64::from(instances) / f64::from(run.per_node.max(1)),
    }
}

fn trainings_of<'a>(blueprint: &'a Blueprint, pool: &'a Pool) -> impl Iterator<Item = &'a TrainingRun> {
    blueprint.trainings.iter().filter(|run| run.site == pool.site && run.candidate.shape == pool.shape)
}

fn runs_in(run: &TrainingRun, period: usize) -> bool {
    run.shares.get(period).is_some_and(|&share| share > 0.0)
}

/// Returns the nodes that a training takes at an hour of the periods in which it runs.
fn nodes_of_training(run: &TrainingRun, hour: usize) -> u32 {
    let rests = run.at_hours.get(hour).is_some_and(|&runs| !runs);
    if rests { 0 } else { run.candidate.nodes + run.spare_nodes }
}

/// Returns the nodes that work needs at an hour, spares of the site not counted.
fn working(blueprint: &Blueprint, pool: &Pool, period: usize, hour: usize) -> u32 {
    let (shared, whole) = taken(blueprint, pool, (period, hour), None);
    // A sum such as 3 × (1/3) may lie a hair above the whole number it is.
    (shared - 1e-9).ceil().max(0.0) as u32 + whole
}

/// Returns the nodes that work takes at an hour, without that of one placement: shares of them, and whole ones.
fn taken(
    blueprint: &Blueprint,
    pool: &Pool,
    (period, hour): (usize, usize),
    but: Option<&Placement>,
) -> (f64, u32) {
    let placements = blueprint.services.iter().flat_map(|service| &service.placements);
    let serving: f64 = placements
        .filter(|placement| placement.site == pool.site && placement.candidate.shape == pool.shape)
        .filter(|placement| !but.is_some_and(|but| std::ptr::eq(but, *placement)))
        .map(|placement| nodes_of(placement, period, hour))
        .sum();
    let training: u32 = trainings_of(blueprint, pool)
        .filter(|run| runs_in(run, period))
        .map(|run| nodes_of_training(run, hour))
        .sum();
    let apps: f64 = blueprint
        .apps
        .iter()
        .filter(|run| run.site == pool.site && run.shape == pool.shape)
        .map(|run| nodes_of_app(run, pool, hour))
        .sum();
    let offline: f64 =
        batches_of(blueprint, pool).map(|run| nodes_for(&run.candidate, run.replicas_at(period, hour))).sum();
    (serving + offline + apps, training)
}

/// Returns the nodes on which a placement has room at an hour, however the others are packed; spares are not counted.
pub(super) fn open_to(blueprint: &Blueprint, placement: &Placement, period: usize, hour: usize) -> u32 {
    let own = |pool: &&Pool| pool.site == placement.site && pool.shape == placement.candidate.shape;
    let Some(pool) = blueprint.pools.iter().find(own) else { return 0 };
    let (shared, whole) = taken(blueprint, pool, (period, hour), Some(placement));
    let full = (shared + 1e-9).floor().max(0.0) as u32;
    let there = at(&pool.needed, period, hour).saturating_sub(pool.spares);
    there.saturating_sub(full.saturating_add(whole))
}

fn spares_asked(blueprint: &Blueprint, pool: &Pool, busiest: u32) -> u32 {
    let site = blueprint.inputs.spec.sites.iter().find(|site| site.name == pool.site);
    match site.map(|site| site.redundancy) {
        _ if busiest == 0 => 0,
        None | Some(Redundancy::None) => 0,
        Some(Redundancy::NPlus1) => 1,
        Some(Redundancy::NPlus2) => 2,
        Some(Redundancy::TwoN) => busiest,
    }
}

/// Nodes needed at every hour carry the replicas, the training jobs and the spares.
pub(super) fn needed(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("counts: nodes carry replicas, training and spares at every hour");
    for pool in &blueprint.pools {
        for period in 0..blueprint.periods.len() {
            let work: Vec<u32> = (0..HOURS).map(|hour| working(blueprint, pool, period, hour)).collect();
            let busiest = work.iter().copied().max().unwrap_or(0);
            let spares =
                spares_asked(blueprint, pool, busiest).max(if busiest > 0 { pool.spares } else { 0 });
            let short = (0..HOURS).find(|&hour| at(&pool.needed, period, hour) < work[hour] + spares);
            check.that(short.is_none(), || {
                let hour = short.unwrap_or(0);
                format!(
                    "{}, period {period}, hour {hour}: {} nodes, {} needed and {spares} spare",
                    pool_name(pool),
                    at(&pool.needed, period, hour),
                    work[hour]
                )
            });
        }
    }
    for (site, shape) in places_used(blueprint) {
        let known = blueprint.pools.iter().any(|pool| pool.site == site && pool.shape == shape);
        check.that(known, || format!("work runs on {site}/{shape}, where there are no machines"));
    }
    check.done()
}

fn places_used(blueprint: &Blueprint) -> Vec<(&str, &str)> {
    let serving = blueprint.services.iter().flat_map(|service| &service.placements);
    let serving = serving.map(|placement| (placement.site.as_str(), placement.candidate.shape.as_str()));
    let training = blueprint.trainings.iter().map(|run| (run.site.as_str(), run.candidate.shape.as_str()));
    let apps = blueprint.apps.iter().map(|run| (run.site.as_str(), run.shape.as_str()));
    let offline = blueprint.batches.iter().map(|run| (run.site.as_str(), run.candidate.shape.as_str()));
    serving.chain(training).chain(apps).chain(offline).collect()
}

fn held(purchase: &Purchase, period: usize) -> u32 {
    // A purchase without a price lists what stands there already, which `fleet` counts.
    if purchase.price.is_none() { 0 } else { purchase.nodes_by_period.get(period).copied().unwrap_or(0) }
}

pub(super) fn is_committed(purchase: &Purchase) -> bool {
    purchase.option.is_for_a_term()
}

/// Returns the nodes of a pool that the plan says stand there in a period.
fn declared(blueprint: &Blueprint, pool: &Pool, period: usize) -> u32 {
    let spec = &blueprint.inputs.spec;
    let month = blueprint.periods[period].first_month;
    let here = |fleet: &&Fleet| {
        fleet.site == pool.site && fleet.shape == pool.shape && fleet.months(&spec.frame).contains(&month)
    };
    spec.fleets.iter().filter(here).map(|fleet| fleet.count).sum()
}

/// Every node that is needed stands there or is bought; the fleet is what the plan says it is.
pub(super) fn covered(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("counts: every node needed stands there or is bought");
    for pool in &blueprint.pools {
        for period in 0..blueprint.periods.len() {
            let fleet = pool.fleet.get(period).copied().unwrap_or(0);
            let bought: u32 = pool.purchases.iter().map(|purchase| held(purchase, period)).sum();
            let most = most_needed(pool, period);
            check.that(fleet + bought >= most, || {
                format!(
                    "{}, period {period}: {fleet} stand there, {bought} bought, {most} needed",
                    pool_name(pool)
                )
            });
            let declared = declared(blueprint, pool, period);
            check.that(fleet <= declared, || {
                format!("{}: {fleet} are said to stand there, the plan declares {declared}", pool_name(pool))
            });
        }
        for purchase in &pool.purchases {
            let most = purchase.nodes_by_period.iter().copied().max().unwrap_or(0);
            check.that(most == purchase.nodes, || {
                let option = purchase.option.words();
                format!(
                    "{}, {option}: {} nodes at most, the periods say {most}",
                    pool_name(pool),
                    purchase.nodes
                )
            });
        }
    }
    check.done()
}

/// Returns the least node-hours by the hour that a period takes beyond `committed` nodes.
///
/// A job that runs in a share of the period needs its nodes in that share only.
fn hours_beyond(blueprint: &Blueprint, pool: &Pool, period: usize, committed: u32) -> f64 {
    let months = blueprint.periods[period].months;
    let runs: Vec<&TrainingRun> = trainings_of(blueprint, pool).filter(|run| runs_in(run, period)).collect();
    let share = runs.iter().fold(1.0_f64, |share, run| share.min(run.shares[period]));
    let is_there = |run: &&BatchRun| run.shares.get(period).is_some_and(|&share| share > 0.0);
    let offline: Vec<&BatchRun> = batches_of(blueprint, pool).filter(is_there).collect();
    let share = offline.iter().fold(share, |share, run| share.min(run.shares[period]));
    let at_hour = |hour: usize| {
        let needed = at(&pool.needed, period, hour);
        let with = f64::from(needed.saturating_sub(committed));
        let beside =
            offline.iter().map(|run| nodes_for(&run.candidate, run.replicas_at(period, hour))).sum::<f64>();
        let nodes: u32 = runs.iter().map(|run| nodes_of_training(run, hour)).sum();
        let job = nodes.saturating_add(beside.ceil() as u32);
        let without = f64::from(needed.saturating_sub(committed.saturating_add(job)));
        hour_weight(months, hour) * (share * with + (1.0 - share) * without)
    };
    (0..HOURS).map(at_hour).sum()
}

/// Node-months by period, and each contract: nodes, and months from the start of the horizon to its end.
type Bound = (Vec<f64>, Vec<(f64, f64)>);

/// Returns what contracts bind, as the nodes held say: whole terms from the period in which more are held than terms that cover all of it bring.
/// Nothing where it is no contract.
pub(super) fn bound(purchase: &Purchase, periods: &[Period]) -> Option<Bound> {
    let term = purchase.option.contract_months()?;
    let mut months = vec![0.0; periods.len()];
    let mut ends: Vec<(f64, f64)> = Vec::new();
    for (index, period) in periods.iter().enumerate() {
        let (first, length) = (f64::from(period.first_month), f64::from(period.months));
        let left = |end: f64| (end - first).clamp(0.0, length);
        let covering = ends.iter().filter(|(_, end)| end - first >= length - 1e-6);
        let more = f64::from(held(purchase, index)) - covering.map(|(nodes, _)| nodes).sum::<f64>();
        if more > 0.0 {
            let is_block = matches!(purchase.option, PurchaseOption::Block { .. });
            let mut end = first + if is_block { term.max(length) } else { term };
            while end - first < length - 1e-6 {
                end += term;
            }
            ends.push((more, end));
        }
        months[index] = ends.iter().map(|&(nodes, end)| nodes * left(end)).sum();
    }
    Some((months, ends))
}

/// Node-hours that are paid for suffice: owned nodes for the whole period, contracts for all of their terms, the rest by the
/// hour.
pub(super) fn node_hours(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("counts: node-hours paid for suffice");
    for pool in &blueprint.pools {
        for (period, span) in blueprint.periods.iter().enumerate() {
            let hours =
                |purchase: &Purchase| purchase.node_hours_by_period.get(period).copied().unwrap_or(0.0);
            let length = hour_weight(span.months, 0) * 24.0 + hour_weight(span.months, HOURS / 2) * 24.0;
            for purchase in pool.purchases.iter().filter(|purchase| is_committed(purchase)) {
                let whole = f64::from(held(purchase, period));
                let bound = bound(purchase, &blueprint.periods).map(|(months, _)| months[period]);
                let all = bound.map_or(whole, |months| months / f64::from(span.months.max(1))) * length;
                check.that(same(hours(purchase), all) || purchase.price.is_none(), || {
                    let option = purchase.option.words();
                    format!(
                        "{}, {option}, period {period}: {} node-h, not {all}",
                        pool_name(pool),
                        hours(purchase)
                    )
                });
            }
            let fleet = pool.fleet.get(period).copied().unwrap_or(0);
            let committed = pool.purchases.iter().filter(|purchase| is_committed(purchase));
            let committed: u32 = committed.map(|purchase| held(purchase, period)).sum();
            let by_the_hour: f64 = pool.purchases.iter().filter(|p| !is_committed(p)).map(hours).sum();
            let least = hours_beyond(blueprint, pool, period, fleet + committed);
            check.that(by_the_hour >= least * (1.0 - super::TOLERANCE), || {
                format!(
                    "{}, period {period}: {by_the_hour:.1} node-h by the hour, {least:.1} are needed",
                    pool_name(pool)
                )
            });
        }
    }
    check.done()
}

#[cfg(test)]
mod tests {
    use super::super::tests::caught_by;

    #[test]
    fn a_node_too_few_for_the_replicas_is_caught() {
        caught_by("counts: nodes carry", |b| b.pools[1].needed[5][14] -= 1);
        caught_by("counts: nodes carry", |b| b.services[0].placements[0].replicas[0][3] += 2);
    }

    #[test]
    fn a_missing_spare_is_caught() {
        caught_by("counts: nodes carry", |b| b.pools[0].needed[0][7] -= 1);
    }

    #[test]
    fn work_without_machines_is_caught() {
        caught_by("counts: nodes carry", |b| b.trainings[0].site = "use1".to_owned());
    }

    #[test]
    fn a_node_that_nobody_bought_is_caught() {
        caught_by("counts: every node", |b| b.pools[1].purchases[1].nodes_by_period[5] -= 1);
        caught_by("counts: every node", |b| b.pools[0].fleet[0] = 15);
        caught_by("counts: every node", |b| b.pools[0].fleet[0] = 17);
        caught_by("counts: every node", |b| b.pools[0].purchases[0].nodes = 9);
    }

    #[test]
    fn hours_that_nobody_paid_for_are_caught() {
        caught_by("counts: node-hours", |b| b.pools[1].purchases[1].node_hours_by_period[3] *= 0.9);
        caught_by("counts: node-hours", |b| b.pools[1].purchases[0].node_hours_by_period[3] -= 730.0);
    }
}
