//! Kinds, names and fields: E02xx.

use super::Entry;
use crate::diagnostic::Code;

/// An unknown kind of block.
pub const UNKNOWN_KIND: Code = Code::error(201);
/// An unknown field.
pub const UNKNOWN_FIELD: Code = Code::error(202);
/// A name that refers to nothing.
pub const UNKNOWN_NAME: Code = Code::error(203);
/// A name that is already taken.
pub const DUPLICATE_NAME: Code = Code::error(204);
/// A field that stands twice.
pub const DUPLICATE_FIELD: Code = Code::error(205);
/// A field that must be there.
pub const MISSING_FIELD: Code = Code::error(206);
/// A fact where a limit belongs, or a limit where a fact does.
pub const WRONG_OPERATOR: Code = Code::error(207);
/// A value of the wrong kind.
pub const WRONG_KIND_OF_VALUE: Code = Code::error(208);
/// A word that is not among the choices.
pub const NOT_A_CHOICE: Code = Code::error(209);

pub(super) const ENTRIES: [Entry; 9] = [
    Entry {
        code: UNKNOWN_KIND,
        title: "an unknown kind of block",
        explanation: "A block begins with one of the kinds of the language, or, inside another block, with one \
            that this block allows.",
        wrong: Some("serving chat { replicas = 2 }"),
        right: Some("serve chat { replicas = 2 }"),
    },
    Entry {
        code: UNKNOWN_FIELD,
        title: "an unknown field",
        explanation: "The kind of block has no such field. Fields are listed in the reference of the language.",
        wrong: Some("site a { powr <= 40 kW }"),
        right: Some("site a { power <= 40 kW }"),
    },
    Entry {
        code: UNKNOWN_NAME,
        title: "a name that refers to nothing",
        explanation: "A reference looks in the plan file, then in what `use` names, then in the built-in \
            catalog.",
        wrong: Some("serve chat { model = llama70 }"),
        right: Some("serve chat { model = llama3_1_70b }"),
    },
    Entry {
        code: DUPLICATE_NAME,
        title: "a name that is already taken",
        explanation: "Names are unique in a file, across all kinds.",
        wrong: Some("let a = 1\nlet a = 2"),
        right: Some("let a = 1\nlet b = 2"),
    },
    Entry {
        code: DUPLICATE_FIELD,
        title: "a field that stands twice",
        explanation: "Each field stands once in its block; a fact and a limit on the same field are written as \
            one.",
        wrong: Some("plan p { seed = 1, seed = 2 }"),
        right: Some("plan p { seed = 1 }"),
    },
    Entry {
        code: MISSING_FIELD,
        title: "a field that must be there",
        explanation: "The planner cannot decide this field itself.",
        wrong: Some("serve chat { replicas = 2 }"),
        right: Some("serve chat { model = llama3_1_8b, load = { rate = 5 req/s } }"),
    },
    Entry {
        code: WRONG_OPERATOR,
        title: "a fact where a limit belongs, or a limit where a fact does",
        explanation: "`=` states a fact, `<=` and `>=` state a limit, `in` states a choice; not every field \
            allows each.",
        wrong: Some("plan p { currency <= USD }"),
        right: Some("plan p { currency = USD }"),
    },
    Entry {
        code: WRONG_KIND_OF_VALUE,
        title: "a value of the wrong kind",
        explanation: "The field wants another kind of value: a name, a string, a date, a list, a record.",
        wrong: Some("plan p { currency = 5 }"),
        right: Some("plan p { currency = USD }"),
    },
    Entry {
        code: NOT_A_CHOICE,
        title: "a word that is not among the choices",
        explanation: "The field takes one of a few words, which the message lists.",
        wrong: Some("site a { redundancy = n_plus_3 }"),
        right: Some("site a { redundancy = n_plus_2 }"),
    },
];
