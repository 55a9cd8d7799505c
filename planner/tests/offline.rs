//! What must hold of plans with offline inference: requests are answered in time, at night where that is cheaper, and
//! whoever changes the answer is found out.

use capstan_planner::audit::audit;
use capstan_planner::plan::{Provenance, Variants, plan};
use capstan_types::blueprint::{Blueprint, Status};
use capstan_types::catalog::Catalog;
use capstan_types::offering::PurchaseOption;
use capstan_types::place::{FileId, Place, Span};
use capstan_types::spec::{Batch, Buy, Daily, Limit, Spec};
use capstan_types::testing;
use capstan_types::testing::blueprint::chat_blueprint;
use capstan_types::units::{RequestsPerSecond, Seconds};
use jiff::civil::{Date, date};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The rows of the blueprint fixture, with the measured rates of the catalog fixture.
fn catalog() -> Catalog {
    let measured = testing::catalog();
    Catalog {
        gemm: measured.gemm,
        attention: measured.attention,
        collectives: measured.collectives,
        ..chat_blueprint().inputs.catalog
    }
}

fn place() -> Place {
    Span::default().in_file(&FileId::new("nights.plan"))
}

fn bought(options: &[PurchaseOption]) -> Vec<Buy> {
    options.iter().map(|&option| Buy { option, at_least: None, at_most: None }).collect()
}

/// A chat service that is busy by day, in one cloud, over a year.
fn chat(options: &[PurchaseOption]) -> Spec {
    let mut spec = chat_blueprint().inputs.spec;
    spec.frame.months = 12;
    spec.frame.end = date(2027, 12, 31);
    spec.sites.retain(|site| !site.is_own());
    spec.fleets.clear();
    spec.trains.clear();
    spec.budgets.clear();
    spec.uncertain.clear();
    let serve = &mut spec.serves[0];
    serve.load.peak = RequestsPerSecond(24.0);
    serve.load.growth_per_month = 0.0;
    serve.load.daily = Daily::Diurnal { trough: 0.1, peak_at_hour: 14.0 };
    serve.accelerators = None;
    serve.buy = bought(options);
    serve.slos[0].target = Seconds(3.0);
    serve.slos[1].target = Seconds(0.2);
    spec
}

const ANY: [PurchaseOption; 2] = [PurchaseOption::OnDemand, PurchaseOption::Reserved { term_months: 36 }];
const ON_DEMAND: [PurchaseOption; 1] = [PurchaseOption::OnDemand];

/// The same with requests that nobody waits for.
fn with_batch(mut spec: Spec, requests: f64, interruptible: bool, finish: Date) -> Spec {
    let serve = &spec.serves[0];
    let batch = Batch {
        name: "nightly".to_owned(),
        place: place(),
        model: serve.model.clone(),
        checkpoint: None,
        requests,
        traffic: None,
        prompt: serve.load.prompt.clone(),
        output: serve.load.output.clone(),
        start: None,
        finish: Some(Limit { value: finish, place: place() }),
        interruptible,
        engine: serve.engine.clone(),
        precisions: serve.precisions.clone(),
        accelerators: None,
        parallelism: serve.parallelism,
        buy: serve.buy.clone(),
        sites: None,
    };
    spec.batches.push(batch);
    spec
}

fn planned(spec: Spec) -> Blueprint {
    plan(spec, &catalog(), &BTreeMap::new(), &Variants::default(), Provenance::default(), &|_| {})
        .expect("names are in the catalog")
}

fn assert_sound(blueprint: &Blueprint) {
    assert_eq!(blueprint.status, Status::Feasible, "{:?}", blueprint.findings);
    for check in &blueprint.audit {
        assert!(check.violations.is_empty(), "{}: {:?}", check.check, check.violations);
    }
}

