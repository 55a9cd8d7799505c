//! How do the rows of several files become one catalog?
//!
//! Kinds are read in the order of their references, so that a row can be checked when it is read. A row is
//! taken whole or not at all.

use capstan_types::catalog::Catalog;
use capstan_types::place::{Place, Span};
use capstan_types::quantity::nearest;
use jiff::civil::Date;
use std::collections::BTreeMap;
use toml::de::DeTable;

use super::cell::{Cell, Complaint, Read, span};
use super::document::Document;
use super::kinds::GRADES;
use super::row::{COMMON, Row, fill, unknown};
use crate::codes;
use crate::diagnostic::Diagnostic;

/// Tables that a file may have beside `sources`.
const KINDS: [&str; 19] = [
    "accelerator",
    "shape",
    "fabric",
    "storage",
    "region",
    "ownership",
    "model",
    "traffic",
    "engine",
    "rate",
    "gemm",
    "attention",
    "experts",
    "collective",
    "coefficient",
    "residual",
    "market_price",
    "calibration",
    "offering",
];

/// A catalog in the making.
pub(super) struct Reader<'d, 'a> {
    pub catalog: Catalog,
    pub documents: &'d [Document<'a>],
    diagnostics: Vec<Diagnostic>,
    /// Where each row of these files stands, by kind and key.
    seen: BTreeMap<(&'static str, String), Place>,
    /// Date of the newest price that is known before these files.
    newest: Option<Date>,
}

/// Years by which a row may be newer than every price before it. Nothing here reads a clock; a later date is a slip of
/// the pen, and would become the planning date.
const MOST_YEARS_NEWER: i16 = 10;

