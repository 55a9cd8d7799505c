//! Are the limits of sites, budgets and purchase shares kept?

use super::{Check, at, most_needed, pool_name, same};
use crate::fabric;
use capstan_types::blueprint::{AuditCheck, Blueprint, CostKind, HOURS, Pool, Purchase, Store};
use capstan_types::figure;
use capstan_types::hardware::{Cooling, NodeShape};
use capstan_types::offering::PurchaseOption;
use capstan_types::spec::{Buy, Site};
use rust_decimal::Decimal;

fn shape<'a>(blueprint: &'a Blueprint, pool: &Pool) -> Option<&'a NodeShape> {
    blueprint.inputs.catalog.shapes.iter().find(|shape| shape.id == pool.shape)
}

fn pools_at<'a>(blueprint: &'a Blueprint, site: &'a str) -> impl Iterator<Item = &'a Pool> + Clone {
    blueprint.pools.iter().filter(move |pool| pool.site == site)
}

/// Returns the highest sum over pools, each weighed, over all hours; unknown where a used weight is.
fn highest(blueprint: &Blueprint, site: &str, weight: impl Fn(&Pool) -> Option<f64>) -> Option<f64> {
    let mut most = 0.0_f64;
    for period in 0..blueprint.periods.len() {
        for hour in 0..HOURS {
            let mut sum = 0.0;
            for pool in pools_at(blueprint, site) {
                let nodes = at(&pool.needed, period, hour);
                if nodes > 0 {
                    sum += f64::from(nodes) * weight(pool)?;
                }
            }
            most = most.max(sum);
        }
    }
    Some(most)
}

/// Power of a site is nodes × power of the machine × PUE, within its limit.
pub(super) fn power(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("limits: nodes and power of every site");
    for site in &blueprint.inputs.spec.sites {
        if pools_at(blueprint, &site.name).next().is_none() {
            continue;
        }
        let Some(told) = blueprint.sites.iter().find(|told| told.site == site.name) else {
            check.that(false, || format!("{} has machines but no summary", site.name));
            continue;
        };
        let nodes = highest(blueprint, &site.name, |_| Some(1.0)).unwrap_or(0.0);
        let chips = highest(blueprint, &site.name, |pool| Some(f64::from(pool.accelerators))).unwrap_or(0.0);
        check.that(f64::from(told.nodes) >= nodes && f64::from(told.accelerators) >= chips, || {
            format!("{}: {} nodes are told, {nodes} needed at once", site.name, told.nodes)
        });
        let machines = highest(blueprint, &site.name, |pool| Some(shape(blueprint, pool)?.power?.get()));
        let stored = stores_at(blueprint, site).map(|store| Some(store.power?.get())).sum::<Option<f64>>();
        let switches = fabric::power_at(&blueprint.networks, &site.name).map(|power| power.get());
        let seen = machines
            .zip(stored)
            .zip(switches)
            .map(|((machines, stored), switches)| machines + stored + switches);
        let enough = match (told.it_power, seen) {
            (Some(told), Some(seen)) => told.get() >= seen * (1.0 - super::TOLERANCE),
            (None, None) => true,
            // A provider's power need not be told even where it is known; an unknown one never is.
            (None, Some(_)) => !site.is_own(),
            (Some(_), None) => false,
        };
        check.that(enough, || format!("{}: IT power {:?} W told, {seen:?} W seen", site.name, told.it_power));
        if let (Some(it), Some(facility)) = (told.it_power, told.facility_power) {
            check.that(same(it.get() * site.pue, facility.get()), || {
                format!("{}: {facility:?} is not {it:?} × PUE {}", site.name, site.pue)
            });
        }
        let Some(limit) = &site.power else { continue };
        // What only switches take over the limit is a finding, and so is what nobody knows.
        let is_found = |code: &str| blueprint.findings.iter().any(|finding| finding.code == code);
        let drawn = match seen {
            _ if is_found("E0371") => {
                machines.zip(stored).map(|(machines, stored)| (machines + stored) * site.pue)
            }
            Some(seen) => {
                Some(told.facility_power.map_or(seen * site.pue, |told| told.get().max(seen * site.pue)))
            }
            None => None,
        };
        let told = (stored.is_none() || switches.is_none()) && is_found("E0381");
        check.that(
            told || drawn.is_some_and(|drawn| drawn <= limit.value.get() * (1.0 + super::TOLERANCE)),
            || {
                let drawn =
                    drawn.map_or_else(|| "an unknown power".to_owned(), |w| format!("{:.1} kW", w / 1e3));
                format!("{} draws {drawn}, its limit is {}", site.name, figure::power(limit.value))
            },
        );
    }
    check.done()
}

