//! What stands behind the first screen: placements, training jobs, the bill by item, sites.

use super::first::range;
use crate::document::{Block, Cell, Table, Tone};
use capstan_types::blueprint::{Blueprint, CostKind, Network, Placement, TrainingRun};
use capstan_types::figure;
use capstan_types::units::Bytes;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

pub(super) fn split(tensor: u32, pipeline: u32) -> String {
    if pipeline > 1 { format!("tp {tensor}, pp {pipeline}") } else { format!("tp {tensor}") }
}

fn placement(workload: &str, placement: &Placement) -> Vec<Cell> {
    let (candidate, estimate) = (&placement.candidate, &placement.estimate);
    let replicas: Vec<u32> = placement.replicas.iter().flatten().copied().collect();
    vec![
        workload.into(),
        placement.site.as_str().into(),
        format!("{}, {}", candidate.shape, split(candidate.tensor, candidate.pipeline)).into(),
        format!("{}, {}", candidate.engine, candidate.precision.word()).into(),
        range(&replicas).into(),
        Cell::from(format!("{} req/s", figure::short(estimate.rate.get() * placement.derating))).hinted(
            &format!("{}; derated to {}", estimate.origin.word(), figure::percent(placement.derating)),
        ),
        estimate.bound_by.as_str().into(),
    ]
}

/// Returns where each service runs, as what, with how many replicas.
pub(super) fn placements(blueprint: &Blueprint) -> Vec<Block> {
    let mut table =
        Table::new(&["Service", "Site", "Runs on", "As", ">Replicas", ">Each carries", "Bound by"]);
    for service in &blueprint.services {
        table.rows.extend(service.placements.iter().map(|one| placement(&service.workload, one)));
    }
    vec![Block::Table(table)]
}

fn host_memory(run: &TrainingRun) -> String {
    let all = run.host_memory.map_or_else(|| "an unknown number".to_owned(), figure::data);
    format!("{} of each machine to save at once, of {all}", figure::data(run.checkpoint_host))
}

/// Says how many tokens a step holds, and how many were asked for where whole sequences on every rank are other ones.
fn step(blueprint: &Blueprint, run: &TrainingRun) -> String {
    let asked = blueprint.inputs.spec.trains.iter().find(|train| train.name == run.workload);
    let other = asked.map(|train| train.batch).filter(|asked| (asked.get() - run.batch.get()).abs() >= 1.0);
    let of = other.map_or_else(String::new, |asked| format!(" ({} asked)", figure::large(asked.get())));
    format!("step of {} tokens{of} {}", figure::large(run.batch.get()), figure::span(run.step))
}

fn training(blueprint: &Blueprint, run: &TrainingRun) -> Vec<(String, Cell)> {
    let of = &run.candidate;
    let days = run.hours / 24.0;
    let fact = |name: &str, value: String| (name.to_owned(), Cell::from(value));
    vec![
        (
            run.workload.clone(),
            Cell::toned(
                format!(
                    "{} on {} × {} at {}, {} spare",
                    run.model, of.nodes, of.shape, run.site, run.spare_nodes
                ),
                Tone::Strong,
            ),
        ),
        fact(
            "runs",
            format!(
                "{} to {}: {} days{}, {} h held",
                run.start,
                run.end,
                figure::short(days),
                run.pauses(),
                figure::short(run.hours * run.share_of_week())
            ),
        ),
        fact("host memory", host_memory(run)),
        fact(
            "split",
            format!(
                "tp {}, pp {}, dp {}, micro-batch {}, {}",
                of.tensor,
                of.pipeline,
                of.data,
                of.micro_batch,
                of.precision.word()
            ),
        ),
        fact(
            "speed",
            format!(
                "{}, {} token/s, MFU {} ({})",
                step(blueprint, run),
                figure::large(run.tokens_per_s),
                figure::percent(run.model_flops_utilization),
                run.origin.word()
            ),
        ),
        fact(
            "goodput",
            format!(
                "{} of the time held; {} failures expected",
                figure::percent(run.goodput),
                figure::short(run.failures)
            ),
        ),
        fact(
            "checkpoints",
            format!("{} every {}", figure::data(run.checkpoint), figure::span(run.checkpoint_interval)),
        ),
        fact(
            "memory",
            format!("{} of {} on each accelerator", figure::data(run.needed), figure::data(run.memory)),
        ),
    ]
}

/// Returns each training job.
pub(super) fn trainings(blueprint: &Blueprint) -> Vec<Block> {
    blueprint.trainings.iter().map(|run| Block::Facts(training(blueprint, run))).collect()
}

/// Returns what each workload costs and does.
pub(super) fn workloads(blueprint: &Blueprint) -> Vec<Block> {
    let currency = blueprint.cost.currency;
    let code = currency.code();
    let titles = [format!(">Cost, {code}"), format!(">{code}/Mtok"), format!(">{code}/GPU-h")];
    let mut table = Table::new(&["Workload", &titles[0], ">GPU-hours", ">Tokens", &titles[1], &titles[2]]);
    let unknown = || Cell::toned("unknown", Tone::Warn);
    for one in &blueprint.cost.workloads {
        let rate =
            |rate: Option<Decimal>| rate.map_or_else(unknown, |rate| figure::amount(rate, currency).into());
        table.rows.push(vec![
            one.workload.as_str().into(),
            figure::amount(one.cost, currency).into(),
            figure::count(one.accelerator_hours.round().max(0.0) as u64).into(),
            figure::large(one.prompt_tokens + one.output_tokens).into(),
            rate(one.per_million_tokens),
            rate(one.per_accelerator_hour),
        ]);
    }
    vec![Block::Table(table)]
}

