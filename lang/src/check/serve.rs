//! `serve`: which model answers which requests, how fast, on what?

use capstan_types::hardware::Precision;
use capstan_types::model::Model;
use capstan_types::offering::PurchaseOption;
use capstan_types::quantity::Dimension;
use capstan_types::spec::{Buy, Disaggregated, Load, OnFailure, Parallelism, Serve};
use capstan_types::units::Seconds;

use super::checker::Checker;
use super::fields::{Contents, Fields};
use super::plan::assumed;
use super::read::Stated;
use super::table::{AT_LEAST, AT_MOST, Bounds, FACT, FieldRow, FieldType, Referent, Table};
use super::{adapters, autoscale, background, caching, load, model, slo, speculative, workload, zones};
use crate::ast::Block;
use crate::codes;

/// The words of precisions.
pub(crate) const PRECISIONS: &[&str] =
    &["fp16", "bf16", "fp8", "fp8_block", "int8", "int4", "nvfp4", "mxfp4"];

/// The engine where the plan names none.
const DEFAULT_ENGINE: &str = "vllm";

/// The kind of block.
pub static SERVE: Table =
    Table { blocks: &[&slo::SLO], ..Table::named("serve", "Online inference of one model.", FIELDS) };

static FIELDS: &[FieldRow] = &[
    FieldRow::new("model", FieldType::One(Referent::Model), FACT)
        .needed()
        .means("The model.")
        .shown("= llama3_1_8b", "= \"meta-llama/Llama-3.1-70B-Instruct\""),
    FieldRow::new("load", FieldType::Record(&load::LOAD), FACT).needed().means("Requests over time.").shown(
        "= { rate = 5 req/s, prompt = 1 ktok, output = 250 tok }",
        "= { rate = 9 req/s, prompt = 1 ktok, output = 250 tok }",
    ),
    FieldRow::new("availability", FieldType::Share, AT_LEAST)
        .bounds(Bounds::Within(0.0, 0.999_999_999))
        .means("Share of time in which the replicas needed are up.")
        .shown(">= 99.9%", ">= 99%"),
    workload::ENGINE,
    workload::PRECISION,
    FieldRow::new("kv_cache", FieldType::Word(&["fp16", "bf16", "fp8", "int8"]), FACT)
        .default("16 bits")
        .means("Precision of the cache.")
        .shown("= fp8", "= bf16"),
    workload::ACCELERATOR,
    workload::SPLIT,
    FieldRow::new("batching", FieldType::Record(&BATCHING), FACT)
        .default("as the engine's")
        .means("Limits on what runs at once.")
        .shown("= { sequences = 128 }", "= { sequences = 64 }"),
    FieldRow::new("replicas", FieldType::Count(Dimension::NONE), AT_LEAST)
        .bounds(Bounds::Within(1.0, 1e6))
        .default("1, or the most `zones` of a site")
        .means("Fewest replicas.")
        .shown(">= 2", ">= 3"),
    FieldRow::new("headroom", FieldType::Share, FACT)
        .bounds(Bounds::Within(0.0, 10.0))
        .default("0")
        .means("Capacity that is kept free, as a share of the demand.")
        .shown("= 20%", "= 10%"),
    workload::BUY.shown("= [reserved(1 y) >= 20%, on_demand]", "= [on_demand]"),
    workload::SITE,
    FieldRow::new("prefix_caching", FieldType::Record(&caching::PREFIX_CACHING), FACT)
        .default("no prompt is like another")
        .means("What prompts have in common, which is read once.")
        .shown("= { reuse = 40% }", "= { reuse = 60% }"),
    FieldRow::new("adapters", FieldType::Record(&adapters::ADAPTERS), FACT)
        .default("none")
        .means("Low-rank adapters on the model, of which each request needs one.")
        .shown("= { count = 20, rank = 16 }", "= { count = 20, rank = 64 }"),
    FieldRow::new("disaggregated", FieldType::Word(&["auto", "always", "never"]), FACT)
        .default("`never`")
        .means("Whether prompts are read on machines of their own, and answers written on others: where that is cheaper, always, or never.")
        .shown("= auto", "= always"),
    FieldRow::new("autoscale", FieldType::Record(&autoscale::AUTOSCALE), FACT)
        .default("replicas follow the planned demand by the hour")
        .means("How replicas follow the requests in flight.")
        .shown("= { target = 8 req }", "= { target = 20 req }"),
    FieldRow::new("queue", FieldType::Count(Dimension::REQUESTS), AT_MOST)
        .bounds(Bounds::Within(1.0, 1e6))
        .default("no limit")
        .means("Most requests that wait at a replica; more are turned away, and count as beyond every limit.")
        .shown("<= 50 req", "<= 200 req"),
    FieldRow::new("background", FieldType::Record(&background::BACKGROUND), FACT)
        .default("all requests are equal")
        .means("Requests that yield to the others, which alone have service levels.")
        .shown("= { share = 40% }", "= { share = 20% }"),
    FieldRow::new("on_failure", FieldType::Word(&["retry", "lose"]), FACT)
        .default("`retry`")
        .means("What becomes of requests in flight whose replica fails: they are sent again, or lost.")
        .shown("= retry", "= lose"),
    FieldRow::new("zones", FieldType::Count(Dimension::NONE), AT_LEAST)
        .bounds(Bounds::Within(1.0, 100.0))
        .default("what its site asks for")
        .means("Fewest independent zones of a site that its replicas are spread over, a machine with a replica in each. It runs at no site that is not known to have as many.")
        .shown(">= 2", ">= 3"),
    FieldRow::new("speculative", FieldType::Record(&speculative::SPECULATIVE), FACT)
        .default("one token in each step")
        .means("Tokens that are drafted and verified together.")
        .shown("= { tokens = 4, acceptance = 70%, cost = 5% }", "= { tokens = 3, acceptance = 80%, cost = 5% }"),
];

