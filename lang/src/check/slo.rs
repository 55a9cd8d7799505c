//! `slo`: which percentile of which latency stays below what?

use capstan_types::figure;
use capstan_types::place::Span;
use capstan_types::quantity::Dimension;
use capstan_types::spec::{Load, Slo, SloMetric};
use capstan_types::units::Seconds;

use super::checker::Checker;
use super::table::{AT_MOST, Bounds, FACT, FieldRow, FieldType, LabelRule, Table};
use crate::ast::Block;
use crate::codes;

const METRICS: [SloMetric; 3] = [SloMetric::Ttft, SloMetric::Tpot, SloMetric::E2e];

/// The kind of block, inside `serve`.
pub static SLO: Table = Table {
    label: LabelRule::Word(&["ttft", "tpot", "e2e"]),
    ..Table::named(
        "slo",
        "A service level: time to first token (`ttft`), time per output token (`tpot`) or the whole time (`e2e`).",
        FIELDS,
    )
};

const fn percentile(name: &'static str, meaning: &'static str) -> FieldRow {
    FieldRow::new(name, FieldType::Quantity(Dimension::TIME), AT_MOST)
        .bounds(Bounds::Positive)
        .means(meaning)
        .shown("<= 500 ms", "<= 1 s")
}

/// The fields and their percentiles in thousandths.
const PERCENTILES: [(&str, u32); 5] = [("p50", 500), ("p90", 900), ("p95", 950), ("p99", 990), ("p999", 999)];

static FIELDS: &[FieldRow] = &[
    percentile("p50", "Half of all requests are faster."),
    percentile("p90", "90 % of all requests are faster."),
    percentile("p95", "95 % of all requests are faster."),
    percentile("p99", "99 % of all requests are faster."),
    percentile("p999", "99.9 % of all requests are faster."),
    FieldRow::new("over", FieldType::Quantity(Dimension::TIME), FACT)
        .bounds(Bounds::Within(1.0, HOUR_S))
        .default("the busiest hour")
        .means("Windows of this length in the busiest hour, by when requests arrive: each percentile holds in every one of them. In a quieter hour, or on a part of the replicas, they are so long that as many requests come as the percentile needs.")
        .shown("= 5 min", "= 10 min"),
];

const HOUR_S: f64 = 3600.0;

/// Reads the service levels of one `serve` block with its load, of which so many requests per second have levels.
pub(crate) fn check(checker: &Checker<'_>, blocks: &[&Block], load: Option<(&Load, f64)>) -> Vec<Slo> {
    let mut slos: Vec<Slo> = Vec::new();
    let mut seen = Vec::new();
    for block in blocks {
        let word = checker.name_of(block, &SLO);
        let fields = checker.contents(&SLO, block).fields;
        let Some(metric) = word.and_then(|word| METRICS.into_iter().find(|metric| metric.word() == word))
        else {
            continue;
        };
        if let Some((_, first)) = seen.iter().find(|(known, _)| *known == metric) {
            let message = format!("`slo {}` stands twice", metric.word());
            let found = checker.values.error(codes::DUPLICATE_NAME, fields.place.span(), message);
            checker.values.report(found.also(checker.place(*first), "first here").help("join the two"));
            continue;
        }
        seen.push((metric, fields.place.span()));
        for (name, per_mille) in PERCENTILES {
            let Some(seconds) = fields.number(name) else { continue };
            let place = fields.place_of(name).clone();
            let over = fields.number("over").map(Seconds);
            let slo = Slo { metric, per_mille, over, target: Seconds(seconds), place };
            if let Some((load, rate)) = load {
                enough_come(checker, &slo, fields.place_of("over").span(), rate);
                enough_recorded(checker, &slo, load);
            }
            slos.push(slo);
        }
        if PERCENTILES.iter().all(|(name, _)| !fields.has(name)) {
            fields.need(checker, "p99");
        }
    }
    slos
}

/// Reports a window in which fewer requests are expected than it takes for one to be beyond the percentile.
fn enough_come(checker: &Checker<'_>, slo: &Slo, over: Span, rate: f64) {
    let Some(Seconds(seconds)) = slo.over else { return };
    let (needed, word) = (slo.requests_needed(), slo.percentile_word());
    if seconds * rate >= needed * (1.0 - 1e-9) {
        return;
    }
    let message = format!(
        "`over` is too short for `{word}`: about {} requests come in {}, and it takes {needed:.0} for one to be slower",
        figure::short(seconds * rate),
        figure::span(slo.over.unwrap_or_default())
    );
    let shortest = (needed / rate).ceil();
    let help = if shortest <= HOUR_S {
        format!("write `over = {shortest} s`, which is the shortest that would do, or a lower percentile")
    } else {
        format!("leave `over` out, or write a lower percentile: so many come in {shortest} s only")
    };
    let found = checker.values.error(codes::CONTRADICTION, over, message);
    checker.values.report(found.also(slo.place.clone(), "this percentile").help(help));
}

/// Reports a trace with fewer requests than it takes for one to be beyond the percentile: it could not be missed.
fn enough_recorded(checker: &Checker<'_>, slo: &Slo, load: &Load) {
    let Some(trace) = &load.trace else { return };
    let (needed, word) = (slo.requests_needed(), slo.percentile_word());
    if trace.requests as f64 >= needed * (1.0 - 1e-9) {
        return;
    }
    let message = format!(
        "the trace `{}` is too short for `{word}`: it has {} requests, and it takes {needed:.0} for one to be slower",
        trace.path, trace.requests
    );
    let found = checker.values.error(codes::CONTRADICTION, slo.place.span(), message);
    checker.values.report(found.help("take a longer trace, or write a lower percentile"));
}
