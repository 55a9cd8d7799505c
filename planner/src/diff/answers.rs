//! What is bought, where it runs and what was seen: which of it is not as it was.

use capstan_types::blueprint::{
    BatchRun, Blueprint, Candidate, Pool, Status, TrainingRun, Verdict, VerdictStatus,
};
use capstan_types::diff::{Change, ChangeKind, Counts, LevelDelta, MachineDelta, Value};
use capstan_types::figure;
use capstan_types::spec::level_word;
use std::collections::BTreeMap;

/// What a blueprint says about things, by kind and address.
type Facts = BTreeMap<(ChangeKind, String), Value>;

/// Returns everything that is not as it was, in order of kind and address.
pub(super) fn changes(base: &Blueprint, head: &Blueprint) -> Vec<Change> {
    let (before, mut after) = (facts(base), facts(head));
    let mut keys: Vec<_> = before.keys().chain(after.keys()).cloned().collect();
    keys.sort();
    keys.dedup();
    let mut before = before;
    // The total of no plan leaves nothing out; it is none.
    let exist = base.status != Status::Infeasible && head.status != Status::Infeasible;
    keys.into_iter()
        .map(|key| {
            let (before, after) = (before.remove(&key), after.remove(&key));
            Change { kind: key.0, address: key.1, before, after }
        })
        .filter(|change| change.before != change.after)
        .filter(|change| exist || change.kind != ChangeKind::LeftOut)
        .collect()
}

/// Returns machines of which there are more or fewer at once, by shape.
pub(super) fn machines(base: &Blueprint, head: &Blueprint) -> Vec<MachineDelta> {
    let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
    let most =
        |pool: &Pool| (0..pool.needed.len()).map(|period| u64::from(pool.nodes(period))).max().unwrap_or(0);
    for pool in &base.pools {
        counts.entry(&pool.shape).or_default().before += most(pool);
    }
    for pool in &head.pools {
        counts.entry(&pool.shape).or_default().after += most(pool);
    }
    let changed = counts.into_iter().filter(|(_, nodes)| nodes.before != nodes.after);
    changed.map(|(shape, nodes)| MachineDelta { shape: shape.to_owned(), nodes }).collect()
}

/// Returns service levels that were simulated differently, or are asked differently.
pub(super) fn levels(base: &Blueprint, head: &Blueprint) -> Vec<LevelDelta> {
    let mut levels: BTreeMap<String, LevelDelta> = BTreeMap::new();
    for (verdict, is_head) in
        base.verdicts.iter().map(|one| (one, false)).chain(head.verdicts.iter().map(|one| (one, true)))
    {
        let entry = levels.entry(level(verdict)).or_insert_with(|| LevelDelta {
            level: level(verdict),
            before_s: None,
            after_s: None,
            target_s: verdict.target.get(),
        });
        entry.target_s = verdict.target.get();
        *(if is_head { &mut entry.after_s } else { &mut entry.before_s }) = Some(verdict.seen.get());
    }
    levels.into_values().filter(|one| one.before_s != one.after_s).collect()
}

fn facts(blueprint: &Blueprint) -> Facts {
    let mut facts = Facts::new();
    let mut add = |kind, address: String, value| facts.insert((kind, address), value);
    add(ChangeKind::Status, "plan".to_owned(), Value::Words(status(blueprint.status).to_owned()));
    for item in &blueprint.cost.not_included {
        // As many nodes more of what has no price are no other thing without one.
        let what = item.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        add(ChangeKind::LeftOut, what.to_owned(), Value::Words("left out".to_owned()));
    }
    for pool in &blueprint.pools {
        let name = format!("{}/{}", pool.site, pool.shape);
        let most = pool.needed.iter().flatten().copied().max().unwrap_or(0);
        add(ChangeKind::Pool, name.clone(), Value::Count(u64::from(most)));
        for purchase in &pool.purchases {
            let address = format!("{name}, {}", purchase.option.words());
            let hours: f64 = purchase.node_hours_by_period.iter().sum();
            add(ChangeKind::Purchase, address.clone(), Value::Count(u64::from(purchase.nodes)));
            add(ChangeKind::NodeHours, address, Value::Count(hours.round().max(0.0) as u64));
        }
    }
    for service in &blueprint.services {
        for placement in &service.placements {
            let name = format!("{} at {}", service.workload, placement.site);
            add(ChangeKind::Candidate, name.clone(), Value::Words(candidate(&placement.candidate)));
            add(ChangeKind::Placement, name.clone(), Value::Words(placement.candidate.shape.clone()));
            add(ChangeKind::Replicas, name, Value::Count(u64::from(placement.peak_replicas())));
        }
    }
    for run in &blueprint.trainings {
        add(ChangeKind::Training, run.workload.clone(), Value::Words(training(run)));
    }
    for run in &blueprint.batches {
        add(ChangeKind::Offline, run.workload.clone(), Value::Words(offline(run)));
    }
    for verdict in &blueprint.verdicts {
        add(ChangeKind::Verdict, level(verdict), Value::Words(outcome(verdict)));
    }
    for rule in &blueprint.rules {
        let name = rule.label.as_deref().unwrap_or(&rule.text);
        add(
            ChangeKind::Rule,
            format!("{}.{name}", rule.budget),
            Value::Words(rule_words(rule.holds, &rule.numbers)),
        );
    }
    for finding in &blueprint.findings {
        add(
            ChangeKind::Finding,
            format!("{}: {}", finding.code, finding.message),
            Value::Words("said".to_owned()),
        );
    }
    facts
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Feasible => "holds",
        Status::Violated => "does not hold",
        Status::Infeasible => "no plan exists",
    }
}

fn candidate(candidate: &Candidate) -> String {
    let Candidate { shape, precision, engine, .. } = candidate;
    format!("{shape}, {}, {}, {engine}", candidate.degrees().words(), precision.word())
}

fn training(run: &TrainingRun) -> String {
    let of = &run.candidate;
    format!(
        "{} × {} at {}, {}{}, {} to {}",
        of.nodes,
        of.shape,
        run.site,
        of.split(),
        run.pauses(),
        run.start,
        run.end
    )
}

fn offline(run: &BatchRun) -> String {
    format!("{} at {}, {}, {} to {}", candidate(&run.candidate), run.site, run.words(), run.start, run.end)
}

fn level(verdict: &Verdict) -> String {
    format!(
        "{} {} at {}",
        verdict.workload,
        level_word(verdict.metric, verdict.per_mille, verdict.over),
        verdict.site
    )
}

fn outcome(verdict: &Verdict) -> String {
    let status = match verdict.status {
        VerdictStatus::Met => "met",
        VerdictStatus::Missed => "missed",
        VerdictStatus::Undecided => "undecided",
    };
    format!("{status}, {} of {}", figure::span(verdict.seen), figure::span(verdict.target))
}

fn rule_words(holds: Option<bool>, numbers: &str) -> String {
    match holds {
        Some(true) => format!("holds, {numbers}"),
        Some(false) => format!("broken, {numbers}"),
        None => format!("unknown, {numbers}"),
    }
}
