//! `batch`: which model answers how many requests that nobody waits for, by when?

use capstan_types::quantity::Dimension;
use capstan_types::spec::Batch;

use super::checker::Checker;
use super::fields::Fields;
use super::plan::assumed;
use super::serve::{buy, engine, parallelism, precisions};
use super::table::{Bounds, FACT, FieldRow, FieldType, Referent, Table};
use super::{load, train, workload};
use crate::ast::Block;

/// The kind of block.
pub static BATCH: Table = Table::named(
    "batch",
    "Offline inference of one model: requests that nobody waits for. A replica runs as many at once as its cache holds. With `interruptible` it may run beside services, in the hours in which machines that are held for the busiest hour have little to do.",
    FIELDS,
);

static FIELDS: &[FieldRow] = &[
    FieldRow::new("model", FieldType::One(Referent::Model), FACT)
        .needed()
        .means("The model.")
        .shown("= llama3_1_8b", "= llama3_1_70b"),
    FieldRow::new("requests", FieldType::Quantity(Dimension::REQUESTS), FACT)
        .bounds(Bounds::Within(1.0, 1e15))
        .default("needed, except with `tokens`")
        .means("Requests to answer.")
        .shown("= 40 Mreq", "= 50 Mreq"),
    FieldRow::new("tokens", FieldType::Quantity(Dimension::TOKENS), FACT)
        .bounds(Bounds::Within(1.0, 1e18))
        .means("The same as `requests`, in tokens of prompts and outputs.")
        .shown("= 20 Gtok", "= 40 Gtok"),
    load::TRAFFIC.means("Traffic of the catalog that lengths come from."),
    load::PROMPT.default("from `traffic`"),
    load::OUTPUT.default("from `traffic`"),
    workload::START,
    workload::FINISH,
    FieldRow::new("interruptible", FieldType::Bool, FACT)
        .default("`false`")
        .means("May it run in the quiet hours of each day only, and go on the next day? Each start takes the time to load its weights.")
        .shown("= true", "= false"),
    workload::ENGINE.means("The engine."),
    workload::PRECISION,
    workload::ACCELERATOR,
    workload::SPLIT,
    workload::BUY,
    workload::SITE,
];

/// Reads offline inference.
pub(crate) fn check(checker: &Checker<'_>, blocks: &[&Block]) -> Vec<Batch> {
    blocks.iter().filter_map(|block| batch(checker, block)).collect()
}

fn batch(checker: &Checker<'_>, block: &Block) -> Option<Batch> {
    let name = checker.name_of(block, &BATCH);
    let fields = checker.contents(&BATCH, block).fields;
    let shown = name.as_deref().unwrap_or(BATCH.kind);
    let complete = fields.complete(checker);
    let lengths = load::both_lengths(checker, &fields);
    let id = fields.text("model").map(str::to_owned);
    let model = id.as_deref().and_then(|id| checker.model(id));
    if let (Some(model), Some((prompt, output)), Some(id)) = (model, &lengths, &id) {
        load::fits(checker, (prompt, output), model.context, id, &fields.place);
    }
    let (start, finish) = train::dates(checker, &fields);
    let precisions = precisions(checker, &fields, model, shown);
    let engine = engine(checker, &fields, shown);
    let buy = buy(checker, &fields, shown);
    let text = format!("`{shown}` is not interrupted once it runs");
    let interruptible = fields
        .bool("interruptible")
        .unwrap_or_else(|| assumed(checker, &fields, &fields.place, "interruptible", false, &text));
    load::excludes(checker, &fields, "requests", "tokens");
    let requests = requests(checker, &fields, lengths.as_ref().map(|(p, o)| p.mean + o.mean));
    let (prompt, output) = lengths?;
    let asked = Batch {
        name: shown.to_owned(),
        place: fields.place.clone(),
        checkpoint: id.as_deref().and_then(|id| checker.checkpoint(fields.place_of("model").span(), id)),
        model: id.unwrap_or_default(),
        requests: requests?,
        traffic: fields.text("traffic").map(str::to_owned),
        prompt,
        output,
        start,
        finish,
        interruptible,
        engine,
        precisions,
        accelerators: fields.names("accelerator"),
        parallelism: parallelism(&fields),
        buy,
        sites: fields.names("site"),
    };
    (complete && name.is_some()).then_some(asked)
}

/// Returns how many requests there are, one at least; reports where the plan does not say.
fn requests(checker: &Checker<'_>, fields: &Fields, each: Option<f64>) -> Option<f64> {
    if let Some(requests) = fields.number("requests") {
        return Some(requests);
    }
    if !fields.has("requests") && !fields.has("tokens") {
        fields.need(checker, "requests");
    }
    fields.number("tokens").zip(each).map(|(tokens, each)| (tokens / each).max(1.0))
}
