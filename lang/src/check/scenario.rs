//! `scenario`: which changes have a name, and what may happen to the plan?

use capstan_types::quantity::Dimension;
use capstan_types::spec::{Failing, ScenarioFailure, Surge, WhatIf};
use capstan_types::units::Seconds;

use super::checker::Checker;
use super::fields::{Contents, Fields};
use super::table::{Bounds, FACT, FieldRow, FieldType, LabelRule, Table};
use crate::ast::{Block, Set, SetOp};
use crate::codes;
use crate::evaluate::Value;
use crate::overrides::{Target, Targets};

/// The kind of block.
pub static SCENARIO: Table = Table {
    sets: true,
    blocks: &[&FAIL, &SURGE],
    ..Table::named(
        "scenario",
        "A named what-if: changes (`set`) that `--scenario` makes, and what happens to the plan, which every `plan` simulates.",
        &[],
    )
};

/// Longest time that something lasts: a day.
const LASTS: Bounds = Bounds::UpTo(86_400.0);

/// Failures.
pub static FAIL: Table = Table {
    label: LabelRule::Word(&["gpu", "node", "rack", "zone", "crash", "slow", "spot"]),
    ..Table::named(
        "fail",
        "Something that fails, a third into the hour that is simulated, with the replicas on it.",
        FAIL_FIELDS,
    )
};

static FAIL_FIELDS: &[FieldRow] = &[
    FieldRow::new("count", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 1e6))
        .default("1; of spot machines all that the plan buys")
        .means("How many fail at once.")
        .shown("= 2", "= 4"),
    FieldRow::new("at", FieldType::Word(&["busiest_hour", "verified_hours"]), FACT)
        .default("`busiest_hour`")
        .means(
            "In which hours: the one that strains the replicas most, or all at which the plan was verified.",
        )
        .shown("= busiest_hour", "= verified_hours"),
    FieldRow::new("for", FieldType::Quantity(Dimension::TIME), FACT)
        .bounds(LASTS)
        .default("as long as a replica takes to start elsewhere")
        .means("For how long.")
        .shown("= 10 min", "= 4 h"),
    FieldRow::new("notice", FieldType::Quantity(Dimension::TIME), FACT)
        .bounds(Bounds::Within(0.0, 86_400.0))
        .default("2 min")
        .means("How long before it takes machines back the spot market says so; for `spot`.")
        .shown("= 30 s", "= 0 s"),
    FieldRow::new("slower", FieldType::Quantity(Dimension::NONE), FACT)
        .bounds(Bounds::Within(1.0, 1000.0))
        .default("2")
        .means("How many times as long the steps of a slow replica take; for `slow`.")
        .shown("= 3", "= 5"),
];

/// Surges.
pub static SURGE: Table = Table {
    label: LabelRule::None,
    ..Table::named(
        "surge",
        "More requests than planned, a third into the hour that is simulated.",
        SURGE_FIELDS,
    )
};

static SURGE_FIELDS: &[FieldRow] = &[
    FieldRow::new("load", FieldType::Quantity(Dimension::NONE), FACT)
        .bounds(Bounds::Within(0.01, 1000.0))
        .needed()
        .means("How many times the planned requests.")
        .shown("= 2", "= 1.5"),
    FieldRow::new("for", FieldType::Quantity(Dimension::TIME), FACT)
        .bounds(LASTS)
        .default("the whole hour")
        .means("For how long.")
        .shown("= 10 min", "= 2 min"),
];

/// Reads the scenarios and returns their names, and what happens in them; the changes themselves are made before a plan is
/// checked.
pub(crate) fn check(checker: &Checker<'_>, blocks: &[&Block]) -> (Vec<String>, Vec<WhatIf>) {
    let targets = Targets::of(checker.source.file);
    let (mut names, mut what_ifs) = (Vec::new(), Vec::new());
    for block in blocks {
        let name = checker.name_of(block, &SCENARIO);
        let Contents { sets, blocks, fields, .. } = checker.contents(&SCENARIO, block);
        for set in sets {
            change(checker, &targets, set);
        }
        what_ifs.extend(what_if(checker, &blocks, name.as_deref().unwrap_or_default(), &fields));
        names.extend(name);
    }
    (names, what_ifs)
}