/// Demands that `dear` costs at least what `cheap` does, up to what either program left open and to `share`.
fn assert_no_cheaper(dear: &Blueprint, cheap: &Blueprint, share: f64) {
    let open =
        |blueprint: &Blueprint| blueprint.solver.gap.expect("solved").max(1e-9) * blueprint.solver.objective;
    let (more, less) = (dear.solver.objective, cheap.solver.objective);
    assert!(more >= less * (1.0 - share) - open(dear) - open(cheap), "{more} against {less}");
}

const YEAR_END: Date = date(2027, 12, 31);

/// One plan for all mutations.
static NIGHTS: LazyLock<Blueprint> = LazyLock::new(|| planned(with_batch(chat(&ANY), 400e6, true, YEAR_END)));

#[test]
fn nights_on_machines_that_are_there_cost_less_than_machines_beside() {
    let (nights, always) = (&*NIGHTS, planned(with_batch(chat(&ANY), 400e6, false, YEAR_END)));
    [nights, &always].into_iter().for_each(assert_sound);
    assert_no_cheaper(&always, nights, 0.0);
    let (cheap, dear) = (nights.solver.objective, always.solver.objective);
    assert!(cheap < dear * 0.98, "valleys are used: {cheap} against {dear}");
    let run = &nights.batches[0];
    let (day, night) = (run.replicas[14], run.replicas[2]);
    assert!(night > day, "by night more than by day: {:?}", run.replicas);
    let flat = &always.batches[0];
    assert!(flat.replicas.iter().all(|count| *count == flat.replicas[0]), "{:?}", flat.replicas);
}

#[test]
fn one_replica_is_simulated_and_none_is_planned_faster() {
    let run = &NIGHTS.batches[0];
    let seen = run.simulated.as_ref().expect("it was simulated");
    assert!(seen.requests > 100 && seen.clients > 1, "{seen:?}");
    assert!(run.estimate.rate.get() * run.derating <= seen.rate.get() * (1.0 + 1e-9));
    // The closed form and the simulator run the same steps.
    let ratio = seen.rate.get() / run.estimate.rate.get();
    assert!((0.8..1.25).contains(&ratio), "{ratio}");
}

#[test]
fn more_requests_never_cost_less_nor_do_those_that_may_not_be_interrupted() {
    for options in [&ANY[..], &ON_DEMAND[..]] {
        let mut before: Option<[Blueprint; 2]> = None;
        for requests in [1e6, 7e6, 50e6, 400e6] {
            let both = [false, true]
                .map(|interruptible| planned(with_batch(chat(options), requests, interruptible, YEAR_END)));
            both.iter().for_each(assert_sound);
            let [always, nights] = &both;
            assert_no_cheaper(always, nights, 0.0);
            for (after, before) in both.iter().zip(before.iter().flatten()) {
                assert_no_cheaper(after, before, 0.0);
            }
            before = Some(both);
        }
    }
}

/// Which counts of replicas are tried depends on the time there is, so that a share of a percent may be lost.
#[test]
fn a_later_finish_never_costs_more() {
    for interruptible in [false, true] {
        let of = |finish: Date| planned(with_batch(chat(&ON_DEMAND), 60e6, interruptible, finish));
        let mut before = of(date(2027, 2, 28));
        assert_sound(&before);
        for finish in [date(2027, 4, 30), date(2027, 8, 31), YEAR_END] {
            let after = of(finish);
            assert_sound(&after);
            assert_no_cheaper(&before, &after, 0.005);
            before = after;
        }
    }
}

#[test]
fn it_runs_between_its_first_and_its_last_day() {
    let mut spec = with_batch(chat(&ON_DEMAND), 5e6, false, date(2027, 5, 20));
    spec.batches[0].start = Some(Limit { value: date(2027, 3, 15), place: place() });
    let blueprint = planned(spec);
    assert_sound(&blueprint);
    let run = &blueprint.batches[0];
    assert!(run.start >= date(2027, 3, 15) && run.end <= date(2027, 5, 20), "{} {}", run.start, run.end);
    let worker = blueprint.cost.workloads.iter().find(|one| one.workload == "nightly").expect("it costs");
    assert_eq!(worker.requests, 5e6);
}

