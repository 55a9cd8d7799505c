//! A plan in sentences: why this, what binds, how it is bought, what was turned down.
//!
//! It reads the blueprint alone and decides nothing. It does not know what the solver tried beyond what the
//! blueprint counts.

mod limits;
mod machines;
mod memory;
mod workloads;
mod worlds;

use capstan_types::blueprint::{Blueprint, ReasonCount, RejectionCount, Status, by_reason};
use capstan_types::explanation::{Explanation, Section};
use capstan_types::figure::{self, counted};
use capstan_types::hardware::Cooling;
use std::collections::BTreeSet;
use thiserror::Error;

/// A subject that the blueprint does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the blueprint has nothing called `{subject}`")]
pub struct UnknownSubject {
    /// What was asked for.
    pub subject: String,
    /// Names that are spelled almost so, the nearest first.
    pub suggestions: Vec<String>,
    /// Every name that can be asked for.
    pub known: Vec<String>,
}

/// Explains the whole plan, or the workload, machine or site that `subject` names.
pub fn explain(blueprint: &Blueprint, subject: Option<&str>) -> Result<Explanation, UnknownSubject> {
    let Some(subject) = subject else { return Ok(whole(blueprint)) };
    let spec = &blueprint.inputs.spec;
    let serves = spec.serves.iter().map(|serve| serve.name.as_str());
    let trains = spec.trains.iter().map(|train| train.name.as_str());
    let apps = spec.apps.iter().map(|app| app.name.as_str());
    let batches = spec.batches.iter().map(|batch| batch.name.as_str());
    if serves.chain(trains).chain(apps).chain(batches).any(|name| name == subject) {
        return Ok(workload(blueprint, subject));
    }
    if spec.sites.iter().any(|site| site.name == subject) {
        return Ok(site(blueprint, subject));
    }
    if let Some(shape) =
        shapes(blueprint).into_iter().find(|shape| subject == shape || in_pool(blueprint, subject, shape))
    {
        return Ok(machine(blueprint, &shape));
    }
    let known = known(blueprint);
    let mut near: Vec<_> = known.iter().map(|name| (distance(name, subject), name.clone())).collect();
    near.sort();
    let reach = (subject.chars().count() / 2).max(2);
    let suggestions =
        near.into_iter().filter(|(far, _)| *far <= reach).take(3).map(|(_, name)| name).collect();
    Err(UnknownSubject { subject: subject.to_owned(), suggestions, known })
}

fn in_pool(blueprint: &Blueprint, subject: &str, shape: &str) -> bool {
    blueprint.pools.iter().any(|pool| pool.shape == shape && subject == format!("{}/{shape}", pool.site))
}

fn shapes(blueprint: &Blueprint) -> Vec<String> {
    let pools = blueprint.pools.iter().map(|pool| pool.shape.clone());
    let mut shapes: Vec<_> = pools.chain(blueprint.rejections.iter().map(|row| row.shape.clone())).collect();
    shapes.sort();
    shapes.dedup();
    shapes
}

fn known(blueprint: &Blueprint) -> Vec<String> {
    let spec = &blueprint.inputs.spec;
    let mut known: Vec<String> = spec.serves.iter().map(|serve| serve.name.clone()).collect();
    known.extend(spec.trains.iter().map(|train| train.name.clone()));
    known.extend(spec.batches.iter().map(|batch| batch.name.clone()));
    known.extend(spec.apps.iter().map(|app| app.name.clone()));
    known.extend(spec.sites.iter().map(|site| site.name.clone()));
    known.extend(shapes(blueprint));
    known
}

/// Returns the edits between two names, case ignored (Levenshtein, one row at a time).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, &to) in right.iter().enumerate() {
            let swapped = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = swapped.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

fn section(title: &str, sentences: Vec<String>) -> Section {
    Section { title: title.to_owned(), sentences, facts: Vec::new() }
}

fn finish(title: String, sections: Vec<Section>) -> Explanation {
    let told = |section: &Section| !section.sentences.is_empty() || !section.facts.is_empty();
    Explanation { title, sections: sections.into_iter().filter(told).collect() }
}

fn whole(blueprint: &Blueprint) -> Explanation {
    let mut sections = vec![answer(blueprint)];
    sections.extend(blueprint.services.iter().flat_map(|service| workloads::serving(blueprint, service)));
    sections.extend(blueprint.trainings.iter().flat_map(|run| workloads::training(blueprint, run)));
    sections.extend(blueprint.batches.iter().map(|run| workloads::offline(blueprint, run)));
    sections.extend(blueprint.apps.iter().map(workloads::app));
    sections.extend(blueprint.pools.iter().map(|pool| machines::bought(blueprint, pool)));
    sections.push(limits::binding(blueprint, None));
    sections.push(limits::prices(blueprint));
    sections.push(worlds::regret(blueprint));
    sections.push(runners_up(blueprint, None));
    sections.push(rejected_by_reason(blueprint));
    sections.push(assumed(blueprint));
    finish(blueprint.inputs.spec.name.clone(), sections)
}

