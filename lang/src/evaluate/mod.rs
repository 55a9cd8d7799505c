//! What is the value of an expression?
//!
//! Quantities with their dimensions, dates, times, strings; the names of `param` and `let`. Not known
//! here: what a field wants, and the names of blocks and catalog rows, which only a field can give a
//! meaning to.

mod bindings;
mod uncertain;

use capstan_types::place::{FileId, Span};
use capstan_types::quantity::{ArithmeticError, Dimension, Quantity, nearest, parse_quantity};
use capstan_types::spec::Uncertain;
use jiff::ToSpan;
use jiff::civil::{Date, Time};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::ast::{ChainOp, Expr, ExprKind, Link, Path};
use crate::codes;
use crate::diagnostic::Diagnostic;

pub(crate) use bindings::bind;
pub use uncertain::Draws;
pub(crate) use uncertain::names;

/// Most mistakes that are reported for one file; beyond, it is probably no plan file.
const MAX_MISTAKES: usize = 1_000;

/// Seconds in a day.
const DAY_S: f64 = 86_400.0;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// An amount.
    Quantity(Quantity),
    /// A day.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A string.
    Text(String),
    /// `true`, `false`
    Bool(bool),
}

impl Value {
    /// Returns what it is, for messages.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Value::Quantity(_) => "a number",
            Value::Date(_) => "a date",
            Value::Time(_) => "a time of day",
            Value::Text(_) => "a string",
            Value::Bool(_) => "true or false",
        }
    }
}

/// Evaluates expressions of one file and gathers what is wrong with them.
pub(crate) struct Evaluator<'a> {
    /// The file.
    pub(crate) file: &'a FileId,
    /// Values of `param` and `let`; none where the value is wrong, which has been reported.
    pub(crate) bindings: BTreeMap<&'a str, Option<Value>>,
    /// Names that were used.
    used: RefCell<BTreeSet<String>>,
    /// What each uncertain value is called, by where it begins; one without a name is not the plan's.
    named: BTreeMap<u32, String>,
    /// Where in its distribution each uncertain value lies; at its median where it is not said.
    draws: Draws,
    /// Uncertain values that were met, by where they begin.
    uncertain: RefCell<BTreeMap<u32, Uncertain>>,
    diagnostics: RefCell<Vec<Diagnostic>>,
}

impl<'a> Evaluator<'a> {
    /// Begins without bindings.
    pub(crate) fn new(file: &'a FileId) -> Self {
        Evaluator {
            file,
            bindings: BTreeMap::new(),
            used: RefCell::new(BTreeSet::new()),
            named: BTreeMap::new(),
            draws: Draws::new(),
            uncertain: RefCell::default(),
            diagnostics: RefCell::new(Vec::new()),
        }
    }

    /// Returns it with names for the uncertain values of its file, and where in their distributions they lie.
    pub(crate) fn in_world(self, named: BTreeMap<u32, String>, draws: &Draws) -> Self {
        Evaluator { named, draws: draws.clone(), ..self }
    }

    /// Returns it with its bindings and without what was reported so far.
    pub(crate) fn forgetful(self) -> Self {
        Evaluator { diagnostics: RefCell::new(Vec::new()), ..self }
    }

