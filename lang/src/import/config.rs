//! How is a field of a `config.json` read?
//!
//! A configuration of a model that also sees holds the sizes of its text part in an object of its own. Every name that is
//! asked for counts as understood; what nobody asked for and what is not known to leave sizes alone is named in the end.

use std::cell::RefCell;
use std::collections::BTreeSet;

use capstan_types::place::{FileId, Span};

use super::json::{Node, Value};
use crate::codes;
use crate::diagnostic::{Code, Diagnostic};

/// Largest size; no published model has one above a few million.
const LARGEST: f64 = 1e8;

/// Names of the object that holds the text part.
const TEXT_PARTS: [&str; 3] = ["text_config", "llm_config", "language_config"];

/// A configuration that is being read.
pub(super) struct Config<'a> {
    file: &'a FileId,
    outer: &'a Node<'a>,
    /// The text part; the outer object where there is none.
    inner: &'a Node<'a>,
    /// Sizes that the architecture sets where the text is silent.
    pub defaults: &'static [(&'static str, u32)],
    asked: RefCell<BTreeSet<&'static str>>,
    found: RefCell<Vec<Diagnostic>>,
}

impl<'a> Config<'a> {
    /// Begins to read.
    pub fn new(file: &'a FileId, outer: &'a Node<'a>) -> Self {
        let inner = TEXT_PARTS.iter().find_map(|name| outer.get(name).filter(|node| is_object(node)));
        let asked = TEXT_PARTS.into_iter().collect();
        let inner = inner.unwrap_or(outer);
        let found = RefCell::new(Vec::new());
        Self { file, outer, inner, defaults: &[], asked: RefCell::new(asked), found }
    }

