//! `train`: which model sees how many tokens, by when?

use capstan_types::hardware::Precision;
use capstan_types::place::Place;
use capstan_types::quantity::Dimension;
use capstan_types::spec::{Checkpoint, Dataset, Limit, Train, TrainMethod};
use capstan_types::units::{Seconds, Tokens};
use jiff::civil::Date;

use super::checker::Checker;
use super::fields::Fields;
use super::load::excludes;
use super::model::tokens;
use super::serve::{TRAINING_PARALLELISM, buy, parallelism};
use super::table::{AT_MOST, Bounds, FACT, FieldRow, FieldType, Referent, Table};
use super::workload;
use crate::ast::Block;
use crate::codes;

/// Checkpoints kept where the plan does not say. Origin: Assumed; the last one may be damaged, and the one
/// before may be in use.
const DEFAULT_KEEP: u32 = 3;

/// Rank of adapters where the plan does not say. Origin: Assumed; what examples of adapter libraries begin with.
const DEFAULT_RANK: u32 = 16;

/// Which parameters are trained.
const METHODS: &[&str] = &["full", "lora", "qlora"];

/// The kind of block.
pub static TRAIN: Table = Table::named("train", "Training of one model.", FIELDS);

/// The kind of block.
pub static TUNE: Table = Table::named(
    "tune",
    "Fine-tuning of one model: a training of adapters, unless `method` says otherwise.",
    FIELDS,
);

static FIELDS: &[FieldRow] = &[
    FieldRow::new("model", FieldType::One(Referent::Model), FACT)
        .needed()
        .means("The model.")
        .shown("= llama3_1_8b", "= llama3_1_70b"),
    FieldRow::new("tokens", FieldType::Quantity(Dimension::TOKENS), FACT)
        .bounds(Bounds::Within(1.0, 1e18))
        .default("needed, except with `dataset`")
        .means("Tokens to see, once in each epoch.")
        .shown("= 100 Gtok", "= 200 Gtok"),
    FieldRow::new("epochs", FieldType::Quantity(Dimension::NONE), FACT)
        .bounds(Bounds::Within(0.01, 1e4))
        .default("1")
        .means("How often it sees them.")
        .shown("= 2", "= 3"),
    FieldRow::new("method", FieldType::Word(METHODS), FACT)
        .default("`full` in `train`, `lora` in `tune`")
        .means("Training of all parameters, of adapters of low rank, or of adapters over weights in 4 bits.")
        .shown("= full", "= qlora"),
    FieldRow::new("rank", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 4096.0))
        .default("16")
        .means("Rank of the adapters; only with `method = lora` or `qlora`.")
        .shown("= 16", "= 64"),
    FieldRow::new("batch", FieldType::Quantity(Dimension::TOKENS), FACT)
        .bounds(Bounds::Within(1.0, 1e15))
        .needed()
        .means("Tokens per optimizer step.")
        .shown("= 4 Mtok", "= 2 Mtok"),
    FieldRow::new("sequence", FieldType::Quantity(Dimension::TOKENS), FACT)
        .bounds(Bounds::Within(1.0, 1e8))
        .needed()
        .means("Tokens per sequence.")
        .shown("= 8192 tok", "= 4096 tok"),
    workload::START,
    workload::FINISH,
    workload::PRECISION
        .default("`bf16`")
        .means("Precisions that the math may have.")
        .shown("in [bf16, fp8]", "= bf16"),
    workload::ACCELERATOR.shown("in [h100_sxm, h200_sxm]", "= h100_sxm"),
    FieldRow { takes: FieldType::Record(&TRAINING_PARALLELISM), ..workload::SPLIT }
        .shown("= { tensor = 8 }", "= { tensor = 4 }"),
    FieldRow::new("checkpoint", FieldType::Record(&CHECKPOINT), FACT)
        .default("as often as is best; three are kept")
        .means("How often the state is saved.")
        .shown("= { every <= 30 min, keep = 3 }", "= { every <= 1 h, keep = 3 }"),
    workload::BUY,
    workload::SITE,
    FieldRow::new("dataset", FieldType::One(Referent::Dataset), FACT)
        .means("The dataset whose tokens it sees, in place of `tokens`. It runs where a copy lies.")
        .shown("= corpus", "= corpus2"),
    FieldRow::new("interruptible", FieldType::Bool, FACT)
        .default("`false`")
        .means("May it run in the quiet hours of each day only, and go on the next day? Each stop saves a checkpoint, each start reads it.")
        .shown("= true", "= false"),
];

