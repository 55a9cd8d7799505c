//! `scenario`: which changes have a name?

use capstan_types::quantity::Dimension;

use super::checker::Checker;
use super::fields::Contents;
use super::table::{FieldRow, FieldType, Table};
use crate::ast::{Block, Set, SetOp};
use crate::evaluate::Value;
use crate::overrides::{Target, Targets};

/// The kind of block.
pub static SCENARIO: Table = Table {
    sets: true,
    blocks: &[&FAIL, &SURGE],
    ..Table::named("scenario", "A named what-if: changes (`set`) that `--scenario` makes.", &[])
};

/// Failures.
pub static FAIL: Table = Table::not_yet("fail", "Something that fails.");
/// Surges.
pub static SURGE: Table = Table::not_yet("surge", "Demand that rises for a while.");

/// Reads the scenarios and returns their names; the changes themselves are made before a plan is checked.
pub(crate) fn check(checker: &Checker<'_>, blocks: &[&Block]) -> Vec<String> {
    let targets = Targets::of(checker.source.file);
    let mut names = Vec::new();
    for block in blocks {
        let name = checker.name_of(block, &SCENARIO);
        let Contents { sets, .. } = checker.contents(&SCENARIO, block);
        for set in sets {
            change(checker, &targets, set);
        }
        names.extend(name);
    }
    names
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
