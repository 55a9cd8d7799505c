//! `model`: which neural network is it?
//!
//! A row of the catalog, perhaps with some of its facts changed, or all facts stated here. Whether it
//! fits anywhere is not known here.

use capstan_types::hardware::Precision;
use capstan_types::model::{Experts, Latent, Model, Window};
use capstan_types::origin::{Grade, Provenance};
use capstan_types::quantity::{Dimension, nearest};

use super::checker::Checker;
use super::fields::Fields;
use super::load::excludes;
use super::serve::PRECISIONS;
use super::table::{Bounds, FACT, FieldRow, FieldType, Referent, Table};
use crate::ast::Block;
use crate::codes;
use crate::references::is_config;

/// Sizes are counts that fit into 32 bits; no published model has a size above a few million.
const SIZE: Bounds = Bounds::Within(1.0, 1e8);

/// The kind of block.
pub static MODEL: Table = Table::named("model", "A neural network.", FIELDS);

const fn size(name: &'static str) -> FieldRow {
    FieldRow::new(name, FieldType::Count(Dimension::NONE), FACT).bounds(SIZE)
}

static FIELDS: &[FieldRow] = &[
    FieldRow::new("catalog", FieldType::One(Referent::Model), FACT)
        .default("all facts are stated here")
        .means("The row of the catalog; facts that are stated beside it replace those of the row.")
        .shown("= \"meta-llama/Llama-3.1-8B-Instruct\"", "= llama3_1_70b"),
    FieldRow::new("huggingface", FieldType::Path, FACT)
        .default("all facts are stated here")
        .means(
            "A `config.json` beside the plan, with the `hf_quant_config.json` beside it; or the name of a model on the \
             hub that the catalog knows, because planning never goes online. Facts that are stated beside it \
             replace its own.",
        )
        .shown("= \"llama/config.json\"", "= \"meta-llama/Llama-3.1-70B-Instruct\""),
    size("layers").means("Layers.").shown("= 32", "= 30"),
    size("hidden").means("Hidden width.").shown("= 4096", "= 4608"),
    size("heads").means("Query heads.").shown("= 32", "= 64"),
    size("kv_heads").default("as many as `heads`").means("Key-value heads.").shown("= 8", "= 4"),
    size("head_dim").default("`hidden` / `heads`").means("Size of one head.").shown("= 128", "= 64"),
    size("ffn").means("Width of the dense feed-forward layers.").shown("= 14336", "= 12288"),
    FieldRow::new("gated", FieldType::Bool, FACT)
        .default("true")
        .means("Has the feed-forward layer a gate (three matrices) or not (two)?")
        .shown("= true", "= false"),
    size("vocab").means("Entries of the vocabulary.").shown("= 128256", "= 32000"),
    FieldRow::new("tied", FieldType::Bool, FACT)
        .default("false")
        .means("Are the input and the output embedding one matrix?")
        .shown("= false", "= true"),
    FieldRow::new("context", FieldType::Quantity(Dimension::TOKENS), FACT)
        .bounds(SIZE)
        .means("Longest context.")
        .shown("= 131072 tok", "= 65536 tok"),
    FieldRow::new("precision", FieldType::Word(PRECISIONS), FACT)
        .default("`bf16`")
        .means("Precision in which the weights are published.")
        .shown("= bf16", "= fp8"),
    FieldRow::new("parameters", FieldType::Quantity(Dimension::PARAMETERS), FACT)
        .bounds(Bounds::Positive)
        .default("follows from the sizes")
        .means("All parameters.")
        .shown("= 8.03 Gparam", "= 9 Gparam"),
    FieldRow::new("active_parameters", FieldType::Quantity(Dimension::PARAMETERS), FACT)
        .bounds(Bounds::Positive)
        .default("follows from the sizes")
        .means("Parameters that one token visits, embeddings and head included.")
        .shown("= 8.03 Gparam", "= 7 Gparam"),
    FieldRow::new("experts", FieldType::Record(&EXPERTS), FACT)
        .default("none")
        .means("Mixture of experts.")
        .shown("= { routed = 8, active = 2, width = 14336 }", "= { routed = 16, active = 2, width = 14336 }"),
    FieldRow::new("latent", FieldType::Record(&LATENT), FACT)
        .default("none")
        .means("Multi-head latent attention.")
        .shown(
            "= { query_rank = 1536, kv_rank = 512, nope = 128, rope = 64, value = 128 }",
            "= { query_rank = 1536, kv_rank = 256, nope = 128, rope = 64, value = 128 }",
        ),
    FieldRow::new("window", FieldType::Record(&WINDOW), FACT)
        .default("none")
        .means("Sliding-window attention.")
        .shown("= { tokens = 4096 tok, layers = 16 }", "= { tokens = 4096 tok, layers = 8 }"),
];

