//! What does a plan say after `--set` and `--scenario`?
//!
//! Changes are made to the tree, before it is checked, so that a changed plan is checked like one that
//! was written that way. A path goes from a `param`, or from the name of a block to one of its fields;
//! a path that ends in `price` goes to the catalog. Not known here: whether the new value makes sense.

mod locate;
mod price;

use std::collections::BTreeMap;

use capstan_types::blueprint::Override;
use capstan_types::catalog::Catalog;
use capstan_types::place::{FileId, Span};
use capstan_types::quantity::Currency;

use crate::ast::{ChainOp, Entry, Expr, ExprKind, Field, File, Item, Link, Set, SetOp};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::evaluate::{Evaluator, bind};
use crate::grammar::parse_assignment;

pub(crate) use locate::{Target, Targets};

/// Why a change cannot be made.
pub(crate) type Refused = Box<Diagnostic>;

/// Most changes of one value: each nests the one before, and the stack is finite.
const MOST_CHANGES: usize = 32;

/// One change to a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Path, operator and value.
    pub set: Set,
    /// The operator and the value as written.
    pub text: String,
    /// `--set`, or the name of a scenario.
    pub from: String,
    /// Where its text stands, if not in the plan file.
    pub elsewhere: Option<FileId>,
}

/// A plan after its changes.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The tree.
    pub file: File,
    /// The catalog, where a price was changed.
    pub catalog: Option<Catalog>,
    /// What was changed, for the blueprint.
    pub overrides: Vec<Override>,
    /// Changes that could not be made.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads `--set path=value`. `currency` says what `¥` means.
pub fn parse_change(text: &str, currency: Option<Currency>) -> Result<Change, Vec<Diagnostic>> {
    let file = FileId::new("--set");
    let set = parse_assignment(&file, text, currency)?;
    let written = written(&set, text);
    Ok(Change { set, text: written, from: "--set".to_owned(), elsewhere: Some(file) })
}

/// Returns the changes of a scenario. `text` is the text of the file.
pub fn scenario_changes(file: &File, text: &str, name: &str) -> Result<Vec<Change>, Box<Diagnostic>> {
    let blocks = file.entries.iter().filter_map(|entry| match entry {
        Entry::Item(Item::Block(block)) if block.kind.text == "scenario" => Some(block),
        _ => None,
    });
    let named: Vec<(&str, &crate::ast::Block)> =
        blocks.filter_map(|block| Some((block.label.as_ref()?.text(), block))).collect();
    let Some((_, block)) = named.iter().find(|(known, _)| *known == name) else {
        let place = Span::default().in_file(&file.file);
        let found = Diagnostic::error(codes::UNKNOWN_NAME, place, format!("no scenario is called `{name}`"));
        let known: Vec<String> = named.iter().map(|(known, _)| format!("`{known}`")).collect();
        let similar = crate::nearest(name, named.iter().map(|(known, _)| *known));
        return Err(Box::new(match similar {
            Some(similar) => found.help(format!("did you mean `{similar}`?")),
            None if known.is_empty() => found.help("the plan has no `scenario` block"),
            None => found.help(format!("the scenarios are {}", known.join(", "))),
        }));
    };
    let sets = block.body.iter().filter_map(|item| match item {
        Item::Set(set) => Some(set),
        _ => None,
    });
    let change = |set: &Set| Change {
        set: set.clone(),
        text: written(set, text),
        from: name.to_owned(),
        elsewhere: None,
    };
    Ok(sets.map(change).collect())
}

fn written(set: &Set, text: &str) -> String {
    let value = text.get(set.value.span.range()).unwrap_or_default();
    format!("{} {value}", set.op.word())
}

/// Makes changes in order.
pub fn apply_overrides(file: &File, catalog: &Catalog, changes: &[Change]) -> Changed {
    let mut changed =
        Changed { file: file.clone(), catalog: None, overrides: Vec::new(), diagnostics: Vec::new() };
    let mut evaluator = Evaluator::new(&file.file);
    bind(&mut evaluator, file);
    // What is wrong with a binding is said when the plan is checked.
    let values = evaluator.forgetful();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for change in changes {
        let path = change.set.path.dotted();
        let count = counts.entry(path.clone()).or_default();
        *count += 1;
        let place_in = change.elsewhere.as_ref().unwrap_or(&file.file);
        let made = if *count > MOST_CHANGES {
            let place = change.set.span.in_file(place_in);
            let message = format!("`{path}` is changed more than {MOST_CHANGES} times");
            Err(Box::new(
                Diagnostic::error(codes::OUT_OF_RANGE, place, message).help("join the changes into one"),
            ))
        } else {
            make(&mut changed, catalog, change, place_in, &values)
        };
        match made {
            Ok(()) => {
                changed.overrides.push(Override {
                    path,
                    change: change.text.clone(),
                    from: change.from.clone(),
                });
            }
            Err(found) => changed.diagnostics.push(*found),
        }
    }
    changed.diagnostics.extend(values.finish());
    changed
}