/// Returns what happens in a scenario, if anything does.
fn what_if(checker: &Checker<'_>, blocks: &[&Block], name: &str, scenario: &Fields) -> Option<WhatIf> {
    let (mut failure, mut surge, mut at_all_hours) = (None, None, false);
    let mut seen: Vec<&str> = Vec::new();
    for block in blocks {
        let kind = block.kind.text.as_str();
        if seen.contains(&kind) {
            let message = format!("a scenario has one `{kind}`");
            let found = checker.values.error(codes::CONTRADICTION, block.kind.span, message);
            checker.values.report(found.help("write a scenario for each"));
            continue;
        }
        seen.push(kind);
        if kind == FAIL.kind {
            let (fails, everywhere) = fail(checker, block);
            (failure, at_all_hours) = (fails, everywhere);
        } else {
            surge = surges(checker, block);
        }
    }
    let happens = failure.is_some() || surge.is_some();
    happens.then(|| WhatIf {
        scenario: name.to_owned(),
        failure,
        surge,
        at_all_hours,
        place: scenario.place.clone(),
    })
}

fn fail(checker: &Checker<'_>, block: &Block) -> (Option<ScenarioFailure>, bool) {
    let what = checker.name_of(block, &FAIL).and_then(|word| Failing::from_word(&word));
    let fields = checker.contents(&FAIL, block).fields;
    for (field, only) in [("notice", Failing::Spot), ("slower", Failing::Slow)] {
        if fields.has(field) && what.is_some_and(|what| what != only) {
            let message = format!("`{field}` has no effect here");
            let found = checker.values.error(codes::CONTRADICTION, fields.place_of(field).span(), message);
            let word = Failing::ALL.iter().find(|(known, ..)| *known == only).map_or("", |(_, word, _)| word);
            checker.values.report(found.help(format!("it belongs to `fail {word}`")));
        }
    }
    let failure = what.map(|what| ScenarioFailure {
        what,
        count: fields.small("count"),
        lasts: fields.number("for").map(Seconds),
        notice: fields.number("notice").map(Seconds),
        slower: fields.number("slower"),
    });
    (failure, fields.word("at") == Some("verified_hours"))
}

fn surges(checker: &Checker<'_>, block: &Block) -> Option<Surge> {
    checker.name_of(block, &SURGE);
    let fields = checker.contents(&SURGE, block).fields;
    fields.complete(checker);
    Some(Surge { factor: fields.number("load")?, lasts: fields.number("for").map(Seconds) })
}

fn change(checker: &Checker<'_>, targets: &Targets<'_>, set: &Set) {
    let file = checker.source.file;
    match targets.find(file, checker.catalog, set, &file.file) {
        Err(found) => checker.values.report(*found),
        Ok(Target::Field { row, .. } | Target::Absent { row, .. }) => value(checker, set, row),
        Ok(Target::Binding(_) | Target::Price(_)) => drop(checker.values.evaluate(&set.value)),
    }
}

/// Reports a value that the field would not take.
fn value(checker: &Checker<'_>, set: &Set, row: &'static FieldRow) {
    match (set.op, row.takes) {
        (SetOp::To, _) => drop(checker.read(row, &set.value)),
        (SetOp::Times, _) => drop(checker.quantity("factor", "", &set.value, &[Dimension::NONE])),
        (SetOp::Plus, FieldType::Quantity(dimension)) => {
            drop(checker.quantity(row.name, row.examples[0], &set.value, &[dimension]));
        }
        (SetOp::Plus, _) => {
            if let Some(value @ (Value::Text(_) | Value::Bool(_))) = checker.values.evaluate(&set.value) {
                checker.wrong_kind::<()>(row.name, set.value.span, "an amount", value.noun());
            }
        }
    }
}