/// Mixture of experts.
pub static EXPERTS: Table = Table::record("experts", "Mixture of experts.", EXPERT_FIELDS);

static EXPERT_FIELDS: &[FieldRow] = &[
    size("routed").needed().means("Routed experts per layer.").shown("= 8", "= 16"),
    size("active").needed().means("Routed experts that one token visits.").shown("= 2", "= 4"),
    size("width").needed().means("Width of one routed expert.").shown("= 14336", "= 7168"),
    FieldRow::new("shared", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(0.0, 1e6))
        .default("0")
        .means("Experts that every token visits.")
        .shown("= 1", "= 2"),
    size("shared_width").default("`width`").means("Width of one shared expert.").shown("= 2048", "= 4096"),
    size("layers")
        .default("all layers")
        .means("Layers with experts; the others are dense.")
        .shown("= 16", "= 8"),
];

/// Latent attention.
pub static LATENT: Table = Table::record("latent", "Multi-head latent attention.", LATENT_FIELDS);

static LATENT_FIELDS: &[FieldRow] = &[
    FieldRow::new("query_rank", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(0.0, 1e8))
        .default("0: queries are not compressed")
        .means("Rank of the query compression.")
        .shown("= 1536", "= 768"),
    size("kv_rank").needed().means("Rank of the key-value compression.").shown("= 512", "= 256"),
    size("nope").needed().means("Size of a head without position.").shown("= 128", "= 64"),
    size("rope").needed().means("Size of a head that carries the position.").shown("= 64", "= 32"),
    size("value").needed().means("Size of a head of values.").shown("= 128", "= 64"),
];

/// Sliding windows.
pub static WINDOW: Table = Table::record("window", "Sliding-window attention on some layers.", WINDOW_FIELDS);

static WINDOW_FIELDS: &[FieldRow] = &[
    FieldRow::new("tokens", FieldType::Quantity(Dimension::TOKENS), FACT)
        .bounds(SIZE)
        .needed()
        .means("Tokens that such a layer looks back.")
        .shown("= 4096 tok", "= 1024 tok"),
    size("layers").needed().means("How many layers have it.").shown("= 16", "= 8"),
];

/// Facts that a model without a row of the catalog must state.
const NEEDED: [&str; 6] = ["layers", "hidden", "heads", "ffn", "vocab", "context"];

/// Reads the models into the checker.
pub(crate) fn check(checker: &mut Checker<'_>, blocks: &[&Block]) {
    for block in blocks {
        let name = checker.name_of(block, &MODEL);
        let fields = checker.contents(&MODEL, block).fields;
        let model = model(checker, &fields, name.as_deref().unwrap_or_default());
        if let (Some(name), Some(model)) = (name, model) {
            if let Some(written) = checker.checkpoint(fields.place_of("catalog").span(), &name) {
                checker.checkpoints.insert(name.clone(), written);
            }
            checker.models.insert(name, model);
        }
    }
}