    /// Returns what was wrong.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.found.into_inner()
    }

    /// Says whether something was wrong so far that forbids a model.
    pub fn is_wrong(&self) -> bool {
        self.found.borrow().iter().any(Diagnostic::is_error)
    }

    /// Reports a mistake at a place.
    pub fn wrong(&self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let place = span.in_file(self.file);
        self.found.borrow_mut().push(Diagnostic::error(code, place, message).help(help));
    }

    /// Reports something that leaves the numbers as they are.
    pub fn warn(&self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let place = span.in_file(self.file);
        self.found.borrow_mut().push(Diagnostic::warning(code, place, message).help(help));
    }

    /// Returns the place of a field, of the whole text where it is absent.
    pub fn span_of(&self, name: &'static str) -> Span {
        self.node(name).map_or(Span::new(0, 0), |node| node.span)
    }

    /// Returns a field of the text part, else of the outer object; `null` is as good as absent.
    pub fn node(&self, name: &'static str) -> Option<&'a Node<'a>> {
        self.asked.borrow_mut().insert(name);
        let filled = |node: &&'a Node<'a>| node.value != Value::Null;
        self.inner.get(name).filter(filled).or_else(|| self.outer.get(name).filter(filled))
    }

    /// Returns a field of the outer object.
    pub fn outer(&self, name: &'static str) -> Option<&'a Node<'a>> {
        self.asked.borrow_mut().insert(name);
        self.outer.get(name).filter(|node| node.value != Value::Null)
    }

    /// Says whether any of these fields is filled.
    pub fn has(&self, name: &'static str) -> bool {
        self.node(name).is_some()
    }

    /// Returns the first of several names that is filled.
    fn first(&self, names: &[&'static str]) -> Option<(&'static str, &'a Node<'a>)> {
        let found: Vec<_> = names.iter().filter_map(|&name| Some((name, self.node(name)?))).collect();
        found.first().copied()
    }

    /// Returns a whole number from `least` on, under any of several names.
    fn whole(&self, names: &[&'static str], least: f64) -> Option<u32> {
        let (name, node) = self.first(names)?;
        match node.number() {
            Some(number) if number.fract() == 0.0 && number >= least && number <= LARGEST => {
                Some(number as u32)
            }
            Some(number) => {
                let message = format!("`{name}` cannot be {number}");
                self.wrong(
                    codes::CONFIG_VALUE,
                    node.span,
                    message,
                    format!("a whole number from {least} on"),
                );
                None
            }
            None => {
                self.kind(name, node, "a whole number");
                None
            }
        }
    }

    fn kind(&self, name: &str, node: &Node<'_>, wanted: &str) {
        let message = format!("`{name}` is {}, not {wanted}", node.kind());
        self.wrong(
            codes::CONFIG_VALUE,
            node.span,
            message,
            "is this the file that the model's authors published?",
        );
    }

    /// Returns a size of at least 1.
    pub fn size(&self, names: &[&'static str]) -> Option<u32> {
        if self.first(names).is_none() {
            return self.default(names);
        }
        self.whole(names, 1.0)
    }

    fn default(&self, names: &[&'static str]) -> Option<u32> {
        self.defaults.iter().find(|(name, _)| names.contains(name)).map(|&(_, value)| value)
    }

    /// Returns a count that may be 0; absent is 0.
    pub fn count(&self, names: &[&'static str]) -> u32 {
        self.whole(names, 0.0).unwrap_or(0)
    }

    /// Returns a size that has to be there; reports where it is not.
    pub fn needed(&self, names: &[&'static str]) -> Option<u32> {
        if self.first(names).is_none() && self.default(names).is_none() {
            let message = format!("`{}` is missing", names[0]);
            let help =
                "without it the size of the model is not known; is the file cut off, or of something else?";
            self.wrong(codes::CONFIG_MISSING, Span::new(0, 0), message, help);
        }
        self.size(names)
    }

    /// Returns a flag; absent is `default`.
    pub fn flag(&self, name: &'static str, default: bool) -> bool {
        let Some(node) = self.node(name) else { return default };
        match node.value {
            Value::Flag(flag) => flag,
            _ => {
                self.kind(name, node, "true or false");
                default
            }
        }
    }

    /// Returns a text.
    pub fn text(&self, name: &'static str) -> Option<&'a str> {
        let node = self.node(name)?;
        if node.text().is_none() {
            self.kind(name, node, "a text");
        }
        node.text()
    }

    /// Returns a list of texts.
    pub fn texts(&self, name: &'static str) -> Option<Vec<&'a str>> {
        let node = self.node(name)?;
        let texts = node.list().map(|items| items.iter().map(Node::text).collect::<Option<Vec<_>>>());
        match texts {
            Some(Some(texts)) => Some(texts),
            _ => {
                self.kind(name, node, "a list of texts");
                None
            }
        }
    }

    /// Returns a list of whole numbers.
    pub fn numbers(&self, name: &'static str) -> Option<Vec<u32>> {
        let node = self.node(name)?;
        let whole = |item: &Node<'_>| {
            item.number().filter(|n| n.fract() == 0.0 && (0.0..=LARGEST).contains(n)).map(|n| n as u32)
        };
        let numbers = node.list().map(|items| items.iter().map(whole).collect::<Option<Vec<_>>>());
        match numbers {
            Some(Some(numbers)) => Some(numbers),
            _ => {
                self.kind(name, node, "a list of whole numbers");
                None
            }
        }
    }

    /// Returns the fields of the text part that nobody asked for and that are filled.
    pub fn unasked(&self) -> Vec<(&'a str, &'a Node<'a>)> {
        let asked = self.asked.borrow();
        let Value::Object(fields) = &self.inner.value else { return Vec::new() };
        let active = |node: &Node<'_>| match &node.value {
            Value::Null | Value::Flag(false) => false,
            Value::Number(number) => *number != 0.0,
            Value::List(items) => !items.is_empty(),
            _ => true,
        };
        let unasked = fields.iter().filter(|(name, node)| !asked.contains(&**name) && active(node));
        unasked.map(|(name, node)| (&**name, node)).collect()
    }
}

fn is_object(node: &Node<'_>) -> bool {
    matches!(node.value, Value::Object(_))
}
