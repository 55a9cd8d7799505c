//! Why one may believe the report, and what it rests on: findings, rules, runners-up, certainty, inputs.

use super::first::oldest_price;
use super::origins;
use super::what_if::burst_words;
use crate::document::{Block, Cell, Table, Tone};
use crate::json::assumed;
use capstan_types::blueprint::{
    BackgroundSeen, Blueprint, RejectionCount, Reused, SolverStatus, Verdict, by_reason,
};
use capstan_types::figure;
use capstan_types::figure::counted;
use capstan_types::finding::{Finding, Severity};
use capstan_types::spec::{RuleKind, level_word};
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
            Cell::from(rule.numbers.as_str())
                .hinted("both sides, computed from the finished plan")
                .stated(&rule.place),
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
    let again =
        format!("found by planning again with the other limit: less {}", origins::objective(blueprint));
    for price in &blueprint.limit_prices {
        table.rows.push(vec![
            price.what.as_str().into(),
            Cell::from(figure::short(price.value)).hinted("limit of the plan").stated(&price.place),
            Cell::from(figure::short(price.relaxed_to)).hinted("what was tried in its place"),
            price.unit.as_str().into(),
            Cell::from(figure::amount(price.saving, currency)).hinted(again.as_str()),
            Cell::from(figure::amount(price.saving_per_unit, currency))
                .hinted("the saving ÷ by how much the limit was moved"),
        ]);
    }
    vec![Block::Table(table)]
}

/// Returns the next best plans and what they cost more.
pub(super) fn runners_up(blueprint: &Blueprint) -> Vec<Block> {
    let currency = blueprint.cost.currency;
    let more = format!(">Costs more, {}", currency.code());
    let mut table = Table::new(&["Workload", "Instead", &more, ">Share", "Known by"]);
    let objective = origins::objective(blueprint);
    for runner in &blueprint.runners_up {
        let by = if runner.simulated { "simulated" } else { "estimated, not simulated" };
        table.rows.push(vec![
            runner.workload.as_str().into(),
            runner.instead.as_str().into(),
            Cell::from(figure::amount(runner.extra, currency))
                .hinted(format!("{by}: its {objective} less that of this plan")),
            Cell::from(figure::percent(runner.extra_share))
                .hinted(format!("{by}: what it costs more ÷ the {objective} of this plan")),
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
            Cell::from(figure::count(u64::from(sum.machines)))
                .hinted("machines with a way that was turned down so"),
            Cell::from(figure::count(u64::from(sum.candidates)))
                .hinted("ways that were turned down so, counted"),
            Cell::from(format!("{shape}: {nearest}")).hinted("estimated while ways to run it were listed"),
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
    let bursts = blueprint.bursts.iter().map(|one| {
        let told = Cell::from(burst_words(one)).hinted("simulated with arrivals of the same mean at random");
        (format!("{} bursts", one.workload), told)
    });
    facts.extend(bursts);
    let counts = assumed(blueprint);
    let assumed = format!(
        "{}, {}, {}, {}",
        counted(counts.defaults, "default"),
        counted(counts.cost_lines, "cost line"),
        counted(counts.price_estimates, "price estimate"),
        counted(counts.catalog_facts, "catalog fact")
    );
    let mut fact = |name: &str, text: String, hint: &str| {
        facts.push((name.to_owned(), Cell::from(text).hinted(hint)));
    };
    fact(
        "assumed",
        assumed,
        "counted over the plan, the bill, its prices and the catalog rows that were considered",
    );
    let unpriced = counted(blueprint.unpriced.len(), "offering");
    let text = format!("{unpriced} passed over, never taken as free");
    fact("unpriced", text, "counted over the offerings of the catalog whose price nobody knows");
    if let (Some(date), Some(days)) = (oldest_price(blueprint), blueprint.inputs.oldest_price_days) {
        let text = format!("{date}, {days} days before the planning date");
        fact("oldest price", text, "the earliest date of the price rows that purchases rest on");
    }
    vec![Block::Facts(facts)]
}

/// Returns how one service level was simulated: how often, how much, on what, when, from which stream.
fn simulated(blueprint: &Blueprint, verdict: &Verdict) -> (String, Cell) {
    let level = level_word(verdict.metric, verdict.per_mille, verdict.over);
    let name = format!("{} {level}", verdict.workload);
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
    let hint = format!(
        "simulated; what was seen: {}, 95 % interval {} … {}",
        figure::span(verdict.seen),
        figure::span(verdict.low),
        figure::span(verdict.high)
    );
    (name, Cell::from(text).hinted(hint))
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
        let text = format!(
            "{}: {} found, at least {} over {} columns",
            figure::percent(gap),
            figure::large(solver.objective),
            figure::large(bound),
            solver.columns
        );
        let hint = format!(
            "(found − bound) ÷ found, by {}; the bound is proven by the solver",
            origins::objective(blueprint)
        );
        facts.push(("gap".to_owned(), Cell::from(text).hinted(hint)));
    }
    let rounds = solver.rounds.len();
    if rounds > 0 {
        let text = format!(
            "{rounds} of solve, simulate, derate; {}",
            if solver.settled { "settled" } else { "NOT settled" }
        );
        facts.push((
            "rounds".to_owned(),
            Cell::toned(text, if solver.settled { Tone::Plain } else { Tone::Bad })
                .hinted("settled is when the last simulation changed nothing"),
        ));
    }
    let told = solver.rounds.iter().enumerate().flat_map(|(index, round)| {
        let factors = round.derated.iter().map(|(workload, way, factor)| {
            format!(
                "{workload} on {way} is planned at {} of its estimate from here",
                figure::percent(*factor)
            )
        });
        round.missed.iter().cloned().chain(factors).map(move |text| {
            let text = format!("round {}: {text}", index + 1);
            (String::new(), Cell::toned(text, Tone::Faint).hinted("simulated on the draft of that round"))
        })
    });
    facts.extend(told);
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
    let told = blueprint.assumptions.iter().map(|one| {
        let default = format!("a default, {}: the plan does not say it", one.origin.word());
        Cell::from(one.text.as_str()).hinted(default)
    });
    vec![Block::List(told.collect())]
}

/// Returns digests, overrides, the seed and the tool.
pub(super) fn inputs(blueprint: &Blueprint) -> Vec<Block> {
    let inputs = &blueprint.inputs;
    let mut facts: Vec<(String, Cell)> = Vec::new();
    for file in &inputs.files {
        let digest: String = file.sha256.chars().take(16).collect();
        let text = format!("{}, sha256 {digest}…", file.path);
        facts.push((file.role.clone(), Cell::from(text).hinted("digest of the file as it was read")));
    }
    for one in &inputs.overrides {
        facts.push((
            "override".to_owned(),
            Cell::toned(format!("{} {} ({})", one.path, one.change, one.from), Tone::Warn)
                .hinted(format!("changed on the way in by {}", one.from)),
        ));
    }
    let seed = Cell::from(inputs.spec.frame.seed.to_string()).hinted("every random stream follows from it");
    facts.push(("seed".to_owned(), seed));
    let tool = Cell::from(format!("capstan {}, blueprint format {}", blueprint.tool, blueprint.format));
    facts.push(("tool".to_owned(), tool.hinted("written into the blueprint when it was planned")));
    vec![Block::Facts(facts)]
}
