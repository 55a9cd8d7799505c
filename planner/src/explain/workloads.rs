//! Why a workload runs as it does: what a replica achieves, what bounds it, what was seen.

use super::{machines, memory};
use crate::egress;
use capstan_types::blueprint::{
    AppRun, BatchRun, Blueprint, Placement, Service, TrainingRun, Verdict, VerdictStatus,
};
use capstan_types::explanation::Section;
use capstan_types::figure::{self, counted};
use capstan_types::spec::level_word;
use capstan_types::units::Bytes;

/// Returns a section per placement, and one on its memory.
pub(super) fn serving(blueprint: &Blueprint, service: &Service) -> Vec<Section> {
    let of =
        |placement| [why(blueprint, service, placement), memory::of_replica(blueprint, service, placement)];
    service.placements.iter().flat_map(of).collect()
}

fn why(blueprint: &Blueprint, service: &Service, placement: &Placement) -> Section {
    let (candidate, estimate) = (&placement.candidate, &placement.estimate);
    let node = match (candidate.replicas_per_node, candidate.nodes_per_replica) {
        (0, nodes) => format!("a replica spans {nodes} nodes"),
        (1, _) => "a node holds one replica".to_owned(),
        (several, _) => format!("a node holds {several} replicas"),
    };
    let mut sentences = vec![
        format!(
            "`{}` runs {} on {} at {} with {}, {}, in {}; {node}.",
            service.workload,
            service.model,
            candidate.shape,
            placement.site,
            candidate.engine,
            candidate.degrees().words(),
            candidate.precision.word()
        ),
        format!(
            "One replica carries {} req/s ({}), bounded by {}; then the first token takes {} and every further one {}, with {} sequences at once.",
            figure::short(estimate.rate.get()),
            estimate.origin.word(),
            estimate.bound_by,
            figure::span(estimate.ttft),
            figure::span(estimate.tpot),
            figure::short(estimate.batch)
        ),
    ];
    if placement.derating != 1.0 {
        sentences.push(format!(
            "The simulator saw it carry {}, so that a replica is planned at {} of that, {} req/s.",
            if placement.derating < 1.0 { "less" } else { "more" },
            figure::percent(placement.derating),
            figure::short(estimate.rate.get() * placement.derating)
        ));
    }
    if let Some(fewest) = placement.fewest_that_hold {
        sentences.push(format!(
            "At least {fewest} replicas stand at every hour: the simulator saw fewer miss a level, though they had little to do, since bursts of requests reach few of them."
        ));
    }
    let peak = blueprint.demand.iter().filter(|curve| curve.workload == service.workload);
    let peak = peak.flat_map(|curve| curve.rates.iter().flatten()).copied().fold(0.0, f64::max);
    sentences.push(format!(
        "{} {} at the busiest hour of {} req/s, {} at the quietest of the first period.",
        counted(placement.peak_replicas() as usize, "replica"),
        if placement.peak_replicas() == 1 { "stands" } else { "stand" },
        figure::short(peak),
        placement.fewest_replicas()
    ));
    sentences.extend(transfer(blueprint, service, placement));
    let mine =
        blueprint.verdicts.iter().filter(|v| v.workload == service.workload && v.site == placement.site);
    sentences.extend(mine.map(seen));
    Section {
        title: format!("Why `{}` runs so at {}", service.workload, placement.site),
        sentences,
        facts: Vec::new(),
    }
}

/// Says what leaves a site for the users of a service, where that has a price.
fn transfer(blueprint: &Blueprint, service: &Service, placement: &Placement) -> Option<String> {
    let site = blueprint.inputs.spec.sites.iter().find(|site| site.name == placement.site)?;
    let price = site.egress_price_per_gb?;
    let currency = blueprint.cost.currency;
    let sent = egress::of_placements(blueprint, service);
    let gigabytes: f64 = sent.iter().filter(|sent| sent.site == site.name).map(egress::Sent::all).sum();
    let months = f64::from(blueprint.inputs.spec.frame.months.max(1));
    Some(format!(
        "Its answers leave {} for its users: {} a month at {} {}/GB.",
        site.name,
        figure::data(Bytes(gigabytes / months * egress::GB)),
        figure::price(price, currency),
        currency.code()
    ))
}

fn seen(verdict: &Verdict) -> String {
    let word = match verdict.status {
        VerdictStatus::Met => "meets",
        VerdictStatus::Missed => "misses",
        VerdictStatus::Undecided => "can neither be said to meet nor to miss",
    };
    format!(
        "Simulated over {} requests, {} is {} (95 %: {} to {}), which {word} {}.",
        figure::count(verdict.requests),
        level_word(verdict.metric, verdict.per_mille, verdict.over),
        figure::span(verdict.seen),
        figure::span(verdict.low),
        figure::span(verdict.high),
        figure::span(verdict.target)
    )
}

