//! Which fields does a block state, and of what type is each?

use std::collections::{BTreeMap, BTreeSet};

use capstan_types::place::{Place, Span};
use capstan_types::quantity::{Quantity, nearest};
use capstan_types::spec::Limit;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::checker::Checker;
use super::consequences::is_torn;
use super::read::Stated;
use super::table::{FieldRow, Status, Table};
use crate::ast::{Block, Clause, Field, Item, Set};
use crate::codes;

/// A field that was stated and could be read.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) value: Stated,
    pub(crate) place: Place,
}

/// The fields of one block or record.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    table: &'static Table,
    given: BTreeMap<&'static str, Given>,
    /// Fields that were stated wrongly: reported once, and not missing.
    spoiled: BTreeSet<&'static str>,
    /// Names that the table does not have: one of them may be meant for a field that is missing.
    strangers: Vec<String>,
    /// Is a part of the block lost, and what seems to be missing in it perhaps there?
    torn: bool,
    /// Where the block stands, for what is missing in it.
    pub(crate) place: Place,
}

/// What a block holds beside fields.
pub(crate) struct Contents<'b> {
    pub(crate) fields: Fields,
    pub(crate) blocks: Vec<&'b Block>,
    pub(crate) clauses: Vec<&'b Clause>,
    pub(crate) sets: Vec<&'b Set>,
}

impl Checker<'_> {
    /// Reads everything in a block.
    pub(crate) fn contents<'b>(&self, table: &'static Table, block: &'b Block) -> Contents<'b> {
        let mut contents = Contents {
            fields: self.fields(table, std::iter::empty(), head(block), block.span),
            blocks: Vec::new(),
            clauses: Vec::new(),
            sets: Vec::new(),
        };
        let mut fields = Vec::new();
        for item in &block.body {
            match item {
                Item::Field(field) => fields.push(field),
                Item::Block(inner) if self.is_known(inner, table.blocks) => contents.blocks.push(inner),
                Item::Block(_) => {}
                Item::Clause(clause) if table.rules => contents.clauses.push(clause),
                Item::Set(set) if table.sets => contents.sets.push(set),
                other => self.misplaced(other, &format!("a `{}` block", table.kind)),
            }
        }
        contents.fields = self.fields(table, fields.into_iter(), head(block), block.span);
        contents
    }

    /// Reads fields by their table. What is missing is reported at `head`; `whole` is all of the block or record.
    pub(crate) fn fields<'b>(
        &self,
        table: &'static Table,
        fields: impl Iterator<Item = &'b Field>,
        head: Span,
        whole: Span,
    ) -> Fields {
        let mut all = Fields {
            table,
            given: BTreeMap::new(),
            spoiled: BTreeSet::new(),
            strangers: Vec::new(),
            torn: is_torn(self.source.file, whole),
            place: self.place(head),
        };
        let mut seen: BTreeMap<&'static str, Span> = BTreeMap::new();
        for field in fields {
            let Some(row) = self.row(table, field) else {
                all.strangers.push(field.path.dotted());
                continue;
            };
            if let Some(first) = seen.insert(row.name, field.span) {
                let message = format!("`{}` stands twice", row.name);
                let found = self.values.error(codes::DUPLICATE_FIELD, field.path.span, message);
                self.values.report(found.also(self.place(first), "first here").help("keep one of them"));
                continue;
            }
            match self.given(row, field) {
                Some(given) => drop(all.given.insert(row.name, given)),
                None => drop(all.spoiled.insert(row.name)),
            }
        }
        all
    }

    fn row(&self, table: &'static Table, field: &Field) -> Option<&'static FieldRow> {
        let name = field.path.dotted();
        if let Some(row) = table.field(&name) {
            return Some(row);
        }
        let message = format!("`{}` has no field `{name}`", table.kind);
        let found = self.values.error(codes::UNKNOWN_FIELD, field.path.span, message);
        let similar = self.values.suggest(&name, table.fields.iter().map(|row| row.name));
        let names: Vec<String> = table.fields.iter().map(|row| format!("`{}`", row.name)).collect();
        self.values.report(match similar {
            Some(similar) => found.help(format!("did you mean `{similar}`?")),
            None if table.fields.is_empty() => found,
            None => found.help(format!("its fields are {}", names.join(", "))),
        });
        None
    }

    fn given(&self, row: &'static FieldRow, field: &Field) -> Option<Given> {
        let name = row.name;
        if row.status == Status::NotYet {
            let found =
                self.values.error(codes::NOT_PLANNED, field.span, format!("`{name}` is not planned yet"));
            self.values.report(found.help("leave it out; nothing would follow from it"));
            return None;
        }
        if !row.operators.contains(&field.op) {
            let usual = row.operators[0].word();
            let message = format!("`{name}` is stated with `{usual}`, not with `{}`", field.op.word());
            let found = self.values.error(codes::WRONG_OPERATOR, field.op_span, message);
            self.values.report(found.help(format!("write `{name} {usual} …`")));
            return None;
        }
        let value = self.read(row, &field.value)?;
        Some(Given { value, place: self.place(field.span) })
    }
}