/// What lines of the bill are added up by, in the order they are shown.
type Item = (String, u8, String, String);

/// Sums of the lines of one item.
#[derive(Default)]
struct Sum {
    quantity: Decimal,
    billed: Decimal,
    lines: u32,
}

/// Returns the bill by item over all periods.
pub(super) fn lines(blueprint: &Blueprint) -> Vec<Block> {
    let currency = blueprint.cost.currency;
    let mut sums: BTreeMap<Item, Sum> = BTreeMap::new();
    for line in &blueprint.cost.lines {
        let order = match line.kind {
            CostKind::Capex => 0,
            CostKind::Opex => 1,
            CostKind::Residual => 2,
        };
        let key = (line.site.clone(), order, line.item.clone(), line.unit.clone());
        let sum = sums.entry(key).or_default();
        sum.quantity += line.quantity;
        sum.billed += line.billed_cost;
        sum.lines += 1;
    }
    let cost = format!(">Cost, {}", currency.code());
    let mut table = Table::new(&["Site", "Item", "Kind", ">Quantity", "Unit", &cost]);
    for ((site, order, item, unit), sum) in sums {
        let quantity: f64 = sum.quantity.try_into().unwrap_or(f64::NAN);
        table.rows.push(vec![
            site.into(),
            item.into(),
            ["capex", "opex", "residual"][order as usize].into(),
            if quantity >= 1000.0 { figure::count(quantity.round() as u64) } else { figure::short(quantity) }
                .into(),
            unit.into(),
            figure::amount(sum.billed, currency).into(),
        ]);
    }
    let mut total: Vec<Cell> = vec![Cell::default(); 6];
    total[0] = Cell::toned("total", Tone::Strong);
    total[5] = Cell::toned(figure::amount(blueprint.cost.total, currency), Tone::Strong);
    table.rows.push(total);
    table.total = true;
    vec![Block::Table(table)]
}

/// Returns nodes, power and racks of each site.
pub(super) fn sites(blueprint: &Blueprint) -> Vec<Block> {
    let mut table =
        Table::new(&["Site", ">Nodes", ">Accelerators", ">IT power", ">Facility", ">Limit", ">Racks"]);
    for site in &blueprint.sites {
        let own = blueprint.inputs.spec.sites.iter().any(|one| one.name == site.site && one.is_own());
        // At a provider, power is the provider's; at an own site, not knowing it matters.
        let absent =
            || if own { Cell::toned("unknown", Tone::Warn) } else { Cell::toned("–", Tone::Faint) };
        let power = |watts: Option<capstan_types::units::Watts>| {
            watts.map_or_else(absent, |w| figure::power(w).into())
        };
        table.rows.push(vec![
            site.site.as_str().into(),
            figure::count(u64::from(site.nodes)).into(),
            figure::count(u64::from(site.accelerators)).into(),
            power(site.it_power),
            power(site.facility_power),
            site.power_limit
                .map_or_else(|| Cell::toned("–", Tone::Faint), |limit| figure::power(limit).into()),
            site.racks.map_or_else(|| Cell::toned("–", Tone::Faint), |racks| racks.to_string().into()),
        ]);
    }
    vec![Block::Table(table)]
}

/// Returns switches and links of every network.
pub(super) fn networks(blueprint: &Blueprint) -> Vec<Block> {
    blueprint.networks.iter().map(|one| Block::Facts(network(one))).collect()
}

fn network(network: &Network) -> Vec<(String, Cell)> {
    let fact = |name: &str, value: String| (name.to_owned(), Cell::from(value));
    let several = |counts: &[(u32, &str)]| {
        let some = counts.iter().filter(|(count, _)| *count > 0);
        let words = some.map(|(count, of)| format!("{} {of}", figure::count(u64::from(*count))));
        words.collect::<Vec<_>>().join(", ")
    };
    let planes = if network.planes > 1 { format!(" in {} planes", network.planes) } else { String::new() };
    vec![
        fact(
            &network.site,
            format!(
                "{} × {}, each {} ports of {:.0} Gbit/s{planes}",
                figure::count(u64::from(network.nodes)),
                network.shape,
                network.ports_per_node * network.planes,
                network.port.get() * 8.0 / 1e9
            ),
        ),
        fact(
            "switches",
            format!(
                "{} × {}: {}; {}",
                figure::count(u64::from(network.switches())),
                network.switch,
                several(&[(network.leaves, "leaf"), (network.spines, "spine"), (network.cores, "core")]),
                network.kind.word().replace('_', "-")
            ),
        ),
        fact(
            "links",
            several(&[
                (network.host_links, "to machines"),
                (network.spine_links, "leaf to spine"),
                (network.core_links, "spine to core"),
            ]),
        ),
        fact("bisection", format!("{}/s", figure::data(Bytes(network.bisection.get())))),
        (
            "power".to_owned(),
            network
                .power
                .map_or_else(|| Cell::toned("unknown", Tone::Warn), |power| figure::power(power).into()),
        ),
    ]
}