fn make(
    changed: &mut Changed,
    catalog: &Catalog,
    change: &Change,
    file: &FileId,
    values: &Evaluator<'_>,
) -> Result<(), Refused> {
    let targets = Targets::of(&changed.file);
    match targets.find(&changed.file, catalog, &change.set, file)? {
        Target::Binding(entry) => {
            if let Some(Entry::Param(binding) | Entry::Let(binding)) = changed.file.entries.get_mut(entry) {
                alter(&mut binding.value, change);
            }
        }
        Target::Field { entry, steps, .. } => {
            if let Some(field) = locate::field_at(&mut changed.file, entry, &steps) {
                alter(&mut field.value, change);
            }
        }
        Target::Absent { entry, steps, row } => {
            let span = locate::span_at(&changed.file, entry);
            let mut value = change.set.value.clone();
            if change.elsewhere.is_some() {
                relocate(&mut value, span);
            }
            let name = crate::ast::Name { text: row.name.to_owned(), span };
            let path = crate::ast::Path::of(name);
            let field = Field { path, op: row.operators[0], op_span: span, value, span };
            locate::insert(&mut changed.file, entry, &steps, field);
        }
        Target::Price(shape) => {
            let priced = changed.catalog.get_or_insert_with(|| catalog.clone());
            price::change(priced, &shape, change, file, values)?;
        }
    }
    Ok(())
}

/// Replaces a value, or joins it with what the change says.
fn alter(value: &mut Expr, change: &Change) {
    let span = value.span;
    let mut new = change.set.value.clone();
    if change.elsewhere.is_some() {
        relocate(&mut new, span);
    }
    let op = match change.set.op {
        SetOp::To => {
            *value = new;
            return;
        }
        SetOp::Times => ChainOp::Times,
        SetOp::Plus => ChainOp::Plus,
    };
    let old = std::mem::replace(value, Expr { kind: ExprKind::Error, span });
    let operand = Expr { span: new.span, kind: ExprKind::Group(Box::new(new)) };
    let first = Expr { span, kind: ExprKind::Group(Box::new(old)) };
    value.kind = ExprKind::Chain(Box::new(first), vec![Link { op, op_span: span, operand }]);
}

/// Gives every part of an expression one place: its text stands in another file than the plan's.
fn relocate(expr: &mut Expr, span: Span) {
    expr.span = span;
    match &mut expr.kind {
        ExprKind::Group(inner) | ExprKind::Not(inner) | ExprKind::Negative(inner) => relocate(inner, span),
        ExprKind::Chain(first, links) => {
            relocate(first, span);
            links.iter_mut().for_each(|link| relocate(&mut link.operand, span));
        }
        ExprKind::Compare(left, _, op_span, right) => {
            *op_span = span;
            relocate(left, span);
            relocate(right, span);
        }
        ExprKind::Range(low, high) => {
            relocate(low, span);
            relocate(high, span);
        }
        ExprKind::Uncertain(uncertain) => {
            [&mut uncertain.mid, &mut uncertain.low, &mut uncertain.high]
                .into_iter()
                .for_each(|part| relocate(part, span));
        }
        ExprKind::List(list) => list.iter_mut().for_each(|one| relocate(one, span)),
        ExprKind::Record(fields) => fields.iter_mut().for_each(|field| relocate_field(field, span)),
        ExprKind::Call(call) => {
            relocate_path(&mut call.path, span);
            for argument in &mut call.arguments {
                argument.name.iter_mut().for_each(|name| name.span = span);
                relocate(&mut argument.value, span);
            }
        }
        ExprKind::Path(path) => relocate_path(path, span),
        ExprKind::Error
        | ExprKind::Date(_)
        | ExprKind::Time(_)
        | ExprKind::Quantity(_)
        | ExprKind::Text(_)
        | ExprKind::Bool(_) => {}
    }
}

fn relocate_path(path: &mut crate::ast::Path, span: Span) {
    path.span = span;
    path.first.span = span;
    path.rest.iter_mut().for_each(|name| name.span = span);
}

fn relocate_field(field: &mut Field, span: Span) {
    field.span = span;
    field.op_span = span;
    relocate_path(&mut field.path, span);
    relocate(&mut field.value, span);
}
