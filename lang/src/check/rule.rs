//! `require`, `prefer`, `warn`: what must hold of the finished plan?
//!
//! An expression over metrics of workloads and sites, its dimensions checked, turned into the form that
//! whoever knows the finished plan can evaluate.

use std::collections::BTreeMap;

use capstan_types::place::Span;
use capstan_types::quantity::{ArithmeticError, Base, Dimension, Quantity};
use capstan_types::spec::{Metric, Rule, RuleExpr, RuleKind, RuleOperator};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::checker::Checker;
use crate::ast::{ChainOp, Clause, ClauseKind, CompareOp, Expr, ExprKind, Link, Path};
use crate::codes;
use crate::evaluate::Value;

/// Most operators of one rule: deeper trees could not be read back from JSON.
const MOST_OPERATORS: usize = 48;

/// The metrics: word, meaning, dimension, and whether sites (rather than workloads) have it.
pub(crate) const METRICS: [(&str, Metric, Dimension, bool); 8] = [
    ("cost", Metric::Cost, Dimension::MONEY, false),
    ("tokens", Metric::Tokens, Dimension::TOKENS, false),
    ("prompt_tokens", Metric::PromptTokens, Dimension::TOKENS, false),
    ("output_tokens", Metric::OutputTokens, Dimension::TOKENS, false),
    ("requests", Metric::Requests, Dimension::REQUESTS, false),
    ("nodes", Metric::Nodes, Dimension::NODES, true),
    ("accelerators", Metric::Accelerators, Dimension::ACCELERATORS, true),
    ("power", Metric::Power, Dimension::POWER, true),
];

/// What an expression is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Amount(Dimension),
    Condition,
}

type Typed = (RuleExpr, Kind);

