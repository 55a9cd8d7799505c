//! Why machines are bought as they are: how busy each node is decides how firmly it is held.

use capstan_types::blueprint::{Blueprint, HOURS, Pool, Purchase};
use capstan_types::explanation::Section;
use capstan_types::figure;
use capstan_types::offering::PurchaseOption;
use capstan_types::units::HOURS_PER_MONTH;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Returns how a pool is bought, with the share of time that decides it.
pub(super) fn bought(blueprint: &Blueprint, pool: &Pool) -> Section {
    let most = pool.needed.iter().flatten().copied().max().unwrap_or(0);
    let fleet = pool.fleet.iter().copied().max().unwrap_or(0);
    let mut sentences = vec![format!(
        "{} of {} {} needed at {} in the busiest hour{}.",
        nodes(most),
        pool.shape,
        if most == 1 { "is" } else { "are" },
        pool.site,
        spares(pool)
    )];
    if fleet > 0 {
        let verbs = if fleet == 1 { ("stands", "is") } else { ("stand", "are") };
        sentences.push(format!("{} {} there already and {} used first.", nodes(fleet), verbs.0, verbs.1));
    }
    sentences.extend(pool.purchases.iter().filter(|purchase| purchase.nodes > 0).map(|p| how(blueprint, p)));
    for purchase in &pool.purchases {
        if purchase.option.contract_months().is_some() {
            sentences.extend(committed(blueprint, pool, purchase));
        }
    }
    let unpriced = blueprint.unpriced.iter().filter(|row| row.site == pool.site && row.shape == pool.shape);
    sentences.extend(unpriced.map(|row| {
        format!(
            "Nobody knows what it costs {}; that way was passed over, not taken as free.",
            row.option.words()
        )
    }));
    Section { title: format!("How {} at {} is bought", pool.shape, pool.site), sentences, facts: Vec::new() }
}

/// Returns a count of nodes as one says it.
pub(super) fn nodes(count: u32) -> String {
    figure::counted(count as usize, "node")
}

fn spares(pool: &Pool) -> String {
    match pool.spares {
        0 => String::new(),
        1 => ", 1 of them spare".to_owned(),
        many => format!(", {many} of them spare"),
    }
}

fn how(blueprint: &Blueprint, purchase: &Purchase) -> String {
    let currency = blueprint.cost.currency;
    let hours: f64 = purchase.node_hours_by_period.iter().sum();
    let Some(price) = &purchase.price else {
        return format!("{} {} without a price.", nodes(purchase.nodes), purchase.option.words());
    };
    let unit = if purchase.option == PurchaseOption::Owned { "a node" } else { "a node-hour" };
    format!(
        "{} {}, {} node-hours, at {} {} {unit} ({}, {}).",
        nodes(purchase.nodes),
        purchase.option.words(),
        figure::count(hours.round().max(0.0) as u64),
        figure::price(price.price, currency),
        currency.code(),
        price.source,
        price.as_of
    )
}

/// Returns the share of the horizon in which the `rank`-th node (from 1) beyond the fleet is busy.
fn busy(blueprint: &Blueprint, pool: &Pool, rank: u32) -> f64 {
    let mut hours = 0.0;
    let mut all = 0.0;
    for (index, period) in blueprint.periods.iter().enumerate() {
        let fleet = pool.fleet.get(index).copied().unwrap_or(0);
        let row = pool.needed.get(index).map_or(&[] as &[u32], Vec::as_slice);
        for (hour, needed) in row.iter().enumerate() {
            let days = if hour < HOURS / 2 { 5.0 } else { 2.0 };
            let weight = f64::from(period.months) * HOURS_PER_MONTH * days / 7.0 / 24.0;
            all += weight;
            if *needed >= fleet.saturating_add(rank) {
                hours += weight;
            }
        }
    }
    if all > 0.0 { hours / all } else { 0.0 }
}