/// Checkpoints.
pub static CHECKPOINT: Table =
    Table::record("checkpoint", "How often the state is saved.", CHECKPOINT_FIELDS);

static CHECKPOINT_FIELDS: &[FieldRow] = &[
    FieldRow::new("every", FieldType::Quantity(Dimension::TIME), AT_MOST)
        .bounds(Bounds::Positive)
        .default("as often as is best")
        .means("Longest time between two.")
        .shown("<= 30 min", "<= 1 h"),
    FieldRow::new("keep", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 1e6))
        .default("3")
        .means("How many are kept.")
        .shown("= 3", "= 5"),
];

/// Reads trainings, then fine-tunings.
pub(crate) fn check(
    checker: &Checker<'_>,
    datasets: &[Dataset],
    trains: &[&Block],
    tunes: &[&Block],
) -> Vec<Train> {
    let trains = trains.iter().filter_map(|block| train(checker, datasets, block, &TRAIN));
    trains.chain(tunes.iter().filter_map(|block| train(checker, datasets, block, &TUNE))).collect()
}

fn train(checker: &Checker<'_>, datasets: &[Dataset], block: &Block, table: &'static Table) -> Option<Train> {
    let name = checker.name_of(block, table);
    let fields = checker.contents(table, block).fields;
    let shown = name.as_deref().unwrap_or(table.kind);
    let seen = seen(checker, datasets, &fields, shown);
    let complete = fields.complete(checker) && seen.is_some();
    sizes(checker, &fields);
    let (tokens_seen, sites) = seen.unwrap_or_default();
    let (start, finish) = dates(checker, &fields);
    let trained = Train {
        name: shown.to_owned(),
        place: fields.place.clone(),
        model: fields.text("model").unwrap_or_default().to_owned(),
        tokens: Tokens(tokens_seen * fields.number("epochs").unwrap_or(1.0)),
        dataset: fields.text("dataset").map(str::to_owned),
        method: method(checker, &fields, table, shown),
        batch: Tokens(fields.number("batch").unwrap_or_default()),
        sequence: tokens(&fields, "sequence").unwrap_or_default(),
        start,
        finish,
        precisions: precisions(checker, &fields, shown),
        accelerators: fields.names("accelerator"),
        parallelism: parallelism(&fields),
        checkpoint: checkpoint(checker, &fields, shown),
        buy: buy(checker, &fields, shown),
        sites,
        interruptible: fields.bool("interruptible").unwrap_or_else(|| {
            let text = format!("`{shown}` runs around the clock once it has begun");
            super::plan::assumed(checker, &fields, &fields.place, "interruptible", false, &text)
        }),
    };
    (complete && name.is_some()).then_some(trained)
}

/// Returns the tokens of an epoch and where it may run: what the plan says, or as many as its dataset holds, where that lies.
fn seen(
    checker: &Checker<'_>,
    datasets: &[Dataset],
    fields: &Fields,
    name: &str,
) -> Option<(f64, Option<Vec<String>>)> {
    let sites = fields.names("site");
    if !fields.has("dataset") {
        fields.need(checker, "tokens");
        return Some((fields.number("tokens")?, sites));
    }
    excludes(checker, fields, "tokens", "dataset");
    let corpus = fields.text("dataset")?;
    let copies: Vec<&Dataset> = datasets.iter().filter(|dataset| dataset.name == corpus).collect();
    let Some(tokens) = copies.first()?.tokens else {
        let message = format!("`{corpus}` does not say how many tokens it holds");
        let found = checker.values.error(codes::MISSING_FIELD, fields.place_of("dataset").span(), message);
        checker.values.report(found.help("add for example `tokens = 2 Ttok` to its block"));
        return None;
    };
    let lies: Vec<String> = copies.iter().map(|copy| copy.site.clone()).collect();
    let Some(stated) = sites else {
        let text = format!("`{name}` runs where `{corpus}` lies: {}", lies.join(", "));
        checker.assume(&fields.place, text);
        return Some((tokens.get(), Some(lies)));
    };
    if let Some(without) = stated.iter().find(|site| !lies.contains(site)) {
        let message = format!("`{corpus}` does not lie at `{without}`");
        let found = checker.values.error(codes::CONTRADICTION, fields.place_of("site").span(), message);
        checker.values.report(found.help(format!(
            "name only sites that have a copy: {}; or more `replicas` of it",
            lies.join(", ")
        )));
        return None;
    }
    Some((tokens.get(), Some(stated)))
}

