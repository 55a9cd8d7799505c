//! How may capacity be bought?
//!
//! A list of options, each perhaps with a limit on its share of node-hours:
//! `[owned, reserved(3 y) >= 20%, spot <= 30%, on_demand]`.

use capstan_types::offering::PurchaseOption;
use capstan_types::place::{Place, Span};
use capstan_types::quantity::Dimension;
use capstan_types::spec::{Buy, Limit};

use super::checker::Checker;
use super::table::{Bounds, FieldRow, FieldType};
use crate::ast::{Call, CompareOp, Expr, ExprKind};
use crate::codes;

const WORDS: [&str; 4] = ["owned", "reserved", "on_demand", "spot"];

/// The share that a limit gives.
static SHARE: FieldRow = FieldRow::new("share", FieldType::Share, &[]).bounds(Bounds::Within(0.0, 1.0));

impl Checker<'_> {
    /// Returns the terms in months for which the catalog has prices and that fit into the horizon.
    fn fitting_terms(&self) -> Vec<u32> {
        self.terms.iter().copied().filter(|months| *months <= self.frame.months).collect()
    }

    /// Returns what may be bought where the plan does not say.
    pub(crate) fn default_buy(&self, place: &Place, name: &str) -> Vec<Buy> {
        let mut options = vec![PurchaseOption::OnDemand];
        options.extend(
            self.fitting_terms().into_iter().map(|term_months| PurchaseOption::Reserved { term_months }),
        );
        if self.sites.iter().any(|site| site.is_own()) {
            options.push(PurchaseOption::Owned);
        }
        let words: Vec<String> = options.iter().map(|option| option.words()).collect();
        self.assume(place, format!("`{name}` may be bought {}; `buy` does not say", words.join(", ")));
        let free = |option| Buy { option, at_least: None, at_most: None };
        options.into_iter().map(free).collect()
    }

    /// Reads the list.
    pub(crate) fn buy(&self, expr: &Expr) -> Option<Vec<Buy>> {
        let single = std::slice::from_ref(expr);
        let list = if let ExprKind::List(list) = &expr.kind { list.as_slice() } else { single };
        let mut all: Vec<Buy> = Vec::new();
        let mut wrong = false;
        for one in list {
            match self.option(one) {
                Some(options) => wrong |= !options.into_iter().all(|buy| self.add(&mut all, buy, one.span)),
                None => wrong = true,
            }
        }
        if all.is_empty() && !wrong {
            let found = self.values.error(codes::OUT_OF_RANGE, expr.span, "`buy` allows nothing");
            self.values.report(found.help("name at least one of `owned`, `reserved`, `on_demand`, `spot`"));
            return None;
        }
        (!wrong && self.shares_fit(&all, expr.span)).then_some(all)
    }

    /// Adds an option, or a second limit on one that is there.
    fn add(&self, all: &mut Vec<Buy>, buy: Buy, span: Span) -> bool {
        let Some(there) = all.iter_mut().find(|there| there.option == buy.option) else {
            all.push(buy);
            return true;
        };
        let free = |slot: &Option<Limit<f64>>, new: &Option<Limit<f64>>| slot.is_none() && new.is_some();
        if free(&there.at_least, &buy.at_least) || free(&there.at_most, &buy.at_most) {
            there.at_least = there.at_least.take().or(buy.at_least);
            there.at_most = there.at_most.take().or(buy.at_most);
            return true;
        }
        let message = format!("`{}` stands twice", buy.option.words());
        let found = self.values.error(codes::DUPLICATE_FIELD, span, message);
        self.values.report(found.help("keep one of them"));
        false
    }

    /// Shares can only be met where the smallest ones leave room and the largest ones make a whole.
    fn shares_fit(&self, all: &[Buy], span: Span) -> bool {
        let least: f64 = all.iter().filter_map(|buy| buy.at_least.as_ref()).map(|limit| limit.value).sum();
        let most: f64 = all.iter().map(|buy| buy.at_most.as_ref().map_or(1.0, |limit| limit.value)).sum();
        let crossed = all.iter().any(|buy| match (&buy.at_least, &buy.at_most) {
            (Some(least), Some(most)) => least.value > most.value,
            _ => false,
        });
        // One part in a billion is how far sums of percentages drift in floating point.
        let (message, help) = if least > 1.0 + 1e-9 {
            ("the smallest shares add up to more than 100%", "lower them")
        } else if most < 1.0 - 1e-9 {
            ("the largest shares add up to less than 100%", "raise them, or allow a further option")
        } else if crossed {
            ("a smallest share is above the largest one", "lower one, or raise the other")
        } else {
            return true;
        };
        self.values.report(self.values.error(codes::CONTRADICTION, span, message).help(help));
        false
    }

    fn option(&self, expr: &Expr) -> Option<Vec<Buy>> {
        let ExprKind::Compare(left, op, op_span, right) = &expr.kind else {
            let free = |option| Buy { option, at_least: None, at_most: None };
            return Some(self.options(expr)?.into_iter().map(free).collect());
        };
        let options = self.options(left);
        let share = self.amount(&SHARE, right, &[Dimension::NONE]);
        let limit = |value| Limit { value, place: self.place(expr.span) };
        let (at_least, at_most) = match (op, share) {
            (_, None) => return None,
            (CompareOp::AtLeast, Some(share)) => (Some(limit(share.value)), None),
            (CompareOp::AtMost, Some(share)) => (None, Some(limit(share.value))),
            _ => {
                let found =
                    self.values.error(codes::WRONG_OPERATOR, *op_span, "a share has a limit: `<=` or `>=`");
                self.values.report(found.help("write `spot <= 30%` or `reserved(1 y) >= 20%`"));
                return None;
            }
        };
        match options?.as_slice() {
            [option] => Some(vec![Buy { option: *option, at_least, at_most }]),
            _ => {
                let message = "a share needs one term";
                let found = self.values.error(codes::BAD_ARGUMENT, left.span, message);
                self.values.report(found.help("name the term: `reserved(1 y) >= 20%`"));
                None
            }
        }
    }

    /// Reads one option; `reserved` without a term stands for every term.
    fn options(&self, expr: &Expr) -> Option<Vec<PurchaseOption>> {
        match &expr.kind {
            ExprKind::Error => None,
            ExprKind::Group(inner) => self.options(inner),
            ExprKind::Call(call) => self.reserved(call).map(|option| vec![option]),
            ExprKind::Path(path) => match self.word(&path.dotted(), expr.span, &WORDS)? {
                "owned" => Some(vec![PurchaseOption::Owned]),
                "spot" => Some(vec![PurchaseOption::Spot]),
                "on_demand" => Some(vec![PurchaseOption::OnDemand]),
                _ => {
                    let reserved = |term_months| PurchaseOption::Reserved { term_months };
                    let terms: Vec<PurchaseOption> = self.fitting_terms().into_iter().map(reserved).collect();
                    if terms.is_empty() {
                        let message = "no reserved term fits into the horizon";
                        let found = self.values.error(codes::OUT_OF_RANGE, expr.span, message);
                        self.values.report(found.help("lengthen `horizon`, or leave `reserved` out"));
                        return None;
                    }
                    Some(terms)
                }
            },
            _ => self.wrong_kind(
                "buy",
                expr.span,
                "purchase options such as `[reserved(1 y), on_demand]`",
                "something else",
            ),
        }
    }

    fn reserved(&self, call: &Call) -> Option<PurchaseOption> {
        let name = call.path.dotted();
        if name != "reserved" {
            let message = format!("`{name}` is no function of `buy`");
            let found = self.values.error(codes::UNKNOWN_FUNCTION, call.path.span, message);
            self.values.report(found.help("only `reserved(…)` has an argument, the term: `reserved(3 y)`"));
            return None;
        }
        let [term] = call.arguments.as_slice() else {
            let found = self.values.error(codes::BAD_ARGUMENT, call.path.span, "`reserved` takes one term");
            self.values.report(found.help("write `reserved(1 y)` or `reserved(3 y)`"));
            return None;
        };
        if let Some(label) = &term.name {
            let message = format!("`reserved` has no argument `{}`", label.text);
            let found = self.values.error(codes::BAD_ARGUMENT, label.span, message);
            self.values.report(found.help("write the term alone: `reserved(3 y)`"));
            return None;
        }
        let length = self.quantity("term", "1 y", &term.value, &[Dimension::TIME])?;
        let months = length.calendar_months().and_then(|months| u32::try_from(months).ok());
        let Some(term_months) = months.filter(|months| *months > 0) else {
            let message = format!("a term is whole months or years, not {length}");
            let found = self.values.error(codes::OUT_OF_RANGE, term.value.span, message);
            self.values.report(found.help("write `reserved(1 y)` or `reserved(18 mo)`"));
            return None;
        };
        self.term_is_sold(term_months, term.value.span).then_some(PurchaseOption::Reserved { term_months })
    }

    fn term_is_sold(&self, term_months: u32, span: Span) -> bool {
        let sold = self.terms.contains(&term_months);
        let fits = term_months <= self.frame.months;
        let (message, help) = match (fits, sold) {
            (true, true) => return true,
            (false, _) => (
                format!(
                    "the term of {term_months} months is longer than the horizon of {}",
                    self.frame.months
                ),
                "lengthen `horizon`, or take a shorter term".to_owned(),
            ),
            (true, false) => {
                let terms: Vec<String> =
                    self.fitting_terms().iter().map(|months| format!("`reserved({months} mo)`")).collect();
                let message = format!("nothing is sold for a term of {term_months} months");
                (message, format!("terms with prices that fit: {}", terms.join(", ")))
            }
        };
        self.values.report(self.values.error(codes::OUT_OF_RANGE, span, message).help(help));
        false
    }
}