impl Checker<'_> {
    /// Reads the rules of one budget.
    pub(crate) fn rules(&self, clauses: &[&Clause]) -> Vec<Rule> {
        let mut labels: BTreeMap<&str, Span> = BTreeMap::new();
        let mut rules = Vec::new();
        for clause in clauses {
            if let Some(label) = &clause.label
                && let Some(first) = labels.insert(&label.text, label.span)
            {
                let message = format!("a rule is already called `{}`", label.text);
                let found = self.values.error(codes::DUPLICATE_NAME, label.span, message);
                self.values.report(found.also(self.place(first), "first here").help("choose another name"));
            }
            rules.extend(self.rule(clause));
        }
        rules
    }

    fn rule(&self, clause: &Clause) -> Option<Rule> {
        let kind = match clause.kind {
            ClauseKind::Require => RuleKind::Require,
            ClauseKind::Prefer => RuleKind::Prefer,
            ClauseKind::Warn => RuleKind::Warn,
            ClauseKind::Expect => {
                let message = "`expect` is for tests of plans, which are not planned yet";
                let found = self.values.error(codes::NOT_PLANNED, clause.kind_span, message);
                self.values.report(found.help("write `require`, `prefer` or `warn`"));
                return None;
            }
        };
        let span = clause.condition.span;
        if operators(&clause.condition) > MOST_OPERATORS {
            let message = format!("a rule has at most {MOST_OPERATORS} operators");
            let found = self.values.error(codes::OUT_OF_RANGE, span, message);
            self.values.report(found.help("split it, or name parts of it with `let`"));
            return None;
        }
        let (condition, what) = self.typed(&clause.condition)?;
        if what != Kind::Condition {
            let found = self.values.error(codes::NOT_A_CONDITION, span, "a rule compares two amounts");
            self.values.report(found.help("for example `chat.cost <= 5 MUSD`"));
            return None;
        }
        Some(Rule {
            kind,
            label: clause.label.as_ref().map(|label| label.text.clone()),
            condition,
            text: self.source.text.get(span.range()).unwrap_or_default().to_owned(),
            message: clause.otherwise.as_ref().map(|text| text.value.clone()),
            place: self.place(clause.span),
        })
    }

    fn typed(&self, expr: &Expr) -> Option<Typed> {
        match &expr.kind {
            ExprKind::Group(inner) => self.typed(inner),
            ExprKind::Path(path) => self.metric(path),
            ExprKind::Not(inner) => {
                let (inner_expr, kind) = self.typed(inner)?;
                if kind != Kind::Condition {
                    return self.not_a_condition(inner.span);
                }
                Some((RuleExpr::Not { inner: Box::new(inner_expr) }, Kind::Condition))
            }
            ExprKind::Negative(inner) => {
                let zero = RuleExpr::Number { value: 0.0 };
                let (right, kind) = self.typed(inner)?;
                let Kind::Amount(dimension) = kind else { return self.not_an_amount(inner.span) };
                Some((binary(RuleOperator::Subtract, zero, right), Kind::Amount(dimension)))
            }
            ExprKind::Chain(first, links) => self.joined(first, links),
            ExprKind::Compare(left, op, op_span, right) => self.compared(left, *op, *op_span, right),
            ExprKind::Call(call) if call.path.dotted() == "payback" => {
                let found =
                    self.values.error(codes::NOT_PLANNED, expr.span, "`payback(…)` is not planned yet");
                self.values.report(found.help("leave the rule out; `capstan diff` compares two plans"));
                None
            }
            _ => match self.values.evaluate(expr)? {
                Value::Quantity(quantity) => self.number(&quantity, expr.span),
                other => {
                    let message = format!("{} is no amount that a rule compares", other.noun());
                    let found = self.values.error(codes::WRONG_KIND_OF_VALUE, expr.span, message);
                    self.values.report(found.help("rules compare amounts: `chat.cost <= 5 MUSD`"));
                    None
                }
            },
        }
    }

    /// Returns a number in base units, money in the plan's currency.
    fn number(&self, quantity: &Quantity, span: Span) -> Option<Typed> {
        let power = quantity.dimension.power(Base::Money);
        let mut value = quantity.value;
        let foreign = quantity.currency.is_some_and(|currency| currency != self.frame.currency);
        if power != 0 && foreign {
            let one = Quantity::computed(1.0, Dimension::MONEY, quantity.currency);
            let rate = self.money(&one, span, "").and_then(|rate: Decimal| rate.to_f64())?;
            value = if power > 0 { value * rate } else { value / rate };
        }
        Some((RuleExpr::Number { value }, Kind::Amount(quantity.dimension)))
    }

    fn metric(&self, path: &Path) -> Option<Typed> {
        if let Some(bound) = self.values.binding(path) {
            return match bound? {
                Value::Quantity(quantity) => self.number(&quantity, path.span),
                _ => self.not_an_amount(path.span),
            };
        }
        let (subject, word) = match path.rest.as_slice() {
            [] => (None, &path.first),
            [word] => (Some(&path.first), word),
            _ => {
                let message = format!("`{}` is no metric", path.dotted());
                let found = self.values.error(codes::UNKNOWN_NAME, path.span, message);
                self.values.report(found.help("write the name of a workload and a metric: `chat.cost`"));
                return None;
            }
        };
        let of_plan = |name: &str| self.declared.get(name).is_some_and(|(kind, _)| *kind == "plan");
        let subject = subject.filter(|subject| !of_plan(&subject.text));
        let is_site = subject.map(|subject| self.sites.iter().any(|site| site.name == subject.text));
        if let (Some(subject), Some(false)) = (subject, is_site)
            && !self.workloads.contains(&subject.text)
            && self.declared.get(subject.text.as_str()).is_none_or(|(kind, _)| *kind != "site")
        {
            self.unknown(&subject.text, subject.span, "no workload or site is called");
            return None;
        }
        let Some((_, metric, dimension, of_site)) = METRICS.iter().find(|row| row.0 == word.text) else {
            let message = format!("there is no metric `{}`", word.text);
            let found = self.values.error(codes::UNKNOWN_NAME, word.span, message);
            let similar = self.values.suggest(&word.text, METRICS.iter().map(|row| row.0));
            let known: Vec<String> = METRICS.iter().map(|row| format!("`{}`", row.0)).collect();
            self.values.report(match similar {
                Some(similar) => found.help(format!("did you mean `{similar}`?")),
                None => found.help(format!("the metrics are {}", known.join(", "))),
            });
            return None;
        };
        let declared_site = |name: &str| self.declared.get(name).is_some_and(|(kind, _)| *kind == "site");
        let site = is_site == Some(true) || subject.is_some_and(|subject| declared_site(&subject.text));
        if subject.is_some() && site != *of_site {
            let (whose, whole) = if *of_site { ("sites", "workload") } else { ("workloads", "site") };
            let message =
                format!("`{}` is known of {whose} and of the whole plan, not of a {whole}", word.text);
            let found = self.values.error(codes::UNKNOWN_NAME, path.span, message);
            self.values.report(found.help(format!("write `{}` alone for the whole plan", word.text)));
            return None;
        }
        let subject = subject.map(|subject| subject.text.clone()).unwrap_or_default();
        Some((RuleExpr::Metric { subject, metric: *metric }, Kind::Amount(*dimension)))
    }

    fn unknown(&self, name: &str, span: Span, message: &str) {
        let found = self.values.error(codes::UNKNOWN_NAME, span, format!("{message} `{name}`"));
        let sites = self.sites.iter().map(|site| site.name.as_str());
        let similar = self.values.suggest(name, self.workloads.iter().map(String::as_str).chain(sites));
        self.values.report(match similar {
            Some(similar) => found.help(format!("did you mean `{similar}`?")),
            None => found.help("a metric belongs to a `serve`, a `train` or a `site`, or to the whole plan"),
        });
    }

    fn joined(&self, first: &Expr, links: &[Link]) -> Option<Typed> {
        let mut span = first.span;
        let mut left = self.typed(first);
        for link in links {
            let right = self.typed(&link.operand);
            let whole = span.to(link.operand.span);
            left = match (left, right) {
                (Some(left), Some(right)) => self.join(left, span, link, right),
                _ => None,
            };
            span = whole;
        }
        left
    }

    fn join(&self, left: Typed, left_span: Span, link: &Link, right: Typed) -> Option<Typed> {
        let logical = matches!(link.op, ChainOp::And | ChainOp::Or);
        for (typed, span) in [(&left, left_span), (&right, link.operand.span)] {
            match (typed.1, logical) {
                (Kind::Amount(_), true) => return self.not_a_condition(span),
                (Kind::Condition, false) => return self.not_an_amount(span),
                _ => {}
            }
        }
        let (Kind::Amount(a), Kind::Amount(b)) = (left.1, right.1) else {
            let operator = if link.op == ChainOp::And { RuleOperator::And } else { RuleOperator::Or };
            return Some((binary(operator, left.0, right.0), Kind::Condition));
        };
        let (operator, dimension) = match link.op {
            ChainOp::Plus => (RuleOperator::Add, self.same(a, b, left_span.to(link.operand.span))),
            ChainOp::Minus => (RuleOperator::Subtract, self.same(a, b, left_span.to(link.operand.span))),
            ChainOp::Times => (RuleOperator::Multiply, a.checked_times(b)),
            _ => (RuleOperator::Divide, a.checked_times(b.inverse())),
        };
        Some((binary(operator, left.0, right.0), Kind::Amount(dimension?)))
    }

    fn same(&self, a: Dimension, b: Dimension, span: Span) -> Option<Dimension> {
        if a != b {
            self.values.arithmetic(&ArithmeticError::Dimensions { left: a, right: b }, span);
        }
        (a == b).then_some(a)
    }

    fn compared(&self, left: &Expr, op: CompareOp, op_span: Span, right: &Expr) -> Option<Typed> {
        let (l, r) = (self.typed(left), self.typed(right));
        let (l, r) = (l?, r?);
        let (Kind::Amount(a), Kind::Amount(b)) = (l.1, r.1) else {
            let wrong = if l.1 == Kind::Condition { left } else { right };
            return self.not_an_amount(wrong.span);
        };
        let operator = match op {
            CompareOp::AtMost => RuleOperator::AtMost,
            CompareOp::AtLeast => RuleOperator::AtLeast,
            CompareOp::Below => RuleOperator::Less,
            CompareOp::Above => RuleOperator::Greater,
            CompareOp::Equal => RuleOperator::Equal,
            CompareOp::Different => RuleOperator::NotEqual,
        };
        if a != b {
            let message = format!("{a} cannot be compared with {b}");
            let found = self.values.error(codes::WRONG_DIMENSION, left.span.to(right.span), message);
            let unit = a.customary_unit(Some(self.frame.currency));
            let found = match unit {
                Some(unit) => found.help(format!("the right side wants a unit such as `{unit}`")),
                None => found.help("both sides count the same thing"),
            };
            self.values.report(found.also(self.place(op_span), "compared here"));
            return None;
        }
        Some((binary(operator, l.0, r.0), Kind::Condition))
    }

    fn not_a_condition(&self, span: Span) -> Option<Typed> {
        let found = self.values.error(codes::NOT_A_CONDITION, span, "this is an amount, not a condition");
        self.values.report(found.help("`and`, `or` and `not` join conditions: `chat.cost <= 5 MUSD`"));
        None
    }

    fn not_an_amount(&self, span: Span) -> Option<Typed> {
        let found = self.values.error(codes::WRONG_KIND_OF_VALUE, span, "this is no amount");
        self.values.report(found.help("amounts are numbers with units, and metrics such as `chat.cost`"));
        None
    }
}

fn binary(operator: RuleOperator, left: RuleExpr, right: RuleExpr) -> RuleExpr {
    RuleExpr::Binary { operator, left: Box::new(left), right: Box::new(right) }
}

/// Counts the operators of an expression.
fn operators(expr: &Expr) -> usize {
    match &expr.kind {
        ExprKind::Group(inner) => operators(inner),
        ExprKind::Not(inner) | ExprKind::Negative(inner) => 1 + operators(inner),
        ExprKind::Chain(first, links) => {
            operators(first) + links.iter().map(|link| 1 + operators(&link.operand)).sum::<usize>()
        }
        ExprKind::Compare(left, _, _, right) => 1 + operators(left) + operators(right),
        _ => 0,
    }
}