fn workload(blueprint: &Blueprint, name: &str) -> Explanation {
    let mut sections = Vec::new();
    let mut places: Vec<(&str, &str)> = Vec::new();
    for service in blueprint.services.iter().filter(|service| service.workload == name) {
        sections.extend(workloads::serving(blueprint, service));
        places.extend(service.placements.iter().map(|p| (p.site.as_str(), p.candidate.shape.as_str())));
    }
    for run in blueprint.apps.iter().filter(|run| run.workload == name) {
        sections.push(workloads::app(run));
        places.push((run.site.as_str(), run.shape.as_str()));
    }
    for run in blueprint.trainings.iter().filter(|run| run.workload == name) {
        sections.extend(workloads::training(blueprint, run));
        places.push((&run.site, &run.candidate.shape));
    }
    for run in blueprint.batches.iter().filter(|run| run.workload == name) {
        sections.push(workloads::offline(blueprint, run));
        places.push((&run.site, &run.candidate.shape));
    }
    let pools =
        blueprint.pools.iter().filter(|pool| places.contains(&(pool.site.as_str(), pool.shape.as_str())));
    sections.extend(pools.map(|pool| machines::bought(blueprint, pool)));
    if places.is_empty() {
        sections.push(answer(blueprint));
    }
    sections.push(runners_up(blueprint, Some(name)));
    sections.push(rejected(blueprint, |row| row.workload == name));
    finish(name.to_owned(), sections)
}

fn machine(blueprint: &Blueprint, shape: &str) -> Explanation {
    let pools = blueprint.pools.iter().filter(|pool| pool.shape == shape);
    let mut sections: Vec<Section> = pools.map(|pool| machines::bought(blueprint, pool)).collect();
    if sections.is_empty() {
        sections.push(section("Not used", vec![format!("No node of {shape} is part of this plan.")]));
    }
    sections.push(machines::tenants(blueprint, |_, used| used == shape));
    sections.push(rejected(blueprint, |row| row.shape == shape));
    finish(shape.to_owned(), sections)
}

fn site(blueprint: &Blueprint, name: &str) -> Explanation {
    let pools = blueprint.pools.iter().filter(|pool| pool.site == name);
    let mut sections: Vec<Section> = pools.map(|pool| machines::bought(blueprint, pool)).collect();
    if sections.is_empty() {
        sections.push(section("Not used", vec![format!("Nothing runs at {name} in this plan.")]));
    }
    sections.push(machines::tenants(blueprint, |site, _| site == name));
    sections.extend(heat(blueprint, name));
    sections.push(limits::binding(blueprint, Some(name)));
    finish(name.to_owned(), sections)
}

/// Says what carries heat away from a site, how much, and what may not stand there for it.
fn heat(blueprint: &Blueprint, name: &str) -> Option<Section> {
    let site = blueprint.inputs.spec.sites.iter().find(|site| site.name == name)?;
    let heat = blueprint.sites.iter().find(|summary| summary.site == name).and_then(|told| told.it_power);
    let amount = heat.map_or("An unknown amount of heat".to_owned(), |heat| {
        format!("{} of heat at full load", figure::power(heat))
    });
    let sentence = match (site.cooling?, heat) {
        (Cooling::Liquid, _) => format!("{amount} goes into liquid, and into air what the chips leave."),
        (Cooling::Air, Some(heat)) => format!(
            "{amount} goes into air: {} m³/s of it, if it leaves {:.0} K warmer.",
            figure::short(Cooling::air_flow(heat)),
            Cooling::AIR_WARMER_BY_K
        ),
        (Cooling::Air, None) => format!("{amount} goes into air."),
    };
    let refused: BTreeSet<&str> = blueprint
        .rejections
        .iter()
        .filter(|row| row.reason == "needs_liquid" && row.nearest.contains(&format!("{name} is cooled")))
        .map(|row| row.shape.as_str())
        .collect();
    let refused: Vec<&str> = refused.into_iter().collect();
    let left_out = format!("Machines that need liquid do not stand here: {}.", refused.join(", "));
    let mut sentences = vec![sentence];
    sentences.extend((!refused.is_empty()).then_some(left_out));
    Some(section("Heat", sentences))
}

fn answer(blueprint: &Blueprint) -> Section {
    let cost = &blueprint.cost;
    let frame = &blueprint.inputs.spec.frame;
    let mut sentences = Vec::new();
    match blueprint.status {
        Status::Infeasible => sentences.push("No plan keeps every limit.".to_owned()),
        status => {
            let holds = if status == Status::Feasible { "holds" } else { "does not hold in every point" };
            sentences.push(format!(
                "The plan {holds}: it costs {} over {} months, {} a month, {} net present.",
                figure::money(cost.total, cost.currency),
                frame.months,
                figure::money(cost.per_month, cost.currency),
                figure::money(cost.net_present, cost.currency)
            ));
            sentences.push(solved(blueprint));
        }
    }
    for finding in &blueprint.findings {
        sentences.push(format!("{} {}.", finding.code, finding.message));
        sentences.extend(finding.because.iter().map(|reason| format!("Because {reason}.")));
        if !finding.ways_out.is_empty() {
            sentences.push(format!("Ways out, the cheapest first: {}.", finding.ways_out.join(" · ")));
        }
    }
    section("The answer", sentences)
}

