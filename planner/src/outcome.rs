//! What is said beside the numbers: findings, runners-up, assumptions, and the rows the answer stands on.

use crate::batches;
use crate::egress;
use crate::frame::Frame;
use crate::limit_unit::LimitUnit;
use crate::plan::{Provenance, Turn, Whole};
use crate::pricing::MEAN_POWER_SHARE;
use crate::program::{LimitId, Method, Options, prices_of_limits, runner_ups};
use crate::scheduling;
use crate::storage;
use capstan_types::blueprint::{
    Blueprint, Cost, CostKind, FORMAT, Inputs, LimitPrice, Network, Pool, Purchase, Round, RunnerUp, Solver,
    SolverStatus, Status, TrainingRun, VerdictStatus,
};
use capstan_types::catalog::Catalog;
use capstan_types::figure;
use capstan_types::finding::{Finding, Severity};
use capstan_types::hardware::Cooling;
use capstan_types::offering::Offering;
use capstan_types::origin::Origin;
use capstan_types::spec::{Assumption, RuleKind, Serve, Spec, level_word};
use rust_decimal::Decimal;

/// A service level that the simulation did not show to hold.
const LEVEL: &str = "E0340";
/// A rule that does not hold.
const RULE: &str = "E0350";
/// A wish that does not hold.
const WISH: &str = "W0351";
/// A plan that is not proven to be near the cheapest.
const NOT_PROVEN: &str = "W0361";
/// Gap beyond which that is said.
pub(crate) const WIDE_GAP: f64 = 0.02;
/// A checkpoint that its machines cannot hold at once.
const HOSTS_TOO_SMALL: &str = "W0362";
/// Contracts that end after the horizon.
const STILL_BOUND: &str = "W0364";
/// A plan that did not settle.
const UNSETTLED: &str = "W0360";

/// Share by which a limit is relaxed to see what it costs.
const RELAXED_BY: f64 = 0.05;

/// Returns the blueprint that says why there is no plan.
pub(crate) fn infeasible(
    frame: &Frame<'_>,
    provenance: Provenance,
    rounds: Vec<Round>,
    findings: Vec<Finding>,
) -> Blueprint {
    let zero = Decimal::ZERO;
    let mut blueprint = Blueprint {
        format: FORMAT,
        tool: provenance.tool,
        status: Status::Infeasible,
        changes: false,
        inputs: Inputs {
            files: provenance.files,
            overrides: provenance.overrides,
            spec: frame.spec.clone(),
            catalog: rows_used(frame, &[]),
            oldest_price_days: None,
        },
        periods: frame.periods.clone(),
        demand: frame.demand.clone(),
        services: Vec::new(),
        trainings: Vec::new(),
        batches: Vec::new(),
        apps: Vec::new(),
        pools: Vec::new(),
        sites: Vec::new(),
        networks: Vec::new(),
        stores: frame.stores.all.clone(),
        cost: Cost {
            currency: frame.spec.frame.currency,
            lines: Vec::new(),
            total: zero,
            capex: zero,
            opex: zero,
            highest_opex_per_month: zero,
            per_month: zero,
            net_present: zero,
            by_month: vec![zero; frame.spec.frame.months as usize],
            all_on_demand: None,
            workloads: Vec::new(),
            not_included: Vec::new(),
        },
        verdicts: Vec::new(),
        what_ifs: Vec::new(),
        bursts: Vec::new(),
        rules: Vec::new(),
        solver: Solver {
            status: SolverStatus::Infeasible,
            objective: 0.0,
            bound: None,
            gap: None,
            columns: 0,
            rounds,
            settled: false,
            ties: String::new(),
        },
        runners_up: Vec::new(),
        limit_prices: Vec::new(),
        uncertainty: None,
        scenarios: Vec::new(),
        rejections: frame.rejections.clone(),
        unpriced: frame.market.unpriced.clone(),
        findings,
        assumptions: assumptions(frame),
        audit: Vec::new(),
    };
    blueprint.audit = crate::audit::audit(&blueprint);
    blueprint
}

