//! `speculative`: which tokens are drafted, by what, and how many of them are right?

use capstan_types::quantity::Dimension;
use capstan_types::spec::{Draft, Speculative};

use super::checker::Checker;
use super::fields::Fields;
use super::load;
use super::table::{Bounds, FACT, FieldRow, FieldType, Referent, Table};

/// The record.
pub static SPECULATIVE: Table = Table::record(
    "speculative",
    "Tokens that are drafted cheaply and verified together in one step: by a draft model, by heads of the model itself (multi-token prediction), or by look-up.",
    FIELDS,
);

static FIELDS: &[FieldRow] = &[
    FieldRow::new("tokens", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 64.0))
        .needed()
        .means("Tokens that are drafted for each step.")
        .shown("= 4", "= 3"),
    FieldRow::new("acceptance", FieldType::Share, FACT)
        .bounds(Bounds::Within(0.0, 1.0))
        .needed()
        .means("Chance that a drafted token is right if those before it were, as measured on such requests; it is never guessed.")
        .shown("= 70%", "= 80%"),
    FieldRow::new("model", FieldType::One(Referent::Model), FACT)
        .default("`cost` says what drafting takes")
        .means("The model that drafts, on the same accelerators: its weights and its cache take their memory.")
        .shown("= llama3_1_8b", "= \"meta-llama/Llama-3.1-70B-Instruct\""),
    FieldRow::new("cost", FieldType::Share, FACT)
        .bounds(Bounds::Within(0.0, 1.0))
        .default("`model` says what drafts")
        .means("Time to draft one token, as a share of a step without drafts; 0 for a look-up.")
        .shown("= 5%", "= 10%"),
];

/// Reads the record of the workload `name`.
pub(crate) fn check(checker: &Checker<'_>, fields: &Fields, name: &str) -> Option<Speculative> {
    let complete = fields.complete(checker);
    load::excludes(checker, fields, "model", "cost");
    let draft = match (fields.text("model"), fields.number("cost")) {
        (Some(model), _) => Draft::Model { model: model.to_owned() },
        (None, Some(step_share)) => {
            checker.assume(&fields.place, format!("what drafts for `{name}` takes no memory of its own"));
            Draft::Cost { step_share }
        }
        (None, None) => {
            if !fields.has("model") {
                fields.need(checker, "cost");
            }
            return None;
        }
    };
    let (tokens, acceptance) = (fields.small("tokens"), fields.number("acceptance"));
    complete.then_some(Speculative { tokens: tokens?, acceptance: acceptance?, draft })
}
