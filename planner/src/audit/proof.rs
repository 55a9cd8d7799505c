//! Do verdicts say what their numbers say, and does the plan call itself what its verdicts and rules make it?

use super::Check;
use capstan_types::blueprint::{AuditCheck, Blueprint, Status, Verdict, VerdictStatus};
use capstan_types::figure;
use capstan_types::finding::Severity;
use capstan_types::spec::RuleKind;

fn implied(verdict: &Verdict) -> VerdictStatus {
    if verdict.high <= verdict.target {
        VerdictStatus::Met
    } else if verdict.low > verdict.target {
        VerdictStatus::Missed
    } else {
        VerdictStatus::Undecided
    }
}

/// Percentiles rise, and that of the level, over the requests that were answered, is no higher than over all.
fn rises(verdict: &Verdict) -> bool {
    let steps = verdict.latencies.windows(2);
    let mut rising = steps.map(|pair| pair[0].per_mille < pair[1].per_mille && pair[0].seen <= pair[1].seen);
    let own = verdict.latencies.iter().find(|one| one.per_mille == verdict.per_mille);
    rising.all(|rises| rises) && own.is_none_or(|own| own.seen.get() <= verdict.seen.get() * (1.0 + 1e-9))
}

/// Every service level has a verdict whose status follows from interval and target.
pub(super) fn verdicts(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("verdicts: status follows from interval and target");
    for verdict in &blueprint.verdicts {
        let name = format!("`{}` {} at {}", verdict.workload, verdict.metric.word(), verdict.site);
        check.that(verdict.status == implied(verdict), || {
            let [low, high, target] = [verdict.low, verdict.high, verdict.target].map(figure::span);
            format!("{name}: {:?}, though [{low}, {high}] stands against {target}", verdict.status)
        });
        check.that(verdict.low <= verdict.seen && verdict.seen <= verdict.high, || {
            format!("{name}: {} lies outside its own interval", figure::span(verdict.seen))
        });
        let counted = verdict.requests > 0 && verdict.replications > 0;
        check.that(counted && (0.0..=1.0).contains(&verdict.attainment), || {
            let Verdict { requests, replications, attainment, .. } = verdict;
            format!("{name}: {requests} requests in {replications} runs, {attainment} of them in time")
        });
        check.that(rises(verdict), || {
            let latencies = verdict.latencies.iter().map(|one| figure::span(one.seen));
            let latencies: Vec<String> = latencies.collect();
            format!("{name}: its percentiles do not rise: {}", latencies.join(", "))
        });
    }
    for serve in &blueprint.inputs.spec.serves {
        for slo in &serve.slos {
            let mut mine = blueprint.verdicts.iter().filter(|verdict| {
                verdict.workload == serve.name
                    && verdict.metric == slo.metric
                    && verdict.per_mille == slo.per_mille
            });
            check.that(mine.any(|verdict| (verdict.target, verdict.over) == (slo.target, slo.over)), || {
                format!("`{}` {} {} was not simulated", serve.name, slo.metric.word(), slo.percentile_word())
            });
        }
    }
    check.done()
}

/// The plan is feasible only where every level is met, every required rule holds, and nothing is an error.
pub(super) fn status(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("status: the plan calls itself what it is");
    let unmet = blueprint.verdicts.iter().filter(|verdict| verdict.status != VerdictStatus::Met).count();
    let required = blueprint.rules.iter().filter(|rule| rule.kind == RuleKind::Require);
    let broken = required.filter(|rule| rule.holds != Some(true)).count();
    let errors = blueprint.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let holds = unmet + broken + errors == 0;
    check.that(blueprint.status != Status::Feasible || holds, || {
        format!("it says it holds, with {unmet} levels unmet, {broken} rules broken and {errors} errors")
    });
    check.that(blueprint.status != Status::Infeasible || errors > 0, || {
        "no plan exists, but no finding says why".to_owned()
    });
    let empty = blueprint.pools.is_empty() && blueprint.services.is_empty() && blueprint.trainings.is_empty();
    check.that(blueprint.status != Status::Infeasible || empty, || {
        "no plan exists, yet machines are bought".to_owned()
    });
    check.done()
}

#[cfg(test)]
mod tests {
    use super::super::tests::caught_by;
    use capstan_types::blueprint::{Status, VerdictStatus};
    use capstan_types::finding::Severity;
    use capstan_types::units::Seconds;

    #[test]
    fn a_status_that_does_not_follow_is_caught() {
        caught_by("verdicts", |b| b.verdicts[0].status = VerdictStatus::Missed);
        caught_by("verdicts", |b| b.verdicts[0].high = Seconds(0.55));
        caught_by("verdicts", |b| b.verdicts[0].seen = Seconds(0.30));
        caught_by("verdicts", |b| b.verdicts[1].requests = 0);
        caught_by("verdicts", |b| b.verdicts[0].latencies[0].seen = Seconds(0.4));
        caught_by("verdicts", |b| b.verdicts[0].latencies[3].seen = Seconds(0.42));
        caught_by("verdicts", |b| b.inputs.spec.serves[0].slos[0].target = Seconds(0.4));
        caught_by("verdicts", |b| b.inputs.spec.serves[0].slos[0].over = Some(Seconds(300.0)));
    }

    #[test]
    fn a_plan_that_praises_itself_is_caught() {
        caught_by("status", |b| b.verdicts[0].status = VerdictStatus::Undecided);
        caught_by("status", |b| b.rules[0].holds = Some(false));
        caught_by("status", |b| b.rules[0].holds = None);
        caught_by("status", |b| b.findings[0].severity = Severity::Error);
        caught_by("status", |b| b.status = Status::Infeasible);
    }
}