/// Returns why a training job runs as it does, and its memory.
pub(super) fn training(blueprint: &Blueprint, run: &TrainingRun) -> Vec<Section> {
    let of = &run.candidate;
    let chips = blueprint.inputs.catalog.shapes.iter().find(|shape| shape.id == of.shape);
    let chips = chips.map_or(of.tensor * of.pipeline * of.data, |shape| shape.accelerators * of.nodes);
    let mut sentences = vec![format!(
        "`{}` trains {} on {} nodes of {} at {} ({chips} accelerators) with {}, in {}.",
        run.workload,
        run.model,
        of.nodes,
        of.shape,
        run.site,
        of.split(),
        of.precision.word()
    )];
    sentences.push(format!(
        "A step takes {}, {} token/s, {} of the peak arithmetic; {} of the time held moves it forward, so that it runs{} from {} to {}, {} h.",
        figure::span(run.step),
        figure::large(run.tokens_per_s),
        figure::percent(run.model_flops_utilization),
        figure::percent(run.goodput),
        run.pauses(),
        run.start,
        run.end,
        figure::short(run.hours)
    ));
    sentences.push(format!(
        "{} failures are expected, {} kept ready for them; {} are saved every {}.",
        figure::short(run.failures),
        machines::nodes(run.spare_nodes),
        figure::data(run.checkpoint),
        figure::span(run.checkpoint_interval)
    ));
    sentences.push(format!(
        "One accelerator needs {} of the {} that are free{}.",
        figure::data(run.needed),
        figure::data(run.memory),
        if of.recompute { ", activations computed again" } else { "" }
    ));
    vec![Section { title: format!("Why `{}` runs so", run.workload), sentences, facts: Vec::new() }]
}

/// Returns why offline inference runs as it does.
pub(super) fn offline(blueprint: &Blueprint, run: &BatchRun) -> Section {
    let (candidate, estimate) = (&run.candidate, &run.estimate);
    let mut sentences = vec![
        format!(
            "`{}` answers {} requests with {} on {} at {} with {}, {}, in {}: {}.",
            run.workload,
            figure::large(run.requests),
            run.model,
            candidate.shape,
            run.site,
            candidate.engine,
            candidate.degrees().words(),
            candidate.precision.word(),
            run.words()
        ),
        format!(
            "One replica answers {} req/s ({}) with {} sequences at once, bounded by {}; nobody waits for its answers.",
            figure::short(estimate.rate.get()),
            estimate.origin.word(),
            figure::short(estimate.batch),
            estimate.bound_by
        ),
    ];
    if let Some(seen) = &run.simulated {
        let planned = if run.derating < 1.0 { ", and is planned so" } else { "" };
        sentences.push(format!(
            "Simulated over {} requests with {} in flight it answers {} req/s{planned}.",
            figure::count(seen.requests),
            seen.clients,
            figure::short(seen.rate.get())
        ));
    }
    sentences.push(format!(
        "It runs from {} to {}, {} h, in which its replicas take {} h; each start takes {} to load, and its machines are up {} of the time.",
        run.start,
        run.end,
        figure::short(run.hours),
        figure::short(run.replica_hours),
        figure::span(run.loading),
        figure::percent(run.up)
    ));
    sentences.extend(beside(blueprint, run));
    Section { title: format!("Why `{}` runs so", run.workload), sentences, facts: Vec::new() }
}

/// Says how many machines of its pool offline inference needs beyond those that the rest needs at its busiest hour.
fn beside(blueprint: &Blueprint, run: &BatchRun) -> Option<String> {
    let pool =
        blueprint.pools.iter().find(|pool| pool.site == run.site && pool.shape == run.candidate.shape)?;
    let shared = blueprint.services.iter().filter(|service| {
        let here = |placement: &Placement| {
            placement.site == run.site && placement.candidate.shape == run.candidate.shape
        };
        service.placements.iter().any(here)
    });
    let names: Vec<String> = shared.map(|service| format!("`{}`", service.workload)).collect();
    let period = run.shares.iter().position(|&share| share > 0.0)?;
    let most = pool.needed.get(period)?.iter().copied().max().unwrap_or(0);
    (!names.is_empty()).then(|| {
        format!(
            "It shares them with {}: {} work at the busiest hour.",
            names.join(", "),
            machines::nodes(most)
        )
    })
}

/// Returns where a service or group of notebooks runs, and how many instances share a machine.
pub(super) fn app(run: &AppRun) -> Section {
    let most = run.instances.iter().copied().max().unwrap_or(0);
    let spare = if run.spares > 0 { format!(", {} of them spare", run.spares) } else { String::new() };
    let of_chip = run.part.as_ref().map_or_else(String::new, |part| {
        format!(" Each has {}, and {} share an accelerator.", part.words(), run.per_accelerator)
    });
    let sentence = format!(
        "Up to {most} instances of `{}`{spare} run on {} at {}; one machine holds {}.{of_chip}",
        run.workload, run.shape, run.site, run.per_node
    );
    Section { title: format!("Why `{}` runs so", run.workload), sentences: vec![sentence], facts: Vec::new() }
}