/// Returns the cheapest way of paying by the hour that is known for the pool, its price and its words.
fn by_the_hour(blueprint: &Blueprint, pool: &Pool) -> Option<(Decimal, String)> {
    let hourly = |option: PurchaseOption| matches!(option, PurchaseOption::OnDemand);
    let used = pool.purchases.iter().filter(|purchase| hourly(purchase.option));
    let used = used.filter_map(|purchase| Some((purchase.price.as_ref()?.price, purchase.option.words())));
    let site = blueprint.inputs.spec.sites.iter().find(|site| site.name == pool.site)?;
    let rows = blueprint.inputs.catalog.offerings.iter().filter(|row| {
        row.shape == pool.shape
            && row.provider == site.provider
            && (row.region == "all" || site.region.as_ref() == Some(&row.region))
            && row.currency == blueprint.cost.currency
            && hourly(row.option)
    });
    let rows = rows.filter_map(|row| Some((row.price?, row.option.words())));
    used.chain(rows).min()
}

/// The committed level is a newsvendor quantile: a node that is busy more than committed / hourly price is
/// cheaper committed (Stokely et al., "Shaved Ice", arXiv 2503.10235).
fn committed(blueprint: &Blueprint, pool: &Pool, purchase: &Purchase) -> Vec<String> {
    let Some((hourly, words)) = by_the_hour(blueprint, pool) else { return Vec::new() };
    let Some(firm) = purchase.price.as_ref().and_then(|price| price.price.to_f64()) else {
        return Vec::new();
    };
    let Some(hourly) = hourly.to_f64().filter(|price| *price > 0.0) else { return Vec::new() };
    let edge = firm / hourly;
    let held: u32 = pool.purchases.iter().filter(|one| one.option.is_for_a_term()).map(|one| one.nodes).sum();
    let most = pool.needed.iter().flatten().copied().max().unwrap_or(0);
    let worth = (1..=most).take_while(|&rank| busy(blueprint, pool, rank) > edge).count();
    let mut sentences = vec![format!(
        "A node that is busy more than {} of the time is cheaper {} than {words} ({} against {}): node {held} is busy {} of the time, node {} {}.",
        figure::percent(edge),
        purchase.option.words(),
        figure::short(firm),
        figure::short(hourly),
        figure::percent(busy(blueprint, pool, held.max(1))),
        held + 1,
        figure::percent(busy(blueprint, pool, held + 1))
    )];
    if worth != held as usize {
        sentences.push(format!(
            "By that rule alone {worth} would be held; limits, terms or growth made it {held}."
        ));
    }
    sentences
}

/// Returns what runs on machines of a place.
pub(super) fn tenants(blueprint: &Blueprint, here: impl Fn(&str, &str) -> bool) -> Section {
    let mut sentences = Vec::new();
    for service in &blueprint.services {
        for placement in service.placements.iter().filter(|p| here(&p.site, &p.candidate.shape)) {
            sentences.push(format!(
                "`{}` runs on {} at {} with up to {} replicas of {} accelerators.",
                service.workload,
                placement.candidate.shape,
                placement.site,
                placement.peak_replicas(),
                placement.candidate.accelerators
            ));
        }
    }
    for run in blueprint.trainings.iter().filter(|run| here(&run.site, &run.candidate.shape)) {
        sentences.push(format!(
            "`{}` trains on {} nodes of {} at {} from {} to {}.",
            run.workload, run.candidate.nodes, run.candidate.shape, run.site, run.start, run.end
        ));
    }
    for run in blueprint.batches.iter().filter(|run| here(&run.site, &run.candidate.shape)) {
        sentences.push(format!(
            "`{}` answers requests that nobody waits for on {} at {} from {} to {}: {}.",
            run.workload,
            run.candidate.shape,
            run.site,
            run.start,
            run.end,
            run.words()
        ));
    }
    Section { title: "What runs there".to_owned(), sentences, facts: Vec::new() }
}