    /// Adds a mistake.
    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.diagnostics.borrow_mut().push(diagnostic);
    }

    /// Begins a mistake at a place.
    pub(crate) fn error(&self, code: crate::Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, span.in_file(self.file), message)
    }

    /// Returns the likely meaning of a misspelt word, unless there are too many mistakes to care.
    pub(crate) fn suggest<'b>(
        &self,
        word: &str,
        candidates: impl IntoIterator<Item = &'b str>,
    ) -> Option<&'b str> {
        if self.is_overwhelmed() { None } else { nearest(word, candidates) }
    }

    /// Are there more mistakes than will be shown?
    pub(crate) fn is_overwhelmed(&self) -> bool {
        self.diagnostics.borrow().len() >= MAX_MISTAKES
    }

    /// Returns everything that was reported, in the order of places.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        let mut all = self.diagnostics.into_inner();
        crate::diagnostic::sort(&mut all);
        if all.len() > MAX_MISTAKES {
            let place = all[MAX_MISTAKES].place.clone();
            all.truncate(MAX_MISTAKES);
            all.push(Diagnostic::error(
                codes::TOO_MANY,
                place,
                "more than 1,000 mistakes; the rest is not shown",
            ));
        }
        all
    }

    /// Has anything been reported that keeps the file from being planned?
    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics.borrow().iter().any(Diagnostic::is_error)
    }

    /// Was the name used by anything?
    pub(crate) fn is_used(&self, name: &str) -> bool {
        self.used.borrow().contains(name)
    }

    /// Returns the binding of a path that is one name: the outer none where there is no such name.
    pub(crate) fn binding(&self, path: &Path) -> Option<Option<Value>> {
        let name = &path.as_name()?.text;
        let value = self.bindings.get(name.as_str())?;
        self.used.borrow_mut().insert(name.clone());
        Some(value.clone())
    }

    /// Returns the value, or none after a report.
    pub(crate) fn evaluate(&self, expr: &Expr) -> Option<Value> {
        match &expr.kind {
            ExprKind::Error => None,
            ExprKind::Date(date) => Some(Value::Date(*date)),
            ExprKind::Time(time) => Some(Value::Time(*time)),
            ExprKind::Quantity(quantity) => Some(Value::Quantity(quantity.clone())),
            ExprKind::Text(text) => Some(Value::Text(text.clone())),
            ExprKind::Bool(value) => Some(Value::Bool(*value)),
            ExprKind::Group(inner) => self.evaluate(inner),
            ExprKind::Path(path) => self.named(path),
            ExprKind::Negative(inner) => match self.evaluate(inner)? {
                Value::Quantity(quantity) => Some(Value::Quantity(quantity.negative())),
                other => self.no_arithmetic(inner.span, &other),
            },
            ExprKind::Chain(first, links) => self.chain(first, links),
            ExprKind::Uncertain(parts) => self.drawn(parts, expr.span).map(Value::Quantity),
            ExprKind::Call(call) => {
                let message = format!("`{}(…)` has no value here", call.path.dotted());
                let found = self.error(codes::UNKNOWN_FUNCTION, call.path.span, message);
                self.report(found.help("there is `diurnal(…)` for `daily` and `reserved(…)` for `buy`"));
                None
            }
            ExprKind::Compare(..) | ExprKind::Not(_) => {
                self.report(
                    self.error(codes::WRONG_KIND_OF_VALUE, expr.span, "a condition is no value")
                        .help("conditions stand in `require`, `prefer` and `warn`"),
                );
                None
            }
            ExprKind::List(_) | ExprKind::Record(_) | ExprKind::Range(..) => {
                let message = "a single value is wanted here";
                let found = self.error(codes::WRONG_KIND_OF_VALUE, expr.span, message);
                self.report(found.help("write a number, a date, a time or a string"));
                None
            }
        }
    }

    fn named(&self, path: &Path) -> Option<Value> {
        if let Some(bound) = self.binding(path) {
            return bound;
        }
        let name = path.dotted();
        let message = format!("`{name}` names no value");
        let found = self.error(codes::UNKNOWN_NAME, path.span, message);
        let similar = self.suggest(&name, self.bindings.keys().copied());
        let is_unit = parse_quantity(&format!("1 {name}")).is_ok();
        self.report(match similar {
            Some(similar) => found.help(format!("did you mean `{similar}`?")),
            None if is_unit => {
                found.help(format!("as a part of a unit it follows without blanks: `/{name}` or `*{name}`"))
            }
            None => found.help(format!("values get names with `let {} = …` or `param`", path.first.text)),
        });
        None
    }

    fn chain(&self, first: &Expr, links: &[Link]) -> Option<Value> {
        let mut span = first.span;
        let mut left = self.evaluate(first);
        for link in links {
            // Both sides are looked at, so that every mistake of a long sum is found.
            let right = self.evaluate(&link.operand);
            span = span.to(link.operand.span);
            left = match (left, right) {
                (Some(left), Some(right)) => self.join(left, link, right, span),
                _ => None,
            };
        }
        left
    }

    fn join(&self, left: Value, link: &Link, right: Value, span: Span) -> Option<Value> {
        match (left, right) {
            (Value::Quantity(left), Value::Quantity(right)) => {
                let joined = match link.op {
                    ChainOp::Plus => left.plus(&right),
                    ChainOp::Minus => left.minus(&right),
                    ChainOp::Times => left.times(&right),
                    ChainOp::Over => left.over(&right),
                    ChainOp::And | ChainOp::Or => return self.no_arithmetic(span, &Value::Quantity(left)),
                };
                joined.map_err(|error| self.arithmetic(&error, span)).ok().map(Value::Quantity)
            }
            (Value::Date(date), Value::Quantity(time)) => self.shifted(date, link, &time),
            (Value::Quantity(_), other) => self.no_arithmetic(link.operand.span, &other),
            (other, _) => self.no_arithmetic(span, &other),
        }
    }

    /// Months and years are calendar durations on a date; everything else counts whole days.
    fn shifted(&self, date: Date, link: &Link, time: &Quantity) -> Option<Value> {
        let sign = match link.op {
            ChainOp::Plus => 1,
            ChainOp::Minus => -1,
            _ => return self.no_arithmetic(link.operand.span, &Value::Date(date)),
        };
        if time.dimension != Dimension::TIME {
            self.arithmetic(
                &ArithmeticError::Dimensions { left: Dimension::TIME, right: time.dimension },
                link.operand.span,
            );
            return None;
        }
        let days = (time.value / DAY_S).floor();
        let moved = match time.calendar_months() {
            Some(months) => 0.months().try_months(i64::from(months) * sign),
            None => 0.days().try_days(days as i64 * sign),
        };
        let moved = moved.ok().and_then(|span| date.checked_add(span).ok());
        if moved.is_none() {
            self.arithmetic(&ArithmeticError::OutOfRange, link.operand.span);
        }
        moved.map(Value::Date)
    }

    /// Reports why two quantities cannot be combined.
    pub(crate) fn arithmetic(&self, error: &ArithmeticError, span: Span) {
        let code = match error {
            ArithmeticError::Dimensions { .. } => codes::WRONG_DIMENSION,
            ArithmeticError::Currencies { .. } => codes::CURRENCIES,
            ArithmeticError::OutOfRange => codes::NO_RESULT,
        };
        let found = self.error(code, span, error.to_string());
        self.report(match error {
            ArithmeticError::Currencies { .. } => found.help("write both in one currency"),
            ArithmeticError::Dimensions { .. } => {
                found.help("only amounts of one kind are added or compared")
            }
            ArithmeticError::OutOfRange => found.help("a divisor may be zero, or a factor too large"),
        });
    }

    fn no_arithmetic(&self, span: Span, value: &Value) -> Option<Value> {
        let message = format!("{} takes no part in arithmetic", value.noun());
        let found = self.error(codes::WRONG_KIND_OF_VALUE, span, message);
        self.report(found.help("numbers are computed with, and durations are added to dates"));
        None
    }
}
