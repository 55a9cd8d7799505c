//! What does the checker know while it walks a file?

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use capstan_types::catalog::Catalog;
use capstan_types::model::Model;
use capstan_types::offering::PurchaseOption;
use capstan_types::origin::Origin;
use capstan_types::place::{Place, Span};
use capstan_types::spec::{App, Assumption, Batch, Draft, Frame, Serve, Site, Train};

use super::context::{CheckContext, Source};
use super::plan;
use super::table::{LabelRule, Table};
use crate::ast::{Block, Entry, File, Item, Label};
use crate::codes;
use crate::evaluate::{Evaluator, bind, names};

/// Returns the contracts that the catalog has prices for.
fn contracts(catalog: &Catalog) -> BTreeSet<PurchaseOption> {
    let options = catalog.offerings.iter().map(|offering| offering.option);
    options.filter(|option| option.contract_months().is_some()).collect()
}

/// Everything that is known of the file so far.
pub(crate) struct Checker<'a> {
    pub(crate) values: Evaluator<'a>,
    pub(crate) source: Source<'a>,
    pub(crate) catalog: &'a Catalog,
    pub(crate) context: &'a CheckContext,
    /// Names of the file: kind and place.
    pub(crate) declared: BTreeMap<&'a str, (&'a str, Span)>,
    /// Names that `use … as` gives to catalogs.
    pub(crate) aliases: BTreeSet<&'a str>,
    /// The frame, usable from the start so that one mistake in it does not hide the others.
    pub(crate) frame: Frame,
    /// Does the plan state its clock? Else it is that of its sites.
    pub(crate) clock_is_stated: bool,
    /// Sites, named or from the catalog.
    pub(crate) sites: Vec<Site>,
    /// The models that the file describes.
    pub(crate) models: BTreeMap<String, Model>,
    /// The names of the model hub by which they were looked up.
    pub(crate) checkpoints: BTreeMap<String, String>,
    /// Where a model is called as the model hub calls it, and how.
    pub(crate) written: RefCell<BTreeMap<u32, String>>,
    /// What a rule may ask a metric of, beside sites.
    pub(crate) workloads: BTreeSet<String>,
    pub(crate) assumptions: RefCell<Vec<Assumption>>,
    /// Contracts for which the catalog has prices; every workload asks for them.
    pub(crate) contracts: BTreeSet<PurchaseOption>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(source: Source<'a>, catalog: &'a Catalog, context: &'a CheckContext) -> Self {
        Checker {
            values: Evaluator::new(&source.file.file).in_world(names(source.file), &context.draws),
            source,
            catalog,
            context,
            declared: BTreeMap::new(),
            aliases: BTreeSet::new(),
            frame: plan::fallback(catalog),
            clock_is_stated: false,
            sites: Vec::new(),
            models: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            written: RefCell::default(),
            workloads: BTreeSet::new(),
            assumptions: RefCell::new(Vec::new()),
            contracts: contracts(catalog),
        }
    }

    /// Collects the names of the file and evaluates `param` and `let`.
    pub(crate) fn declare(&mut self) {
        let file = self.source.file;
        for entry in &file.entries {
            match entry {
                Entry::Param(binding) | Entry::Let(binding) => {
                    self.declare_name(&binding.name.text, "value", binding.name.span);
                }
                Entry::Use(used) => {
                    if let Some(alias) = &used.alias {
                        self.declare_name(&alias.text, "alias", alias.span);
                        self.aliases.insert(&alias.text);
                    }
                }
                Entry::Item(Item::Block(block)) if block.kind.text != "deploy" => {
                    if let Some(label) = &block.label {
                        self.declare_name(label.text(), &block.kind.text, label.span());
                    }
                }
                Entry::Item(_) => {}
            }
        }
        bind(&mut self.values, file);
    }

    fn declare_name(&mut self, name: &'a str, kind: &'a str, span: Span) {
        if let Some((_, first)) = self.declared.get(name) {
            let found = self.values.error(codes::DUPLICATE_NAME, span, format!("`{name}` is already taken"));
            self.values.report(
                found
                    .also(self.place(*first), "first used here")
                    .help("names are unique in a file, across all kinds: choose another"),
            );
            return;
        }
        self.declared.insert(name, (kind, span));
    }

    /// Returns a range with its file.
    pub(crate) fn place(&self, span: Span) -> Place {
        span.in_file(self.values.file)
    }

    /// Records a default that is used.
    pub(crate) fn assume(&self, place: &Place, text: impl Into<String>) {
        let assumption =
            Assumption { text: text.into(), place: Some(place.clone()), origin: Origin::Assumed };
        self.assumptions.borrow_mut().push(assumption);
    }

    /// Says whether a block is of a known kind; reports it where it is not.
    pub(crate) fn is_known(&self, block: &Block, kinds: &[&'static Table]) -> bool {
        let kind = &block.kind.text;
        if kinds.iter().any(|table| table.kind == kind) {
            return true;
        }
        let message = format!("`{kind}` is no kind of block that can stand here");
        let found = self.values.error(codes::UNKNOWN_KIND, block.kind.span, message);
        let similar = self.values.suggest(kind, kinds.iter().map(|table| table.kind));
        let words: Vec<String> = kinds.iter().map(|table| format!("`{}`", table.kind)).collect();
        self.values.report(match (similar, words.is_empty()) {
            (Some(similar), _) => found.help(format!("did you mean `{similar}`?")),
            (None, false) => found.help(format!("the kinds are {}", words.join(", "))),
            (None, true) => found,
        });
        false
    }

    /// Reports an entry that cannot stand where it does.
    pub(crate) fn misplaced(&self, item: &Item, place: &str) {
        let (span, what, help) = match item {
            Item::Block(block) => (block.kind.span, "a block", ""),
            Item::Clause(clause) => (clause.kind_span, "a rule", "rules stand in a `budget` block"),
            Item::Set(set) => (set.span, "`set`", "changes stand in a `scenario` block"),
            Item::Field(field) => {
                (field.span, "a field", "fields stand in blocks; values get names with `let`")
            }
        };
        let found = self.values.error(codes::MISPLACED, span, format!("{what} cannot stand in {place}"));
        self.values.report(if help.is_empty() { found } else { found.help(help) });
    }

    /// Returns the name of a block, or none after a report.
    pub(crate) fn name_of(&self, block: &Block, table: &Table) -> Option<String> {
        let kind = table.kind;
        match (&block.label, table.label) {
            (Some(Label::Name(name)), LabelRule::Name) => Some(name.text.clone()),
            (Some(Label::Text(text)), LabelRule::Name) => {
                let message = "the name of a block is an identifier, not a string";
                let found = self.values.error(codes::WRONG_KIND_OF_VALUE, text.span, message);
                self.values.report(found.help("letters, digits and `_`, no quotes"));
                None
            }
            (Some(label), LabelRule::Word(words)) => {
                self.word(label.text(), label.span(), words).map(str::to_owned)
            }
            (Some(label), LabelRule::None) => {
                let message = format!("`{kind}` has no name");
                self.values.report(self.values.error(codes::MISPLACED, label.span(), message));
                None
            }
            (None, LabelRule::None) => Some(String::new()),
            (None, _) => {
                let message = format!("this `{kind}` has no name");
                let found = self.values.error(codes::MISSING_FIELD, block.kind.span, message);
                self.values.report(found.help(format!("write `{kind} NAME {{ … }}`")));
                None
            }
        }
    }

    /// Says what a rule may ask about.
    pub(crate) fn metrics_of(&mut self, serves: &[Serve], trains: &[Train], batches: &[Batch], apps: &[App]) {
        // A workload with mistakes is a known name all the same.
        let declared = self.declared.iter().filter(|(_, (kind, _))| super::WORKLOADS.contains(kind));
        let names: BTreeSet<String> = declared.map(|(name, _)| (*name).to_owned()).collect();
        let checked = serves.iter().map(|serve| &serve.name).chain(trains.iter().map(|train| &train.name));
        let checked = checked.chain(batches.iter().map(|batch| &batch.name));
        let checked = checked.chain(apps.iter().map(|app| &app.name));
        self.workloads = names.into_iter().chain(checked.cloned()).collect();
    }

    /// Returns the models that workloads use, each once, in the order of their names.
    pub(crate) fn models_used(&self, serves: &[Serve], trains: &[Train], batches: &[Batch]) -> Vec<Model> {
        let drafts = serves.iter().filter_map(|serve| match &serve.speculative.as_ref()?.draft {
            Draft::Model { model } => Some(model),
            Draft::Cost { .. } => None,
        });
        let names = serves.iter().map(|serve| &serve.model).chain(trains.iter().map(|train| &train.model));
        let names = names.chain(batches.iter().map(|batch| &batch.model));
        let names: BTreeSet<&String> = names.chain(drafts).collect();
        names.into_iter().filter_map(|name| self.model(name).cloned()).collect()
    }

    /// Returns a model by its identifier: the file's own come first.
    pub(crate) fn model(&self, id: &str) -> Option<&Model> {
        self.models.get(id).or_else(|| self.catalog.model(id))
    }

    /// Returns the name of the model hub that stands in a field, or that a model of the file goes back to.
    pub(crate) fn checkpoint(&self, field: Span, id: &str) -> Option<String> {
        let written = self.written.borrow();
        let here = written.range(field.start..field.end).next().map(|(_, name)| name.clone());
        here.or_else(|| self.checkpoints.get(id).cloned())
    }

    /// Warns of values that nothing uses.
    pub(crate) fn unused(&self, file: &File) {
        for entry in &file.entries {
            let (Entry::Param(binding) | Entry::Let(binding)) = entry else { continue };
            let name = &binding.name.text;
            let wrong = matches!(self.values.bindings.get(name.as_str()), Some(None));
            // A value with a mistake is mended first.
            if wrong || self.values.is_used(name) {
                continue;
            }
            let place = self.place(binding.name.span);
            let found =
                crate::Diagnostic::warning(codes::UNUSED_NAME, place, format!("nothing uses `{name}`"));
            self.values.report(found.help("use it or leave it out"));
        }
    }
}