impl<'d, 'a> Reader<'d, 'a> {
    /// Begins with a catalog that is there.
    pub fn new(catalog: Catalog, documents: &'d [Document<'a>], diagnostics: Vec<Diagnostic>) -> Self {
        let newest = catalog.offerings.iter().map(|offering| offering.as_of).max();
        Reader { catalog, documents, diagnostics, seen: BTreeMap::new(), newest }
    }

    /// Complains about a date that nobody can know yet.
    pub fn in_time(&self, as_of: Date, at: Span) -> Read<()> {
        let Some(newest) = self.newest.filter(|newest| as_of.year() > newest.year() + MOST_YEARS_NEWER)
        else {
            return Ok(());
        };
        let message = format!("`as_of` is {as_of}, and the newest price known otherwise is of {newest}");
        let help = Some("write the day on which it was read".to_owned());
        Err(vec![Complaint { code: codes::CATALOG_SOURCE, span: at, message, help }])
    }

    /// Reports tables that no catalog has, and sources that are wrong.
    pub fn check_tables(&mut self) {
        for document in self.documents {
            let strange = document
                .root
                .iter()
                .filter(|(name, _)| !KINDS.contains(&name.get_ref().as_ref()) && name.get_ref() != "sources");
            for (name, _) in strange {
                let known = KINDS.into_iter().chain(["sources"]);
                let complaint = unknown(name.get_ref(), span(name.span()), known);
                let message = format!("a catalog has no table `{}`", name.get_ref());
                self.report(document, vec![Complaint { message, ..complaint }]);
            }
            self.report(document, document.judge_sources());
        }
    }

    /// Adds what is wrong in a file.
    pub fn report(&mut self, document: &Document<'_>, complaints: Vec<Complaint>) {
        self.diagnostics.extend(complaints.into_iter().map(|complaint| document.diagnostic(complaint)));
    }

    /// Notes that a row stands at a place; a second one of the same key is reported, and the answer is false.
    pub fn first(&mut self, kind: &'static str, key: &str, place: Place) -> bool {
        let Some(before) = self.seen.get(&(kind, key.to_owned())) else {
            self.seen.insert((kind, key.to_owned()), place);
            return true;
        };
        let message = format!("there are two rows of {kind} `{key}`");
        let diagnostic =
            Diagnostic::error(codes::CATALOG_DUPLICATE, place, message).also(before.clone(), "the other one");
        self.diagnostics.push(
            diagnostic.help("keep one of them; to change a built-in row, write a file for `use catalog`"),
        );
        false
    }

    /// Reads every row of a kind.
    pub fn rows<T: Row>(&mut self) {
        for document in self.documents {
            match document.tables(T::KIND) {
                Err(complaints) => self.report(document, complaints),
                Ok(tables) => tables.into_iter().for_each(|(table, at)| self.row::<T>(document, table, at)),
            }
        }
        self.names::<T>();
    }

    fn row<T: Row>(&mut self, document: &Document<'a>, table: &DeTable<'a>, at: Span) {
        let dated = |key: String| match T::IS_DATED {
            true => Ok(format!("{key} {}", document.stamp(&[table], at, &GRADES)?.as_of)),
            false => Ok(key),
        };
        let key = match key::<T>(table, at).and_then(dated) {
            Ok(key) => key,
            Err(complaints) => return self.report(document, complaints),
        };
        if !self.first(T::KIND, &key, at.in_file(&document.file)) {
            return;
        }
        let known = T::list(&mut self.catalog).iter().position(|row| row.key() == key);
        let before = known.and_then(|index| T::list(&mut self.catalog).get(index).cloned());
        match self.make(document, table, at, before) {
            Err(complaints) => self.report(document, complaints),
            Ok(row) => match known {
                Some(index) => T::list(&mut self.catalog)[index] = row,
                None => T::list(&mut self.catalog).push(row),
            },
        }
    }

    fn make<T: Row>(
        &self,
        document: &Document<'a>,
        table: &DeTable<'a>,
        at: Span,
        before: Option<T>,
    ) -> Read<T> {
        let is_new = before.is_none();
        let mut row = before.unwrap_or_else(T::blank);
        let mut complaints = fill(&mut row, table, T::FIELDS, &COMMON, is_new.then_some(at));
        match document.stamp(&[table], at, &GRADES) {
            Err(wrong) => complaints.extend(wrong),
            Ok(stamp) => {
                complaints.extend(self.in_time(stamp.as_of, at).err().into_iter().flatten());
                let provenance = row.provenance();
                provenance.source = stamp.source;
                provenance.as_of = stamp.as_of;
                match stamp.grade {
                    Some(grade) => provenance.grade = grade,
                    None if is_new => complaints.push(no_grade(at, &GRADES.map(|(word, _)| word))),
                    None => {}
                }
            }
        }
        if complaints.is_empty() {
            complaints.extend(self.judge(&row, table, at));
        }
        if complaints.is_empty() { Ok(row) } else { Err(complaints) }
    }

    /// Says what is wrong with a row that is right field by field.
    fn judge<T: Row>(&self, row: &T, table: &DeTable<'a>, at: Span) -> Option<Complaint> {
        if let Err(message) = row.judge() {
            return Some(Complaint {
                code: codes::CATALOG_VALUE,
                span: at,
                message,
                help: Some("mend one of the two".to_owned()),
            });
        }
        let (field, name) = row.refers_to()?;
        let mut known: Vec<&str> = self.catalog.accelerators.iter().map(|row| row.id.as_str()).collect();
        if field == "of" {
            known.extend(self.catalog.shapes.iter().map(|row| row.id.as_str()));
            known.extend(self.catalog.fabrics.iter().map(|row| row.id.as_str()));
        }
        if known.contains(&name) {
            return None;
        }
        let place = table.get(field).map_or(at, |value| Cell::new(value).span);
        let kind = if field == "of" { "accelerator, shape or fabric" } else { field };
        Some(unknown_name(kind, name, &known, place))
    }

    /// Reports names that two rows answer to.
    fn names<T: Row>(&mut self) {
        let mut owners: BTreeMap<String, String> = BTreeMap::new();
        let mut clashes = Vec::new();
        for row in T::list(&mut self.catalog).iter() {
            let own = std::iter::once(row.key()).chain(row.names().iter().cloned());
            for name in own {
                match owners.insert(name.clone(), row.key()) {
                    Some(other) if other != row.key() => clashes.push((name, other, row.key())),
                    _ => {}
                }
            }
        }
        for (name, one, other) in clashes {
            let place = |key: String| self.seen.get(&(T::KIND, key)).cloned();
            let Some(place) = place(other.clone()).or_else(|| place(one.clone())) else {
                continue;
            };
            let message = format!("`{one}` and `{other}` both answer to the name `{name}`");
            self.diagnostics.push(
                Diagnostic::error(codes::CATALOG_DUPLICATE, place, message)
                    .help("take the name from one of them"),
            );
        }
    }

    /// Puts every list in the order of its keys.
    pub fn finish(mut self) -> (Catalog, Vec<Diagnostic>) {
        let catalog = &mut self.catalog;
        catalog.accelerators.sort_by(|a, b| a.id.cmp(&b.id));
        catalog.shapes.sort_by(|a, b| a.id.cmp(&b.id));
        catalog.fabrics.sort_by(|a, b| a.id.cmp(&b.id));
        catalog.storage.sort_by(|a, b| a.id.cmp(&b.id));
        catalog.regions.sort_by(|a, b| (&a.provider, &a.id).cmp(&(&b.provider, &b.id)));
        catalog.ownership.sort_by(|a, b| a.id.cmp(&b.id));
        catalog.market_prices.sort_by(|a, b| a.id.cmp(&b.id));
        catalog.models.sort_by(|a, b| a.id.cmp(&b.id));
        catalog.traffic.sort_by(|a, b| a.id.cmp(&b.id));
        catalog.engines.sort_by(|a, b| a.id.cmp(&b.id));
        catalog.rates.sort_by_key(|rate| (rate.from, rate.to, rate.provenance.as_of));
        catalog.gemm.sort_by(|a, b| (&a.accelerator, a.precision).cmp(&(&b.accelerator, b.precision)));
        catalog.attention.sort_by(|a, b| a.accelerator.cmp(&b.accelerator));
        catalog.experts.sort_by(|a, b| (&a.accelerator, a.precision).cmp(&(&b.accelerator, b.precision)));
        catalog.collectives.sort_by(|a, b| a.accelerator.cmp(&b.accelerator));
        catalog.calibrations.sort_by_key(Row::key);
        (self.catalog, self.diagnostics)
    }
}

