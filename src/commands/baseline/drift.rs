//! Where does a plan stand, and what moved since a baseline was taken? Pure; nothing is read here.

use crate::files::sha256;
use capstan_types::baseline::{Baseline, Digests, Drift, Standing};
use capstan_types::blueprint::{Blueprint, Status, VerdictStatus};
use capstan_types::diff::ShareKind;
use capstan_types::figure;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Serialize;
use serde_json::Value;

/// A number that moves by a smaller share is where it was.
///
/// Origin: the project's own rule for baselines; solver gaps and rounding stay well below it.
pub const THRESHOLD: f64 = 0.01;

/// Returns where a plan stands.
pub fn standing(plan: &str, blueprint: &Blueprint) -> Standing {
    let count =
        |of: &dyn Fn(&capstan_types::blueprint::SiteSummary) -> u32| blueprint.sites.iter().map(of).sum();
    let open = blueprint.verdicts.iter().filter(|verdict| verdict.status != VerdictStatus::Met).count();
    Standing {
        plan: plan.to_owned(),
        tool: blueprint.tool.clone(),
        status: blueprint.status,
        currency: blueprint.cost.currency,
        total: blueprint.cost.total,
        net_present: blueprint.cost.net_present,
        nodes: count(&|site| site.nodes),
        accelerators: count(&|site| site.accelerators),
        levels_open: u32::try_from(open).unwrap_or(u32::MAX),
        unpriced: u32::try_from(blueprint.unpriced.len()).unwrap_or(u32::MAX),
        digests: digests(blueprint),
    }
}

fn digests(blueprint: &Blueprint) -> Digests {
    let mut catalog = blueprint.inputs.catalog.clone();
    let prices = (std::mem::take(&mut catalog.offerings), std::mem::take(&mut catalog.rates));
    let mut spec = blueprint.inputs.spec.clone();
    spec.assumptions.clear();
    let loads = spec.serves.iter().map(|serve| serde_json::to_value((&serve.name, &serve.load)));
    let offline = spec.batches.iter();
    let offline =
        offline.map(|one| serde_json::to_value((&one.name, one.requests, &one.prompt, &one.output)));
    let apps = spec.apps.iter();
    let apps = apps.map(|one| serde_json::to_value((&one.name, one.instances, one.hours)));
    let demand: Vec<Value> = loads.chain(offline).chain(apps).map(Result::unwrap_or_default).collect();
    let mut plan = serde_json::to_value(&spec).unwrap_or_default();
    let told_as_demand = [
        ("serves", &["load"][..]),
        ("batches", &["requests", "prompt", "output", "traffic"]),
        ("apps", &["instances", "hours"]),
    ];
    for (kind, told) in told_as_demand {
        let all = plan.get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten();
        for one in all.filter_map(Value::as_object_mut) {
            told.iter().for_each(|field| drop(one.remove(*field)));
        }
    }
    Digests {
        prices: digest(&prices),
        catalog: digest(&catalog),
        demand: digest(&demand),
        plan: digest(&plan),
    }
}

/// Returns the digest of something without the places of its text.
fn digest(of: &impl Serialize) -> String {
    let mut value = serde_json::to_value(of).unwrap_or_default();
    without_places(&mut value);
    sha256(value.to_string().as_bytes())
}

fn without_places(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| name != "place");
            fields.values_mut().for_each(without_places);
        }
        Value::Array(rows) => rows.iter_mut().for_each(without_places),
        _ => {}
    }
}

/// Returns everything that is not where it was.
pub fn drifts(before: &Baseline, after: &Baseline) -> Vec<Drift> {
    let mut drifts = Vec::new();
    let of = |baseline: &'_ Baseline, plan: &str| baseline.plans.iter().find(|one| one.plan == plan).cloned();
    for now in &after.plans {
        match of(before, &now.plan) {
            Some(was) => drifts.extend(moved(&was, now)),
            None => drifts.push(whole(now, "new")),
        }
    }
    let gone = before.plans.iter().filter(|was| of(after, &was.plan).is_none());
    drifts.extend(gone.map(|was| whole(was, "gone")));
    drifts
}

