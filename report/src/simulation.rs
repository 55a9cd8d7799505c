//! Simulation → document and JSON: first whether it holds, then each hour: levels, latencies, what was busy, what failed.

use crate::build::{background_words, reused_words, verdict_cell};
use crate::document::{Block, Cell, Document, Table, Tone};
use crate::json::pretty;
use crate::sparkline::sparkline;
use capstan_types::blueprint::VerdictStatus;
use capstan_types::figure;
use capstan_types::figure::counted;
use capstan_types::simulation::{
    Estimated, Latency, RandomArrivals, SimulatedFailure, SimulatedHour, SimulatedLevel, SimulatedScaling,
    Simulation, TimelinePoint,
};
use capstan_types::spec::level_word;
use capstan_types::units::Seconds;

/// Characters of a sparkline.
const SPARKS: usize = 48;

/// Returns a simulation as JSON.
pub fn simulation_json(simulation: &Simulation) -> String {
    pretty(simulation)
}

/// Returns a simulation as a document; with its course over time if wanted.
pub fn simulation_document(simulation: &Simulation, timeline: bool) -> Document {
    let mut document = Document { title: title(simulation), blocks: Vec::new() };
    for run in &simulation.runs {
        let mut blocks = vec![
            Block::Paragraph(offered(run).into()),
            Block::Table(levels(run)),
            Block::Table(latencies(run)),
            Block::Facts(facts(run)),
        ];
        blocks.extend(run.scaling.as_ref().map(|scaling| Block::Facts(scaled(scaling))));
        blocks.extend(run.failure.as_ref().map(|failure| Block::Facts(failed(failure))));
        if timeline {
            blocks.push(Block::Facts(over_time(run)));
        }
        document.section(&heading(run), blocks);
    }
    document
}

fn title(simulation: &Simulation) -> Cell {
    let what_if = if simulation.what_if.is_empty() {
        String::new()
    } else {
        format!(", if there are {}", simulation.what_if.join(" and "))
    };
    let what_if = what_if.replace("if there are a ", "if a ");
    let (words, tone) = match simulation.status {
        VerdictStatus::Met => ("every service level holds", Tone::Good),
        VerdictStatus::Missed => ("a service level does NOT hold", Tone::Bad),
        VerdictStatus::Undecided => ("a service level is undecided", Tone::Warn),
    };
    let until = if simulation.interrupted { "; interrupted, this is what was known until then" } else { "" };
    Cell::toned(format!("{}: {words}{what_if}{until}", simulation.plan), tone)
}

/// Returns where and when it is, such as `chat at use1, weekday 14:00 of period 1`.
pub(crate) fn heading(run: &SimulatedHour) -> String {
    let day = if run.hour < 24 { "weekday" } else { "weekend" };
    let (hour, period) = (run.hour % 24, run.period + 1);
    format!("{} at {}, {day} {hour:02}:00 of period {period}", run.workload, run.site)
}

fn offered(run: &SimulatedHour) -> String {
    let times = if run.replications == 1 { "once".to_owned() } else { format!("{} times", run.replications) };
    format!(
        "{} req/s ({}) on {}, {} of it simulated {times}, {} requests in all",
        figure::short(run.rate.get()),
        run.arrivals,
        counted(run.replicas as usize, "replica"),
        figure::span(run.measured),
        figure::count(run.requests)
    )
}

fn span(seconds: f64) -> String {
    figure::span(Seconds(seconds))
}

fn interval(of: &Estimated) -> String {
    format!("{} .. {}", span(of.low), span(of.high))
}

fn levels(run: &SimulatedHour) -> Table {
    let mut table =
        Table::new(&["Service level", ">Limit", ">Seen", ">95 % interval", ">Within the limit", "Verdict"]);
    let row = |level: &SimulatedLevel| {
        let unanswered = || Cell::toned("no answer", Tone::Bad);
        vec![
            level_word(level.metric, level.per_mille, level.over).into(),
            figure::span(level.target).into(),
            level.seen_s.as_ref().map_or_else(unanswered, |seen| span(seen.mean).into()),
            level.seen_s.as_ref().map_or_else(|| "–".into(), |seen| interval(seen).into()),
            level.attainment.map_or_else(|| "–".into(), |share| figure::percent(share.mean).into()),
            verdict_cell(level.status),
        ]
    };
    table.rows = run.levels.iter().map(row).collect();
    table
}

fn latencies(run: &SimulatedHour) -> Table {
    let mut table = Table::new(&["", ">Mean", ">p50", ">p90", ">p95", ">p99", ">p999", ">p99 interval"]);
    let named = [
        ("time to first token", &run.ttft),
        ("per output token", &run.tpot),
        ("between two tokens", &run.itl),
        ("to the last token", &run.e2e),
    ];
    for (name, latency) in named {
        let Some(latency) = latency else { continue };
        let Latency { mean_s, p50_s, p90_s, p95_s, p99_s, p999_s } = latency;
        let points = [mean_s, p50_s, p90_s, p95_s, p99_s, p999_s];
        let mut row: Vec<Cell> = vec![name.into()];
        row.extend(points.map(|point| span(point.mean).into()));
        row.push(interval(p99_s).into());
        table.rows.push(row);
    }
    table
}

fn rate(of: &Estimated) -> String {
    let half = figure::short((of.high - of.low) / 2.0);
    format!("{} req/s, plus or minus {half}", figure::short(of.mean))
}