fn solved(blueprint: &Blueprint) -> String {
    let solver = &blueprint.solver;
    let bound = match (solver.bound, solver.gap) {
        (Some(_), Some(gap)) => format!("no plan is cheaper by more than {}", figure::percent(gap)),
        _ => "how much cheaper another plan may be is not known".to_owned(),
    };
    let turns = counted(solver.rounds.len(), "round");
    let were = if solver.rounds.len() == 1 { "was" } else { "were" };
    let settled = if solver.settled { "and settled" } else { "and did not settle" };
    format!(
        "Over {} columns, {bound}; {turns} of solving and simulating {were} made {settled}.",
        solver.columns
    )
}

fn runners_up(blueprint: &Blueprint, workload: Option<&str>) -> Section {
    let mine =
        blueprint.runners_up.iter().filter(|runner| workload.is_none_or(|name| runner.workload == name));
    let sentence = |runner: &capstan_types::blueprint::RunnerUp| {
        format!(
            "`{}` on {} would cost {} more ({}); {}.",
            runner.workload,
            runner.instead,
            figure::money(runner.extra, blueprint.cost.currency),
            figure::percent(runner.extra_share),
            if runner.simulated { "it was simulated" } else { "it was estimated, not simulated" }
        )
    };
    section("What else would do", mine.map(sentence).collect())
}

/// One sentence for each workload and reason; a subject tells the machines.
fn rejected_by_reason(blueprint: &Blueprint) -> Section {
    let sentence = |sum: &ReasonCount<'_>| {
        let RejectionCount { workload, shape, reason, nearest, .. } = sum.nearest;
        format!(
            "`{workload}`: {} on {} turned down, {}; the nearest miss was {shape}, {nearest}.",
            counted(sum.candidates as usize, "candidate"),
            counted(sum.machines as usize, "machine"),
            reason.replace('_', " "),
        )
    };
    section("What was rejected", by_reason(blueprint.rejections.iter()).iter().map(sentence).collect())
}

/// Rejections are counts by workload, shape and reason, with the one that came nearest.
fn rejected(blueprint: &Blueprint, of: impl Fn(&RejectionCount) -> bool) -> Section {
    let sentence = |row: &RejectionCount| {
        format!(
            "`{}` on {}: {} turned down, {}; the nearest miss was {}.",
            row.workload,
            row.shape,
            counted(row.count as usize, "candidate"),
            row.reason.replace('_', " "),
            row.nearest
        )
    };
    section("What was rejected", blueprint.rejections.iter().filter(|row| of(row)).map(sentence).collect())
}

fn assumed(blueprint: &Blueprint) -> Section {
    section("What is assumed", blueprint.assumptions.iter().map(|one| format!("{}.", one.text)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};

    fn text(subject: Option<&str>) -> String {
        let told = explain(&chat_blueprint(), subject).unwrap();
        let lines = told.sections.iter().flat_map(|section| {
            let facts = section.facts.iter().map(|(name, value)| format!("{name}: {value}"));
            [vec![section.title.clone()], section.sentences.clone(), facts.collect()].concat()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_whole_plan_answers_every_question() {
        let text = text(None);
        for part in [
            "The plan holds",
            "Why `chat`",
            "What binds",
            "What else would do",
            "What was rejected",
            "What is assumed",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn reserved_nodes_are_explained_by_how_busy_they_are() {
        let text = text(Some("use1"));
        assert!(text.contains("busy more than 37.6 % of the time"), "{text}");
        assert!(text.contains("5 nodes"), "{text}");
    }

    #[test]
    fn a_workload_is_explained_with_its_memory_and_its_misses() {
        let text = text(Some("chat"));
        assert!(text.contains("35.3 GB"), "{text}");
        assert!(text.contains("too slow"), "{text}");
        assert!(!text.contains("`pretrain`"), "{text}");
    }

    #[test]
    fn a_name_almost_spelled_gets_a_suggestion() {
        let unknown = explain(&chat_blueprint(), Some("chta")).unwrap_err();
        assert_eq!(unknown.suggestions, ["chat"]);
        let far = explain(&chat_blueprint(), Some("zzzzzzzz")).unwrap_err();
        assert!(far.suggestions.is_empty() && far.known.contains(&"hz1".to_owned()));
    }

    #[test]
    fn pools_and_shapes_are_both_names() {
        assert!(text(Some("use1/aws.p5_48xlarge")).contains("on demand"));
        assert_eq!(text(Some("use1/aws.p5_48xlarge")), text(Some("aws.p5_48xlarge")));
    }

    #[test]
    fn what_cannot_be_planned_is_explained_with_ways_out() {
        let told = explain(&infeasible_blueprint(), None).unwrap();
        assert!(told.sections[0].sentences.iter().any(|sentence| sentence.starts_with("Ways out")));
        assert!(explain(&infeasible_blueprint(), Some("chat")).is_ok());
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("chat", "chat"), 0);
        assert_eq!(distance("chat", "Cat"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