fn whole(standing: &Standing, what: &str) -> Drift {
    let total = Some(paid(standing, standing.total));
    let (before, after) = if what == "new" { (None, total) } else { (total, None) };
    let causes = vec![ShareKind::Plan];
    Drift { plan: standing.plan.clone(), what: what.to_owned(), before, after, share: None, causes }
}

/// Returns an amount in words; there is none where there is no plan.
fn paid(of: &Standing, amount: Decimal) -> String {
    match of.status {
        Status::Infeasible => "no plan exists: not to be compared".to_owned(),
        Status::Feasible | Status::Violated => figure::money(amount, of.currency),
    }
}

/// Returns what moved. Where one of them does not exist, what it costs cannot be compared: only the amount of the other is
/// said, and no machines of a plan that is none are counted.
fn moved(was: &Standing, now: &Standing) -> Vec<Drift> {
    let causes = causes(was, now);
    let drift = |what: &str, before: String, after: String, share: Option<f64>| Drift {
        plan: now.plan.clone(),
        what: what.to_owned(),
        before: Some(before),
        after: Some(after),
        share,
        causes: causes.clone(),
    };
    let mut drifts = Vec::new();
    if was.status != now.status {
        drifts.push(drift("status", word(was.status), word(now.status), None));
    }
    let [was_there, is_there] = [was, now].map(|one| one.status != Status::Infeasible);
    if was_there != is_there {
        drifts.push(drift("total", paid(was, was.total), paid(now, now.total), None));
    }
    let amounts = [("total", was.total, now.total), ("net present", was.net_present, now.net_present)];
    for (what, before, after) in amounts.into_iter().filter(|_| was_there && is_there) {
        let share = share(before.to_f64(), after.to_f64());
        if was.currency != now.currency
            || share.is_none_or(|share| share.abs() > THRESHOLD) && before != after
        {
            drifts.push(drift(what, paid(was, before), paid(now, after), share));
        }
    }
    let counts = [
        ("nodes", was.nodes, now.nodes, true),
        ("accelerators", was.accelerators, now.accelerators, true),
        ("levels that do not hold", was.levels_open, now.levels_open, true),
        ("offerings without a price", was.unpriced, now.unpriced, false),
    ];
    let known = counts.into_iter().filter(|&(.., of_plan)| was_there && is_there || !of_plan);
    for (what, before, after, _) in known {
        let share = share(Some(f64::from(before)), Some(f64::from(after)));
        if before != after && share.is_none_or(|share| share.abs() > THRESHOLD) {
            drifts.push(drift(what, before.to_string(), after.to_string(), share));
        }
    }
    drifts
}

fn word(status: Status) -> String {
    match status {
        Status::Feasible => "holds",
        Status::Violated => "does not hold",
        Status::Infeasible => "no plan exists",
    }
    .to_owned()
}

/// Returns the change as a share of what it was, `None` where that is nothing.
fn share(before: Option<f64>, after: Option<f64>) -> Option<f64> {
    let (before, after) = (before?, after?);
    (before != 0.0).then(|| (after - before) / before.abs())
}

