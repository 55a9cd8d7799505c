//! How may capacity be bought?
//!
//! A list of options, each perhaps with a limit on its share of node-hours:
//! `[owned, reserved(3 y) >= 20%, spot <= 30%, on_demand]`.

use capstan_types::offering::PurchaseOption;
use capstan_types::place::{Place, Span};
use capstan_types::quantity::{Dimension, HOUR_S, Quantity};
use capstan_types::spec::{Buy, Limit};

use super::checker::Checker;
use super::table::{Bounds, FieldRow, FieldType};
use crate::ast::{Call, CompareOp, Expr, ExprKind};
use crate::catalog::MOST_BLOCK_DAYS;
use crate::codes;

const WORDS: [&str; 6] = ["owned", "reserved", "savings_plan", "block", "on_demand", "spot"];

/// Returns the contract that a word with a length means; none where the length is no whole number of its units.
fn contract(word: &str, length: &Quantity) -> Option<PurchaseOption> {
    let months = || length.calendar_months().and_then(|months| u32::try_from(months).ok()).filter(|n| *n > 0);
    match word {
        "reserved" => Some(PurchaseOption::Reserved { term_months: months()? }),
        "savings_plan" => Some(PurchaseOption::SavingsPlan { term_months: months()? }),
        _ => {
            let days = length.value / (24 * HOUR_S) as f64;
            let is_whole = days.fract() == 0.0 && (1.0..=f64::from(MOST_BLOCK_DAYS)).contains(&days);
            is_whole.then_some(PurchaseOption::Block { days: days as u32 })
        }
    }
}

/// Says how long a contract is, in the units that it is sold in.
fn length(option: PurchaseOption) -> String {
    match option {
        PurchaseOption::Reserved { term_months } | PurchaseOption::SavingsPlan { term_months } => {
            format!("{term_months} months")
        }
        PurchaseOption::Block { days } => format!("{days} days"),
        PurchaseOption::Owned | PurchaseOption::OnDemand | PurchaseOption::Spot => String::new(),
    }
}

/// Says how a contract is written.
fn example(word: &str) -> &'static str {
    match word {
        "reserved" => "write `reserved(1 y)` or `reserved(18 mo)`",
        "savings_plan" => "write `savings_plan(1 y)` or `savings_plan(3 y)`",
        _ => "write `block(14 d)`, with 1 to 366 days",
    }
}

/// The share that a limit gives.
static SHARE: FieldRow = FieldRow::new("share", FieldType::Share, &[]).bounds(Bounds::Within(0.0, 1.0));

impl Checker<'_> {
    /// Returns the contracts of a word for which the catalog has prices and that fit into the horizon.
    fn fitting(&self, word: &str) -> Vec<PurchaseOption> {
        let fits = |option: &&PurchaseOption| {
            let months = option.contract_months().unwrap_or(f64::INFINITY);
            option.literal().starts_with(word) && months <= f64::from(self.frame.months)
        };
        self.contracts.iter().filter(fits).copied().collect()
    }

    /// Returns what may be bought where the plan does not say.
    pub(crate) fn default_buy(&self, place: &Place, name: &str) -> Vec<Buy> {
        let mut options = vec![PurchaseOption::OnDemand];
        options.extend(self.fitting("reserved"));
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
            ExprKind::Call(call) => self.contract(call).map(|option| vec![option]),
            ExprKind::Path(path) => match self.word(&path.dotted(), expr.span, &WORDS)? {
                "owned" => Some(vec![PurchaseOption::Owned]),
                "spot" => Some(vec![PurchaseOption::Spot]),
                "on_demand" => Some(vec![PurchaseOption::OnDemand]),
                word => {
                    let all = self.fitting(word);
                    if all.is_empty() {
                        let message = format!("nothing that is sold as `{word}` fits into the horizon");
                        let found = self.values.error(codes::OUT_OF_RANGE, expr.span, message);
                        self.values.report(found.help(format!("lengthen `horizon`, or leave `{word}` out")));
                        return None;
                    }
                    Some(all)
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

    fn contract(&self, call: &Call) -> Option<PurchaseOption> {
        let name = call.path.dotted();
        let Some(word) = ["reserved", "savings_plan", "block"].into_iter().find(|word| *word == name) else {
            let message = format!("`{name}` is no function of `buy`");
            let found = self.values.error(codes::UNKNOWN_FUNCTION, call.path.span, message);
            let help =
                "`reserved(…)`, `savings_plan(…)` and `block(…)` have an argument, the term: `reserved(3 y)`";
            self.values.report(found.help(help));
            return None;
        };
        let [term] = call.arguments.as_slice() else {
            let message = format!("`{word}` takes one term");
            let found = self.values.error(codes::BAD_ARGUMENT, call.path.span, message);
            self.values.report(found.help(example(word)));
            return None;
        };
        if let Some(label) = &term.name {
            let message = format!("`{word}` has no argument `{}`", label.text);
            let found = self.values.error(codes::BAD_ARGUMENT, label.span, message);
            self.values.report(found.help("write the term alone: `reserved(3 y)`"));
            return None;
        }
        let length = self.quantity("term", "1 y", &term.value, &[Dimension::TIME])?;
        let Some(option) = contract(word, &length) else {
            let units = if word == "block" { "days" } else { "months or years" };
            let message = format!("a term is whole {units}, not {length}");
            let found = self.values.error(codes::OUT_OF_RANGE, term.value.span, message);
            self.values.report(found.help(example(word)));
            return None;
        };
        self.is_sold(word, option, term.value.span).then_some(option)
    }

    fn is_sold(&self, word: &str, option: PurchaseOption, span: Span) -> bool {
        let months = option.contract_months().unwrap_or_default();
        let (message, help) = if months > f64::from(self.frame.months) {
            let message =
                format!("the term of {} is longer than the horizon of {}", length(option), self.frame.months);
            (message, "lengthen `horizon`, or take a shorter term".to_owned())
        } else if self.contracts.contains(&option) {
            return true;
        } else {
            let sold: Vec<String> =
                self.fitting(word).iter().map(|option| format!("`{}`", option.literal())).collect();
            let help = match sold.as_slice() {
                [] => {
                    format!("no price of a catalog is one of a `{word}`; `prices` of your own may have some")
                }
                some => format!("terms with prices that fit: {}", some.join(", ")),
            };
            (format!("nothing is sold for a term of {}", length(option)), help)
        };
        self.values.report(self.values.error(codes::OUT_OF_RANGE, span, message).help(help));
        false
    }
}
