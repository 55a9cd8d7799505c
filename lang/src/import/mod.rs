//! What neural network does a `config.json` describe?
//!
//! Text in, a [`Model`] and diagnostics out, as for every other text. An architecture is understood or refused with the name
//! of the field that is not: it is never guessed from fields that look familiar. Not known here: where the text comes
//! from, and what else lies beside it; whoever reads files hands over the `hf_quant_config.json` where there is one.

mod config;
mod experts;
mod family;
mod json;
mod pattern;
mod row;
mod shape;
mod small;
mod stored;

pub use row::catalog_row;

use capstan_types::model::{Model, Stored};
use capstan_types::origin::Provenance;
use capstan_types::place::{FileId, Span};

use self::config::Config;
use self::family::Family;
use self::json::Node;
use crate::codes;
use crate::diagnostic::{Diagnostic, sort};

/// A text and its name.
#[derive(Debug, Clone, Copy)]
pub struct ConfigText<'a> {
    /// The name of its file.
    pub file: &'a FileId,
    /// What it says.
    pub text: &'a str,
}

/// What a configuration says.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The model, where nothing is wrong.
    pub model: Option<Model>,
    /// Where its precision was found.
    pub precision_from: &'static str,
    /// What is wrong with the text, in the order of places.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a `config.json`. `beside` is the `hf_quant_config.json` of the same folder.
///
/// Parameters count the embeddings, the head, and nothing that a plain deployment does not load: a tower that sees and
/// layers that predict further tokens are counted apart.
pub fn huggingface(
    own: ConfigText<'_>,
    beside: Option<ConfigText<'_>>,
    id: &str,
    provenance: Provenance,
) -> Imported {
    let mut diagnostics = Vec::new();
    let quantisation = beside.and_then(|beside| node(beside, &mut diagnostics));
    let Some(outer) = node(own, &mut diagnostics) else { return refused(diagnostics) };
    let mut config = Config::new(own.file, &outer);
    let model = Model { id: id.to_owned(), ..Model::blank(provenance) };
    let read = read(&mut config, quantisation.as_ref(), model);
    diagnostics.extend(config.into_diagnostics());
    sort(&mut diagnostics);
    diagnostics.dedup();
    match read {
        Some((model, precision_from)) if !diagnostics.iter().any(Diagnostic::is_error) => {
            Imported { model: Some(model), precision_from, diagnostics }
        }
        _ => refused(diagnostics),
    }
}

fn refused(diagnostics: Vec<Diagnostic>) -> Imported {
    Imported { model: None, precision_from: "", diagnostics }
}

/// Reads JSON, or says where it stops being that.
fn node<'a>(own: ConfigText<'a>, diagnostics: &mut Vec<Diagnostic>) -> Option<Node<'a>> {
    match json::parse(own.text) {
        Ok(node) if matches!(node.value, json::Value::Object(_)) => Some(node),
        Ok(node) => {
            let message = format!("`{}` holds {}, not an object", own.file, node.kind());
            let place = node.span.in_file(own.file);
            diagnostics.push(Diagnostic::error(codes::CONFIG_NOT_JSON, place, message));
            None
        }
        Err(stopped) => {
            let place = stopped.span.in_file(own.file);
            let message = format!("`{}` is no JSON: {}", own.file, stopped.why);
            let help = "download it again, whole";
            diagnostics.push(Diagnostic::error(codes::CONFIG_NOT_JSON, place, message).help(help));
            None
        }
    }
}

fn read(
    config: &mut Config<'_>,
    beside: Option<&Node<'_>>,
    mut model: Model,
) -> Option<(Model, &'static str)> {
    if is_adapter(config) {
        return None;
    }
    let family = family(config)?;
    config.defaults = family.defaults;
    let even = shape::fill(config, family, &mut model);
    let storage = stored::storage(config, beside, family.layout, &model);
    let small = even.map(|even| {
        let (all, active) = small::small(config, family, &model);
        (all + even.uneven, active + even.uneven)
    });
    let speculation = small::speculation(config, &model);
    model.tower_b = small::tower(config) / 1e9;
    model.speculation_b = speculation / 1e9;
    // After a mistake not everything was asked for.
    if small.is_some() {
        name_what_is_not_understood(config);
    }
    let (all, active) = small?;
    model.params_total_b = model.computed_params_b() + all / 1e9;
    model.params_active_b = model.computed_active_params_b() + active / 1e9;
    model.published = storage.published;
    model.stored = (storage.stored != Stored::uniform(storage.published)).then_some(storage.stored);
    Some((model, storage.found))
}

/// Reports the configuration of an adapter, which has no sizes of its own.
fn is_adapter(config: &Config<'_>) -> bool {
    let Some(node) = config.outer("peft_type") else { return false };
    let base = config.outer("base_model_name_or_path").and_then(Node::text).unwrap_or("its base");
    let message = "this is the configuration of an adapter, not of a model";
    let help = format!("import the `config.json` of the model that it adapts: {base}");
    config.wrong(codes::CONFIG_ADAPTER, node.span, message, help);
    true
}

/// Returns what is known of the architecture, or names the field that nobody understands.
fn family(config: &Config<'_>) -> Option<&'static Family> {
    config.outer("architectures");
    let Some(kind) = config.text("model_type") else {
        let message = "`model_type` is missing: nothing says what architecture this is";
        let help = "is this the `config.json` of a model?";
        config.wrong(codes::CONFIG_MISSING, Span::new(0, 0), message, help);
        return None;
    };
    let found = family::family(kind);
    if found.is_none() {
        let message = format!("`model_type` is `{kind}`, an architecture that is not understood");
        let known = family::FAMILIES.iter().flat_map(|family| family.types).copied();
        let help = match capstan_types::quantity::nearest(kind, known) {
            Some(near) => {
                format!("the nearest that is understood is `{near}`; if it is the same, write that")
            }
            None => "state the sizes in a `model` block of the plan".to_owned(),
        };
        config.wrong(codes::CONFIG_UNKNOWN, config.span_of("model_type"), message, help);
    }
    found
}

/// Names the fields that speak of sizes and that nobody asked for.
fn name_what_is_not_understood(config: &Config<'_>) {
    for (name, node) in config.unasked().into_iter().filter(|(name, _)| family::is_structural(name)) {
        let message = format!("`{name}` is not understood, and may change the size of the model");
        let help = "state the sizes in a `model` block of the plan, or take the field out if it changes none";
        config.wrong(codes::CONFIG_UNKNOWN, node.span, message, help);
    }
}