/// Returns the next best choice of columns for each workload, as well as the plan itself is proven.
pub(crate) fn runners_up(frame: &Frame<'_>, turn: &Turn<'_>) -> Vec<RunnerUp> {
    let plan = Options::default();
    let beside = Options { rel_gap: plan.rel_gap.max(turn.solution.gap), ..plan };
    let found = runner_ups(&turn.formulation.problem, &turn.solution, &beside);
    let (currency, whole) = (frame.spec.frame.currency, turn.whole(frame).objective);
    found
        .unwrap_or_default()
        .into_iter()
        .map(|other| {
            // The search stops at a gap, so another plan may be found that is cheaper by less than it: as good.
            let extra = (other.cost - turn.solution.objective).max(0.0);
            let share = if whole > 0.0 { extra / whole } else { 0.0 };
            let column = other.columns[other.workload];
            let (workload, mut instead) = column_words(frame, turn, other.workload, column);
            if extra == 0.0 {
                instead.push_str(", as cheap within the proven gap");
            }
            RunnerUp {
                workload,
                instead,
                extra: currency.round(crate::pricing::decimal(extra)),
                extra_share: share,
                simulated: false,
            }
        })
        .collect()
}

/// Returns what each limit that is nearly used up costs, if it costs more than the gap that was left open.
///
/// Each price is a plan of its own, so large programs are not asked.
pub(crate) fn limit_prices(frame: &Frame<'_>, turn: &Turn<'_>) -> Vec<LimitPrice> {
    let solution = &turn.solution;
    if solution.method == Method::Columns {
        return Vec::new();
    }
    let options = Options::default();
    let found =
        prices_of_limits(&turn.formulation.problem, solution, &options, RELAXED_BY).unwrap_or_default();
    let currency = frame.spec.frame.currency;
    let money = |value: f64| currency.round(crate::pricing::decimal(value));
    let told = found.into_iter().filter_map(|price| {
        let LimitId::Stated(index) = price.limit else { return None };
        let name = turn.formulation.limits.get(index)?;
        let (saving, scale) =
            (money(price.saving), if name.unit == LimitUnit::NodeHours { 100.0 } else { 1.0 });
        (saving > Decimal::ZERO && price.saving > solution.gap * solution.objective).then(|| LimitPrice {
            what: name.what.clone(),
            unit: match name.unit {
                LimitUnit::NodeHours => "% of node-hours".to_owned(),
                unit => unit.words(currency),
            },
            value: (price.value + name.outside) * scale,
            relaxed_to: (price.relaxed_to + name.outside) * scale,
            saving,
            saving_per_unit: money(price.saving_per_unit / scale),
            place: name.place.clone(),
        })
    });
    told.collect()
}

fn column_words(frame: &Frame<'_>, turn: &Turn<'_>, workload: usize, column: usize) -> (String, String) {
    if let Some(serve) = turn.serves.get(workload) {
        let chosen = &serve.columns[column];
        let way = &serve.ways[chosen.way].candidate;
        let site = &frame.market.stands[chosen.stand].site.name;
        let words = format!("{} at {site}, {}, {}", way.shape, way.degrees().words(), way.precision.word());
        return (serve.serve.name.clone(), words);
    }
    let at = workload - turn.serves.len();
    if let Some(app) = at.checked_sub(frame.trains.len()).and_then(|index| frame.apps.get(index)) {
        let stand = &frame.market.stands[app.columns[column].stand];
        return (app.app.name.clone(), format!("{} at {}", stand.shape.id, stand.site.name));
    }
    let others = frame.trains.len() + frame.apps.len();
    if let Some(batch) = at.checked_sub(others).and_then(|index| turn.formulation.batches.get(index)) {
        let run = batches::run(frame, batch, column);
        let words = format!("{} at {}, {}, until {}", run.candidate.shape, run.site, run.words(), run.end);
        return (batch.batch.name.clone(), words);
    }
    let train = &frame.trains[at];
    let run = &train.columns[column].run;
    let words =
        format!("{} × {} at {}, until {}", run.candidate.nodes, run.candidate.shape, run.site, run.end);
    (train.train.name.clone(), words)
}

