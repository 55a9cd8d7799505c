//! What is each kind of input worth? The base is planned again with one kind of input after the other taken from the head:
//! prices, other facts, demand, the rest of the plan. The changes sum to the change of the total.
//!
//! The order is fixed and matters where two kinds act on each other (twice the demand at half the price); it is that in which
//! people hold others responsible: first what nobody here decided.

use crate::plan::{Provenance, Variants, plan};
use capstan_sim::serving::Recording;
use capstan_types::blueprint::{Blueprint, Status};
use capstan_types::catalog::Catalog;
use capstan_types::diff::{Share, ShareKind};
use capstan_types::spec::Spec;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// What one side of a diff stands on.
#[derive(Debug, Clone, Copy)]
pub struct Stand<'a> {
    /// Its answer.
    pub blueprint: &'a Blueprint,
    /// All that was known when it was planned; at least what its blueprint embeds.
    pub catalog: &'a Catalog,
    /// Requests of traces, by their path in the plan.
    pub traces: &'a BTreeMap<String, Recording>,
}

/// Returns what each kind of input that differs is worth. A step that cannot be planned is left to the one after it.
pub fn shares(base: Stand<'_>, head: Stand<'_>, progress: &dyn Fn(&str)) -> Vec<Share> {
    let (from, to) = (&base.blueprint.inputs.spec, &head.blueprint.inputs.spec);
    let prices = Catalog {
        offerings: head.catalog.offerings.clone(),
        rates: head.catalog.rates.clone(),
        ..base.catalog.clone()
    };
    let demand = with_demand(from, to);
    let mut traces = base.traces.clone();
    traces.extend(head.traces.iter().map(|(path, requests)| (path.clone(), requests.clone())));
    let mut steps: Vec<(ShareKind, &Spec, &Catalog)> = Vec::new();
    let tool_differs = base.blueprint.tool != head.blueprint.tool;
    if tool_differs {
        steps.push((ShareKind::Tool, from, base.catalog));
    }
    if prices != *base.catalog {
        steps.push((ShareKind::Prices, from, &prices));
    }
    if prices != *head.catalog {
        steps.push((ShareKind::Catalog, from, head.catalog));
    }
    if demand != *from {
        steps.push((ShareKind::Demand, &demand, head.catalog));
    }
    let mut total = base.blueprint.cost.total;
    let mut shares = Vec::new();
    for (kind, spec, catalog) in steps {
        progress(&format!("planning again: {}", kind.words()));
        let Some(after) = total_of(spec, catalog, &traces) else { continue };
        shares.push(Share { kind, change: after - total });
        total = after;
    }
    let rest = head.blueprint.cost.total - total;
    if !rest.is_zero() {
        // What is left is the plan's, unless the plan says the same; then the last step did not come out as the head did.
        let kind = if same_but_demand(from, to) { last_kind(&shares, tool_differs) } else { ShareKind::Plan };
        match shares.iter_mut().find(|share| share.kind == kind) {
            Some(share) => share.change += rest,
            None => shares.push(Share { kind, change: rest }),
        }
    }
    shares
}

fn last_kind(shares: &[Share], tool_differs: bool) -> ShareKind {
    let tool = if tool_differs { ShareKind::Tool } else { ShareKind::Plan };
    shares.last().map_or(tool, |share| share.kind)
}

/// Returns the plan with the requests of another, for services and offline inference that both have, and with as many
/// instances of what else both run, in the same hours.
fn with_demand(from: &Spec, to: &Spec) -> Spec {
    let mut spec = from.clone();
    spec.uncertain = to.uncertain.clone();
    for serve in &mut spec.serves {
        if let Some(other) = to.serves.iter().find(|other| other.name == serve.name) {
            let place = serve.load.place.clone();
            serve.load = other.load.clone();
            serve.load.place = place;
        }
    }
    for batch in &mut spec.batches {
        if let Some(other) = to.batches.iter().find(|other| other.name == batch.name) {
            batch.requests = other.requests;
            (batch.traffic, batch.prompt, batch.output) =
                (other.traffic.clone(), other.prompt.clone(), other.output.clone());
        }
    }
    for app in &mut spec.apps {
        if let Some(other) = to.apps.iter().find(|other| other.name == app.name) {
            (app.instances, app.hours) = (other.instances, other.hours);
        }
    }
    spec
}

/// Do two plans say the same of everything but demand, whatever the place of the text?
fn same_but_demand(from: &Spec, to: &Spec) -> bool {
    let bare = |spec: &Spec| {
        let mut value = serde_json::to_value(with_demand(spec, to)).unwrap_or_default();
        without_places(&mut value);
        value
    };
    bare(from) == bare(to)
}

fn without_places(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.retain(|name, _| name != "place");
            fields.values_mut().for_each(without_places);
        }
        serde_json::Value::Array(rows) => rows.iter_mut().for_each(without_places),
        _ => {}
    }
}

fn total_of(spec: &Spec, catalog: &Catalog, traces: &BTreeMap<String, Recording>) -> Option<Decimal> {
    let blueprint =
        plan(spec.clone(), catalog, traces, &Variants::default(), Provenance::default(), &|_| {}).ok()?;
    (blueprint.status != Status::Infeasible).then_some(blueprint.cost.total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::spec::App;
    use capstan_types::testing::blueprint::{chat_blueprint, notebooks};
    use capstan_types::units::RequestsPerSecond;

    fn stand<'a>(blueprint: &'a Blueprint, traces: &'a BTreeMap<String, Recording>) -> Stand<'a> {
        Stand { blueprint, catalog: &blueprint.inputs.catalog, traces }
    }

    #[test]
    fn nothing_that_differs_is_worth_nothing() {
        let (one, none) = (chat_blueprint(), BTreeMap::new());
        assert_eq!(shares(stand(&one, &none), stand(&one, &none), &|_| {}), []);
    }

    #[test]
    fn what_no_step_explains_is_the_plans_and_the_sum_is_the_change() {
        let (base, mut head, none) = (chat_blueprint(), chat_blueprint(), BTreeMap::new());
        head.inputs.spec.serves[0].headroom += 0.1;
        head.cost.total += Decimal::from(7);
        let found = shares(stand(&base, &none), stand(&head, &none), &|_| {});
        assert_eq!(found, [Share { kind: ShareKind::Plan, change: Decimal::from(7) }]);
    }

    #[test]
    fn only_the_demand_of_the_other_is_taken_over() {
        let (mut base, mut head) = (chat_blueprint(), chat_blueprint());
        let spec = &mut head.inputs.spec;
        spec.serves[0].load.peak = RequestsPerSecond(77.0);
        spec.serves[0].headroom = 0.9;
        spec.serves[0].load.place.start += 9;
        spec.apps = vec![App { instances: 99, threads: 7.0, ..notebooks() }];
        base.inputs.spec.apps = vec![notebooks()];
        let mixed = with_demand(&base.inputs.spec, &head.inputs.spec);
        assert_eq!(mixed.serves[0].load.peak, RequestsPerSecond(77.0));
        assert_eq!(mixed.serves[0].headroom, base.inputs.spec.serves[0].headroom);
        assert_eq!(mixed.apps, [App { instances: 99, ..notebooks() }]);
        assert!(!same_but_demand(&base.inputs.spec, &head.inputs.spec));
    }
}
