//! What must hold of whole plans, whatever the numbers: from a checked spec to an audited blueprint.
//!
//! The plans are small and their service levels easy, since simulation is what takes time.

use capstan_planner::explain::explain;
use capstan_planner::plan::{Provenance, Variants, plan};
use capstan_types::blueprint::{Blueprint, Status};
use capstan_types::catalog::Catalog;
use capstan_types::offering::PurchaseOption;
use capstan_types::spec::{Buy, Spec};
use capstan_types::testing;
use capstan_types::testing::blueprint::chat_blueprint;
use capstan_types::units::{HOURS_PER_MONTH, RequestsPerSecond, Seconds, Tokens};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

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

/// One chat service over a year in one cloud, at levels that hold easily.
fn chat(peak: f64) -> Spec {
    let mut spec = chat_blueprint().inputs.spec;
    spec.frame.months = 12;
    spec.frame.end = jiff::civil::date(2027, 12, 31);
    spec.sites.retain(|site| !site.is_own());
    spec.fleets.clear();
    spec.trains.clear();
    spec.budgets.clear();
    spec.uncertain.clear();
    let serve = &mut spec.serves[0];
    serve.load.peak = RequestsPerSecond(peak);
    serve.load.growth_per_month = 0.02;
    serve.accelerators = None;
    serve.buy.iter_mut().for_each(|buy| buy.at_least = None);
    serve.slos[0].target = Seconds(3.0);
    serve.slos[1].target = Seconds(0.2);
    spec
}

fn planned_with(spec: Spec, catalog: &Catalog) -> Blueprint {
    plan(spec, catalog, &BTreeMap::new(), &Variants::default(), Provenance::default(), &|_| {})
        .expect("names are in the catalog")
}

fn planned(spec: Spec) -> Blueprint {
    planned_with(spec, &catalog())
}

fn assert_sound(blueprint: &Blueprint) {
    assert_eq!(blueprint.status, Status::Feasible, "{:?}", blueprint.findings);
    assert!(blueprint.audit.len() > 5);
    for check in &blueprint.audit {
        assert!(check.violations.is_empty(), "{}: {:?}", check.check, check.violations);
    }
    let lines: Decimal = blueprint.cost.lines.iter().map(|line| line.billed_cost).sum();
    assert_eq!(lines, blueprint.cost.total);
}

/// Demands that `dear` costs at least what `cheap` does, up to what either program left open.
fn assert_no_cheaper(dear: &Blueprint, cheap: &Blueprint) {
    let open =
        |blueprint: &Blueprint| blueprint.solver.gap.expect("solved").max(1e-9) * blueprint.solver.objective;
    let (more, less) = (dear.solver.objective, cheap.solver.objective);
    assert!(more >= less - open(dear) - open(cheap), "{more} against {less}");
}

#[test]
fn more_demand_never_costs_less_and_every_plan_passes_its_audit() {
    let mut before = planned(chat(1.0));
    assert_sound(&before);
    for peak in [2.0, 5.0, 9.0] {
        let after = planned(chat(peak));
        assert_sound(&after);
        assert_no_cheaper(&after, &before);
        before = after;
    }
}

#[test]
fn a_looser_service_level_never_costs_more() {
    let with_levels = |ttft, tpot| {
        let mut spec = chat(6.0);
        (spec.serves[0].slos[0].target, spec.serves[0].slos[1].target) = (Seconds(ttft), Seconds(tpot));
        planned(spec)
    };
    let (tight, middle, loose) = (with_levels(1.0, 0.05), with_levels(1.0, 0.2), with_levels(4.0, 0.2));
    [&tight, &middle, &loose].into_iter().for_each(assert_sound);
    assert_no_cheaper(&tight, &middle);
    assert_no_cheaper(&middle, &loose);
}

/// Machines that bear the bursts of the whole hour on average do not bear those of its worst minutes.
#[test]
fn a_level_over_short_windows_needs_more_machines_for_bursty_requests() {
    let with_windows = |over: Option<f64>| {
        let mut spec = chat(12.0);
        let serve = &mut spec.serves[0];
        serve.load.burstiness = 3.0;
        serve.slos[0].target = Seconds(1.0);
        serve.slos[0].over = over.map(Seconds);
        planned(spec)
    };
    let (hour, minutes) = (with_windows(None), with_windows(Some(120.0)));
    [&hour, &minutes].into_iter().for_each(assert_sound);
    assert_no_cheaper(&minutes, &hour);
    let accelerators = |blueprint: &Blueprint| -> u32 {
        let placements = blueprint.services[0].placements.iter();
        placements.map(|one| one.peak_replicas() * one.candidate.tensor * one.candidate.pipeline).sum()
    };
    let [more, fewer] = [&minutes, &hour].map(accelerators);
    assert!(more > fewer, "{more} against {fewer}");
    let seen = &minutes.verdicts[0];
    assert_eq!((seen.over, hour.verdicts[0].over), (Some(Seconds(120.0)), None));
    assert!(
        minutes.solver.rounds.len() > 1,
        "the estimate knows the hour only; the simulator asked for more"
    );
    let told = format!("{:?}", explain(&minutes, Some("chat")).expect("it is in the plan"));
    assert!(told.contains("ttft p99 over 2 min is"), "{told}");
}

#[test]
fn an_offering_more_never_costs_more() {
    let full = catalog();
    let mut fewer = full.clone();
    fewer.offerings.retain(|offering| offering.option != PurchaseOption::Spot);
    let mut fewest = fewer.clone();
    fewest.offerings.retain(|offering| offering.option == PurchaseOption::OnDemand);
    let [on_demand, committed, all] =
        [&fewest, &fewer, &full].map(|catalog| planned_with(chat(5.0), catalog));
    assert_no_cheaper(&on_demand, &committed);
    assert_no_cheaper(&committed, &all);
    assert!(all.solver.objective < on_demand.solver.objective, "spot is cheaper than on demand here");
}