/// Returns what the loop leaves open.
pub(crate) fn findings(frame: &Frame<'_>, turn: &Turn<'_>, unsettled: Option<usize>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = turn
        .proof
        .verdicts
        .iter()
        .filter(|verdict| verdict.status != VerdictStatus::Met)
        .map(|verdict| {
            let level = level_word(verdict.metric, verdict.per_mille, verdict.over);
            let serve = frame.spec.serves.iter().find(|serve| serve.name == verdict.workload);
            let slo = serve.and_then(|serve| {
                serve
                    .slos
                    .iter()
                    .find(|slo| slo.metric == verdict.metric && slo.per_mille == verdict.per_mille)
            });
            let slots = serve.and_then(|serve| serve.adapters).filter(|all| all.slots < all.count);
            let slots = slots.map(|all| {
                format!("more `slots`: a replica holds {} of {} adapters, and reads the others while requests wait", all.slots, all.count)
            });
            let word = if verdict.status == VerdictStatus::Missed { "misses" } else { "may miss" };
            Finding {
                code: LEVEL.to_owned(),
                severity: Severity::Error,
                message: format!("`{}` {word} its limit on {level} in simulation", verdict.workload),
                places: slo.map(|slo| (slo.place.clone(), seen_words(verdict))).into_iter().collect(),
                because: vec![format!("{} replications, {}", verdict.replications, verdict.arrivals)],
                ways_out: slots.into_iter().chain(["more `headroom`, or a looser limit".to_owned()]).collect(),
            }
        })
        .collect();
    findings.extend(wide_gap(turn.whole(frame)));
    findings.extend(turn.draft.trainings.iter().filter_map(|run| too_large_for_hosts(frame, run)));
    if let Some(rounds) = unsettled {
        findings.push(Finding {
            code: UNSETTLED.to_owned(),
            severity: Severity::Warning,
            message: format!("the plan did not settle in {rounds} rounds"),
            places: Vec::new(),
            because: turn.proof.missed.clone(),
            ways_out: vec!["more `headroom`, or a looser limit".to_owned()],
        });
    }
    findings
}

/// Returns a warning where contracts bind beyond the horizon.
pub(crate) fn still_bound(frame: &Frame<'_>, cost: &Cost) -> Option<Finding> {
    let owed = cost.sum_of(CostKind::Owed);
    let lines = cost.lines.iter().filter(|line| line.kind == CostKind::Owed);
    let money = |amount| figure::money(amount, cost.currency);
    (!owed.is_zero()).then(|| Finding {
        code: STILL_BOUND.to_owned(),
        severity: Severity::Warning,
        message: format!("contracts still bind {} after {}", money(owed), frame.spec.frame.end),
        places: Vec::new(),
        because: lines
            .map(|line| format!("{} at {}: {}", line.item, line.site, money(line.billed_cost)))
            .collect(),
        ways_out: vec!["a longer horizon, a shorter term, or paying by the hour".to_owned()],
    })
}

/// Returns a warning where a checkpoint that is written at once does not fit into the memory of its machines.
fn too_large_for_hosts(frame: &Frame<'_>, run: &TrainingRun) -> Option<Finding> {
    let memory = run.host_memory.filter(|memory| memory.get() < run.checkpoint_host.get())?;
    let train = frame.spec.trains.iter().find(|train| train.name == run.workload);
    Some(Finding {
        code: HOSTS_TOO_SMALL.to_owned(),
        severity: Severity::Warning,
        message: format!(
            "a checkpoint of `{}` that is written at once takes {} of each machine, which has {}",
            run.workload,
            figure::data(run.checkpoint_host),
            figure::data(memory)
        ),
        places: train.map(|train| (train.place.clone(), "saved here".to_owned())).into_iter().collect(),
        because: vec![format!(
            "{} over {} machines, twice: as it comes from the accelerators, and as it is written",
            figure::data(run.checkpoint),
            run.candidate.nodes
        )],
        ways_out: vec!["write it in stages, or train on more machines".to_owned()],
    })
}

/// Returns a warning where the plan may be far from the cheapest one.
fn wide_gap(whole: Whole) -> Option<Finding> {
    let (Whole { objective, bound }, gap) = (whole, whole.gap());
    (gap > WIDE_GAP).then(|| Finding {
        code: NOT_PROVEN.to_owned(),
        severity: Severity::Warning,
        message: format!(
            "this plan may cost up to {:.0} % more than the cheapest one",
            gap / (1.0 - gap) * 100.0
        ),
        places: Vec::new(),
        because: vec![format!(
            "it costs {objective:.0}; that no plan costs less than {bound:.0} is all that was proven"
        )],
        ways_out: vec!["fewer workloads, sites or ways to buy at once".to_owned()],
    })
}

fn seen_words(verdict: &capstan_types::blueprint::Verdict) -> String {
    format!("{:.0} to {:.0} ms seen", verdict.low.millis(), verdict.high.millis())
}