/// Parallelism.
pub static PARALLELISM: Table =
    Table::record("parallelism", "Degrees of parallelism that are fixed.", PARALLELISM_FIELDS);

static PARALLELISM_FIELDS: &[FieldRow] = &[
    TENSOR,
    STAGES,
    degree("data")
        .means("Groups of such accelerators within a replica, each with its own sequences; they share the experts.")
        .shown("= 8", "= 4"),
    degree("expert")
        .means("Groups of accelerators that each have their own experts.")
        .shown("= 8", "= 4"),
    CONTEXT,
];

const CONTEXT: FieldRow = FieldRow::not_yet("context", "Accelerators that share each sequence.");

/// Parallelism of a training, whose planner decides how sequences and experts are dealt out.
pub static TRAINING_PARALLELISM: Table =
    Table::record("parallelism", "Degrees of parallelism that are fixed.", TRAINING_PARALLELISM_FIELDS);

static TRAINING_PARALLELISM_FIELDS: &[FieldRow] = &[
    TENSOR,
    STAGES,
    CONTEXT,
    FieldRow::not_yet("expert", "Accelerators that share the experts."),
    FieldRow::not_yet("data", "Copies of the model."),
];

const TENSOR: FieldRow = degree("tensor").means("Accelerators that share each layer.").shown("= 2", "= 4");
/// Begins the row of a degree.
const fn degree(name: &'static str) -> FieldRow {
    FieldRow::new(name, FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 4096.0))
        .default("decided by the planner")
}

const STAGES: FieldRow = degree("pipeline").means("Stages of layers.").shown("= 2", "= 4");

/// Batching.
pub static BATCHING: Table = Table::record("batching", "Limits on what runs at once.", BATCHING_FIELDS);

static BATCHING_FIELDS: &[FieldRow] = &[
    FieldRow::new("sequences", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 1e6))
        .default("as the engine's")
        .means("Most sequences at once on one replica.")
        .shown("= 128", "= 64"),
    FieldRow::new("step_tokens", FieldType::Quantity(Dimension::TOKENS), FACT)
        .bounds(Bounds::Within(1.0, 1e8))
        .default("as the engine's")
        .means("Most tokens in one step.")
        .shown("= 8192 tok", "= 2048 tok"),
    FieldRow::new("queue_delay", FieldType::Quantity(Dimension::TIME), FACT)
        .bounds(Bounds::Within(0.0, 3600.0))
        .default("batching is continuous")
        .means("Static batching, as that of Triton's dynamic batcher: a batch begins when it has all its `sequences`, or its first request has waited so long, and the next begins when it has ended.")
        .shown("= 20 ms", "= 50 ms"),
];

/// Reads the workloads.
pub(crate) fn check(checker: &Checker<'_>, blocks: &[&Block]) -> Vec<Serve> {
    blocks.iter().filter_map(|block| serve(checker, block)).collect()
}

