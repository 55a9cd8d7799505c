//! What the checker finds beyond names: ranges, contradictions, functions, conditions: E021x, E022x.

use super::Entry;
use crate::diagnostic::Code;

/// A number out of range.
pub const OUT_OF_RANGE: Code = Code::error(210);
/// Two statements that do not go together.
pub const CONTRADICTION: Code = Code::error(211);
/// A date outside the horizon, or before another that it must follow.
pub const OUTSIDE_HORIZON: Code = Code::error(212);
/// A function that does not exist here.
pub const UNKNOWN_FUNCTION: Code = Code::error(213);
/// An argument that the function does not take, or lacks.
pub const BAD_ARGUMENT: Code = Code::error(214);
/// A value that is defined by itself.
pub const CIRCLE: Code = Code::error(215);
/// A block that must be there, or stands twice.
pub const MISSING_BLOCK: Code = Code::error(216);
/// A computation without a result.
pub const NO_RESULT: Code = Code::error(217);
/// A rule that is no condition.
pub const NOT_A_CONDITION: Code = Code::error(218);
/// Something that cannot stand here.
pub const MISPLACED: Code = Code::error(219);
/// A change to something that is not there.
pub const NOTHING_TO_SET: Code = Code::error(220);
/// A value that nothing uses.
pub const UNUSED_NAME: Code = Code::warning(201);
/// A price that is dated after the planning date.
pub const PRICE_TO_COME: Code = Code::warning(202);

pub(super) const ENTRIES: [Entry; 13] = [
    Entry {
        code: OUT_OF_RANGE,
        title: "a number out of range",
        explanation: "The field takes only some numbers: a demand is above zero, a percentage has an end, a PUE \
            is at least 1. The message says which.",
        wrong: Some("site a { pue = 0.8 }"),
        right: Some("site a { pue = 1.2 }"),
    },
    Entry {
        code: CONTRADICTION,
        title: "two statements that do not go together",
        explanation: "Both cannot hold, or one leaves the other without effect. Nothing is silently ignored, so \
            one of them has to go.",
        wrong: Some("serve chat { load = { rate = 5 req/s, peak = 6 req/s } }"),
        right: Some("serve chat { load = { rate = 5 req/s } }"),
    },
    Entry {
        code: OUTSIDE_HORIZON,
        title: "a date outside the horizon, or before one that it must follow",
        explanation: "Everything that is planned lies between the first and the last day of `horizon`, and \
            nothing finishes before it starts.",
        wrong: Some("train t { start >= 2027-06-01, finish <= 2027-02-01 }"),
        right: Some("train t { start >= 2027-02-01, finish <= 2027-06-01 }"),
    },
    Entry {
        code: UNKNOWN_FUNCTION,
        title: "a function that does not exist here",
        explanation: "There are a few built-in functions, each for one field: `diurnal(…)` for `daily`, \
            `reserved(…)` in `buy`.",
        wrong: Some("serve chat { load = { daily = sinus(trough = 30%) } }"),
        right: Some("serve chat { load = { daily = diurnal(trough = 30%, peak_at = 14:00) } }"),
    },
    Entry {
        code: BAD_ARGUMENT,
        title: "an argument that the function does not take, or lacks",
        explanation: "The message lists the arguments of the function.",
        wrong: Some("serve chat { load = { daily = diurnal(low = 30%) } }"),
        right: Some("serve chat { load = { daily = diurnal(trough = 30%, peak_at = 14:00) } }"),
    },
    Entry {
        code: CIRCLE,
        title: "a value that is defined by itself",
        explanation: "`param` and `let` may stand in any order, but not in a circle.",
        wrong: Some("let a = b\nlet b = a"),
        right: Some("let a = 1\nlet b = a"),
    },
    Entry {
        code: MISSING_BLOCK,
        title: "a block that must be there, or stands twice",
        explanation: "A plan file has one `plan` block and at least one workload: `serve` or `train`.",
        wrong: Some("plan p { currency = USD }\nplan q { currency = USD }"),
        right: Some("plan p { currency = USD }"),
    },
    Entry {
        code: NO_RESULT,
        title: "a computation without a result",
        explanation: "The result is not a number: a divisor is zero, or the result is beyond all bounds.",
        wrong: Some("let a = 1 / 0"),
        right: Some("let a = 1 / 2"),
    },
    Entry {
        code: NOT_A_CONDITION,
        title: "a rule that is no condition",
        explanation: "A rule compares two amounts, as in `chat.cost <= 5 MUSD`; conditions are joined with \
            `and`, `or`, `not`.",
        wrong: Some("budget b { require chat.cost }"),
        right: Some("budget b { require chat.cost <= 5 MUSD }"),
    },
    Entry {
        code: MISPLACED,
        title: "something that cannot stand here",
        explanation: "Fields stand in blocks, rules in a `budget`, `set` in a `scenario`.",
        wrong: Some("serve chat { require chat.cost <= 5 USD }"),
        right: Some("budget b { require chat.cost <= 5 USD }"),
    },
    Entry {
        code: NOTHING_TO_SET,
        title: "a change to something that is not there",
        explanation: "The path of a `set` goes from the name of a block to one of its fields, `chat.load.peak`, \
            or is the name of a `param`. `*=` and `+=` need a value that is stated.",
        wrong: Some("scenario s { set chat.load.paek *= 2 }"),
        right: Some("scenario s { set chat.load.peak *= 2 }"),
    },
    Entry {
        code: UNUSED_NAME,
        title: "a value that nothing uses",
        explanation: "The plan is the same without it; often the name is misspelt where it should be used.",
        wrong: Some("param peak = 40 req/s"),
        right: Some("param peak = 40 req/s\nserve chat { load = { peak = peak } }"),
    },
    Entry {
        code: PRICE_TO_COME,
        title: "a price that is dated after the planning date",
        explanation: "The planning date is what is *now*: the plan's `as_of`, else the date of the newest price that \
            is not after the first day of the horizon. A later price is used all the same, and was either dated \
            wrongly or is not known yet when the plan is made.",
        wrong: Some("plan p { currency = USD, as_of = 2020-01-01 }"),
        right: Some("plan p { currency = USD, as_of = 2026-09-01 }"),
    },
];