/// Returns a finding for each rule that does not hold or cannot be judged.
pub(crate) fn rule_findings(blueprint: &Blueprint) -> Vec<Finding> {
    let failed = blueprint.rules.iter().filter(|rule| rule.holds != Some(true));
    failed
        .map(|rule| {
            let told = rule.label.as_deref().unwrap_or(&rule.text);
            let verb = if rule.holds.is_some() { "does not hold" } else { "cannot be judged" };
            // What to say where it does not hold is not true of what nobody can judge.
            let said = rule.message.as_ref().filter(|_| rule.holds.is_some());
            let said = said.map_or_else(String::new, |said| format!(": {said}"));
            let (code, severity) = match rule.kind {
                RuleKind::Require => (RULE, Severity::Error),
                RuleKind::Prefer => (WISH, Severity::Note),
                RuleKind::Warn => (WISH, Severity::Warning),
            };
            Finding {
                code: code.to_owned(),
                severity,
                message: format!("`{told}` of budget `{}` {verb}{said}", rule.budget),
                places: vec![(rule.place.clone(), rule.numbers.clone())],
                because: Vec::new(),
                ways_out: Vec::new(),
            }
        })
        .collect()
}

/// Returns whether everything asked for holds.
pub(crate) fn status(blueprint: &Blueprint) -> Status {
    let is_error = |finding: &Finding| finding.severity == Severity::Error;
    if blueprint.findings.iter().any(is_error) { Status::Violated } else { Status::Feasible }
}

/// Returns the assumptions of the plan file and those that the planner adds.
pub(crate) fn assumptions(frame: &Frame<'_>) -> Vec<Assumption> {
    let mut all = frame.spec.assumptions.clone();
    let mut add = |text: String| all.push(Assumption { text, place: None, origin: Origin::Assumed });
    if frame.spec.sites.iter().any(|site| site.is_own()) {
        add(format!(
            "owned machines draw {:.0} % of their highest power on average",
            MEAN_POWER_SHARE * 100.0
        ));
        add("space, staff and licences beyond what the plan states are not part of the cost".to_owned());
    }
    egress::assumption(frame.spec).into_iter().for_each(&mut add);
    let engine_of = |serve: &Serve| scheduling::assumption(serve, frame.catalog.engine(&serve.engine)?);
    frame.spec.serves.iter().filter_map(engine_of).for_each(&mut add);
    for serve in frame.spec.serves.iter().filter(|serve| serve.adapters.is_some()) {
        add(format!(
            "the steps of `{}` take no longer for what adapters read and compute in them",
            serve.name
        ));
    }
    if frame.spec.sites.len() > 1 {
        add("a workload runs at one site at a time, beside machines that stand there already".to_owned());
    }
    if !frame.spec.trains.is_empty() {
        add("each node writes checkpoints at 2 GB/s; nodes fail 6.5 times per 1,000 node-days".to_owned());
        for site in &frame.spec.sites {
            let Some(stall) = storage::stall(frame.spec, &site.name) else { continue };
            add(format!(
                "at `{}` a training stands still for {:.0} s while a checkpoint is written",
                site.name,
                stall.get()
            ));
        }
    }
    if !frame.spec.apps.is_empty() {
        add(format!(
            "{:.0} % of the threads and memory of a machine are kept for its system and agents",
            crate::apps::KEPT_FREE * 100.0
        ));
    }
    if !frame.spec.serves.is_empty() || !frame.spec.batches.is_empty() {
        add("a replica starts in the time to read its image and weights at 2 GB/s and a minute to warm up"
            .to_owned());
    }
    all
}

/// Returns what is assumed of what is bought and where it stands.
pub(crate) fn of_purchases(frame: &Frame<'_>, pools: &[Pool]) -> Vec<Assumption> {
    let spread = spread_over_its_term(frame.catalog, pools).into_iter();
    let spread = spread.map(|text| Assumption { text, place: None, origin: Origin::Assumed });
    taken_to_have_liquid(frame, pools).into_iter().chain(spread).collect()
}

/// Returns that what is paid at the start of a term is billed over it, with what is bought so: its invoice comes at once.
fn spread_over_its_term(catalog: &Catalog, pools: &[Pool]) -> Option<String> {
    let is_paid_first = |pool: &Pool, purchase: &Purchase| {
        let Some(row) = &purchase.price else { return false };
        let of_row = |other: &&Offering| {
            other.shape == pool.shape && other.provider == row.provider && other.region == row.region
        };
        let mut offers = catalog.offerings.iter().filter(of_row);
        // Some sources have only the sum of a term that is paid all at its start, by the hour.
        row.source.contains("all upfront")
            || offers.any(|offer| offer.option == purchase.option && offer.upfront.is_some())
    };
    let bought = |pool: &Pool| -> Vec<String> {
        let bought =
            pool.purchases.iter().filter(|one| one.nodes > 0 && one.option.contract_months().is_some());
        let first = bought.filter(|one| is_paid_first(pool, one));
        first.map(|one| format!("{}, {}", pool.shape, one.option.words())).collect()
    };
    let mut all: Vec<String> = pools.iter().flat_map(bought).collect();
    all.sort();
    all.dedup();
    let what = all.join("; ");
    (!all.is_empty()).then(|| {
        format!("what is invoiced at the start of a term is billed in equal parts over the term: {what}")
    })
}