fn serve(checker: &Checker<'_>, block: &Block) -> Option<Serve> {
    let name = checker.name_of(block, &SERVE);
    let Contents { fields, blocks, .. } = checker.contents(&SERVE, block);
    let shown = name.as_deref().unwrap_or("serve");
    let complete = fields.complete(checker);
    let load = fields.record("load").and_then(|record| load::check(checker, record, shown));
    let slos = slo::check(checker, &blocks, load.as_ref().map(|load| (load, urgent_rate(load, &fields))));
    let id = fields.text("model").map(str::to_owned);
    let model = id.as_deref().and_then(|id| checker.model(id));
    if let (Some(model), Some(load), Some(id)) = (model, &load, &id) {
        load::fits(checker, (&load.prompt, &load.output), model.context, id, &load.place);
    }
    let batching = fields.record("batching");
    let queue_delay = batching.and_then(|batching| queue_delay(checker, &fields, batching));
    let (max_sequences, step_tokens) =
        batching.map_or((None, None), |batching| most_at_once(checker, batching, queue_delay.is_some()));
    let precisions = precisions(checker, &fields, model, shown);
    let sites = zones::sites(checker, &fields, shown);
    let min_replicas = replicas(checker, &fields, sites.as_deref(), shown);
    let scaled = fields.record("autoscale");
    let prefix_caching = fields.record("prefix_caching").zip(load.as_ref());
    let prefix_caching = prefix_caching.map(|(record, load)| caching::check(checker, record, load, shown));
    let speculative = fields.record("speculative").map(|record| speculative::check(checker, record, shown));
    let adapters = fields.record("adapters").map(|record| adapters::check(checker, record, shown));
    let engine = engine(checker, &fields, shown);
    let background = fields.record("background");
    let background = background.map(|record| background::check(checker, record, &fields, &engine));
    let whole = complete
        && adapters != Some(None)
        && background != Some(None)
        && prefix_caching != Some(None)
        && speculative != Some(None);
    let served = Serve {
        name: shown.to_owned(),
        place: fields.place.clone(),
        checkpoint: id.as_deref().and_then(|id| checker.checkpoint(fields.place_of("model").span(), id)),
        model: id.unwrap_or_default(),
        load: load?,
        slos,
        availability: fields.limit("availability", fields.number("availability")),
        engine,
        precisions,
        kv_precision: kv_cache(checker, &fields, shown),
        accelerators: fields.names("accelerator"),
        parallelism: parallelism(&fields),
        max_sequences,
        step_tokens,
        queue_delay,
        buy: buy(checker, &fields, shown),
        min_replicas,
        autoscale: scaled.map(|record| autoscale::check(checker, record, shown, min_replicas)),
        sites,
        headroom: headroom(checker, &fields, shown),
        prefix_caching: prefix_caching.flatten(),
        speculative: speculative.flatten(),
        queue: fields.limit("queue", fields.small("queue")),
        zones: fields.limit("zones", fields.small("zones")),
        adapters: adapters.flatten(),
        background: background.flatten(),
        disaggregated: disaggregated(checker, &fields),
        stage: None,
        on_failure: if fields.word("on_failure") == Some("lose") {
            OnFailure::Lose
        } else {
            OnFailure::Retry
        },
    };
    (whole && name.is_some()).then_some(served)
}

/// Returns the engine.
pub(crate) fn engine(checker: &Checker<'_>, fields: &Fields, name: &str) -> String {
    match fields.text("engine") {
        Some(engine) => engine.to_owned(),
        None => {
            let text = format!("`{name}` runs on the engine {DEFAULT_ENGINE}, at the version of the catalog");
            assumed(checker, fields, &fields.place, "engine", DEFAULT_ENGINE.to_owned(), &text)
        }
    }
}

/// Returns the precisions that are allowed: lower ones only where the plan says so.
pub(crate) fn precisions(
    checker: &Checker<'_>,
    fields: &Fields,
    model: Option<&Model>,
    name: &str,
) -> Vec<Precision> {
    if let Some(words) = fields.words("precision") {
        let mut all: Vec<Precision> = words.iter().filter_map(|word| Precision::from_word(word)).collect();
        all.dedup();
        return all;
    }
    let published = model.map_or(Precision::Bf16, |model| model.published);
    let text = format!("`{name}` has weights as published, in {}", published.word());
    assumed(checker, fields, &fields.place, "precision", vec![published], &text)
}

fn kv_cache(checker: &Checker<'_>, fields: &Fields, name: &str) -> Option<Precision> {
    match fields.word("kv_cache") {
        Some(word) => Precision::from_word(word),
        None => {
            let text = format!("the cache of `{name}` has 16 bits per value");
            assumed(checker, fields, &fields.place, "kv_cache", None, &text)
        }
    }
}

/// Returns the most sequences at once and the most tokens of a step: engines refuse to start where a step has not one for
/// each sequence.
fn most_at_once(checker: &Checker<'_>, batching: &Fields, is_static: bool) -> (Option<u32>, Option<u32>) {
    let (sequences, tokens) = (batching.small("sequences"), model::tokens(batching, "step_tokens"));
    if let (Some(sequences), Some(tokens), false) = (sequences, tokens, is_static)
        && tokens < sequences
    {
        let message = format!("a step of {tokens} tokens has not one for each of {sequences} sequences");
        let found =
            checker.values.error(codes::CONTRADICTION, batching.place_of("step_tokens").span(), message);
        let found = found.also(batching.place_of("sequences").clone(), "so many run at once");
        checker
            .values
            .report(found.help(format!("write `step_tokens = {sequences} tok`, or fewer sequences")));
    }
    (sequences, tokens)
}

