//! What would the plan be in each of its scenarios, and what of it would have to be otherwise?
//!
//! Each scenario is planned like a plan of its own, simulation and audit included, side by side. It does not know what a
//! scenario changes: the plan comes in as it is checked after its changes.

use crate::diff;
use crate::plan::{PlanError, Provenance, Variants, plan};
use capstan_sim::serving::Recording;
use capstan_types::blueprint::{Blueprint, Override, ScenarioOutcome, Status, VerdictStatus};
use capstan_types::catalog::Catalog;
use capstan_types::diff::{Change, ChangeKind, Value};
use capstan_types::finding::Severity;
use capstan_types::spec::Spec;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// The plan after the changes of a scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it changes.
    pub changes: Vec<Override>,
    /// The plan.
    pub spec: Spec,
    /// What is known, prices changed.
    pub catalog: Catalog,
}

/// Plans each scenario and compares it with the plan.
///
/// # Errors
/// See [`PlanError`].
pub(crate) fn outcomes(
    base: &Blueprint,
    scenarios: &[Scenario],
    traces: &BTreeMap<String, Recording>,
) -> Result<Vec<ScenarioOutcome>, PlanError> {
    scenarios.par_iter().map(|scenario| outcome(base, scenario, traces)).collect()
}

fn outcome(
    base: &Blueprint,
    scenario: &Scenario,
    traces: &BTreeMap<String, Recording>,
) -> Result<ScenarioOutcome, PlanError> {
    let Scenario { name, changes, spec, catalog } = scenario;
    let planned = plan(spec.clone(), catalog, traces, &Variants::default(), Provenance::default(), &|_| {})?;
    let is_plan = planned.status != Status::Infeasible;
    let met = planned.verdicts.iter().filter(|verdict| verdict.status == VerdictStatus::Met).count();
    let errors = planned.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let differs = diff::diff(base, &planned).changes;
    Ok(ScenarioOutcome {
        name: name.clone(),
        changes: changes.clone(),
        status: planned.status,
        total: is_plan.then_some(planned.cost.total),
        net_present: is_plan.then_some(planned.cost.net_present),
        levels_met: met as u32,
        levels: planned.verdicts.len() as u32,
        differs: differs.iter().filter(|change| is_plan && is_told(change)).map(words).collect(),
        problems: errors.map(|finding| finding.message.clone()).collect(),
    })
}

/// What is bought and how work runs; the rest is told in other words.
fn is_told(change: &Change) -> bool {
    let is_machine =
        matches!(change.kind, ChangeKind::Purchase | ChangeKind::Candidate | ChangeKind::Placement);
    is_machine || matches!(change.kind, ChangeKind::Replicas | ChangeKind::Training | ChangeKind::Offline)
}

fn words(change: &Change) -> String {
    let side = |value: &Option<Value>| match value {
        Some(Value::Count(count)) => count.to_string(),
        Some(Value::Words(words)) => words.clone(),
        None => "none".to_owned(),
    };
    format!(
        "{} of {}: {} → {}",
        change.kind.words(),
        change.address,
        side(&change.before),
        side(&change.after)
    )
}