/// Returns what keeps the data of a site.
fn stores_at<'a>(blueprint: &'a Blueprint, site: &'a Site) -> impl Iterator<Item = &'a Store> {
    blueprint.stores.iter().filter(|store| store.site == site.name)
}

fn racks_needed(blueprint: &Blueprint, site: &Site) -> Option<f64> {
    let rack = site.rack.as_ref()?;
    let mut racks = 0.0;
    for pool in pools_at(blueprint, &site.name) {
        let shape = shape(blueprint, pool)?;
        let by_height = (rack.height_u / shape.height_u?).floor();
        let by_power = match &rack.power {
            Some(limit) => (limit.value.get() / shape.power?.get()).floor(),
            None => f64::INFINITY,
        };
        let nodes = (0..blueprint.periods.len()).map(|period| most_needed(pool, period)).max().unwrap_or(0);
        // Shapes that share a rack share its room in proportion, so this is the least.
        racks += f64::from(nodes) / by_height.min(by_power);
    }
    for store in stores_at(blueprint, site) {
        let by_height = store.height_u? / rack.height_u;
        let by_power = match &rack.power {
            Some(limit) => store.power?.get() / limit.value.get(),
            None => 0.0,
        };
        racks += by_height.max(by_power);
    }
    Some((racks - 1e-9).ceil())
}

/// Racks hold the nodes by height and power, within their number.
pub(super) fn racks(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("limits: racks of every own site");
    for site in blueprint.inputs.spec.sites.iter().filter(|site| site.is_own()) {
        let told = blueprint.sites.iter().find(|told| told.site == site.name).and_then(|told| told.racks);
        let seen = racks_needed(blueprint, site);
        if pools_at(blueprint, &site.name).next().is_none() || (site.rack.is_none() && site.racks.is_none()) {
            continue;
        }
        if let (Some(told), Some(seen)) = (told, seen) {
            check
                .that(f64::from(told) >= seen, || format!("{}: {told} racks told, {seen} needed", site.name));
        }
        let Some(limit) = &site.racks else { continue };
        let most = told.map(f64::from).into_iter().chain(seen).reduce(f64::max);
        let unknown = most.is_none() && blueprint.findings.iter().any(|finding| finding.code == "E0381");
        check.that(unknown || most.is_some_and(|most| most <= f64::from(limit.value)), || {
            let most = most.map_or_else(|| "an unknown number of".to_owned(), |most| most.to_string());
            format!("{} takes {most} racks, its limit is {}", site.name, limit.value)
        });
    }
    check.done()
}

/// Accelerators of a kind at a site stay within their quota.
pub(super) fn quotas(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("limits: quotas of accelerators");
    for site in &blueprint.inputs.spec.sites {
        for quota in &site.quotas {
            let of_kind = pools_at(blueprint, &site.name).filter(|pool| {
                shape(blueprint, pool).and_then(|shape| shape.accelerator.as_ref())
                    == Some(&quota.accelerator)
            });
            let held = |period: usize| -> u32 {
                // What is bought by the hour in two ways may be bought in different hours: at once there is at least either.
                let in_pool = |pool: &Pool| {
                    let count = |p: &Purchase| p.nodes_by_period.get(period).copied().unwrap_or(0);
                    let (committed, hourly): (Vec<&Purchase>, Vec<&Purchase>) =
                        pool.purchases.iter().partition(|p| super::nodes::is_committed(p));
                    let committed: u32 = committed.into_iter().map(count).sum();
                    let hourly = hourly.into_iter().map(count).max().unwrap_or(0);
                    (committed + hourly).max(most_needed(pool, period)) * pool.accelerators
                };
                of_kind.clone().map(in_pool).sum()
            };
            let most = (0..blueprint.periods.len()).map(held).max().unwrap_or(0);
            check.that(most <= quota.most.value, || {
                let Site { name, .. } = site;
                format!("{name}: {most} × {}, the quota is {}", quota.accelerator, quota.most.value)
            });
        }
    }
    check.done()
}

