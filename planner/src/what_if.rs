//! Does the plan bear what may come otherwise? Each `fail` and `surge` of a scenario is simulated on the finished plan.
//!
//! It changes nothing in the plan: a scenario says what is worth knowing, a service level says what must hold.

use crate::simulate::{Failure, Question, SimulateError, Spike, random_arrivals, simulate};
use capstan_sim::serving::Recording;
use capstan_types::blueprint::{Blueprint, Bursts, VerdictStatus, WhatIfHour, WhatIfOutcome};
use capstan_types::finding::{Finding, Severity};
use capstan_types::simulation::SimulatedHour;
use capstan_types::spec::{Surge, WhatIf, level_word};
use capstan_types::units::Seconds;
use std::collections::BTreeMap;

/// A service level that does not hold in a scenario.
const MISSED: &str = "W0341";

/// Replications, at least, and requests of one of them, at most.
const REPLICATIONS: u32 = 8;
const REQUESTS: f64 = 100_000.0;

/// Notice of a spot market and slowness of a slow replica where nothing is said, as `simulate` has them.
const NOTICE: Seconds = Seconds(120.0);
const SLOWER: f64 = 2.0;

/// Simulates every scenario in which something happens.
pub(crate) fn outcomes(
    blueprint: &Blueprint,
    traces: &BTreeMap<String, Recording>,
    progress: &dyn Fn(&str),
) -> Vec<WhatIfOutcome> {
    let all = blueprint.inputs.spec.what_ifs.iter();
    all.map(|what_if| {
        progress(&format!("simulating scenario {}", what_if.scenario));
        outcome(blueprint, what_if, traces)
    })
    .collect()
}

/// Says what the bursts of traces cost.
pub(crate) fn bursts(blueprint: &Blueprint, traces: &BTreeMap<String, Recording>) -> Vec<Bursts> {
    let question = question(blueprint, None);
    // What cannot be simulated has been told by the verdicts.
    random_arrivals(blueprint, &question, traces).unwrap_or_default()
}

fn question(blueprint: &Blueprint, what_if: Option<&WhatIf>) -> Question {
    let surge = what_if.and_then(|what_if| what_if.surge.as_ref());
    let failure = what_if.and_then(|what_if| what_if.failure.as_ref());
    let lasting = |surge: &Surge| Some(Spike { factor: surge.factor, lasts: surge.lasts? });
    let spike = surge.and_then(lasting);
    Question {
        replications: REPLICATIONS,
        seed: blueprint.inputs.spec.frame.seed,
        surge: surge.filter(|_| spike.is_none()).map_or(1.0, |surge| surge.factor),
        spike,
        clients: None,
        failure: failure.map(|failure| Failure {
            what: failure.what,
            count: failure.count,
            lasts: failure.lasts,
            notice: failure.notice.unwrap_or(NOTICE),
            slower: failure.slower.unwrap_or(SLOWER),
            loses_requests: false,
        }),
        most_requests: REQUESTS,
        most_events: None,
        at_all_hours: what_if.is_none_or(|what_if| what_if.at_all_hours),
        keep_requests: false,
        keep_steps: false,
    }
}

fn outcome(blueprint: &Blueprint, what_if: &WhatIf, traces: &BTreeMap<String, Recording>) -> WhatIfOutcome {
    let asked = question(blueprint, Some(what_if));
    let simulated = simulate(blueprint, &asked, traces, &|_| {}, &|| false);
    let none = |error: SimulateError| WhatIfOutcome {
        scenario: what_if.scenario.clone(),
        what_if: asked.words(),
        status: None,
        refused: Some(error.to_string()),
        hours: Vec::new(),
    };
    match simulated {
        Err(error) => none(error),
        Ok(simulated) => WhatIfOutcome {
            scenario: what_if.scenario.clone(),
            what_if: simulated.simulation.what_if,
            status: Some(simulated.simulation.status),
            refused: None,
            hours: simulated.simulation.runs.into_iter().map(hour).collect(),
        },
    }
}

fn hour(run: SimulatedHour) -> WhatIfHour {
    WhatIfHour {
        workload: run.workload,
        site: run.site,
        period: run.period,
        hour: run.hour,
        levels: run.levels,
        requests: run.requests,
        turned_away: run.rejected,
        lost: run.lost,
        failure: run.failure,
    }
}

/// Returns a warning for each scenario that the plan does not bear.
pub(crate) fn findings(blueprint: &Blueprint) -> Vec<Finding> {
    let told = blueprint.what_ifs.iter().filter(|told| told.status != Some(VerdictStatus::Met));
    told.map(|told| {
        let missed = told.hours.iter().flat_map(|hour| {
            let levels = hour.levels.iter().filter(|level| level.status != VerdictStatus::Met);
            levels.map(move |level| {
                let seen = level.seen_s.map_or_else(
                    || "it falls on a request without an answer".to_owned(),
                    |seen| format!("{:.0} ms seen, {:.0} ms asked", seen.mean * 1e3, level.target.millis()),
                );
                let asked = level_word(level.metric, level.per_mille, level.over);
                format!("{} {asked}: {seen}", hour.workload)
            })
        });
        let place = blueprint.inputs.spec.what_ifs.iter().find(|known| known.scenario == told.scenario);
        let verb = match told.status {
            Some(VerdictStatus::Missed) => "does not hold",
            Some(_) => "may not hold",
            None => "cannot be simulated",
        };
        Finding {
            code: MISSED.to_owned(),
            severity: Severity::Warning,
            message: format!("the plan {verb} in scenario `{}`", told.scenario),
            places: place
                .map(|what_if| (what_if.place.clone(), told.what_if.join(" and ")))
                .into_iter()
                .collect(),
            because: told.refused.iter().cloned().chain(missed).collect(),
            ways_out: vec![
                "more `headroom`, a higher `availability`, or nothing: it is a what-if".to_owned(),
            ],
        }
    })
    .collect()
}