/// Returns the kinds of input that differ; the program where none does.
fn causes(was: &Standing, now: &Standing) -> Vec<ShareKind> {
    let (before, after) = (&was.digests, &now.digests);
    let kinds = [
        (ShareKind::Tool, was.tool != now.tool),
        (ShareKind::Prices, before.prices != after.prices),
        (ShareKind::Catalog, before.catalog != after.catalog),
        (ShareKind::Demand, before.demand != after.demand),
        (ShareKind::Plan, before.plan != after.plan),
    ];
    let found: Vec<ShareKind> =
        kinds.into_iter().filter(|(_, differs)| *differs).map(|(kind, _)| kind).collect();
    if found.is_empty() { vec![ShareKind::Tool] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::spec::App;
    use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint, notebooks};
    use capstan_types::units::RequestsPerSecond;

    fn baseline(change: impl FnOnce(&mut Blueprint)) -> Baseline {
        let mut blueprint = chat_blueprint();
        change(&mut blueprint);
        Baseline { format: 1, plans: vec![standing("a.plan", &blueprint)] }
    }

    fn found(change: impl FnOnce(&mut Blueprint)) -> Vec<(String, Vec<ShareKind>)> {
        let drifts = drifts(&baseline(|_| {}), &baseline(change));
        drifts.into_iter().map(|drift| (drift.what, drift.causes)).collect()
    }

    #[test]
    fn one_per_cent_is_the_edge() {
        let percent = |b: &Blueprint, per_mille: i64| b.cost.total * Decimal::new(per_mille, 3);
        assert!(found(|b| b.cost.total += percent(b, 9)).is_empty());
        assert_eq!(found(|b| b.cost.total += percent(b, 11)), [("total".to_owned(), vec![ShareKind::Tool])]);
    }

    #[test]
    fn a_drift_names_the_kind_of_input_that_differs() {
        let dearer = |b: &mut Blueprint| b.cost.total *= Decimal::TWO;
        let kinds = |change: fn(&mut Blueprint)| {
            let mut drifts = found(|b| {
                dearer(b);
                change(b);
            });
            drifts.remove(0).1
        };
        assert_eq!(kinds(|b| b.inputs.catalog.offerings[2].price = None), [ShareKind::Prices]);
        assert_eq!(kinds(|b| b.inputs.catalog.shapes[0].height_u = Some(9.0)), [ShareKind::Catalog]);
        assert_eq!(
            kinds(|b| b.inputs.spec.serves[0].load.peak = RequestsPerSecond(9.0)),
            [ShareKind::Demand]
        );
        assert_eq!(kinds(|b| b.inputs.spec.serves[0].headroom = 0.9), [ShareKind::Plan]);
        assert_eq!(kinds(|b| b.inputs.spec.serves[0].place.start += 9), [ShareKind::Tool]);
    }

    #[test]
    fn more_people_in_notebooks_are_demand() {
        let with = |instances: u32, threads: f64| {
            baseline(|b| {
                b.inputs.spec.apps = vec![App { instances, threads, ..notebooks() }];
                b.cost.total *= Decimal::from(instances) * Decimal::try_from(threads).expect("a number");
            })
        };
        let causes = |before: &Baseline, after: &Baseline| drifts(before, after).remove(0).causes;
        assert_eq!(causes(&with(10, 1.0), &with(20, 1.0)), [ShareKind::Demand]);
        assert_eq!(causes(&with(10, 1.0), &with(10, 2.0)), [ShareKind::Plan]);
    }

    #[test]
    fn the_cost_of_no_plan_is_not_compared() {
        let none = |b: &mut Blueprint| {
            let nothing = infeasible_blueprint();
            (b.status, b.cost, b.sites) = (nothing.status, nothing.cost, nothing.sites);
            b.verdicts.clear();
        };
        let told = |before: &Baseline, after: &Baseline| -> Vec<(String, Option<String>, Option<f64>)> {
            drifts(before, after).into_iter().map(|drift| (drift.what, drift.after, drift.share)).collect()
        };
        let words = |text: &str| Some(text.to_owned());
        let (is, none) = (baseline(|_| {}), baseline(none));
        assert_eq!(
            told(&is, &none),
            [
                ("status".to_owned(), words("no plan exists"), None),
                ("total".to_owned(), words("no plan exists: not to be compared"), None),
            ]
        );
        let total = figure::money(chat_blueprint().cost.total, chat_blueprint().cost.currency);
        assert_eq!(told(&none, &is)[1], ("total".to_owned(), Some(total), None));
        assert!(told(&none, &none).is_empty());
    }

    #[test]
    fn plans_that_come_and_go_are_told() {
        let none = Baseline { format: 1, plans: Vec::new() };
        let what = |drifts: Vec<Drift>| drifts.into_iter().map(|drift| drift.what).collect::<Vec<_>>();
        assert_eq!(what(drifts(&none, &baseline(|_| {}))), ["new"]);
        assert_eq!(what(drifts(&baseline(|_| {}), &none)), ["gone"]);
    }
}