/// No machine that needs liquid stands where heat goes into air alone.
pub(super) fn cooling(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("limits: machines that need liquid have it");
    for site in &blueprint.inputs.spec.sites {
        for pool in pools_at(blueprint, &site.name) {
            let needs = shape(blueprint, pool).and_then(|shape| shape.cooling);
            check.that(needs != Some(Cooling::Liquid) || site.cooling != Some(Cooling::Air), || {
                format!("{} needs liquid, {} is cooled by air", pool.shape, site.name)
            });
        }
    }
    check.done()
}

/// Capex, opex in every month, and total stay within every budget, by the lines alone; a period of the plan lies within the
/// days of a budget or outside them.
pub(super) fn budgets(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("limits: budgets");
    let cost = &blueprint.cost;
    let total: Decimal = cost.lines.iter().map(|line| line.billed_cost).sum();
    for budget in &blueprint.inputs.spec.budgets {
        let months = budget.months(&blueprint.inputs.spec.frame);
        let (mut capex, mut dearest) = (Decimal::ZERO, Decimal::ZERO);
        for (index, period) in (0..).zip(&blueprint.periods) {
            let end = period.first_month + period.months;
            if period.first_month >= months.end || end <= months.start {
                continue;
            }
            check.that(period.first_month >= months.start && end <= months.end, || {
                format!("budget `{}` begins or ends within a period", budget.name)
            });
            for line in cost.lines.iter().filter(|line| line.kind == CostKind::Capex && line.period == index)
            {
                capex += line.billed_cost;
            }
            let running =
                cost.lines.iter().filter(|line| line.kind == CostKind::Opex && line.period == index);
            let running: Decimal = running.map(|line| line.billed_cost).sum();
            dearest = dearest.max(running / Decimal::from(period.months.max(1)));
        }
        let asked = [
            ("capex", capex, &budget.capex),
            ("opex of the dearest month", dearest, &budget.opex_per_month),
            ("total", total, &budget.total),
        ];
        for (name, spent, limit) in asked {
            let Some(limit) = limit else { continue };
            check.that(spent <= limit.value, || {
                let (spent, most) =
                    (figure::money(spent, cost.currency), figure::money(limit.value, cost.currency));
                format!("budget `{}`: {name} is {spent}, the limit is {most}", budget.name)
            });
        }
    }
    check.done()
}

/// One workload's claim on a pool: how it may buy, and the accelerator-hours it uses there.
struct Claim<'a> {
    workload: &'a str,
    pool: usize,
    used: f64,
    buy: &'a [Buy],
}

