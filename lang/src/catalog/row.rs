//! How is a row made from its fields?
//!
//! A kind of row is one table of fields. From it come the reader, the list of known names for suggestions,
//! and the check that nothing is missing. A row that is known already is changed field by field.

use capstan_types::catalog::Catalog;
use capstan_types::origin::Provenance;
use capstan_types::place::Span;
use capstan_types::quantity::nearest;
use toml::de::DeTable;

use super::cell::{Cell, Complaint, Read, span};
use crate::codes;

/// One field of a kind of row.
pub(super) struct Field<T: 'static> {
    /// Its name in the file.
    pub name: &'static str,
    /// Whether a new row must have it.
    pub required: bool,
    /// Writes it into the row.
    pub set: fn(&mut T, Cell<'_>) -> Read<()>,
}

/// A field that a new row must have.
pub(super) const fn need<T>(name: &'static str, set: fn(&mut T, Cell<'_>) -> Read<()>) -> Field<T> {
    Field { name, required: true, set }
}

/// A field that may stay unknown.
pub(super) const fn may<T>(name: &'static str, set: fn(&mut T, Cell<'_>) -> Read<()>) -> Field<T> {
    Field { name, required: false, set }
}

/// A kind of row that stands in one list of the catalog.
pub(super) trait Row: Clone + Sized + 'static {
    /// The table's name in the file.
    const KIND: &'static str;
    /// The fields that make its key, in order.
    const KEYS: &'static [&'static str];
    /// Whether rows of other dates stand beside each other; the date then ends the key.
    const IS_DATED: bool = false;
    /// Its fields, the keys included.
    const FIELDS: &'static [Field<Self>];

    /// Returns a row of which nothing is known yet.
    fn blank() -> Self;
    /// Returns the key, the key fields joined by a blank.
    fn key(&self) -> String;
    /// Returns the names that people know, beside the key.
    fn names(&self) -> &[String] {
        &[]
    }
    /// Returns the row that this one refers to, and the field that does: an accelerator, or any hardware with `of`.
    fn refers_to(&self) -> Option<(&'static str, &str)> {
        None
    }
    /// Returns where source and date stand.
    fn provenance(&mut self) -> &mut Provenance;
    /// Says what is wrong with the row as a whole.
    fn judge(&self) -> Result<(), String> {
        Ok(())
    }
    /// Returns the list of the catalog that holds it.
    fn list(catalog: &mut Catalog) -> &mut Vec<Self>;
}

/// Fields that every row may have beside its own.
pub(super) const COMMON: [&str; 4] = ["source", "as_of", "grade", "from"];

/// Reads the fields of a table into `row`. `complete` demands every required field.
pub(super) fn fill<T>(
    row: &mut T,
    table: &DeTable<'_>,
    fields: &[Field<T>],
    common: &[&str],
    complete: Option<Span>,
) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (name, value) in table {
        let known = fields.iter().find(|field| field.name == name.get_ref());
        match known {
            Some(field) => complaints.extend((field.set)(row, Cell::new(value)).err().into_iter().flatten()),
            None if common.contains(&name.get_ref().as_ref()) => {}
            None => {
                let names = fields.iter().map(|field| field.name).chain(common.iter().copied());
                complaints.push(unknown(name.get_ref(), span(name.span()), names));
            }
        }
    }
    let missing = fields.iter().filter(|field| field.required && !table.contains_key(field.name));
    if let Some(at) = complete {
        complaints.extend(missing.map(|field| Complaint {
            code: codes::CATALOG_FACT_MISSING,
            span: at,
            message: format!("`{}` is missing", field.name),
            help: Some(format!("add `{} = …`, or leave the whole row out", field.name)),
        }));
    }
    complaints
}

/// Reads a record inside a row: the one that stands there is changed, a new one must be complete.
pub(super) fn record<T: Clone>(cell: Cell<'_>, known: Option<T>, blank: T, fields: &[Field<T>]) -> Read<T> {
    let complete = known.is_none().then_some(cell.span);
    let mut row = known.unwrap_or(blank);
    let complaints = fill(&mut row, cell.table()?, fields, &[], complete);
    if complaints.is_empty() { Ok(row) } else { Err(complaints) }
}

/// Complains about a name that nobody knows, with the nearest one that somebody does.
pub(super) fn unknown<'a>(name: &str, at: Span, known: impl Iterator<Item = &'a str> + Clone) -> Complaint {
    let help = match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("one of {}", known.collect::<Vec<_>>().join(", ")),
    };
    Complaint {
        code: codes::CATALOG_FIELD,
        span: at,
        message: format!("there is no field `{name}`"),
        help: Some(help),
    }
}

/// Reads an identifier: letters, digits and `_`, parts joined by dots.
pub(super) fn identifier(cell: Cell<'_>) -> Read<String> {
    let text = cell.text()?;
    let part = |part: &str| {
        let plain = part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        plain && part.bytes().next().is_some_and(|b| !b.is_ascii_digit())
    };
    match text.split('.').all(part) {
        true => Ok(text.to_owned()),
        false => cell.wrong(
            format!("`{text}` is no identifier"),
            "letters, digits and `_`, not beginning with a digit; the name that people know goes into `names`",
        ),
    }
}
