//! Where in a plan does the path of a change lead?

use std::collections::BTreeMap;

use capstan_types::catalog::Catalog;
use capstan_types::place::{FileId, Span};

use super::{Refused, price};
use crate::ast::{Block, Entry, Expr, ExprKind, Field, File, Item, Name, Set, SetOp};
use crate::check::KINDS;
use crate::check::table::{FieldRow, FieldType, LabelRule, Table};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::nearest;

/// What a path leads to. Steps are positions in bodies and records, from the outside in.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A `param` or `let`.
    Binding(usize),
    /// A field that is stated.
    Field { entry: usize, steps: Vec<usize>, row: &'static FieldRow },
    /// A field that the kind has and the block does not state.
    Absent { entry: usize, steps: Vec<usize>, row: &'static FieldRow },
    /// All prices of a machine of the catalog.
    Price(String),
}

/// What paths of one file may begin with.
pub(crate) struct Targets<'a> {
    by_name: BTreeMap<&'a str, usize>,
}

type Found = Result<(Vec<usize>, Option<&'static FieldRow>, bool), Missing>;

/// Why a path leads nowhere: the segment, what could have been meant, and what else to say.
struct Missing {
    segment: usize,
    known: Vec<String>,
    help: Option<String>,
}

impl<'a> Targets<'a> {
    /// Collects the names of a file. Of two with one name the first counts.
    pub(crate) fn of(file: &'a File) -> Self {
        let mut by_name = BTreeMap::new();
        for (at, entry) in file.entries.iter().enumerate() {
            match entry {
                Entry::Param(binding) | Entry::Let(binding) => {
                    by_name.entry(binding.name.text.as_str()).or_insert(at);
                }
                Entry::Item(Item::Block(block)) => {
                    if let Some(label) = &block.label {
                        by_name.entry(label.text()).or_insert(at);
                    }
                    // There is one of each of these, so their kind is name enough.
                    if ["plan", "deploy"].contains(&block.kind.text.as_str()) {
                        by_name.entry(block.kind.text.as_str()).or_insert(at);
                    }
                }
                Entry::Use(_) | Entry::Item(_) => {}
            }
        }
        Targets { by_name }
    }

    /// Returns what a change is about.
    pub(crate) fn find(
        &self,
        file: &File,
        catalog: &Catalog,
        set: &Set,
        place_in: &FileId,
    ) -> Result<Target, Refused> {
        let segments: Vec<&Name> = set.path.segments().collect();
        let Some(&entry) = self.by_name.get(segments[0].text.as_str()) else {
            return price::target(catalog, file, set, place_in).unwrap_or_else(|| {
                let known = self.by_name.keys().map(|name| (*name).to_owned()).collect();
                Err(refused(set, place_in, &Missing { segment: 0, known, help: None }))
            });
        };
        let found = match (&file.entries[entry], &segments[1..]) {
            (Entry::Param(_) | Entry::Let(_), []) => return Ok(Target::Binding(entry)),
            (Entry::Item(Item::Block(block)), rest @ [_, ..]) => {
                match KINDS.iter().find(|table| table.kind == block.kind.text) {
                    Some(table) => in_block(block, table, rest, 1),
                    None => Err(Missing { segment: 0, known: Vec::new(), help: None }),
                }
            }
            (Entry::Item(Item::Block(_)), []) => {
                let help = format!("name a field of it: `{}.FIELD`", segments[0].text);
                Err(Missing { segment: 0, known: Vec::new(), help: Some(help) })
            }
            _ => {
                Err(Missing { segment: 1, known: Vec::new(), help: Some("the path ends before".to_owned()) })
            }
        };
        match found {
            Ok((steps, Some(row), true)) => Ok(Target::Field { entry, steps, row }),
            Ok((steps, Some(row), false)) if set.op == SetOp::To => Ok(Target::Absent { entry, steps, row }),
            Ok((_, row, _)) => {
                let name = row.map_or("it", |row| row.name);
                let help = format!("the plan does not state `{name}`; `set … = …` does");
                let segment = segments.len() - 1;
                Err(refused(set, place_in, &Missing { segment, known: Vec::new(), help: Some(help) }))
            }
            Err(missing) => Err(refused(set, place_in, &missing)),
        }
    }
}

fn refused(set: &Set, file: &FileId, missing: &Missing) -> Refused {
    Box::new(nothing(set, file, missing))
}

fn nothing(set: &Set, file: &FileId, missing: &Missing) -> Diagnostic {
    let path = set.path.dotted();
    let segments: Vec<&Name> = set.path.segments().collect();
    let wrong = segments.get(missing.segment).or(segments.last()).map_or(&set.path.first, |name| *name);
    let message = format!("`{path}` leads to nothing that can be set");
    let found = Diagnostic::error(codes::NOTHING_TO_SET, wrong.span.in_file(file), message);
    if let Some(help) = &missing.help {
        return found.help(help.clone());
    }
    match nearest(&wrong.text, missing.known.iter().map(String::as_str)) {
        Some(similar) => found.help(format!("did you mean `{similar}`?")),
        None if missing.known.is_empty() || missing.known.len() > 20 => found,
        None => found.help(format!("known here: {}", missing.known.join(", "))),
    }
}

fn in_block(block: &Block, table: &'static Table, path: &[&Name], depth: usize) -> Found {
    let fields = block.body.iter().enumerate().filter_map(|(at, item)| match item {
        Item::Field(field) => Some((at, field)),
        _ => None,
    });
    let nested = match path {
        [kind, label, rest @ ..] => {
            table.blocks.iter().find(|inner| inner.kind == kind.text).map(|inner| (*inner, label, rest))
        }
        _ => None,
    };
    let Some((inner, label, rest)) = nested else { return in_fields(fields, table, path, depth) };
    let same = |item: &Item| match item {
        Item::Block(block) => {
            block.kind.text == inner.kind && block.label.as_ref().is_some_and(|l| l.text() == label.text)
        }
        _ => false,
    };
    let at = block.body.iter().position(same);
    let (Some(at), false) = (at, rest.is_empty()) else {
        let known = match inner.label {
            LabelRule::Word(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            LabelRule::Name | LabelRule::None => Vec::new(),
        };
        return Err(Missing { segment: depth + 1, known, help: None });
    };
    let Item::Block(found) = &block.body[at] else {
        return Err(Missing { segment: depth + 1, known: Vec::new(), help: None });
    };
    in_block(found, inner, rest, depth + 2).map(|found| prepend(at, found))
}

fn prepend(
    at: usize,
    found: (Vec<usize>, Option<&'static FieldRow>, bool),
) -> (Vec<usize>, Option<&'static FieldRow>, bool) {
    let (mut steps, row, there) = found;
    steps.insert(0, at);
    (steps, row, there)
}

fn in_fields<'f>(
    mut fields: impl Iterator<Item = (usize, &'f Field)>,
    table: &'static Table,
    path: &[&Name],
    depth: usize,
) -> Found {
    let Some((name, rest)) = path.split_first() else {
        return Err(Missing { segment: depth, known: Vec::new(), help: None });
    };
    let Some(row) = table.field(&name.text) else {
        let known = table.fields.iter().map(|row| row.name.to_owned()).collect();
        return Err(Missing { segment: depth, known, help: None });
    };
    let stated = fields.find(|(_, field)| field.path.as_name().is_some_and(|n| n.text == name.text));
    match (stated, rest) {
        (Some((at, _)), []) => Ok((vec![at], Some(row), true)),
        (None, []) => Ok((Vec::new(), Some(row), false)),
        (Some((at, Field { value: Expr { kind: ExprKind::Record(inner), .. }, .. })), rest) => {
            match row.takes {
                FieldType::Record(table) => in_fields(inner.iter().enumerate(), table, rest, depth + 1)
                    .map(|found| prepend(at, found)),
                _ => Err(Missing {
                    segment: depth + 1,
                    known: Vec::new(),
                    help: Some(format!("set `{}` as a whole", name.text)),
                }),
            }
        }
        (Some(_), _) => {
            let help = format!("`{}` has no fields of its own", name.text);
            Err(Missing { segment: depth + 1, known: Vec::new(), help: Some(help) })
        }
        (None, _) => {
            let help = format!("the plan does not state `{}`", name.text);
            Err(Missing { segment: depth, known: Vec::new(), help: Some(help) })
        }
    }
}

/// Where the walk stands: in a body or in a record.
enum Inside<'a> {
    Body(&'a mut Vec<Item>),
    Record(&'a mut Vec<Field>),
}

fn walk<'a>(file: &'a mut File, entry: usize, steps: &[usize]) -> Option<Inside<'a>> {
    let Entry::Item(Item::Block(block)) = file.entries.get_mut(entry)? else { return None };
    let mut inside = Inside::Body(&mut block.body);
    for &step in steps {
        inside = match inside {
            Inside::Body(items) => match items.get_mut(step)? {
                Item::Block(block) => Inside::Body(&mut block.body),
                Item::Field(field) => record_of(field)?,
                _ => return None,
            },
            Inside::Record(fields) => record_of(fields.get_mut(step)?)?,
        };
    }
    Some(inside)
}

fn record_of(field: &mut Field) -> Option<Inside<'_>> {
    match &mut field.value.kind {
        ExprKind::Record(fields) => Some(Inside::Record(fields)),
        _ => None,
    }
}

/// Returns the field at the end of the steps.
pub(super) fn field_at<'a>(file: &'a mut File, entry: usize, steps: &[usize]) -> Option<&'a mut Field> {
    let (last, before) = steps.split_last()?;
    match walk(file, entry, before)? {
        Inside::Body(items) => match items.get_mut(*last)? {
            Item::Field(field) => Some(field),
            _ => None,
        },
        Inside::Record(fields) => fields.get_mut(*last),
    }
}

/// Adds a field where the steps lead.
pub(super) fn insert(file: &mut File, entry: usize, steps: &[usize], field: Field) {
    match walk(file, entry, steps) {
        Some(Inside::Body(items)) => items.push(Item::Field(field)),
        Some(Inside::Record(fields)) => fields.push(field),
        None => {}
    }
}

/// Returns where the block of an entry begins.
pub(super) fn span_at(file: &File, entry: usize) -> Span {
    match file.entries.get(entry) {
        Some(Entry::Item(Item::Block(block))) => block.kind.span,
        _ => Span::default(),
    }
}
