//! `background`: which requests yield to the others?

use capstan_types::catalog::EngineFamily;
use capstan_types::quantity::Dimension;
use capstan_types::spec::Background;

use super::checker::Checker;
use super::fields::Fields;
use super::table::{AT_MOST, Bounds, FACT, FieldRow, FieldType, Table};
use crate::codes;

/// The record.
pub static BACKGROUND: Table = Table::record(
    "background",
    "Requests that yield to the others: they wait behind them, and where the cache is short they lose it first. Service levels are for the others.",
    FIELDS,
);

static FIELDS: &[FieldRow] = &[
    FieldRow::new("share", FieldType::Share, FACT)
        .bounds(Bounds::Within(0.001, 0.999))
        .needed()
        .means("Share of all requests.")
        .shown("= 40%", "= 20%"),
    FieldRow::new("queue", FieldType::Count(Dimension::REQUESTS), AT_MOST)
        .bounds(Bounds::Within(1.0, 1e6))
        .default("that of the workload")
        .means("Most requests that wait at a replica when one of them comes; it is turned away if there are more.")
        .shown("<= 20 req", "<= 100 req"),
];

/// Reads the record of a workload that runs on `engine`, whose fields are `serve`.
pub(crate) fn check(
    checker: &Checker<'_>,
    fields: &Fields,
    serve: &Fields,
    engine: &str,
) -> Option<Background> {
    let complete = fields.complete(checker);
    if checker.catalog.engine(engine).is_some_and(|engine| engine.family != EngineFamily::Vllm) {
        let message =
            "requests in the background need vLLM, whose order by priority is the one that is simulated";
        let found = checker.values.error(codes::CONTRADICTION, serve.place_of("background").span(), message);
        let found = found.also(serve.place_of("engine").clone(), "another engine");
        checker.values.report(found.help("leave one of the two out"));
    }
    let share = fields.number("share");
    complete.then_some(Background { share: share?, queue: fields.limit("queue", fields.small("queue")) })
}
