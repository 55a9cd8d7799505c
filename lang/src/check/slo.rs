//! `slo`: which percentile of which latency stays below what?

use capstan_types::quantity::Dimension;
use capstan_types::spec::{Slo, SloMetric};
use capstan_types::units::Seconds;

use super::checker::Checker;
use super::table::{AT_MOST, Bounds, FieldRow, FieldType, LabelRule, Table};
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
    FieldRow::not_yet("over", "The window over which a percentile is taken; it is the busiest hour."),
];

/// Reads the service levels of one `serve` block.
pub(crate) fn check(checker: &Checker<'_>, blocks: &[&Block]) -> Vec<Slo> {
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
            slos.push(Slo { metric, per_mille, target: Seconds(seconds), place });
        }
        if PERCENTILES.iter().all(|(name, _)| !fields.has(name)) && !fields.has("over") {
            fields.need(checker, "p99");
        }
    }
    slos
}
