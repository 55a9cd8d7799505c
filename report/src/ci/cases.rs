//! Blueprint → what CI lists: its findings as remarks; every level, rule, deadline and limit as a case.

use super::{Case, Outcome, Remark, Spot, Suite, Told};
use capstan_types::blueprint::{Blueprint, Status, Verdict, VerdictStatus};
use capstan_types::figure;
use capstan_types::finding::{Finding, Severity};
use capstan_types::place::Place;
use capstan_types::spec::{RuleKind, level_word};
use rust_decimal::Decimal;

/// How a place is found in a repository: `None` where its text is not at hand.
type Locate<'a> = &'a dyn Fn(&Place) -> Option<Spot>;

/// Returns what CI is told of a blueprint. Where the text of a place is not at hand, findings stand at the top of the plan
/// file, whose path is `plan`.
pub fn told_of_blueprint(blueprint: &Blueprint, plan: &str, locate: Locate<'_>) -> Told {
    let remarks = blueprint.findings.iter().map(|finding| remark(finding, plan, locate)).collect();
    let name = match scenario(blueprint) {
        Some(scenario) => format!("{} ({scenario})", blueprint.inputs.spec.name),
        None => blueprint.inputs.spec.name.clone(),
    };
    Told {
        version: blueprint.tool.clone(),
        remarks,
        suites: vec![Suite { name, cases: cases(blueprint, locate) }],
        rules: Vec::new(),
        outputs: outputs(blueprint),
    }
}

fn scenario(blueprint: &Blueprint) -> Option<&str> {
    let from = blueprint.inputs.overrides.iter().map(|one| one.from.as_str());
    from.into_iter().find(|from| !from.starts_with("--"))
}

fn remark(finding: &Finding, plan: &str, locate: Locate<'_>) -> Remark {
    let spots = finding.places.iter().filter_map(|(place, _)| locate(place));
    let top = || Spot::top(plan.to_owned());
    let said = finding.places.iter().map(|(_, said)| said.clone()).filter(|said| !said.is_empty());
    let because = said.chain(finding.because.iter().cloned()).map(|why| format!("because {why}"));
    let ways = finding.ways_out.iter().map(|way| format!("way out: {way}"));
    Remark {
        rule: finding.code.clone(),
        severity: finding.severity,
        message: finding.message.clone(),
        details: because.chain(ways).collect(),
        spot: { spots }.next().unwrap_or_else(top),
    }
}