fn facts(run: &SimulatedHour) -> Vec<(String, Cell)> {
    let mut facts: Vec<(String, Cell)> = vec![
        ("goodput".to_owned(), rate(&run.goodput_per_s).into()),
        ("served".to_owned(), rate(&run.served_per_s).into()),
        ("busy".to_owned(), format!("{} of the time", figure::percent(run.utilisation.mean)).into()),
        ("at once".to_owned(), format!("{} sequences on a replica", figure::short(run.mean_batch)).into()),
        ("cache".to_owned(), format!("{} of it at most", figure::percent(run.peak_kv)).into()),
    ];
    let found = run.reused.as_ref().map(|reused| ("prompts".to_owned(), reused_words(reused).into()));
    facts.extend(found);
    let behind = run.background.as_ref();
    facts.extend(behind.map(|seen| ("background".to_owned(), background_words(seen).into())));
    facts.extend(run.random_arrivals.as_ref().map(|random| bursts(run, random)));
    let counts = [
        ("restarted", run.restarted, Tone::Warn),
        ("turned away", run.rejected, Tone::Bad),
        ("lost", run.lost, Tone::Bad),
    ];
    for (name, n, tone) in counts.into_iter().filter(|&(_, n, _)| n > 0) {
        let share = figure::percent(n as f64 / run.requests.max(1) as f64);
        facts.push((
            name.to_owned(),
            Cell::toned(format!("{}, {share}", counted(n as usize, "request")), tone),
        ));
    }
    if run.cut_short {
        let when = run.cut_short_at.map_or_else(String::new, |at| {
            format!(", the first after {} of simulated time", figure::span(at))
        });
        let words = format!("a replication was stopped at its bound on events{when}; nothing is decided");
        facts.push(("cut short".to_owned(), Cell::toned(words, Tone::Bad)));
    }
    facts
}

/// Says in one line what the bursts of a trace cost.
fn bursts(run: &SimulatedHour, random: &RandomArrivals) -> (String, Cell) {
    let waits = random
        .ttft_p99_s
        .map_or_else(String::new, |p99| format!(", and answer 99% within {} on all", span(p99)));
    let words = match random.replicas {
        Some(replicas) => format!(
            "at random, {} req/s on average would need {replicas} of {}{waits}",
            figure::short(random.rate.get()),
            counted(run.replicas as usize, "replica")
        ),
        None => "not even at random would all replicas do".to_owned(),
    };
    ("bursts".to_owned(), words.into())
}

fn scaled(scaling: &SimulatedScaling) -> Vec<(String, Cell)> {
    let replicas = format!(
        "{} to {} serve, {} are paid for on average, {} in flight each are aimed at",
        scaling.fewest_serving,
        counted(scaling.most_serving as usize, "replica"),
        figure::short(scaling.mean_paid),
        figure::short(scaling.target)
    );
    let starts = match scaling.starts {
        0 => "none".to_owned(),
        n => format!("{n}, the longest in {}", figure::span(scaling.longest_start)),
    };
    vec![("replicas follow".to_owned(), replicas.into()), ("cold starts".to_owned(), starts.into())]
}

fn failed(failure: &SimulatedFailure) -> Vec<(String, Cell)> {
    let lasted = Seconds(failure.back.get() - failure.at.get());
    let share = |share: Option<f64>| {
        share.map_or_else(|| "no requests".into(), |share| figure::percent(share).into())
    };
    let what = format!(
        "a {}: {} struck for {}, from {} on",
        failure.what,
        counted(failure.replicas as usize, "replica"),
        figure::span(lasted),
        figure::span(failure.at)
    );
    let recovered = failure.recovery.map_or_else(
        || Cell::toned("not within the simulated time", Tone::Bad),
        |time| format!("after {} no more wait than before", figure::span(time)).into(),
    );
    vec![
        ("fails".to_owned(), what.into()),
        ("within all limits before".to_owned(), share(failure.attainment_before)),
        ("meanwhile".to_owned(), share(failure.attainment_during)),
        ("afterwards".to_owned(), share(failure.attainment_after)),
        ("recovered".to_owned(), recovered),
    ]
}

fn over_time(run: &SimulatedHour) -> Vec<(String, Cell)> {
    let line = |part: fn(&TimelinePoint) -> f64, most: Option<f64>, words: &dyn Fn(f64) -> String| {
        let values: Vec<f64> = run.timeline.iter().map(part).collect();
        let highest = values.iter().copied().fold(0.0, f64::max);
        Cell::from(format!("{} at most {}", sparkline(&values, SPARKS, most), words(highest)))
    };
    let count = |most: f64| figure::short(most);
    let percent = |most: f64| figure::percent(most);
    vec![
        ("waiting".to_owned(), line(|point| point.waiting, None, &count)),
        ("running".to_owned(), line(|point| point.running, None, &count)),
        ("cache".to_owned(), line(|point| point.kv, Some(1.0), &percent)),
        ("busy".to_owned(), line(|point| point.utilisation, Some(1.0), &percent)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Style, terminal};
    use capstan_types::testing::simulation::chat_simulation;

    #[test]
    fn a_simulation_is_told_from_verdict_to_course() {
        let text = terminal(
            &simulation_document(&chat_simulation(), true),
            100,
            Style { colour: false, unicode: true },
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_course_is_only_shown_where_it_is_wanted() {
        let shown = |timeline| format!("{:?}", simulation_document(&chat_simulation(), timeline));
        assert!(shown(true).contains('█') && !shown(false).contains('█'));
    }
}
