//! What stands behind the first screen: placements, training jobs, the bill by item, sites.

use super::first::range;
use super::{origins, sure};
use crate::document::{Block, Cell, Table, Tone};
use capstan_types::blueprint::{
    Blueprint, CostKind, CostLine, Network, Placement, SiteSummary, TrainingRun, WorkloadCost,
};
use capstan_types::figure;
use capstan_types::units::{Bytes, Watts};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

fn placement(workload: &str, placement: &Placement) -> Vec<Cell> {
    let (candidate, estimate) = (&placement.candidate, &placement.estimate);
    let replicas: Vec<u32> = placement.replicas.iter().flatten().copied().collect();
    let least = match placement.fewest_that_hold {
        Some(fewest) => format!("; simulation asked for at least {fewest}"),
        None => String::new(),
    };
    let sure = placement.interval.as_ref();
    let carries = format!(
        "closed form ({}): {} req/s is the highest rate at which every level holds; simulation showed {} of it{}",
        estimate.origin.word(),
        figure::short(estimate.rate.get()),
        figure::percent(placement.derating),
        sure.map_or_else(String::new, |sure| sure::multiples("its time per token", sure.tpot))
    );
    vec![
        workload.into(),
        placement.site.as_str().into(),
        format!("{}, {}", candidate.shape, candidate.degrees().words()).into(),
        format!("{}, {}", candidate.engine, candidate.precision.word()).into(),
        Cell::from(range(&replicas))
            .hinted(format!("chosen by the planner: fewest and most at any hour of any period{least}")),
        Cell::from(format!("{} req/s", figure::short(estimate.rate.get() * placement.derating)))
            .hinted(carries),
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
    let train = blueprint.inputs.spec.trains.iter().find(|train| train.name == run.workload);
    let place = train.map(|train| &train.place);
    let word = run.origin.word();
    let fact = |name: &str, value: String, hint: String| (name.to_owned(), Cell::from(value).hinted(hint));
    let chosen = || "chosen by the planner among the ways to run it that hold its limits".to_owned();
    let runs = format!(
        "{} to {}: {} days{}, {} h held",
        run.start,
        run.end,
        figure::short(run.hours / 24.0),
        run.pauses(),
        figure::short(run.hours * run.share_of_week())
    );
    let split = format!("{}, micro-batch {}, {}", of.split(), of.micro_batch, of.precision.word());
    let speed = format!(
        "{}, {} token/s, MFU {} ({word})",
        step(blueprint, run),
        figure::large(run.tokens_per_s),
        figure::percent(run.model_flops_utilization)
    );
    let sure = run.interval.as_ref();
    let sure = sure.map_or_else(String::new, |sure| sure::multiples("such a step", sure.step));
    let goodput = format!(
        "{} of the time held; {} failures expected",
        figure::percent(run.goodput),
        figure::short(run.failures)
    );
    let checkpoints =
        format!("{} every {}", figure::data(run.checkpoint), figure::span(run.checkpoint_interval));
    let memory = format!("{} of {} on each accelerator", figure::data(run.needed), figure::data(run.memory));
    let name =
        format!("{} on {} × {} at {}, {} spare", run.model, of.nodes, of.shape, run.site, run.spare_nodes);
    let name = Cell::toned(name, Tone::Strong).hinted(chosen()).stated(place);
    vec![
        (run.workload.clone(), name),
        fact("runs", runs, format!("{word}: the tokens to see, by tokens per second and goodput")),
        fact("host memory", host_memory(run), origins::machine(blueprint, &of.shape)),
        fact("split", split, chosen()),
        fact(
            "speed",
            speed,
            format!("{word}: one step by its operators; MFU is model arithmetic over the peak{sure}"),
        ),
        fact(
            "goodput",
            goodput,
            format!("{word}: the share that moves it forward, after checkpoints, failures and restarts"),
        ),
        fact(
            "checkpoints",
            checkpoints,
            format!("{word}: size by what is trained; interval by expected failures, at most as asked"),
        ),
        fact("memory", memory, format!("{word}: what one rank holds, of what programs can use")),
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
    let titles = ["Mtok", "GPU-h", "1,000 req"].map(|unit| format!(">{code}/{unit}"));
    let cost = format!(">Cost, {code}");
    let mut table =
        Table::new(&["Workload", &cost, ">GPU-hours", ">Tokens", &titles[0], &titles[1], &titles[2]]);
    table.rows.extend(blueprint.cost.workloads.iter().map(|one| workload(blueprint, one)));
    vec![Block::Table(table)]
}

fn workload(blueprint: &Blueprint, one: &WorkloadCost) -> Vec<Cell> {
    let currency = blueprint.cost.currency;
    let (tokens, hours) = (one.prompt_tokens + one.output_tokens, one.accelerator_hours);
    let hours_shown = figure::count(hours.round().max(0.0) as u64);
    let rate = |rate: Option<Decimal>, amount: f64, below: &str| match rate {
        Some(rate) => Cell::from(figure::amount(rate, currency))
            .hinted(format!("cost ÷ {below}, {} ÷ that", figure::money(one.cost, currency))),
        // What it has none of is no unit of its work.
        None if amount <= 0.0 => Cell::toned("–", Tone::Faint),
        None => Cell::toned("unknown", Tone::Warn),
    };
    let thousands = one.requests / 1e3;
    let tokens_hint = match one.output_tokens {
        none if none <= 0.0 => "tokens to see, as the plan asks".to_owned(),
        some => format!(
            "prompts {} and outputs {} of all requests over the horizon",
            figure::large(one.prompt_tokens),
            figure::large(some)
        ),
    };
    vec![
        one.workload.as_str().into(),
        Cell::from(figure::amount(one.cost, currency)).hinted(
            "its share of each line by accelerator-hours on those machines, of what is no machine's by those at the site",
        ),
        Cell::from(hours_shown.clone()).hinted("accelerators that it holds × hours, over the horizon"),
        Cell::from(figure::large(tokens)).hinted(tokens_hint),
        rate(one.per_million_tokens, tokens, &format!("million tokens: {}", figure::short(tokens / 1e6))),
        rate(one.per_accelerator_hour, hours, &format!("GPU-hours: {hours_shown}")),
        rate(one.per_thousand_requests, thousands, &format!("thousand requests: {}", figure::short(thousands))),
    ]
}

/// What lines of the bill are added up by, in the order they are shown.
type Item = (String, u8, String, String);

/// Returns the bill by item over all periods.
pub(super) fn lines(blueprint: &Blueprint) -> Vec<Block> {
    let currency = blueprint.cost.currency;
    let mut items: BTreeMap<Item, Vec<&CostLine>> = BTreeMap::new();
    for line in &blueprint.cost.lines {
        let order = match line.kind {
            CostKind::Capex => 0,
            CostKind::Opex => 1,
            CostKind::Residual => 2,
            CostKind::Owed => 3,
        };
        let key = (line.site.clone(), order, line.item.clone(), line.unit.clone());
        items.entry(key).or_default().push(line);
    }
    let cost = format!(">Cost, {}", currency.code());
    let mut table = Table::new(&["Site", "Item", "Kind", ">Quantity", "Unit", &cost]);
    for ((site, order, item, unit), lines) in items {
        let quantity: Decimal = lines.iter().map(|line| line.quantity).sum();
        let quantity: f64 = quantity.try_into().unwrap_or(f64::NAN);
        let shown =
            if quantity >= 1000.0 { figure::count(quantity.round() as u64) } else { figure::short(quantity) };
        let billed: Decimal = lines.iter().map(|line| line.billed_cost).sum();
        let summed = match lines.len() {
            1 => "of one line of the bill".to_owned(),
            count => format!("sum over {} lines of the bill", figure::count(count as u64)),
        };
        table.rows.push(vec![
            site.into(),
            item.into(),
            ["capex", "opex", "residual", "owed"][order as usize].into(),
            Cell::from(shown).hinted(summed),
            unit.into(),
            Cell::from(figure::amount(billed, currency)).hinted(origins::lines(blueprint, &lines)),
        ]);
    }
    let mut total: Vec<Cell> = vec![Cell::default(); 6];
    total[0] = Cell::toned("total", Tone::Strong);
    total[5] = Cell::toned(figure::amount(blueprint.cost.total, currency), Tone::Strong)
        .hinted(origins::total(blueprint));
    table.rows.push(total);
    table.total = true;
    vec![Block::Table(table)]
}

/// Returns nodes, power and racks of each site.
pub(super) fn sites(blueprint: &Blueprint) -> Vec<Block> {
    let mut table =
        Table::new(&["Site", ">Nodes", ">Accelerators", ">IT power", ">Facility", ">Limit", ">Racks"]);
    table.rows.extend(blueprint.sites.iter().map(|one| site(blueprint, one)));
    vec![Block::Table(table)]
}

fn site(blueprint: &Blueprint, site: &SiteSummary) -> Vec<Cell> {
    let stated = origins::site(blueprint, &site.site);
    let own = stated.is_some_and(|one| one.is_own());
    // At a provider, power is the provider's; at an own site, not knowing it matters.
    let absent = || if own { Cell::toned("unknown", Tone::Warn) } else { Cell::toned("–", Tone::Faint) };
    let none = || Cell::toned("–", Tone::Faint);
    let power = |watts: Option<Watts>, hint: &str| {
        watts.map_or_else(absent, |watts| Cell::from(figure::power(watts)).hinted(hint))
    };
    let facility = stated.map_or_else(
        || "power of all machines with cooling and losses".to_owned(),
        |site| format!("IT power × PUE {}", figure::short(site.pue)),
    );
    let fit = "machines ÷ how many a rack takes by height and power, storage included, rounded up";
    let limit = stated.and_then(|site| site.power.as_ref()).map(|limit| &limit.place);
    vec![
        site.site.as_str().into(),
        Cell::from(figure::count(u64::from(site.nodes))).hinted("most machines at once in any period"),
        Cell::from(figure::count(u64::from(site.accelerators)))
            .hinted("most accelerators at once: machines × accelerators of each"),
        power(
            site.it_power,
            "highest power of each machine × most machines at once, storage and switches, by the catalog",
        ),
        power(site.facility_power, &facility),
        site.power_limit.map_or_else(none, |watts| {
            Cell::from(figure::power(watts)).hinted("limit of the site").stated(limit)
        }),
        site.racks.map_or_else(none, |racks| Cell::from(racks.to_string()).hinted(fit)),
    ]
}

/// Returns switches and links of every network.
pub(super) fn networks(blueprint: &Blueprint) -> Vec<Block> {
    blueprint.networks.iter().map(|one| Block::Facts(network(blueprint, one))).collect()
}

fn network(blueprint: &Blueprint, network: &Network) -> Vec<(String, Cell)> {
    let row = blueprint.inputs.catalog.fabrics.iter().find(|row| row.id == network.switch);
    let row = row.map_or_else(String::new, |row| format!("; {}", origins::catalog(&row.id, &row.provenance)));
    let wish = blueprint.inputs.spec.fabrics.iter().find(|wish| wish.site == network.site);
    let wish = wish.and_then(|wish| wish.place.as_ref());
    let fact = |name: &str, value: String, hint: String| (name.to_owned(), Cell::from(value).hinted(hint));
    let several = |counts: &[(u32, &str)]| {
        let some = counts.iter().filter(|(count, _)| *count > 0);
        let words = some.map(|(count, of)| format!("{} {of}", figure::count(u64::from(*count))));
        words.collect::<Vec<_>>().join(", ")
    };
    let planes = if network.planes > 1 { format!(" in {} planes", network.planes) } else { String::new() };
    let ports = format!(
        "{} × {}, each {} ports of {:.0} Gbit/s{planes}",
        figure::count(u64::from(network.nodes)),
        network.shape,
        network.ports_per_node * network.planes,
        network.port.get() * 8.0 / 1e9
    );
    let switches = format!(
        "{} × {}: {}; {}",
        figure::count(u64::from(network.switches())),
        network.switch,
        several(&[
            (network.leaves, "leaf"),
            (network.spines, "spine"),
            (network.cores, "core"),
            (network.spares, "beside them, spare"),
        ]),
        network.kind.word().replace('_', "-")
    );
    let links = several(&[
        (network.host_links, "to machines"),
        (network.spine_links, "leaf to spine"),
        (network.core_links, "spine to core"),
    ]);
    let oversubscribed =
        format!("as many as all ports need, oversubscribed {} : 1", figure::short(network.oversubscription));
    let switches = Cell::from(switches).hinted(format!("{oversubscribed}{row}")).stated(wish);
    let bisection = format!("{}/s", figure::data(Bytes(network.bisection.get())));
    let power = network.power.map_or_else(
        || Cell::toned("unknown", Tone::Warn),
        |power| Cell::from(figure::power(power)).hinted(format!("power of one switch × switches{row}")),
    );
    let most = "most machines at once; ports of the machine".to_owned();
    vec![
        fact(&network.site, ports, format!("{most}{row}")),
        ("switches".to_owned(), switches),
        fact("links", links, "counted, over all planes".to_owned()),
        fact(
            "bisection",
            bisection,
            "what one half of the leaves can send to the other: the maximum flow".to_owned(),
        ),
        ("power".to_owned(), power),
    ]
}