#[test]
fn without_a_month_it_says_so() {
    let between = |start: Date, finish: Date| {
        let mut spec = with_batch(chat(&ON_DEMAND), 5e6, false, finish);
        spec.batches[0].start = Some(Limit { value: start, place: place() });
        planned(spec)
    };
    // Days of a month that begins with them may be used; those of one that began before may not.
    let days = between(date(2027, 3, 3), date(2027, 3, 8));
    assert_sound(&days);
    assert!(days.batches[0].end <= date(2027, 3, 8), "{}", days.batches[0].end);
    let blueprint = between(date(2027, 3, 20), date(2027, 3, 25));
    assert_eq!(blueprint.status, Status::Infeasible);
    let finding = &blueprint.findings[0];
    assert_eq!(finding.code, "E0330");
    assert!(finding.message.contains("`nightly` has no month left"), "{}", finding.message);
}

#[test]
fn what_fits_on_no_machine_says_so() {
    let mut spec = with_batch(chat(&ON_DEMAND), 5e6, false, YEAR_END);
    (spec.batches[0].parallelism.tensor, spec.batches[0].parallelism.pipeline) = (Some(1), Some(1));
    let blueprint = planned(spec);
    assert_eq!(blueprint.status, Status::Infeasible);
    let finding = &blueprint.findings[0];
    assert_eq!(finding.code, "E0311");
    assert!(!finding.because.is_empty(), "the nearest miss is told");
}

/// Changes one number of a plan that holds and expects the named check to speak.
fn caught_by(check: &str, change: impl FnOnce(&mut Blueprint)) {
    let mut blueprint = NIGHTS.clone();
    change(&mut blueprint);
    let found: Vec<String> =
        audit(&blueprint).into_iter().filter(|one| !one.violations.is_empty()).map(|one| one.check).collect();
    assert!(found.iter().any(|name| name.starts_with(check)), "`{check}` is silent; reported: {found:?}");
}

#[test]
fn whoever_changes_the_answer_is_found_out() {
    caught_by("offline: every request", |b| b.batches[0].replicas[2] -= 1);
    caught_by("offline: every request", |b| b.batches[0].hours *= 0.9);
    caught_by("offline: every request", |b| b.batches[0].loading = Seconds(3600.0));
    caught_by("offline: every request", |b| b.batches[0].derating = 0.9);
    caught_by("offline: every request", |b| b.batches[0].estimate.rate = RequestsPerSecond(100.0));
    caught_by("offline: every request", |b| b.batches[0].shares[0] *= 0.5);
    caught_by("offline: every request", |b| b.batches[0].end = date(2028, 1, 1));
    caught_by("offline: every request", |b| b.batches[0].start = date(2026, 12, 31));
    caught_by("offline: every request", |b| b.inputs.spec.batches[0].requests *= 1.1);
    caught_by("offline: every request", |b| b.inputs.spec.batches[0].interruptible = false);
    caught_by("offline: every request", |b| b.batches.clear());
    caught_by("offline: every request", |b| b.batches[0].simulated.as_mut().expect("seen").rate.0 *= 0.5);
    caught_by("counts: nodes carry", |b| b.batches[0].replicas[2] += 40);
    caught_by("counts: nodes carry", |b| b.batches[0].site = "nowhere".to_owned());
    caught_by("memory", |b| b.batches[0].estimate.kv_tokens *= 2);
    caught_by("physics", |b| b.batches[0].estimate.tpot = Seconds(1e-4));
    caught_by("physics", |b| b.batches[0].estimate.rate = RequestsPerSecond(1e4));
    caught_by("permission", |b| b.inputs.spec.batches[0].accelerators = Some(vec!["l40s".to_owned()]));
    caught_by("permission", |b| b.inputs.spec.batches[0].engine = "sglang".to_owned());
}
