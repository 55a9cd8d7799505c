//! Why one may believe the report, and what it rests on: findings, rules, runners-up, certainty, inputs.

use super::first::{oldest_price, percentile};
use super::what_if::burst_words;
use crate::document::{Block, Cell, Table, Tone};
use crate::json::assumed;
use capstan_types::blueprint::{
    BackgroundSeen, Blueprint, RejectionCount, Reused, SolverStatus, Verdict, by_reason,
};
use capstan_types::figure;
use capstan_types::figure::counted;
use capstan_types::finding::{Finding, Severity};
use capstan_types::spec::RuleKind;
use capstan_types::units::Seconds;

fn note(finding: &Finding) -> Block {
    let (word, tone) = match finding.severity {
        Severity::Error => ("error", Tone::Bad),
        Severity::Warning => ("warning", Tone::Warn),
        Severity::Note => ("note", Tone::Plain),
    };
    let places = finding.places.iter().map(|(_, said)| said.clone()).filter(|said| !said.is_empty());
    Block::Note {
        code: format!("{word}[{}]", finding.code),
        message: Cell::toned(finding.message.clone(), tone),
        because: places.chain(finding.because.iter().cloned()).collect(),
        ways_out: finding.ways_out.clone(),
    }
}

/// Returns everything that does not hold or is worth knowing, the worst first; what the audit found comes before.
pub(super) fn findings(blueprint: &Blueprint) -> Vec<Block> {
    let wrong = blueprint.audit.iter().filter(|check| !check.violations.is_empty());
    let wrong = wrong.map(|check| Block::Note {
        code: "audit".to_owned(),
        message: Cell::toned(check.check.clone(), Tone::Bad),
        because: check.violations.clone(),
        ways_out: Vec::new(),
    });
    let mut findings: Vec<_> = blueprint.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    wrong.chain(findings.into_iter().map(note)).collect()
}

/// Returns what the rules of the budgets said.
pub(super) fn rules(blueprint: &Blueprint) -> Vec<Block> {
    let mut table = Table::new(&["Rule", "Asked", "Numbers", "Verdict"]);
    for rule in &blueprint.rules {
        let kind = match rule.kind {
            RuleKind::Require => "require",
            RuleKind::Prefer => "prefer",
            RuleKind::Warn => "warn",
        };
        let verdict = match (rule.holds, rule.kind) {
            (Some(true), _) => Cell::toned("holds", Tone::Good),
            (Some(false), RuleKind::Require) => Cell::toned("BROKEN", Tone::Bad),
            (Some(false), _) => Cell::toned("does not hold", Tone::Warn),
            (None, _) => Cell::toned("unknown", Tone::Warn),
        };
        let name = rule.label.as_deref().unwrap_or("");
        table.rows.push(vec![
            format!("{kind} {name}").trim_end().into(),
            rule.text.as_str().into(),
            rule.numbers.as_str().into(),
            verdict,
        ]);
    }
    vec![Block::Table(table)]
}

/// Returns what would be saved if each limit that binds were looser.
pub(super) fn limit_prices(blueprint: &Blueprint) -> Vec<Block> {
    let currency = blueprint.cost.currency;
    let saves = format!(">Saves, {}", currency.code());
    let mut table = Table::new(&["Limit", ">Now", ">Instead", "Unit", &saves, ">Per unit"]);
    for price in &blueprint.limit_prices {
        table.rows.push(vec![
            price.what.as_str().into(),
            figure::short(price.value).into(),
            figure::short(price.relaxed_to).into(),
            price.unit.as_str().into(),
            figure::amount(price.saving, currency).into(),
            figure::amount(price.saving_per_unit, currency).into(),
        ]);
    }
    vec![Block::Table(table)]
}

/// Returns the next best plans and what they cost more.
pub(super) fn runners_up(blueprint: &Blueprint) -> Vec<Block> {
    let currency = blueprint.cost.currency;
    let more = format!(">Costs more, {}", currency.code());
    let mut table = Table::new(&["Workload", "Instead", &more, ">Share", "Known by"]);
    for runner in &blueprint.runners_up {
        table.rows.push(vec![
            runner.workload.as_str().into(),
            runner.instead.as_str().into(),
            figure::amount(runner.extra, currency).into(),
            figure::percent(runner.extra_share).into(),
            if runner.simulated { "simulation" } else { "estimate" }.into(),
        ]);
    }
    vec![Block::Table(table)]
}