fn claims(blueprint: &Blueprint) -> Vec<Claim<'_>> {
    let find =
        |site: &str, shape: &str| blueprint.pools.iter().position(|p| p.site == site && p.shape == shape);
    let mut claims = Vec::new();
    for serve in &blueprint.inputs.spec.serves {
        let services = blueprint.services.iter().filter(|service| service.workload == serve.name);
        for placement in services.flat_map(|service| &service.placements) {
            let Some(pool) = find(&placement.site, &placement.candidate.shape) else { continue };
            let mut used = 0.0;
            for (period, span) in blueprint.periods.iter().enumerate() {
                for hour in 0..HOURS {
                    let replicas = f64::from(at(&placement.replicas, period, hour));
                    used += replicas
                        * super::hour_weight(span.months, hour)
                        * f64::from(placement.candidate.accelerators);
                }
            }
            claims.push(Claim { workload: &serve.name, pool, used, buy: &serve.buy });
        }
    }
    for train in &blueprint.inputs.spec.trains {
        for run in blueprint.trainings.iter().filter(|run| run.workload == train.name) {
            let Some(pool) = find(&run.site, &run.candidate.shape) else { continue };
            let chips = f64::from(run.candidate.nodes * blueprint.pools[pool].accelerators);
            let used = chips * run.hours * run.share_of_week();
            claims.push(Claim { workload: &train.name, pool, used, buy: &train.buy });
        }
    }
    for batch in &blueprint.inputs.spec.batches {
        for run in blueprint.batches.iter().filter(|run| run.workload == batch.name) {
            let Some(pool) = find(&run.site, &run.candidate.shape) else { continue };
            let used = run.replica_hours * f64::from(run.candidate.accelerators);
            claims.push(Claim { workload: &batch.name, pool, used, buy: &batch.buy });
        }
    }
    for app in &blueprint.inputs.spec.apps {
        for run in blueprint.apps.iter().filter(|run| run.workload == app.name) {
            let Some(pool) = find(&run.site, &run.shape) else { continue };
            let instances: u32 = run.instances.iter().sum();
            let used = f64::from(instances.max(1)) / f64::from(run.per_node.max(1));
            claims.push(Claim { workload: &app.name, pool, used, buy: &app.buy });
        }
    }
    claims
}

/// Returns node-hours bought in a pool, all of them and those of one option.
fn bought(pool: &Pool, of: impl Fn(&capstan_types::blueprint::Purchase) -> bool) -> f64 {
    pool.purchases
        .iter()
        .filter(|purchase| of(purchase))
        .flat_map(|purchase| &purchase.node_hours_by_period)
        .sum()
}

/// Ways of buying are allowed, and their shares of node-hours bought lie within the limits.
///
/// A pool that several workloads share belongs to each in proportion to its use.
pub(super) fn shares(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("limits: ways of buying and their shares");
    let claims = claims(blueprint);
    for (index, pool) in blueprint.pools.iter().enumerate() {
        let mine: Vec<_> =
            claims.iter().filter(|claim| claim.pool == index && !claim.buy.is_empty()).collect();
        for purchase in pool.purchases.iter().filter(|purchase| purchase.nodes > 0 && !mine.is_empty()) {
            let allowed = mine.iter().any(|claim| claim.buy.iter().any(|buy| buy.option == purchase.option));
            check.that(allowed, || {
                format!("{}: no workload there may be bought {}", pool_name(pool), purchase.option.words())
            });
        }
    }
    let mut workloads: Vec<_> = claims.iter().map(|claim| (claim.workload, claim.buy)).collect();
    workloads.dedup_by(|one, other| one.0 == other.0);
    for (workload, buys) in workloads {
        let of = |matches: &dyn Fn(&capstan_types::blueprint::Purchase) -> bool| -> f64 {
            let mine = claims.iter().filter(|claim| claim.workload == workload);
            mine.map(|claim| {
                let all: f64 =
                    claims.iter().filter(|other| other.pool == claim.pool).map(|other| other.used).sum();
                bought(&blueprint.pools[claim.pool], matches) * claim.used / all.max(f64::MIN_POSITIVE)
            })
            .sum()
        };
        let all = of(&|_| true);
        for buy in buys.iter().filter(|_| all > 0.0) {
            let share = of(&|purchase| purchase.option == buy.option) / all;
            let least = buy.at_least.as_ref().map_or(0.0, |limit| limit.value);
            let most = buy.at_most.as_ref().map_or(1.0, |limit| limit.value);
            check.that(share >= least - super::TOLERANCE && share <= most + super::TOLERANCE, || {
                let (option, share) = (buy.option.words(), figure::percent(share));
                let (least, most) = (figure::percent(least), figure::percent(most));
                format!("`{workload}`: {share} {option}, between {least} and {most} are asked")
            });
        }
    }
    of_budgets(blueprint, &mut check);
    check.done()
}