fn method(checker: &Checker<'_>, fields: &Fields, table: &Table, name: &str) -> TrainMethod {
    let word = match fields.word("method") {
        Some(word) => word,
        None if table.kind == TUNE.kind => {
            let text = format!("`{name}` trains adapters of low rank");
            super::plan::assumed(checker, fields, &fields.place, "method", "lora", &text)
        }
        None => "full",
    };
    if word == "full" {
        if fields.has("rank") {
            let message = "all parameters are trained, so that nothing has a rank";
            let found = checker.values.error(codes::CONTRADICTION, fields.place_of("rank").span(), message);
            checker.values.report(found.help("write `method = lora`, or leave `rank` out"));
        }
        return TrainMethod::Full;
    }
    let rank = fields.small("rank").unwrap_or_else(|| {
        let text = format!("the adapters of `{name}` have rank {DEFAULT_RANK}");
        super::plan::assumed(checker, fields, &fields.place, "rank", DEFAULT_RANK, &text)
    });
    TrainMethod::Lora { rank, quantised: word == "qlora" }
}

fn precisions(checker: &Checker<'_>, fields: &Fields, name: &str) -> Vec<Precision> {
    match fields.words("precision") {
        Some(words) => words.iter().filter_map(|word| Precision::from_word(word)).collect(),
        None => {
            if !fields.has("precision") {
                checker.assume(&fields.place, format!("`{name}` computes in bf16"));
            }
            vec![Precision::Bf16]
        }
    }
}

fn checkpoint(checker: &Checker<'_>, fields: &Fields, name: &str) -> Checkpoint {
    let record = fields.record("checkpoint");
    let keep = record.and_then(|record| record.small("keep"));
    if keep.is_none() {
        checker.assume(&fields.place, format!("{DEFAULT_KEEP} checkpoints of `{name}` are kept"));
    }
    let every = record.and_then(|record| record.limit("every", record.number("every").map(Seconds)));
    Checkpoint { every, keep: keep.unwrap_or(DEFAULT_KEEP) }
}

/// Reports sizes that do not nest: a step holds whole sequences, the training whole steps.
fn sizes(checker: &Checker<'_>, fields: &Fields) {
    for (larger, smaller) in [("batch", "sequence"), ("tokens", "batch")] {
        let (Some(large), Some(small)) = (fields.quantity(larger), fields.quantity(smaller)) else {
            continue;
        };
        if large.value >= small.value {
            continue;
        }
        let message = format!("`{larger}`, {large}, is smaller than `{smaller}`, {small}");
        let span = fields.place_of(larger).span();
        let found = checker.values.error(codes::CONTRADICTION, span, message);
        let found = found.also(fields.place_of(smaller).clone(), "this is larger");
        checker.values.report(found.help(format!("`{larger}` holds one `{smaller}` or more")));
    }
}

/// First and last day.
pub(super) type Dates = (Option<Limit<Date>>, Option<Limit<Date>>);

/// Returns the first and the last day; reports those that lie outside the horizon or are exchanged.
pub(super) fn dates(checker: &Checker<'_>, fields: &Fields) -> Dates {
    let frame = &checker.frame;
    let read = |name: &str| fields.limit(name, fields.date(name));
    let (start, finish) = (read("start"), read("finish"));
    for (name, limit) in [("start", &start), ("finish", &finish)] {
        let Some(limit) = limit else { continue };
        if limit.value >= frame.start && limit.value <= frame.end {
            continue;
        }
        let message = format!("`{name}`, {}, lies outside the horizon", limit.value);
        let found = checker.values.error(codes::OUTSIDE_HORIZON, limit.place.span(), message);
        checker.values.report(found.help(format!("the horizon is {} .. {}", frame.start, frame.end)));
    }
    if let (Some(start), Some(finish)) = (&start, &finish)
        && finish.value < start.value
    {
        let message = format!("it finishes on {}, before it starts on {}", finish.value, start.value);
        let found = checker.values.error(codes::OUTSIDE_HORIZON, finish.place.span(), message);
        checker.values.report(found.also(Place::clone(&start.place), "starts here").help("exchange the two"));
    }
    (start, finish)
}