/// Reads the key of a row from its table.
fn key<T: Row>(table: &DeTable<'_>, at: Span) -> Read<String> {
    let part = |name: &&str| match table.get(*name) {
        Some(value) => Cell::new(value).text(),
        None => Err(vec![Complaint {
            code: codes::CATALOG_FACT_MISSING,
            span: at,
            message: format!("a row of {} without `{name}`", T::KIND),
            help: Some(format!("add `{name} = \"…\"`")),
        }]),
    };
    let parts: Vec<&str> = T::KEYS.iter().map(part).collect::<Read<_>>()?;
    Ok(parts.join(" "))
}

/// Complains about a row without a grade.
pub(super) fn no_grade(at: Span, words: &[&str]) -> Complaint {
    let help = format!("add `grade = …`: one of {}", words.join(", "));
    let message = "`grade` is missing: how sure is the source?".to_owned();
    Complaint { code: codes::CATALOG_SOURCE, span: at, message, help: Some(help) }
}

/// Complains about a name that refers to no row.
pub(super) fn unknown_name(kind: &str, name: &str, known: &[&str], at: Span) -> Complaint {
    let near = nearest(name, known.iter().copied());
    let help =
        near.map_or_else(|| format!("add a row of {kind} first"), |near| format!("did you mean `{near}`?"));
    let message = format!("there is no {kind} `{name}`");
    Complaint { code: codes::CATALOG_NAME, span: at, message, help: Some(help) }
}