/// Returns what was turned down: one row for each workload and reason, with the nearest miss of all machines.
pub(super) fn rejections(blueprint: &Blueprint) -> Vec<Block> {
    let mut table = Table::new(&["Workload", "Reason", ">Machines", ">Ways", "Nearest miss"]);
    for sum in by_reason(blueprint.rejections.iter()) {
        let RejectionCount { workload, shape, reason, nearest, .. } = sum.nearest;
        table.rows.push(vec![
            workload.as_str().into(),
            reason.replace('_', " ").into(),
            figure::count(u64::from(sum.machines)).into(),
            figure::count(u64::from(sum.candidates)).into(),
            format!("{shape}: {nearest}").into(),
        ]);
    }
    let mut blocks = Vec::new();
    if !table.rows.is_empty() {
        blocks.push(Block::Table(table));
        let more = "machine by machine: capstan explain BLUEPRINT WORKLOAD";
        blocks.push(Block::Paragraph(Cell::toned(more, Tone::Faint)));
    }
    blocks
}

/// Returns how the answer was found, how each level was simulated, and how many numbers are assumed.
pub(super) fn certainty(blueprint: &Blueprint) -> Vec<Block> {
    let mut facts = solver(blueprint);
    facts.extend(blueprint.verdicts.iter().map(|verdict| simulated(blueprint, verdict)));
    let bursts =
        blueprint.bursts.iter().map(|one| (format!("{} bursts", one.workload), burst_words(one).into()));
    facts.extend(bursts);
    let counts = assumed(blueprint);
    facts.push((
        "assumed".to_owned(),
        format!(
            "{}, {}, {}, {}",
            counted(counts.defaults, "default"),
            counted(counts.cost_lines, "cost line"),
            counted(counts.price_estimates, "price estimate"),
            counted(counts.catalog_facts, "catalog fact")
        )
        .into(),
    ));
    let unpriced = counted(blueprint.unpriced.len(), "offering");
    facts.push(("unpriced".to_owned(), format!("{unpriced} passed over, never taken as free").into()));
    if let (Some(date), Some(days)) = (oldest_price(blueprint), blueprint.inputs.oldest_price_days) {
        facts.push((
            "oldest price".to_owned(),
            format!("{date}, {days} days before the planning date").into(),
        ));
    }
    vec![Block::Facts(facts)]
}

/// Returns how one service level was simulated: how often, how much, on what, when, from which stream.
fn simulated(blueprint: &Blueprint, verdict: &Verdict) -> (String, Cell) {
    let name = format!("{} {} {}", verdict.workload, verdict.metric.word(), percentile(verdict.per_mille));
    let day = if verdict.hour < 24 { "weekday" } else { "weekend" };
    let runs = counted(verdict.replications as usize, "run");
    let found =
        verdict.reused.as_ref().map_or_else(String::new, |reused| format!("; {}", reused_words(reused)));
    let turned = match verdict.turned_away {
        0 => String::new(),
        n => format!("; {} turned away", counted(n as usize, "request")),
    };
    let behind = verdict
        .background
        .as_ref()
        .map_or_else(String::new, |seen| format!("; in the background {}", background_words(seen)));
    let text = format!(
        "{runs}, {} requests at {} req/s ({}) on {} of {} replicas at {}, period {}, {day} {:02}:00; \
         {} within the limit{found}{turned}{behind}; seed {}, stream {}",
        figure::count(verdict.requests),
        figure::short(verdict.rate.get()),
        verdict.arrivals,
        verdict.replicas,
        verdict.replicas_planned,
        verdict.site,
        verdict.period + 1,
        verdict.hour % 24,
        figure::percent(verdict.attainment),
        blueprint.inputs.spec.frame.seed,
        verdict.stream
    );
    (name, text.into())
}

