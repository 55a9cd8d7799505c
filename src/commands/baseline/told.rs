//! What is CI told of a baseline? A suite for each plan, a case for each number that moved, a remark at the top of its file.

use super::{Broken, status, words};
use crate::ci;
use crate::files;
use capstan_report::ci::{Case, Outcome, Remark, Spot, Suite, Told};
use capstan_types::baseline::{Baseline, Drift};
use capstan_types::finding::Severity;

/// Rule of a number that moved.
const DRIFT: &str = "drift";

/// Rule of a plan that has no answer although its text has no mistakes.
const BROKEN: &str = "broken";

/// Returns what CI is told; `folder` is the one that was planned.
pub fn told(folder: &str, now: &Baseline, drifts: &[Drift], broken: &[Broken]) -> Told {
    let path = |plan: &str| format!("{}/{plan}", folder.trim_end_matches('/'));
    let top = |plan: &str| Spot::top(files::in_repository(&path(plan)));
    let mut told = Told { version: env!("CARGO_PKG_VERSION").to_owned(), ..Told::default() };
    for one in broken {
        if one.found.is_empty() {
            let found = vec![(one.message.clone(), top(&one.plan))];
            add(&mut told, &path(&one.plan), (BROKEN, Severity::Error), found);
        } else {
            let of_text = ci::of_diagnostics(&[(path(&one.plan), one.found.clone())], &one.sources);
            told.remarks.extend(of_text.remarks);
            told.suites.extend(of_text.suites);
        }
    }
    let gone = drifts.iter().map(|drift| drift.plan.as_str());
    let gone = gone.filter(|plan| now.plans.iter().all(|known| known.plan != *plan));
    for plan in now.plans.iter().map(|standing| standing.plan.as_str()).chain(gone) {
        let of_plan = drifts.iter().filter(|drift| drift.plan == plan);
        let found = of_plan.map(|drift| (sentence(drift), top(plan))).collect();
        add(&mut told, &path(plan), (DRIFT, Severity::Warning), found);
    }
    let moved = drifts.len().to_string();
    let (plans, failed) = (now.plans.len().to_string(), broken.len().to_string());
    let outputs = [
        ("status", status(drifts, broken).to_owned()),
        ("plans", plans),
        ("broken", failed),
        ("moved", moved),
    ];
    told.outputs = outputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    told
}

/// Returns what moved as a sentence.
fn sentence(drift: &Drift) -> String {
    let [before, after, change, causes] = words(drift);
    let change = if change.is_empty() { change } else { format!(" ({change})") };
    format!("{}: {before} → {after}{change}, due to {causes}", drift.what)
}

/// Adds the suite of a plan, with what was found as failures, or one case that passes.
fn add(told: &mut Told, path: &str, (rule, severity): (&str, Severity), found: Vec<(String, Spot)>) {
    let case = |name: &str, spot, outcome| Case {
        class: "baseline".to_owned(),
        name: name.to_owned(),
        spot,
        outcome,
    };
    let mut cases = Vec::new();
    for (message, spot) in found {
        let name = message.split(':').next().unwrap_or(rule);
        let outcome = Outcome::Failed { rule: rule.to_owned(), message: message.clone() };
        cases.push(case(name, Some(spot.clone()), outcome));
        told.remarks.push(Remark { rule: rule.to_owned(), severity, message, details: Vec::new(), spot });
    }
    if cases.is_empty() {
        cases.push(case("nothing moved", None, Outcome::Passed));
    }
    told.suites.push(Suite { name: files::in_repository(path), cases });
}