fn model(checker: &Checker<'_>, fields: &Fields, name: &str) -> Option<Model> {
    excludes(checker, fields, "catalog", "huggingface");
    if fields.has("catalog") {
        // A model of the file cannot be the row of another, or names would go in circles.
        let row = checker.catalog.model(fields.text("catalog")?);
        if row.is_none() {
            let message = "`catalog` names a row of the catalog, not a block of this file";
            let found = checker.values.error(codes::UNKNOWN_NAME, fields.place_of("catalog").span(), message);
            checker.values.report(found.help("`capstan catalog list model` shows what is known"));
        }
        let row = row?;
        let model = changed(checker, fields, Model { id: name.to_owned(), ..row.clone() })?;
        return Some(same_as(row, model));
    }
    if fields.has("huggingface") {
        let row = configured(checker, fields)?;
        let model = changed(checker, fields, Model { id: name.to_owned(), ..row.clone() })?;
        // What a file describes has no row.
        let is_file = fields.text("huggingface").is_some_and(is_config);
        return Some(if is_file { model } else { same_as(&row, model) });
    }
    NEEDED.iter().for_each(|needed| fields.need(checker, needed));
    let heads = fields.small("heads")?;
    let hidden = fields.small("hidden")?;
    let stated = Model {
        id: name.to_owned(),
        layers: fields.small("layers")?,
        hidden,
        heads,
        kv_heads: heads,
        head_dim: (hidden / heads).max(1),
        ffn: fields.small("ffn")?,
        vocab: fields.small("vocab")?,
        context: tokens(fields, "context")?,
        ..Model::blank(Provenance {
            source: "stated in the plan".to_owned(),
            as_of: checker.frame.as_of,
            grade: Grade::DataSheet,
        })
    };
    if !fields.has("precision") {
        checker.assume(&fields.place, format!("the weights of `{name}` are published in bf16"));
    }
    changed(checker, fields, stated)
}

/// Remembers the row that a model is, where none of its facts is another one: what was measured of that row is known of it.
fn same_as(row: &Model, model: Model) -> Model {
    let is_same = model == Model { id: model.id.clone(), ..row.clone() };
    Model { row: is_same.then(|| row.id.clone()), ..model }
}

/// Returns the model of a `config.json`, or the row of a name on the hub.
fn configured(checker: &Checker<'_>, fields: &Fields) -> Option<Model> {
    let path = fields.text("huggingface")?;
    let span = fields.place_of("huggingface").span();
    if is_config(path) {
        let read = checker.context.models.get(path);
        if read.is_none() && !checker.context.is_told(path) {
            let message = format!("`{path}` could not be read");
            let found = checker.values.error(codes::UNREADABLE_FILE, span, message);
            checker.values.report(found.help("put it beside the plan file"));
        }
        let mut model = read?.clone();
        model.provenance.as_of = checker.frame.as_of;
        return Some(model);
    }
    let row = checker.catalog.model(path);
    if row.is_none() {
        let message = format!("the catalog knows no model `{path}`, and planning never goes online");
        let found = checker.values.error(codes::UNKNOWN_NAME, span, message);
        let names = checker.catalog.models.iter().flat_map(|model| &model.names);
        let help = match nearest(path, names.map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "put its `config.json` beside the plan and name that file".to_owned(),
        };
        checker.values.report(found.help(help));
    }
    row.cloned()
}

/// Returns the model with the facts that are stated in place of its own.
fn changed(checker: &Checker<'_>, fields: &Fields, mut model: Model) -> Option<Model> {
    let before = model.clone();
    let size = |name: &str, now: u32| fields.small(name).unwrap_or(now);
    model.layers = size("layers", model.layers);
    model.hidden = size("hidden", model.hidden);
    model.heads = size("heads", model.heads);
    model.kv_heads = size("kv_heads", model.kv_heads);
    model.head_dim = size("head_dim", model.head_dim);
    model.ffn = size("ffn", model.ffn);
    model.vocab = size("vocab", model.vocab);
    model.gated = fields.bool("gated").unwrap_or(model.gated);
    model.tied = fields.bool("tied").unwrap_or(model.tied);
    model.context = tokens(fields, "context").unwrap_or(model.context);
    model.published = fields.word("precision").and_then(Precision::from_word).unwrap_or(model.published);
    let mut complete = true;
    if let Some(record) = fields.record("experts") {
        model.experts = experts(checker, record, model.layers);
        complete &= model.experts.is_some();
    }
    if let Some(record) = fields.record("latent") {
        model.latent = latent(checker, record);
        complete &= model.latent.is_some();
    }
    if let Some(record) = fields.record("window") {
        model.window = window(checker, record);
        complete &= model.window.is_some();
    }
    if !complete {
        return None;
    }
    count(fields, &mut model, &before);
    consistent(checker, fields, &model).then_some(model)
}