/// Returns what is assumed of sites that do not say what carries heat away, where machines that need liquid stand there.
fn taken_to_have_liquid(frame: &Frame<'_>, pools: &[Pool]) -> Vec<Assumption> {
    let untold = |name: &str| {
        let site = frame.spec.sites.iter().find(|site| site.name == name);
        site.is_some_and(|site| site.is_own() && site.cooling.is_none())
    };
    let needs_it =
        |shape: &str| frame.catalog.shape(shape).is_some_and(|shape| shape.cooling == Some(Cooling::Liquid));
    let all = pools.iter().filter(|pool| needs_it(&pool.shape) && untold(&pool.site)).map(|pool| {
        let Pool { shape, site, .. } = pool;
        format!(
            "{shape} needs liquid to carry its heat away, and `{site}`, which states no `cooling`, has it"
        )
    });
    all.map(|text| Assumption { text, place: None, origin: Origin::Assumed }).collect()
}

/// Returns the days from the oldest price in use to the planning date.
pub(crate) fn oldest_price_days(spec: &Spec, pools: &[Pool]) -> Option<i64> {
    let rows = pools.iter().flat_map(|pool| &pool.purchases).filter_map(|purchase| purchase.price.as_ref());
    let oldest = rows.map(|row| row.as_of).min()?;
    spec.frame.as_of.since(oldest).ok().map(|span| i64::from(span.get_days()))
}

/// Returns every catalog row that was used or considered.
pub(crate) fn rows_used(frame: &Frame<'_>, networks: &[Network]) -> Catalog {
    let all = frame.catalog;
    let shapes: Vec<&str> = frame.market.stands.iter().map(|stand| stand.shape.id.as_str()).collect();
    let has_shape = |id: &str| shapes.contains(&id);
    let chips: Vec<&str> =
        frame.market.stands.iter().filter_map(|stand| stand.shape.accelerator.as_deref()).collect();
    let has_chip = |id: &str| chips.contains(&id) || id == "pcie";
    let spec = frame.spec;
    let sold_at = |provider: &str, region: &str| {
        spec.sites.iter().any(|site| {
            site.provider == provider && (region == "all" || site.region.as_deref() == Some(region))
        })
    };
    let wanted_traffic = |id: &str| {
        spec.serves.iter().any(|serve| serve.load.traffic.as_deref() == Some(id))
            || spec.batches.iter().any(|batch| batch.traffic.as_deref() == Some(id))
    };
    let wanted_engine = |id: &str| {
        spec.serves.iter().any(|serve| serve.engine == id)
            || spec.batches.iter().any(|batch| batch.engine == id)
    };
    Catalog {
        accelerators: kept(&all.accelerators, |row| has_chip(&row.id)),
        shapes: kept(&all.shapes, |row| has_shape(&row.id)),
        fabrics: kept(&all.fabrics, |row| networks.iter().any(|network| network.switch == row.id)),
        storage: kept(&all.storage, |row| frame.stores.all.iter().any(|store| store.system == row.id)),
        regions: kept(&all.regions, |row| sold_at(&row.provider, &row.id)),
        offerings: kept(&all.offerings, |row| has_shape(&row.shape) && sold_at(&row.provider, &row.region)),
        market_prices: Vec::new(),
        ownership: all.ownership.clone(),
        models: spec.models.clone(),
        traffic: kept(&all.traffic, |row| wanted_traffic(&row.id)),
        engines: kept(&all.engines, |row| wanted_engine(&row.id)),
        rates: all.rates.clone(),
        gemm: kept(&all.gemm, |row| has_chip(&row.accelerator)),
        attention: kept(&all.attention, |row| has_chip(&row.accelerator)),
        experts: kept(&all.experts, |row| has_chip(&row.accelerator)),
        collectives: kept(&all.collectives, |row| has_chip(&row.accelerator)),
        coefficients: all.coefficients.clone(),
        residuals: Vec::new(),
        calibrations: kept(&all.calibrations, |row| has_chip(&row.accelerator)),
    }
}

fn kept<T: Clone>(rows: &[T], keep: impl Fn(&T) -> bool) -> Vec<T> {
    rows.iter().filter(|row| keep(row)).cloned().collect()
}
