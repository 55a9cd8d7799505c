//! What stands in one file: its tables, and the sources that its rows share.

use capstan_types::place::{FileId, Span};
use jiff::civil::Date;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::cell::{Cell, Complaint, Read, span};
use super::row::unknown;
use crate::codes;
use crate::diagnostic::Diagnostic;

/// Longest text that is read, as for plan files.
const MAX_BYTES: usize = 16 << 20;

/// Fields of a table under `sources`.
const SOURCE_FIELDS: [&str; 3] = ["source", "as_of", "grade"];

/// A parsed file.
pub(super) struct Document<'a> {
    pub file: FileId,
    pub root: DeTable<'a>,
}

/// Source, date and grade of a row; the grade is absent where neither the row nor `from` has one.
pub(super) struct Stamp<G> {
    pub source: String,
    pub as_of: Date,
    pub grade: Option<G>,
    /// Whether the source stands in the row itself.
    pub own_source: bool,
}

impl<'a> Document<'a> {
    /// Parses a text; `None` where nothing of it can be used.
    pub fn read(name: &str, text: &'a str, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let file = FileId::new(name);
        if text.len() > MAX_BYTES {
            let message = format!("a catalog of {} MiB is too long to read", text.len() >> 20);
            let place = Span::new(0, 0).in_file(&file);
            diagnostics.push(
                Diagnostic::error(codes::CATALOG_NOT_TOML, place, message)
                    .help("split it; each file has at most 16 MiB"),
            );
            return None;
        }
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let place = span(error.span().unwrap_or(0..0)).in_file(&file);
            let message = error.message().replace('\n', ", ");
            diagnostics.push(
                Diagnostic::error(codes::CATALOG_NOT_TOML, place, message).help("mend the TOML; see toml.io"),
            );
        }
        errors.is_empty().then(|| Document { file, root: root.into_inner() })
    }

    /// Turns a complaint into a diagnostic about this file.
    pub fn diagnostic(&self, complaint: Complaint) -> Diagnostic {
        let diagnostic =
            Diagnostic::error(complaint.code, complaint.span.in_file(&self.file), complaint.message);
        Diagnostic { help: complaint.help, ..diagnostic }
    }

    /// Returns the tables of `[[kind]]` with their places.
    pub fn tables(&self, kind: &str) -> Read<Vec<(&DeTable<'a>, Span)>> {
        let Some(value) = self.root.get(kind) else {
            return Ok(Vec::new());
        };
        match value.get_ref() {
            DeValue::Array(rows) => rows.iter().map(|row| Ok((table(row)?, span(row.span())))).collect(),
            _ => Cell::new(value).wrong(format!("`{kind}` is a list of rows"), format!("write `[[{kind}]]`")),
        }
    }

    /// Returns the shared sources.
    fn sources(&self) -> Option<&DeTable<'a>> {
        self.root.get("sources")?.get_ref().as_table()
    }

    /// Says what is wrong with the shared sources, used or not.
    pub fn judge_sources(&self) -> Vec<Complaint> {
        let Some(value) = self.root.get("sources") else {
            return Vec::new();
        };
        let sources = match Cell::new(value).table() {
            Ok(sources) => sources,
            Err(complaints) => return complaints,
        };
        let mut complaints = Vec::new();
        for (_, source) in sources {
            match Cell::new(source).table() {
                Err(wrong) => complaints.extend(wrong),
                Ok(fields) => {
                    let strange =
                        fields.iter().filter(|(name, _)| !SOURCE_FIELDS.contains(&name.get_ref().as_ref()));
                    complaints.extend(strange.map(|(name, _)| {
                        unknown(name.get_ref(), span(name.span()), SOURCE_FIELDS.into_iter())
                    }));
                }
            }
        }
        complaints
    }

    /// Returns source, date and grade of a row that stands in `tables`, the innermost first.
    pub fn stamp<G: Copy>(
        &self,
        tables: &[&DeTable<'a>],
        at: Span,
        grades: &[(&'static str, G)],
    ) -> Read<Stamp<G>> {
        let mut places: Vec<&DeTable<'_>> = Vec::new();
        for table in tables {
            places.push(table);
            places.extend(self.shared(table)?);
        }
        let find = |name: &str| places.iter().find_map(|table| table.get(name)).map(Cell::new);
        let missing = |name: &str| {
            let message = format!("`{name}` is missing: every row says where and when it was read");
            let help = format!("add `{name} = …` to the row, or `from = …` with a table under `sources`");
            vec![Complaint { code: codes::CATALOG_SOURCE, span: at, message, help: Some(help) }]
        };
        let source = find("source").ok_or_else(|| missing("source"))?;
        let text = source.text()?;
        if text.trim().is_empty() {
            return Err(missing("source"));
        }
        Ok(Stamp {
            source: text.to_owned(),
            as_of: find("as_of").ok_or_else(|| missing("as_of"))?.date()?,
            grade: find("grade").map(|cell| cell.choice(grades)).transpose()?,
            own_source: tables.first().is_some_and(|table| table.contains_key("source")),
        })
    }

    /// Returns the shared source that a table names.
    fn shared<'s>(&'s self, table: &DeTable<'_>) -> Read<Option<&'s DeTable<'s>>> {
        let Some(value) = table.get("from") else {
            return Ok(None);
        };
        let cell = Cell::new(value);
        let name = cell.text()?;
        let sources = self.sources();
        if let Some(found) = sources.and_then(|sources| sources.get(name)) {
            return Cell::new(found).table().map(Some);
        }
        let known: Vec<&str> =
            sources.into_iter().flatten().map(|(name, _)| name.get_ref().as_ref()).collect();
        let complaint = unknown(name, cell.span, known.into_iter());
        let message = format!("there is no table `[sources.{name}]`");
        Err(vec![Complaint { code: codes::CATALOG_NAME, message, ..complaint }])
    }
}

fn table<'t, 'a>(row: &'t Spanned<DeValue<'a>>) -> Read<&'t DeTable<'a>> {
    match row.get_ref().as_table() {
        Some(table) => Ok(table),
        None => Err(vec![Complaint {
            code: codes::CATALOG_VALUE,
            span: span(row.span()),
            message: "a row is a table".to_owned(),
            help: Some("write `name = value` lines below `[[…]]`".to_owned()),
        }]),
    }
}