/// The share of spot that a budget allows is that of everything that is bought.
fn of_budgets(blueprint: &Blueprint, check: &mut Check) {
    let all: f64 = blueprint.pools.iter().map(|pool| bought(pool, |_| true)).sum();
    let spot = |pool| bought(pool, |purchase| purchase.option == PurchaseOption::Spot);
    let share = blueprint.pools.iter().map(spot).sum::<f64>() / all.max(f64::MIN_POSITIVE);
    for budget in &blueprint.inputs.spec.budgets {
        let Some(limit) = &budget.spot else { continue };
        check.that(share <= limit.value + super::TOLERANCE, || {
            let (share, most) = (figure::percent(share), figure::percent(limit.value));
            format!("budget `{}`: {share} spot, at most {most} is asked", budget.name)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caught_by;
    use capstan_types::offering::PurchaseOption;
    use capstan_types::units::Watts;
    use rust_decimal::Decimal;

    #[test]
    fn too_much_power_is_caught() {
        caught_by("limits: nodes and power", |b| {
            b.inputs.spec.sites[0].power.as_mut().unwrap().value = Watts(300e3)
        });
        caught_by("limits: nodes and power", |b| b.inputs.catalog.shapes[1].power = Some(Watts(11e3)));
        caught_by("limits: nodes and power", |b| b.inputs.catalog.shapes[1].power = None);
        caught_by("limits: nodes and power", |b| b.sites[0].facility_power = Some(Watts(1e3)));
        caught_by("limits: nodes and power", |b| b.sites[1].nodes -= 1);
    }

    #[test]
    fn too_few_racks_are_caught() {
        caught_by("limits: racks", |b| b.sites[0].racks = Some(8));
        caught_by("limits: racks", |b| b.inputs.spec.sites[0].racks.as_mut().unwrap().value = 8);
        caught_by("limits: racks", |b| b.inputs.catalog.shapes[1].height_u = Some(20.0));
    }

    #[test]
    fn a_quota_that_is_exceeded_is_caught() {
        caught_by("limits: quotas", |b| b.inputs.spec.sites[1].quotas[0].most.value = 63);
    }

    #[test]
    fn a_budget_that_is_exceeded_is_caught() {
        let small = Decimal::from(1000);
        caught_by("limits: budgets", |b| b.inputs.spec.budgets[0].capex.as_mut().unwrap().value = small);
        caught_by("limits: budgets", |b| {
            b.inputs.spec.budgets[0].opex_per_month.as_mut().unwrap().value = small
        });
        caught_by("limits: budgets", |b| {
            let budget = &mut b.inputs.spec.budgets[0];
            budget.total = budget.capex.clone();
            budget.total.as_mut().unwrap().value = small;
        });
    }

    #[test]
    fn shares_outside_their_limits_are_caught() {
        let share = |b: &mut capstan_types::blueprint::Blueprint, index: usize, least: f64, most: f64| {
            let buy = &mut b.inputs.spec.serves[0].buy;
            let mut limit = buy[1].at_least.clone().unwrap();
            limit.value = least;
            buy[index].at_least = Some(limit.clone());
            limit.value = most;
            buy[index].at_most = Some(limit);
        };
        caught_by("limits: ways of buying", |b| share(b, 1, 0.95, 1.0));
        caught_by("limits: ways of buying", |b| share(b, 3, 0.0, 0.05));
        caught_by("limits: ways of buying", |b| {
            b.pools[1].purchases[1].option = PurchaseOption::Spot;
            share(b, 2, 0.0, 0.05);
        });
        caught_by("limits: ways of buying", |b| {
            b.pools[1].purchases[1].option = PurchaseOption::Spot;
            let place = b.inputs.spec.serves[0].place.clone();
            b.inputs.spec.budgets[0].spot = Some(capstan_types::spec::Limit { value: 0.0, place });
            b.inputs.spec.serves[0].buy[2].at_most = None;
        });
        caught_by("limits: ways of buying", |b| {
            b.inputs.spec.serves[0].buy.retain(|buy| buy.option != PurchaseOption::OnDemand);
        });
    }
}