/// Returns the numbers that later steps of a pipeline ask for.
fn outputs(blueprint: &Blueprint) -> Vec<(String, String)> {
    let cost = &blueprint.cost;
    let findings = |severity| blueprint.findings.iter().filter(|one| one.severity == severity).count();
    let amount = |money: Decimal| format!("{:.1$}", money, cost.currency.minor_digits() as usize);
    let pairs = [
        ("status", super::status_word(blueprint.status).to_owned()),
        ("changes", blueprint.changes.to_string()),
        ("errors", findings(Severity::Error).to_string()),
        ("warnings", findings(Severity::Warning).to_string()),
        ("unpriced", blueprint.unpriced.len().to_string()),
        ("currency", cost.currency.code().to_owned()),
        ("total", amount(cost.total)),
        ("per_month", amount(cost.per_month)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn cases(blueprint: &Blueprint, locate: Locate<'_>) -> Vec<Case> {
    if blueprint.status == Status::Infeasible {
        return blueprint.findings.iter().map(|finding| no_plan(finding, locate)).collect();
    }
    let mut cases: Vec<Case> = blueprint.verdicts.iter().map(|one| level(blueprint, one, locate)).collect();
    cases.extend(deadlines(blueprint, locate));
    cases.extend(budgets(blueprint, locate));
    cases.extend(rules(blueprint, locate));
    cases.extend(sites(blueprint, locate));
    cases.extend(blueprint.audit.iter().map(|check| Case {
        class: "audit".to_owned(),
        name: check.check.clone(),
        spot: None,
        outcome: if check.violations.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed { rule: "audit".to_owned(), message: check.violations.join("\n") }
        },
    }));
    cases
}

fn no_plan(finding: &Finding, locate: Locate<'_>) -> Case {
    let mut lines = vec![finding.message.clone()];
    lines.extend(finding.because.iter().map(|why| format!("because {why}")));
    lines.extend(finding.ways_out.iter().map(|way| format!("way out: {way}")));
    Case {
        class: "plan".to_owned(),
        name: finding.message.clone(),
        spot: finding.places.iter().find_map(|(place, _)| locate(place)),
        outcome: Outcome::Failed { rule: finding.code.clone(), message: lines.join("\n") },
    }
}

fn level(blueprint: &Blueprint, verdict: &Verdict, locate: Locate<'_>) -> Case {
    let serve = blueprint.inputs.spec.serves.iter().find(|serve| serve.name == verdict.workload);
    let asked =
        |slo: &&capstan_types::spec::Slo| slo.metric == verdict.metric && slo.per_mille == verdict.per_mille;
    let place = serve.and_then(|serve| serve.slos.iter().find(asked)).map(|slo| &slo.place);
    let numbers = format!(
        "simulated {} ({} … {}), {} are allowed",
        figure::span(verdict.seen),
        figure::span(verdict.low),
        figure::span(verdict.high),
        figure::span(verdict.target)
    );
    Case {
        class: format!("serve {}", verdict.workload),
        name: format!("{} at {}", level_word(verdict.metric, verdict.per_mille, verdict.over), verdict.site),
        spot: place.and_then(locate),
        outcome: match verdict.status {
            VerdictStatus::Met => Outcome::Passed,
            VerdictStatus::Missed => Outcome::Failed { rule: "E0340".to_owned(), message: numbers },
            VerdictStatus::Undecided => Outcome::Skipped(format!("undecided: {numbers}")),
        },
    }
}

fn deadlines<'a>(blueprint: &'a Blueprint, locate: Locate<'a>) -> impl Iterator<Item = Case> + 'a {
    let spec = &blueprint.inputs.spec;
    let trainings = blueprint.trainings.iter().filter_map(move |run| {
        let train = spec.trains.iter().find(|train| train.name == run.workload)?;
        Some(("train", &run.workload, run.end, train.finish.as_ref()?))
    });
    let batches = blueprint.batches.iter().filter_map(move |run| {
        let batch = spec.batches.iter().find(|batch| batch.name == run.workload)?;
        Some(("batch", &run.workload, run.end, batch.finish.as_ref()?))
    });
    trainings.chain(batches).map(move |(kind, workload, end, limit)| {
        let message = format!("ends on {end}, {} is asked for", limit.value);
        Case {
            class: format!("{kind} {workload}"),
            name: "finish".to_owned(),
            spot: locate(&limit.place),
            outcome: held(end <= limit.value, "E0330", message),
        }
    })
}

fn held(holds: bool, rule: &str, message: String) -> Outcome {
    if holds { Outcome::Passed } else { Outcome::Failed { rule: rule.to_owned(), message } }
}

fn budgets(blueprint: &Blueprint, locate: Locate<'_>) -> Vec<Case> {
    let mut cases = Vec::new();
    for budget in &blueprint.inputs.spec.budgets {
        for (name, spent, limit) in blueprint.spent(budget).against(budget) {
            let money = |amount| figure::money(amount, blueprint.cost.currency);
            let message = format!("{} are spent, {} are allowed", money(spent), money(limit.value));
            cases.push(Case {
                class: format!("budget {}", budget.words()),
                name: name.to_owned(),
                spot: locate(&limit.place),
                outcome: held(spent <= limit.value, "E0320", message),
            });
        }
    }
    cases
}

fn rules<'a>(blueprint: &'a Blueprint, locate: Locate<'a>) -> impl Iterator<Item = Case> + 'a {
    blueprint.rules.iter().map(move |rule| {
        let said = rule.message.as_ref().map_or_else(String::new, |said| format!("; {said}"));
        let code = if rule.kind == RuleKind::Require { "E0350" } else { "W0351" };
        Case {
            class: format!("budget {}", rule.budget),
            name: rule.label.clone().unwrap_or_else(|| rule.text.clone()),
            spot: locate(&rule.place),
            outcome: match (rule.holds, rule.kind) {
                (Some(true), _) => Outcome::Passed,
                (Some(false), RuleKind::Prefer) => {
                    Outcome::Skipped(format!("preferred, and it does not hold: {}{said}", rule.numbers))
                }
                (Some(false), _) => Outcome::Failed {
                    rule: code.to_owned(),
                    message: format!("{} does not hold: {}{said}", rule.text, rule.numbers),
                },
                (None, _) => Outcome::Skipped(format!("a number in it is unknown: {}", rule.numbers)),
            },
        }
    })
}

fn sites<'a>(blueprint: &'a Blueprint, locate: Locate<'a>) -> impl Iterator<Item = Case> + 'a {
    blueprint.sites.iter().filter_map(move |site| {
        let limit = site.power_limit?;
        let asked = blueprint.inputs.spec.sites.iter().find(|asked| asked.name == site.site);
        let place = asked.and_then(|asked| asked.power.as_ref()).map(|power| &power.place);
        Some(Case {
            class: format!("site {}", site.site),
            name: "power".to_owned(),
            spot: place.and_then(locate),
            outcome: match site.facility_power {
                Some(power) => held(
                    power.get() <= limit.get(),
                    "E0320",
                    format!("{} are needed, {} are allowed", figure::power(power), figure::power(limit)),
                ),
                None => Outcome::Skipped("the power of a machine is unknown".to_owned()),
            },
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::{gitlab, junit, sarif};
    use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};

    fn told(blueprint: &Blueprint) -> Told {
        let locate = |place: &Place| {
            let line = place.start as usize + 1;
            Some(Spot { path: "plans/chat.plan".to_owned(), line, ..Spot::default() })
        };
        told_of_blueprint(blueprint, "plans/chat.plan", &locate)
    }

    #[test]
    fn every_level_rule_deadline_and_limit_is_a_case() {
        let blueprint = chat_blueprint();
        let suite = &told(&blueprint).suites[0];
        let of = |class: &str| suite.cases.iter().filter(|case| case.class.starts_with(class)).count();
        assert_eq!(of("serve "), blueprint.verdicts.len());
        assert!(of("train ") == 1 && of("budget ") > blueprint.rules.len() && of("site ") == 1);
        let failed = |case: &&Case| matches!(case.outcome, Outcome::Failed { .. });
        assert_eq!(suite.cases.iter().filter(failed).count(), 0);
    }

    #[test]
    fn a_level_that_is_missed_fails_its_case_at_its_line() {
        let mut blueprint = chat_blueprint();
        blueprint.verdicts[0].status = VerdictStatus::Missed;
        let told = told(&blueprint);
        let failed: Vec<&Case> = told.suites[0]
            .cases
            .iter()
            .filter(|case| matches!(case.outcome, Outcome::Failed { .. }))
            .collect();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].spot.as_ref().unwrap().path, "plans/chat.plan");
        assert!(junit(&told).contains("failures=\"1\""));
    }

    #[test]
    fn a_plan_that_cannot_be_is_told_in_every_format() {
        let blueprint = infeasible_blueprint();
        let told = told(&blueprint);
        assert_eq!(told.remarks.len(), blueprint.findings.len());
        let code = &blueprint.findings[0].code;
        for text in [sarif(&told), junit(&told), gitlab(&told)] {
            assert!(text.contains(code.as_str()), "{text}");
        }
        assert!(told.outputs.contains(&("status".to_owned(), "infeasible".to_owned())));
    }
}