#[test]
fn training_beside_serving_under_a_budget_is_planned_and_audited() {
    let mut spec = chat_blueprint().inputs.spec;
    spec.serves[0].load.peak = RequestsPerSecond(4.0);
    spec.serves[0].slos[0].target = Seconds(3.0);
    spec.serves[0].buy[1].at_least = None;
    spec.trains[0].tokens = Tokens(100e9);
    spec.budgets[0].rules.clear();
    assert_sound(&planned(spec));
}

#[test]
fn the_same_spec_gives_the_same_bytes_on_any_number_of_threads() {
    let bytes = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        serde_json::to_string(&pool.install(|| planned(chat(3.0)))).expect("a blueprint is JSON")
    };
    let once = bytes(1);
    assert_eq!(once, bytes(1));
    assert_eq!(once, bytes(2));
    assert_eq!(once, bytes(8));
}

#[test]
fn a_budget_that_is_too_small_says_by_how_much_and_what_would_do() {
    let mut spec = chat(5.0);
    let mut budget = chat_blueprint().inputs.spec.budgets.remove(0);
    budget.capex = None;
    budget.rules.clear();
    budget.opex_per_month.as_mut().expect("the fixture limits it").value = Decimal::from(5000);
    spec.budgets.push(budget);
    let blueprint = planned(spec.clone());
    assert_eq!(blueprint.status, Status::Infeasible);
    assert_eq!(blueprint.cost.by_month, vec![Decimal::ZERO; 12]);
    assert!(blueprint.audit.iter().all(|check| check.violations.is_empty()), "{:?}", blueprint.audit);
    let finding = &blueprint.findings[0];
    assert_eq!(finding.code, "E0320");
    assert!(finding.message.contains("opex per month of budget fy27"), "{}", finding.message);
    let way = &finding.ways_out[0];
    assert!(way.contains("instead of 5,000.00 USD/mo"), "{way}");
    // What it proposes must do.
    let words = way.strip_prefix("opex per month of budget fy27 ").expect("the limit comes first");
    let value: Decimal =
        words.split(' ').next().expect("a value").replace(',', "").parse().expect("a number");
    spec.budgets[0].opex_per_month.as_mut().expect("set above").value = value;
    assert_ne!(planned(spec).status, Status::Infeasible, "{way}");
}

#[test]
fn a_limit_that_binds_has_a_price() {
    let mut spec = chat(9.0);
    spec.serves[0].buy.retain(|buy| matches!(buy.option, PurchaseOption::Spot | PurchaseOption::OnDemand));
    let blueprint = planned(spec.clone());
    let price = blueprint.limit_prices.first().expect("spot is the cheapest, so its limit binds");
    assert!(price.what.contains("spot"), "{price:?}");
    assert!(price.saving > Decimal::ZERO && price.relaxed_to > price.value);
    let spot = spec.serves[0].buy.iter_mut().find(|buy| buy.option == PurchaseOption::Spot).expect("spot");
    spot.at_most.as_mut().expect("limited").value = price.relaxed_to / 100.0;
    let cheaper = planned(spec).solver.objective;
    let saved = blueprint.solver.objective - cheaper;
    let told = f64::try_from(price.saving).expect("small");
    assert!((saved - told).abs() <= 0.01 * blueprint.solver.objective, "{saved} against {told}");
}

/// One training in the cloud over half a year, of so many tokens.
fn training(tokens: f64, buy: &[PurchaseOption]) -> Spec {
    let mut spec = chat(1.0);
    spec.serves.clear();
    let mut train = chat_blueprint().inputs.spec.trains.remove(0);
    train.tokens = Tokens(tokens);
    train.sites = None;
    train.accelerators = None;
    train.buy = buy.iter().map(|&option| Buy { option, at_least: None, at_most: None }).collect();
    (train.start, train.finish) = (None, None);
    spec.trains.push(train);
    spec
}

/// A job is paid for its hours: what is had by the hour costs as much as it runs, and nothing of the month after.
#[test]
fn a_training_is_paid_until_its_last_token() {
    let blueprint = planned(training(100e9, &[PurchaseOption::OnDemand]));
    assert_sound(&blueprint);
    let run = &blueprint.trainings[0];
    assert!(run.hours.fract() != 0.0 && run.hours < 8760.0);
    let nodes = f64::from(run.candidate.nodes + run.spare_nodes);
    let hours: f64 = blueprint.pools[0].purchases.iter().flat_map(|one| &one.node_hours_by_period).sum();
    assert!((hours - nodes * run.hours).abs() < 1e-6 * hours, "{hours} against {nodes} × {}", run.hours);
    let month = HOURS_PER_MONTH * (run.hours / HOURS_PER_MONTH).ceil();
    assert!(hours < nodes * month * 0.999, "it is paid for whole months");
}

#[test]
fn a_shorter_job_never_costs_more() {
    for buy in [
        vec![PurchaseOption::OnDemand],
        vec![PurchaseOption::OnDemand, PurchaseOption::Reserved { term_months: 36 }],
    ] {
        let mut before = planned(training(40e9, &buy));
        assert_sound(&before);
        for tokens in [41e9, 60e9, 110e9, 230e9] {
            let after = planned(training(tokens, &buy));
            assert_sound(&after);
            assert_no_cheaper(&after, &before);
            before = after;
        }
    }
}