/// Returns kind and name of a block.
pub(crate) fn head(block: &Block) -> Span {
    block.label.as_ref().map_or(block.kind.span, |label| block.kind.span.to(label.span()))
}

impl Fields {
    /// Returns what was stated.
    pub(crate) fn get(&self, name: &str) -> Option<&Given> {
        debug_assert!(self.table.field(name).is_some(), "`{}` has no row `{name}`", self.table.kind);
        self.given.get(name)
    }

    /// Was it stated, rightly or wrongly?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.given.contains_key(name) || self.spoiled.contains(name)
    }

    /// Returns where a field stands, or the head of the block where it is not stated.
    pub(crate) fn place_of(&self, name: &str) -> &Place {
        self.given.get(name).map_or(&self.place, |given| &given.place)
    }

    /// Reports the fields that must be there and are not. Returns whether all that must be there can be used.
    pub(crate) fn complete(&self, checker: &Checker<'_>) -> bool {
        for row in self.table.fields.iter().filter(|row| row.needed) {
            self.need(checker, row.name);
        }
        self.table.fields.iter().all(|row| !row.needed || self.given.contains_key(row.name))
    }

    /// Reports a field that is missing.
    pub(crate) fn need(&self, checker: &Checker<'_>, name: &str) {
        let meant = |stranger: &String| nearest(stranger, [name]).is_some();
        if self.has(name) || self.torn || self.strangers.iter().any(meant) {
            return;
        }
        let example = self.table.field(name).map_or("", |row| row.examples[0]);
        let message = format!("`{}` needs `{name}`", self.table.kind);
        let found = checker.values.error(codes::MISSING_FIELD, self.place.span(), message);
        checker.values.report(found.help(format!("for example `{name} {example}`")));
    }

    /// Returns a quantity.
    pub(crate) fn quantity(&self, name: &str) -> Option<&Quantity> {
        match &self.get(name)?.value {
            Stated::Quantity(quantity) => Some(quantity),
            _ => None,
        }
    }

    /// Returns a quantity in base units, a share or a count.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        match &self.get(name)?.value {
            Stated::Quantity(quantity) => Some(quantity.value),
            Stated::Share(share) => Some(*share),
            Stated::Count(count) => Some(*count as f64),
            _ => None,
        }
    }

    /// Returns a whole number.
    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        match self.get(name)?.value {
            Stated::Count(count) => Some(count),
            _ => None,
        }
    }

    /// Returns a whole number that the table bounds to 32 bits.
    pub(crate) fn small(&self, name: &str) -> Option<u32> {
        self.count(name).map(|count| u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Returns a value with its place.
    pub(crate) fn limit<T>(&self, name: &str, value: Option<T>) -> Option<Limit<T>> {
        Some(Limit { value: value?, place: self.get(name)?.place.clone() })
    }

    /// Returns a date.
    pub(crate) fn date(&self, name: &str) -> Option<Date> {
        match self.get(name)?.value {
            Stated::Date(date) => Some(date),
            _ => None,
        }
    }

    /// Returns a string, a path or a resolved name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.value {
            Stated::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns resolved names, or several strings.
    pub(crate) fn names(&self, name: &str) -> Option<Vec<String>> {
        match &self.get(name)?.value {
            Stated::Names(names) => Some(names.clone()),
            _ => None,
        }
    }

    /// Returns one word of the table's choice.
    pub(crate) fn word(&self, name: &str) -> Option<&'static str> {
        match self.get(name)?.value {
            Stated::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Returns several words of the table's choice.
    pub(crate) fn words(&self, name: &str) -> Option<&[&'static str]> {
        match &self.get(name)?.value {
            Stated::Words(words) => Some(words),
            _ => None,
        }
    }

    /// Returns a truth value.
    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        match self.get(name)?.value {
            Stated::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Returns a record.
    pub(crate) fn record(&self, name: &str) -> Option<&Fields> {
        match &self.get(name)?.value {
            Stated::Record(fields) => Some(fields),
            _ => None,
        }
    }

    /// Returns money in the plan's currency, per what `per` says (`/mo`).
    pub(crate) fn money(&self, checker: &Checker<'_>, name: &str, per: &str) -> Option<Decimal> {
        checker.money(self.quantity(name)?, self.get(name)?.place.span(), per)
    }
}