/// Parameters as stated; else, where a size changed or the row is new, as they follow from the sizes.
fn count(fields: &Fields, model: &mut Model, before: &Model) {
    let resized = *model != Model { published: model.published, context: model.context, ..before.clone() };
    if resized || before.params_total_b == 0.0 {
        model.params_total_b = model.computed_params_b();
        model.params_active_b = model.computed_active_params_b();
    }
    if let Some(stated) = fields.number("parameters") {
        model.params_total_b = stated / 1e9;
        // A dense model visits all of its parameters.
        if model.experts.is_none() {
            model.params_active_b = stated / 1e9;
        }
    }
    if let Some(stated) = fields.number("active_parameters") {
        model.params_active_b = stated / 1e9;
    }
}

fn experts(checker: &Checker<'_>, fields: &Fields, layers: u32) -> Option<Experts> {
    let complete = fields.complete(checker);
    let width = fields.small("width");
    complete.then_some(())?;
    Some(Experts {
        routed: fields.small("routed")?,
        active: fields.small("active")?,
        width: width?,
        shared: fields.small("shared").unwrap_or(0),
        shared_width: fields.small("shared_width").or(width)?,
        layers: fields.small("layers").unwrap_or(layers),
        latent: 0,
    })
}

fn latent(checker: &Checker<'_>, fields: &Fields) -> Option<Latent> {
    fields.complete(checker).then_some(())?;
    Some(Latent {
        query_rank: fields.small("query_rank").unwrap_or(0),
        kv_rank: fields.small("kv_rank")?,
        nope: fields.small("nope")?,
        rope: fields.small("rope")?,
        value: fields.small("value")?,
    })
}

fn window(checker: &Checker<'_>, fields: &Fields) -> Option<Window> {
    fields.complete(checker).then_some(())?;
    Some(Window { tokens: tokens(fields, "tokens")?, layers: fields.small("layers")? })
}

/// Returns a count of tokens that the table bounds to 32 bits.
pub(crate) fn tokens(fields: &Fields, name: &str) -> Option<u32> {
    fields.number(name).map(|tokens| tokens.round() as u32)
}

/// Reports sizes that contradict each other.
fn consistent(checker: &Checker<'_>, fields: &Fields, model: &Model) -> bool {
    let mut fine = true;
    let mut refuse = |name: &str, message: String| {
        let found = checker.values.error(codes::CONTRADICTION, fields.place_of(name).span(), message);
        checker.values.report(found.help("change one of the two"));
        fine = false;
    };
    if model.kv_heads > model.heads || !model.heads.is_multiple_of(model.kv_heads) {
        let message =
            format!("{} query heads cannot share {} key-value heads evenly", model.heads, model.kv_heads);
        refuse("kv_heads", message);
    }
    if let Some(experts) = model.experts {
        if experts.active > experts.routed {
            let message = format!("a token cannot visit {} of {} experts", experts.active, experts.routed);
            refuse("experts", message);
        }
        if experts.layers > model.layers {
            refuse("experts", format!("{} of {} layers cannot have experts", experts.layers, model.layers));
        }
    }
    if let Some(window) = model.window.filter(|window| window.layers > model.layers) {
        refuse("window", format!("{} of {} layers cannot have a window", window.layers, model.layers));
    }
    if model.params_active_b > model.params_total_b {
        refuse("active_parameters", "a token cannot visit more parameters than there are".to_owned());
    }
    fine
}