/// Returns how long a static batch waits to be full; what continuous batching alone knows contradicts it.
fn queue_delay(checker: &Checker<'_>, fields: &Fields, batching: &Fields) -> Option<Seconds> {
    let delay = batching.number("queue_delay").map(Seconds)?;
    let others = ["prefix_caching", "adapters", "background", "disaggregated", "speculative"];
    for field in others.into_iter().filter(|field| fields.has(field)) {
        let message = format!("`{field}` needs continuous batching");
        let found = checker.values.error(codes::CONTRADICTION, fields.place_of(field).span(), message);
        let found = found.also(batching.place_of("queue_delay").clone(), "batches are run to their end");
        checker.values.report(found.help("leave one of the two out"));
    }
    Some(delay)
}

/// Returns the requests per second of the busiest hour of the first month that do not yield to others.
fn urgent_rate(load: &Load, fields: &Fields) -> f64 {
    let yielding = fields.record("background").and_then(|record| record.number("share"));
    load.peak.get() * (1.0 - yielding.unwrap_or(0.0))
}

fn disaggregated(checker: &Checker<'_>, fields: &Fields) -> Disaggregated {
    let stated = match fields.word("disaggregated") {
        Some("auto") => Disaggregated::Auto,
        Some("always") => Disaggregated::Always,
        _ => Disaggregated::Never,
    };
    let beside = [
        ("autoscale", "replicas in two parts do not follow the requests in flight yet"),
        ("background", "requests in the background are not simulated in two parts yet"),
    ];
    let contradicts = |field: &str| stated != Disaggregated::Never && fields.has(field);
    for (field, message) in beside.into_iter().filter(|(field, _)| contradicts(field)) {
        let found = checker.values.error(codes::CONTRADICTION, fields.place_of(field).span(), message);
        let found = found.also(fields.place_of("disaggregated").clone(), "in two parts");
        checker.values.report(found.help("leave one of the two out"));
    }
    stated
}

fn headroom(checker: &Checker<'_>, fields: &Fields, name: &str) -> f64 {
    let text = format!("no capacity of `{name}` is kept free");
    fields
        .number("headroom")
        .unwrap_or_else(|| assumed(checker, fields, &fields.place, "headroom", 0.0, &text))
}

/// Returns the degrees that are fixed.
pub(crate) fn parallelism(fields: &Fields) -> Parallelism {
    let record = fields.record("parallelism");
    let degree = |name: &str| record.and_then(|record| record.small(name));
    let [tensor, pipeline, data, expert] = ["tensor", "pipeline", "data", "expert"].map(degree);
    Parallelism { tensor, pipeline, data, expert }
}

/// Returns how capacity may be bought.
pub(crate) fn buy(checker: &Checker<'_>, fields: &Fields, name: &str) -> Vec<Buy> {
    match fields.get("buy").map(|given| &given.value) {
        Some(Stated::Buy(all)) => {
            let owned = all.iter().find(|buy| buy.option == PurchaseOption::Owned);
            if owned.is_some_and(|buy| buy.at_least.is_some())
                && !checker.sites.iter().any(|site| site.is_own())
            {
                let message = "a share of owned machines needs a site of one's own";
                let found =
                    checker.values.error(codes::CONTRADICTION, fields.place_of("buy").span(), message);
                checker.values.report(found.help("add a `site` block without `provider`"));
            }
            all.clone()
        }
        _ if fields.has("buy") => Vec::new(),
        _ => checker.default_buy(&fields.place, name),
    }
}

/// A site that wants zones gets a replica in each.
fn replicas(checker: &Checker<'_>, fields: &Fields, sites: Option<&[String]>, name: &str) -> u32 {
    let allowed = |site: &str| sites.is_none_or(|sites| sites.iter().any(|allowed| allowed == site));
    let here = checker.sites.iter().filter(|site| allowed(&site.name));
    let of_sites = here.filter_map(|site| site.zones.as_ref().map(|zones| zones.value)).max();
    let zones = of_sites.into_iter().chain(fields.small("zones")).max().unwrap_or(1);
    match fields.small("replicas") {
        Some(stated) => stated.max(zones),
        None => {
            let why = if zones > 1 { "one in each zone that is asked for" } else { "nothing asks for more" };
            let text =
                format!("`{name}` has at least {zones} replica{}, {why}", if zones == 1 { "" } else { "s" });
            assumed(checker, fields, &fields.place, "replicas", zones, &text)
        }
    }
}
