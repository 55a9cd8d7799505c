//! Which files does a plan need?
//!
//! The paths in `use`, `trace` and `huggingface`, so that whoever may read files can read them before
//! the plan is checked. A path that leaves the folder of the plan is a mistake and is not listed.

use capstan_types::place::{Place, Span};

use crate::ast::{Entry, Expr, ExprKind, Field, File, Item, UseKind};
use crate::codes;
use crate::diagnostic::{Diagnostic, sort};

/// What a file is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReferenceKind {
    /// Hardware, models, traffic: `use catalog`.
    Catalog,
    /// Dated prices: `use prices`.
    Prices,
    /// A request log: `trace`.
    Trace,
    /// A `config.json`: `huggingface`.
    HuggingFace,
}

/// A file that a plan names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What it is to hold.
    pub kind: ReferenceKind,
    /// The path as written; it stays in the folder of the plan.
    pub path: String,
    /// Where it is named.
    pub place: Place,
}

/// Returns the files that a plan names, in the order of the text, and the paths that lead outside, which
/// [`crate::check()`] reports as well.
pub fn references(file: &File) -> (Vec<Reference>, Vec<Diagnostic>) {
    let mut found = Found { file, references: Vec::new(), diagnostics: Vec::new() };
    for entry in &file.entries {
        match entry {
            Entry::Use(used) => {
                // Without a word it is a catalog, which may hold prices as well.
                let kind = match used.kind {
                    Some((UseKind::Prices, _)) => ReferenceKind::Prices,
                    Some((UseKind::Catalog, _)) | None => ReferenceKind::Catalog,
                };
                found.add(kind, &used.path.value, used.path.span);
            }
            Entry::Item(item) => found.item(item),
            Entry::Param(_) | Entry::Let(_) => {}
        }
    }
    sort(&mut found.diagnostics);
    (found.references, found.diagnostics)
}

/// Says whether a path stays in the folder that it starts from, on every system.
pub(crate) fn stays_inside(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "..";
    // A backslash separates folders, and a colon names drives and streams, on some systems.
    !path.contains(['\\', ':', '\0']) && path.split('/').all(plain)
}

/// Says whether what `huggingface` names is a file, and not the name of a model.
pub(crate) fn is_config(path: &str) -> bool {
    path.ends_with(".json")
}

struct Found<'a> {
    file: &'a File,
    references: Vec<Reference>,
    diagnostics: Vec<Diagnostic>,
}

impl Found<'_> {
    fn add(&mut self, kind: ReferenceKind, path: &str, span: Span) {
        if kind == ReferenceKind::HuggingFace && !is_config(path) {
            return;
        }
        let place = span.in_file(&self.file.file);
        if stays_inside(path) {
            self.references.push(Reference { kind, path: path.to_owned(), place });
            return;
        }
        let message = format!("`{path}` does not stay in the folder of the plan file");
        self.diagnostics.push(
            Diagnostic::error(codes::PATH_LEAVES_FOLDER, place, message)
                .help("put the file beside the plan, or below, and name it with `/`"),
        );
    }

    fn item(&mut self, item: &Item) {
        match item {
            // Depth is bounded by the nesting limit of the grammar.
            Item::Block(block) => block.body.iter().for_each(|inner| self.item(inner)),
            Item::Field(field) => self.field(field),
            Item::Clause(_) | Item::Set(_) => {}
        }
    }

    fn field(&mut self, field: &Field) {
        let kind = match field.path.as_name().map(|name| name.text.as_str()) {
            Some("trace") => Some(ReferenceKind::Trace),
            Some("huggingface") => Some(ReferenceKind::HuggingFace),
            _ => None,
        };
        match (&field.value, kind) {
            (Expr { kind: ExprKind::Text(path), span }, Some(kind)) => self.add(kind, path, *span),
            (Expr { kind: ExprKind::Path(path), .. }, Some(kind)) => {
                let named = path.as_name().and_then(|name| self.bound(&name.text));
                if let Some((path, span)) = named {
                    self.add(kind, &path, span);
                }
            }
            (Expr { kind: ExprKind::Record(fields), .. }, _) => {
                fields.iter().for_each(|field| self.field(field))
            }
            _ => {}
        }
    }

    /// Returns the string of a `let` or `param`.
    fn bound(&self, name: &str) -> Option<(String, Span)> {
        self.file.entries.iter().find_map(|entry| match entry {
            Entry::Let(binding) | Entry::Param(binding) if binding.name.text == name => {
                match &binding.value {
                    Expr { kind: ExprKind::Text(path), span } => Some((path.clone(), *span)),
                    _ => None,
                }
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use capstan_types::place::FileId;

    use super::*;

    #[test]
    fn only_paths_below_the_folder_stay_inside() {
        for inside in ["a.toml", "a/b.csv.gz", "./a", "..a/b", "a/.b"] {
            assert!(stays_inside(inside), "{inside}");
        }
        for outside in ["", "/etc/passwd", "../a", "a/../b", "a/..", "a//b", "C:\\a", "c:a", "a\\b", "~/../b"]
        {
            assert!(!stays_inside(outside), "{outside}");
        }
    }

    #[test]
    fn every_file_is_listed_with_what_it_holds() {
        let text = "use catalog \"own.toml\" as own\nuse prices \"p.toml\"\nlet log = \"b.csv\"\n\
                    serve a { load = { trace = \"a.csv\" } }\nserve b { load = { trace = log } }\n\
                    model m { huggingface = \"../config.json\" }\n\
                    model n { huggingface = \"org/name\" }\nmodel o { huggingface = \"o/config.json\" }\n";
        let parsed = crate::parse(&FileId::new("x.plan"), text);
        let (references, diagnostics) = references(&parsed.file);
        let listed: Vec<_> = references.iter().map(|one| (one.kind, one.path.as_str())).collect();
        use ReferenceKind as Kind;
        assert_eq!(
            listed,
            [
                (Kind::Catalog, "own.toml"),
                (Kind::Prices, "p.toml"),
                (Kind::Trace, "a.csv"),
                (Kind::Trace, "b.csv"),
                (Kind::HuggingFace, "o/config.json")
            ]
        );
        let codes: Vec<_> = diagnostics.iter().map(|one| one.code).collect();
        assert_eq!(codes, [codes::PATH_LEAVES_FOLDER]);
    }
}
