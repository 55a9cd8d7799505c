//! Which row or block does a name refer to?
//!
//! A reference looks in the plan file, then behind the names of `use`, then in the catalog; a near miss
//! gets a suggestion.

use capstan_types::catalog::{Named, find};
use capstan_types::spec::Quota;

use super::checker::Checker;
use super::table::{Bounds, FieldRow, FieldType, Referent};
use crate::ast::{Expr, ExprKind, FieldOp, Path};
use crate::codes;
use crate::evaluate::Value;
use capstan_types::quantity::Dimension;

impl Checker<'_> {
    /// Returns the identifier that a name resolves to, or none after a report.
    pub(crate) fn resolve(&self, field: &str, expr: &Expr, referent: Referent) -> Option<String> {
        let name = self.name_in(field, expr, referent)?;
        if let Some(id) = self.lookup(referent, &name) {
            if referent == Referent::Model && name.contains('/') {
                self.written.borrow_mut().insert(expr.span.start, name);
            }
            return Some(id);
        }
        let noun = referent.noun();
        let found =
            self.values.error(codes::UNKNOWN_NAME, expr.span, format!("no {noun} is called `{name}`"));
        // Listing what is known takes time in proportion to the file, so a file full of mistakes goes without.
        let known = if self.values.is_overwhelmed() { Vec::new() } else { self.known(referent) };
        let similar = self.values.suggest(&name, known.iter().map(String::as_str));
        let longer = longer(&name, &known);
        let same = |similar: &&str| similar.eq_ignore_ascii_case(&name);
        self.values.report(match (similar, referent) {
            (similar, _) if longer.len() > 1 && !similar.as_ref().is_some_and(same) => {
                found.help(format!("did you mean one of {}?", longer.join(", ")))
            }
            (Some(similar), _) => found.help(format!("did you mean {}?", as_written(similar))),
            (
                None,
                Referent::Site | Referent::Provider | Referent::Engine | Referent::Switch | Referent::Storage,
            ) if (1..=12).contains(&known.len()) => {
                let known: Vec<String> = known.iter().map(|name| as_written(name)).collect();
                found.help(format!("known: {}", known.join(", ")))
            }
            (None, Referent::Dataset) => {
                found.help("datasets have blocks of their own: `dataset NAME { … }`")
            }
            (None, Referent::Site) => found.help("sites have blocks of their own: `site NAME { … }`"),
            (None, _) => found.help(format!("`capstan catalog list {noun}` shows what is known")),
        });
        None
    }

    /// Returns a name as written: an identifier, a string, or a `let` that holds a string.
    fn name_in(&self, field: &str, expr: &Expr, referent: Referent) -> Option<String> {
        match &expr.kind {
            ExprKind::Error => None,
            ExprKind::Text(text) => Some(text.clone()),
            ExprKind::Group(inner) => self.name_in(field, inner, referent),
            ExprKind::Path(path) => match self.bound_text(path) {
                Some(text) => Some(text),
                None => Some(path.dotted()),
            },
            _ => self.wrong_kind(
                field,
                expr.span,
                &format!("the name of a {}", referent.noun()),
                "something else",
            ),
        }
    }

    fn bound_text(&self, path: &Path) -> Option<String> {
        match self.values.bindings.get(path.as_name()?.text.as_str()) {
            Some(Some(Value::Text(_))) => match self.values.binding(path) {
                Some(Some(Value::Text(text))) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    fn lookup(&self, referent: Referent, name: &str) -> Option<String> {
        let direct = self.lookup_exactly(referent, name);
        direct.or_else(|| {
            let (alias, rest) = name.split_once('.')?;
            if self.aliases.contains(alias) { self.lookup_exactly(referent, rest) } else { None }
        })
    }

    fn lookup_exactly(&self, referent: Referent, name: &str) -> Option<String> {
        let catalog = self.catalog;
        let declared = |kind: &str| {
            let is_kind = self.declared.get(name).is_some_and(|(found, _)| *found == kind);
            is_kind.then(|| name.to_owned())
        };
        match referent {
            Referent::Model => declared("model").or_else(|| id_of(&catalog.models, name)),
            Referent::Accelerator => id_of(&catalog.accelerators, name),
            Referent::Shape => id_of(&catalog.shapes, name),
            Referent::Traffic => id_of(&catalog.traffic, name),
            Referent::Engine => id_of(&catalog.engines, name),
            Referent::Switch => id_of(&catalog.fabrics, name),
            Referent::Storage => id_of(&catalog.storage, name),
            Referent::Dataset => declared("dataset"),
            Referent::Provider => {
                let known = name == "own" || catalog.offerings.iter().any(|row| row.provider == name);
                known.then(|| name.to_owned())
            }
            Referent::Site => {
                let here = || self.sites.iter().find(|site| site.name == name).map(|site| site.name.clone());
                declared("site").or_else(here)
            }
        }
    }

    /// Lists what a name could have meant.
    fn known(&self, referent: Referent) -> Vec<String> {
        let catalog = self.catalog;
        match referent {
            Referent::Model => {
                let own = self.declared.iter().filter(|(_, (kind, _))| *kind == "model");
                own.map(|(name, _)| (*name).to_owned()).chain(words(&catalog.models)).collect()
            }
            Referent::Dataset => {
                let own = self.declared.iter().filter(|(_, (kind, _))| *kind == "dataset");
                own.map(|(name, _)| (*name).to_owned()).collect()
            }
            Referent::Accelerator => words(&catalog.accelerators).collect(),
            Referent::Shape => words(&catalog.shapes).collect(),
            Referent::Traffic => words(&catalog.traffic).collect(),
            Referent::Engine => words(&catalog.engines).collect(),
            Referent::Switch => words(&catalog.fabrics).collect(),
            Referent::Storage => words(&catalog.storage).collect(),
            Referent::Provider => {
                let mut known: Vec<String> =
                    catalog.offerings.iter().map(|row| row.provider.clone()).collect();
                known.push("own".to_owned());
                known.sort();
                known.dedup();
                known
            }
            Referent::Site => self.sites.iter().map(|site| site.name.clone()).collect(),
        }
    }

    /// Reads limits per accelerator: `{ h100_sxm <= 64 GPU }`.
    pub(crate) fn quotas(&self, name: &str, expr: &Expr) -> Option<Vec<Quota>> {
        static MOST: FieldRow =
            FieldRow::new("quota", FieldType::Count(Dimension::ACCELERATORS), &[FieldOp::AtMost])
                .bounds(Bounds::Within(0.0, 1e6));
        let ExprKind::Record(fields) = &expr.kind else {
            return match expr.kind {
                ExprKind::Error => None,
                _ => self.wrong_kind(
                    name,
                    expr.span,
                    "a record such as `{ h100_sxm <= 64 }`",
                    "something else",
                ),
            };
        };
        let mut quotas: Vec<Quota> = Vec::new();
        for field in fields {
            let key = Expr { kind: ExprKind::Path(field.path.clone()), span: field.path.span };
            let accelerator = self.resolve(name, &key, Referent::Accelerator);
            if field.op != FieldOp::AtMost {
                let message = format!("a quota is stated with `<=`, not with `{}`", field.op.word());
                let found = self.values.error(codes::WRONG_OPERATOR, field.op_span, message);
                self.values.report(found.help(format!("write `{} <= …`", field.path.dotted())));
                continue;
            }
            let most = self.whole(&MOST, &field.value, Dimension::ACCELERATORS);
            let (Some(accelerator), Some(most)) = (accelerator, most) else { continue };
            if quotas.iter().any(|quota| quota.accelerator == accelerator) {
                let message = format!("`{accelerator}` stands twice");
                let found = self.values.error(codes::DUPLICATE_FIELD, field.path.span, message);
                self.values.report(found.help("keep one of them"));
                continue;
            }
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            let place = self.place(field.span);
            quotas.push(Quota { accelerator, most: capstan_types::spec::Limit { value: most, place } });
        }
        Some(quotas)
    }
}

fn id_of<T: Named>(rows: &[T], name: &str) -> Option<String> {
    find(rows, name).map(|row| row.id().to_owned())
}

fn words<T: Named>(rows: &[T]) -> impl Iterator<Item = String> {
    rows.iter().flat_map(|row| std::iter::once(row.id().to_owned()).chain(row.names().iter().cloned()))
}

/// Returns the first few names that begin with a word: `a100` may be any of its forms.
fn longer(word: &str, known: &[String]) -> Vec<String> {
    let begin = word.to_ascii_lowercase() + "_";
    known.iter().filter(|name| name.starts_with(&begin)).take(3).map(|name| as_written(name)).collect()
}

/// Returns a name as it stands in a plan: an identifier plainly, anything else as a string.
fn as_written(name: &str) -> String {
    let plain = name.split('.').all(|part| {
        let begins = part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        begins && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    if plain { format!("`{name}`") } else { format!("`\"{name}\"`") }
}