/// Says what requests saw that yield to the others.
pub(crate) fn background_words(seen: &BackgroundSeen) -> String {
    let BackgroundSeen { requests, turned_away, ttft_p50_s, ttft_p99_s, e2e_p50_s, e2e_p99_s } = *seen;
    let at = |at: Option<Seconds>| at.map_or_else(|| "never".to_owned(), figure::span);
    format!(
        "{} requests, {} of them turned away: first token after {} (p99 {}), last after {} (p99 {})",
        figure::count(requests),
        figure::percent(turned_away as f64 / requests.max(1) as f64),
        at(ttft_p50_s),
        at(ttft_p99_s),
        at(e2e_p50_s),
        at(e2e_p99_s),
    )
}

/// Says what was found of prompts that begin alike.
pub(crate) fn reused_words(reused: &Reused) -> String {
    let share = figure::percent(reused.share);
    let back = match reused.read_back {
        none if none <= 0.0 => String::new(),
        some => format!(", {} of it read back from host memory or disk", figure::percent(some)),
    };
    format!("{share} of prompt tokens found in the cache{back}")
}

fn solver(blueprint: &Blueprint) -> Vec<(String, Cell)> {
    let solver = &blueprint.solver;
    let status = match solver.status {
        SolverStatus::Optimal => Cell::toned("proven best within the gap", Tone::Good),
        SolverStatus::NodeLimit => Cell::toned("best found when the search was cut short", Tone::Warn),
        SolverStatus::Infeasible => Cell::toned("no solution exists", Tone::Bad),
    };
    let mut facts = vec![("program".to_owned(), status)];
    if let (Some(bound), Some(gap)) = (solver.bound, solver.gap) {
        facts.push((
            "gap".to_owned(),
            format!(
                "{}: {} found, at least {} over {} columns",
                figure::percent(gap),
                figure::large(solver.objective),
                figure::large(bound),
                solver.columns
            )
            .into(),
        ));
    }
    let rounds = solver.rounds.len();
    if rounds > 0 {
        let text = format!(
            "{rounds} of solve, simulate, derate; {}",
            if solver.settled { "settled" } else { "NOT settled" }
        );
        facts.push((
            "rounds".to_owned(),
            Cell::toned(text, if solver.settled { Tone::Plain } else { Tone::Bad }),
        ));
    }
    let missed = solver.rounds.iter().enumerate().flat_map(|(index, round)| {
        round.missed.iter().map(move |level| {
            (String::new(), Cell::toned(format!("round {}: {level}", index + 1), Tone::Faint))
        })
    });
    facts.extend(missed);
    facts
}

/// Returns what the total leaves out, and the offerings without a price.
pub(super) fn not_included(blueprint: &Blueprint) -> Vec<Block> {
    let left_out = blueprint.cost.not_included.iter().map(|item| Cell::from(item.as_str()));
    let unpriced = blueprint.unpriced.iter().map(|row| {
        Cell::from(format!("{} at {}, {}: nobody knows the price", row.shape, row.site, row.option.words()))
    });
    vec![Block::List(left_out.chain(unpriced).collect())]
}

/// Returns every default that was used.
pub(super) fn assumptions(blueprint: &Blueprint) -> Vec<Block> {
    vec![Block::List(blueprint.assumptions.iter().map(|one| Cell::from(one.text.as_str())).collect())]
}

/// Returns digests, overrides, the seed and the tool.
pub(super) fn inputs(blueprint: &Blueprint) -> Vec<Block> {
    let inputs = &blueprint.inputs;
    let mut facts: Vec<(String, Cell)> = Vec::new();
    for file in &inputs.files {
        let digest: String = file.sha256.chars().take(16).collect();
        facts.push((file.role.clone(), format!("{}, sha256 {digest}…", file.path).into()));
    }
    for one in &inputs.overrides {
        facts.push((
            "override".to_owned(),
            Cell::toned(format!("{} {} ({})", one.path, one.change, one.from), Tone::Warn),
        ));
    }
    facts.push(("seed".to_owned(), inputs.spec.frame.seed.to_string().into()));
    facts.push((
        "tool".to_owned(),
        format!("capstan {}, blueprint format {}", blueprint.tool, blueprint.format).into(),
    ));
    vec![Block::Facts(facts)]
}
