//! Is it cheaper to read prompts on some machines and to write answers on others? The same plan with a workload in two
//! parts, each with machines of its own, beside the plan in which replicas do both.
//!
//! Each part is sized, bought and verified like a workload: the first by its time to first token, the second by its time per
//! token, with the cache on its way between them. Both are at one site, since no prompt's cache is sent further.

use capstan_sim::serving::Pipe;
use capstan_types::blueprint::{Blueprint, RunnerUp, Status};
use capstan_types::money::Currency;
use capstan_types::spec::{
    Disaggregated, Metric, Part, RuleExpr, RuleOperator, Serve, SloMetric, Spec, Stage,
};
use capstan_types::traffic::Lengths;
use capstan_types::units::BytesPerSecond;

/// Most sites at which a workload is tried in two parts.
const MOST_SITES: usize = 4;

/// Returns the plans in which the workload at `index` is in two parts, one for each site that it may be at.
pub(crate) fn variants(spec: &Spec, index: usize, preferred: Option<&str>) -> Vec<Spec> {
    let serve = &spec.serves[index];
    let allowed =
        |site: &&str| serve.sites.as_ref().is_none_or(|sites| sites.iter().any(|name| name == site));
    let all = spec.sites.iter().map(|site| site.name.as_str()).filter(allowed);
    let mut sites: Vec<&str> = preferred.into_iter().chain(all).collect();
    let mut seen: Vec<&str> = Vec::new();
    sites.retain(|site| {
        let new = !seen.contains(site);
        seen.push(site);
        new
    });
    sites.truncate(MOST_SITES);
    sites.into_iter().map(|site| in_two(spec, index, site)).collect()
}

fn in_two(spec: &Spec, index: usize, site: &str) -> Spec {
    let mut spec = spec.clone();
    let serve = spec.serves.remove(index);
    let name = |part: Part| format!("{}_{}", serve.name, part.word());
    let (reading, writing) = (name(Part::Prefill), name(Part::Decode));
    let slos = |first: bool| {
        let mut slos = serve.slos.clone();
        slos.retain(|slo| (slo.metric == SloMetric::Ttft) == first);
        slos
    };
    let part = |part: Part, name: &str, with: &str| Serve {
        name: name.to_owned(),
        stage: Some(Stage { of: serve.name.clone(), part, with: with.to_owned() }),
        slos: slos(part == Part::Prefill),
        sites: Some(vec![site.to_owned()]),
        disaggregated: Disaggregated::Never,
        ..serve.clone()
    };
    let mut first = part(Part::Prefill, &reading, &writing);
    first.load.output = Lengths::fixed(1.0);
    first.speculative = None;
    let mut second = part(Part::Decode, &writing, &reading);
    second.prefix_caching = None;
    second.queue = None;
    spec.serves.splice(index..index, [first, second]);
    for rule in spec.budgets.iter_mut().flat_map(|budget| &mut budget.rules) {
        ask_both(&mut rule.condition, &serve.name, (&reading, &writing));
    }
    spec
}

/// Makes a rule that asks something of the workload ask both parts.
fn ask_both(rule: &mut RuleExpr, name: &str, (first, second): (&str, &str)) {
    match rule {
        RuleExpr::Metric { subject, metric } if subject == name => {
            let of = |subject: &str, metric: Metric| {
                Box::new(RuleExpr::Metric { subject: subject.to_owned(), metric })
            };
            let (left, right) = (of(first, *metric), of(second, *metric));
            *rule = RuleExpr::Binary { operator: RuleOperator::Add, left, right };
        }
        RuleExpr::Binary { left, right, .. } => {
            ask_both(left, name, (first, second));
            ask_both(right, name, (first, second));
        }
        RuleExpr::Not { inner } => ask_both(inner, name, (first, second)),
        RuleExpr::Number { .. } | RuleExpr::Metric { .. } => {}
    }
}

/// Returns the network between so many replicas that read and so many that write, of which each reaches it at its own rate;
/// `shared` leaves that share of what all of them could send.
pub(crate) fn network(
    (readers, reads): (u32, BytesPerSecond),
    (writers, writes): (u32, BytesPerSecond),
    shared: f64,
) -> Pipe {
    let all = |n: u32, each: BytesPerSecond| f64::from(n) * each.get();
    Pipe {
        shared: all(readers, reads).min(all(writers, writes)) * shared,
        own: reads.get().min(writes.get()),
    }
}

/// Returns the share of what machines could send that the network of a site leaves them.
pub(crate) fn share_of_fabric(spec: &Spec, site: &str) -> f64 {
    let wish = spec.fabrics.iter().find(|wish| wish.site == site);
    1.0 / wish.map_or(1.0, |wish| wish.oversubscription.max(1.0))
}

/// Returns the better of two plans, then the other: one that holds, then the cheaper one, the first of equals.
pub(crate) fn the_better(one: Blueprint, other: Blueprint) -> (Blueprint, Blueprint) {
    let rank = |blueprint: &Blueprint| match blueprint.status {
        Status::Feasible => 0,
        Status::Violated => 1,
        Status::Infeasible => 2,
    };
    let cheaper = other.solver.objective < one.solver.objective;
    if rank(&other) < rank(&one) || (rank(&other) == rank(&one) && cheaper) {
        (other, one)
    } else {
        (one, other)
    }
}

/// Returns the better of two plans with the other among the next best.
pub(crate) fn better(one: Blueprint, other: Blueprint, workload: &str) -> Blueprint {
    let (one, other) = the_better(one, other);
    beside(one, &other, workload)
}

/// Returns a plan with another among the next best.
pub(crate) fn beside(mut one: Blueprint, other: &Blueprint, workload: &str) -> Blueprint {
    let told = runner_up(&one, other, workload);
    one.runners_up.extend(told);
    one
}

fn runner_up(one: &Blueprint, other: &Blueprint, workload: &str) -> Option<RunnerUp> {
    if other.services.is_empty() {
        return None;
    }
    let currency: Currency = other.inputs.spec.frame.currency;
    let extra = (other.solver.objective - one.solver.objective).max(0.0);
    let holds = match other.status {
        Status::Feasible if other.solver.objective < one.solver.objective => ", which costs less",
        Status::Feasible => "",
        _ => ", which does not hold",
    };
    Some(RunnerUp {
        workload: workload.to_owned(),
        instead: format!("{}{holds}", words(other, workload)),
        extra: currency.round(crate::pricing::decimal(extra)),
        extra_share: if one.solver.objective > 0.0 { extra / one.solver.objective } else { 0.0 },
        simulated: true,
    })
}

/// Returns on how many accelerators a workload runs, and whether in two parts.
fn words(blueprint: &Blueprint, workload: &str) -> String {
    let spec = &blueprint.inputs.spec;
    let part = |name: &str| {
        let services = blueprint.services.iter().filter(|service| service.workload == name);
        let placements = services.flat_map(|service| &service.placements);
        let each = placements.map(|placement| {
            let (n, of) = (placement.peak_replicas(), &placement.candidate);
            format!("{n} × {} {} at {}", of.accelerators, of.accelerator, placement.site)
        });
        each.collect::<Vec<String>>().join(" and ")
    };
    let parts = spec.serves.iter().filter_map(|serve| {
        let stage = serve.stage.as_ref().filter(|stage| stage.of == workload)?;
        Some(format!("{} on {}", stage.part.word(), part(&serve.name)))
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { format!("both on {}", part(workload)) } else { parts.join(", ") }
}
