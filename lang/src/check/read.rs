//! What does the value of a field say, given what the field takes?

use capstan_types::place::Span;
use capstan_types::quantity::{Base, Currency, Dimension, Quantity, human};
use capstan_types::spec::{Buy, Daily, DayHours, Quota, Slice};
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::checker::Checker;
use super::fields::Fields;
use super::plan::Horizon;
use super::table::{Bounds, FieldRow, FieldType, Table};
use crate::ast::{Expr, ExprKind};
use crate::catalog::price::MOST_PRICE;
use crate::codes;
use crate::evaluate::Value;
use crate::mismatch::{Wanted, mismatch};

/// Largest whole number that a 64-bit floating point number counts exactly.
const MOST_EXACT: f64 = 9_007_199_254_740_991.0;

/// The value of a field.
#[derive(Clone, Debug)]
pub(crate) enum Stated {
    Quantity(Quantity),
    Count(u64),
    Share(f64),
    /// A string, a path, or the name that a reference resolves to.
    Text(String),
    Date(Date),
    Horizon(Horizon),
    Currency(Currency),
    Bool(bool),
    Word(&'static str),
    Words(Vec<&'static str>),
    Names(Vec<String>),
    Record(Fields),
    Quotas(Vec<Quota>),
    Daily(Daily),
    Hours(DayHours),
    Slice(Slice),
    /// None stands for a `reserved` of any term.
    Buy(Vec<Buy>),
}

impl Checker<'_> {
    /// Reads a value by the type of its field; none after a report.
    pub(crate) fn read(&self, row: &'static FieldRow, expr: &Expr) -> Option<Stated> {
        let name = row.name;
        match row.takes {
            FieldType::Quantity(dimension) => self.amount(row, expr, &[dimension]).map(Stated::Quantity),
            FieldType::MachinePrice => {
                let per = |base| Dimension::MONEY_RATE.per(Dimension::of(base));
                let dimensions = [Dimension::MONEY_RATE, per(Base::Node), per(Base::Accelerator)];
                self.amount(row, expr, &dimensions).map(Stated::Quantity)
            }
            FieldType::Share => {
                self.amount(row, expr, &[Dimension::NONE]).map(|amount| Stated::Share(amount.value))
            }
            FieldType::Count(counted) => self.whole(row, expr, counted).map(Stated::Count),
            FieldType::Text => self.string(name, expr).map(Stated::Text),
            FieldType::Texts => self.several(name, expr, |one| self.string(name, one)).map(Stated::Names),
            FieldType::Path => self.string(name, expr).map(Stated::Text),
            FieldType::Date => self.day(name, expr).map(Stated::Date),
            FieldType::Horizon => self.horizon(name, expr).map(Stated::Horizon),
            FieldType::Currency => self.currency(expr).map(Stated::Currency),
            FieldType::Bool => match self.values.evaluate(expr)? {
                Value::Bool(value) => Some(Stated::Bool(value)),
                other => self.wrong_kind(name, expr.span, "`true` or `false`", other.noun()),
            },
            FieldType::Word(words) => self.word_of(name, expr, words).map(Stated::Word),
            FieldType::Words(words) => {
                let read = |one: &Expr| self.word_of(name, one, words);
                self.several(name, expr, read).map(Stated::Words)
            }
            FieldType::One(referent) => self.resolve(name, expr, referent).map(Stated::Text),
            FieldType::Many(referent) => {
                self.several(name, expr, |one| self.resolve(name, one, referent)).map(Stated::Names)
            }
            FieldType::Record(table) => self.record(table, expr).map(Stated::Record),
            FieldType::Quotas => self.quotas(name, expr).map(Stated::Quotas),
            FieldType::Daily => self.daily(expr).map(Stated::Daily),
            FieldType::Hours => self.hours(name, expr).map(Stated::Hours),
            FieldType::Slice => self.slice(row, expr).map(Stated::Slice),
            FieldType::Buy => self.buy(expr).map(Stated::Buy),
            FieldType::Anything => None,
        }
    }

    /// Reads an amount of one of some dimensions and compares it with the bounds of the field.
    pub(crate) fn amount(&self, row: &FieldRow, expr: &Expr, wanted: &[Dimension]) -> Option<Quantity> {
        let quantity = self.quantity(row.name, row.examples[0], expr, wanted)?;
        // The tail of a distribution may lie beyond what a field takes, such as a share beyond the whole.
        let drawn = self.values.is_drawn().then(|| row.bounds.nearest(quantity.value));
        let quantity = match drawn.filter(|nearest| *nearest != quantity.value) {
            Some(nearest) => quantity.with_value(nearest),
            None => quantity,
        };
        self.within(row.name, &quantity, row.bounds, expr.span).then_some(quantity)
    }

    /// Reads a quantity of one of some dimensions, usually written like `example`.
    pub(crate) fn quantity(
        &self,
        name: &str,
        example: &str,
        expr: &Expr,
        wanted: &[Dimension],
    ) -> Option<Quantity> {
        let quantity = match self.values.evaluate(expr)? {
            Value::Quantity(quantity) => quantity,
            other => {
                let dimension = wanted[0];
                let what = match dimension.customary_unit(Some(self.frame.currency)) {
                    Some(unit) => format!("{dimension} such as `1 {unit}`"),
                    None => "a number".to_owned(),
                };
                return self.wrong_kind(name, expr.span, &what, other.noun());
            }
        };
        if wanted.contains(&quantity.dimension) {
            return Some(quantity);
        }
        let wanted =
            Wanted { field: name, dimension: wanted[0], currency: Some(self.frame.currency), example };
        let found = mismatch(wanted, &quantity, &quantity.to_string(), self.place(expr.span));
        found.into_iter().for_each(|found| self.values.report(found));
        None
    }

    /// Says whether an amount is within bounds; reports it where it is not.
    pub(crate) fn within(&self, name: &str, quantity: &Quantity, bounds: Bounds, span: Span) -> bool {
        if bounds.allow(quantity.value) {
            return true;
        }
        let shown = |value: f64| match quantity.unit.as_str() {
            "%" => format!("{}%", value * 100.0),
            _ => human(value, quantity.dimension, quantity.currency.or(Some(self.frame.currency))),
        };
        let (message, help) = match bounds {
            Bounds::UpTo(most) if quantity.value > 0.0 => {
                let most = shown(most);
                (format!("`{name}` is at most {most}"), format!("write at most {most}"))
            }
            Bounds::Positive | Bounds::UpTo(_) => {
                (format!("`{name}` is more than zero"), "write a number above zero".to_owned())
            }
            Bounds::Within(_, most)
                if most <= 1.0 && quantity.unit.is_empty() && (1.0..=100.0).contains(&quantity.value) =>
            {
                (format!("`{name}` is a share, at most 1 or 100%"), format!("write `{}%`", quantity.value))
            }
            Bounds::Within(least, most) => {
                let range = format!("from {} to {}", shown(least), shown(most));
                (format!("`{name}` is {range}"), format!("write a number {range}"))
            }
            Bounds::NotNegative | Bounds::Any => {
                (format!("`{name}` is zero or more"), "write a number that is not negative".to_owned())
            }
        };
        let message = format!("{message}, not {quantity}");
        self.values.report(self.values.error(codes::OUT_OF_RANGE, span, message).help(help));
        false
    }

    pub(crate) fn whole(&self, row: &FieldRow, expr: &Expr, counted: Dimension) -> Option<u64> {
        let wanted = if counted.is_none() { vec![Dimension::NONE] } else { vec![counted, Dimension::NONE] };
        let mut quantity = self.quantity(row.name, row.examples[0], expr, &wanted)?;
        if self.values.is_drawn() {
            quantity.value = row.bounds.nearest(quantity.value.round()).max(0.0);
        }
        if quantity.value.fract() != 0.0 || !(0.0..=MOST_EXACT).contains(&quantity.value) {
            let message = format!("`{}` is a whole number, not {quantity}", row.name);
            let found = self.values.error(codes::OUT_OF_RANGE, expr.span, message);
            self.values.report(found.help("write a number without a fraction"));
            return None;
        }
        self.within(row.name, &quantity, row.bounds, expr.span).then_some(quantity.value as u64)
    }

    fn string(&self, name: &str, expr: &Expr) -> Option<String> {
        if let ExprKind::Path(path) = &expr.kind
            && self.values.binding(path).is_none()
        {
            let message = format!("`{name}` wants a string");
            let found = self.values.error(codes::WRONG_KIND_OF_VALUE, expr.span, message);
            self.values.report(found.help(format!("write `\"{}\"`", path.dotted())));
            return None;
        }
        match self.values.evaluate(expr)? {
            Value::Text(text) => Some(text),
            other => self.wrong_kind(name, expr.span, "a string such as `\"llm\"`", other.noun()),
        }
    }

    fn day(&self, name: &str, expr: &Expr) -> Option<Date> {
        match self.values.evaluate(expr)? {
            Value::Date(date) => Some(date),
            other => self.wrong_kind(name, expr.span, "a date such as `2027-01-01`", other.noun()),
        }
    }

    fn horizon(&self, name: &str, expr: &Expr) -> Option<Horizon> {
        if let ExprKind::Range(first, last) = &expr.kind {
            let (first_day, last_day) = (self.day(name, first), self.day(name, last));
            return Some(Horizon::Days(first_day?, last_day?));
        }
        let length = match self.values.evaluate(expr)? {
            Value::Quantity(length) if length.dimension == Dimension::TIME => length,
            other => {
                let wanted = "two dates or a duration such as `2027-01-01 .. 2029-12-31` or `3 y`";
                return self.wrong_kind(name, expr.span, wanted, other.noun());
            }
        };
        match length.calendar_months() {
            Some(months) if months > 0 => Some(Horizon::Months(months)),
            _ => {
                let message = "a horizon that is a duration is whole months or years";
                let found = self.values.error(codes::OUT_OF_RANGE, expr.span, message);
                self.values
                    .report(found.help("write `3 y`, `18 mo`, or two dates: `2027-01-01 .. 2029-12-31`"));
                None
            }
        }
    }

    fn currency(&self, expr: &Expr) -> Option<Currency> {
        let name = match &expr.kind {
            ExprKind::Path(path) => path.dotted(),
            ExprKind::Text(text) => text.clone(),
            ExprKind::Error => return None,
            _ => return self.wrong_kind("currency", expr.span, "a currency such as `USD`", "something else"),
        };
        let found = Currency::from_code(&name);
        if found.is_none() {
            let message = format!("`{name}` is no ISO 4217 currency");
            let error = self.values.error(codes::NOT_A_CHOICE, expr.span, message);
            self.values.report(match self.values.suggest(&name, Currency::codes()) {
                Some(similar) => error.help(format!("did you mean `{similar}`?")),
                None => error.help("write its code of three capital letters, such as `USD`"),
            });
        }
        found
    }

    fn word_of(&self, name: &str, expr: &Expr, words: &'static [&'static str]) -> Option<&'static str> {
        match &expr.kind {
            ExprKind::Path(path) => self.word(&path.dotted(), expr.span, words),
            ExprKind::Text(text) => self.word(text, expr.span, words),
            ExprKind::Group(inner) => self.word_of(name, inner, words),
            ExprKind::Error => None,
            _ => {
                let wanted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                self.wrong_kind(name, expr.span, &wanted.join(" or "), "something else")
            }
        }
    }

    /// Returns the word of a choice, or none after a report.
    pub(crate) fn word(
        &self,
        text: &str,
        span: Span,
        words: &'static [&'static str],
    ) -> Option<&'static str> {
        let found = words.iter().copied().find(|word| *word == text);
        if found.is_none() {
            let listed: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            let message = format!("`{text}` is not among the choices");
            let error = self.values.error(codes::NOT_A_CHOICE, span, message);
            self.values.report(match self.values.suggest(text, words.iter().copied()) {
                Some(similar) => error.help(format!("did you mean `{similar}`?")),
                None => error.help(format!("write one of {}", listed.join(", "))),
            });
        }
        found
    }

    /// Reads a list, or one value that stands for a list of one.
    fn several<T>(&self, name: &str, expr: &Expr, read: impl Fn(&Expr) -> Option<T>) -> Option<Vec<T>> {
        let ExprKind::List(list) = &expr.kind else { return read(expr).map(|one| vec![one]) };
        let all: Vec<Option<T>> = list.iter().map(read).collect();
        if all.is_empty() {
            let message = format!("`{name}` allows nothing");
            let found = self.values.error(codes::OUT_OF_RANGE, expr.span, message);
            self.values.report(found.help("name at least one, or leave the field out"));
            return None;
        }
        all.into_iter().collect()
    }

    fn record(&self, table: &'static Table, expr: &Expr) -> Option<Fields> {
        match &expr.kind {
            ExprKind::Record(fields) => Some(self.fields(table, fields.iter(), expr.span, expr.span)),
            ExprKind::Error => None,
            _ => {
                let message = format!("`{}` is a record", table.kind);
                let found = self.values.error(codes::WRONG_KIND_OF_VALUE, expr.span, message);
                self.values.report(found.help(format!("write `{} = {{ … }}`", table.kind)));
                None
            }
        }
    }

    /// Reports a value of another kind. `wanted` may end in an example: "a date such as `2027-01-01`".
    pub(crate) fn wrong_kind<T>(&self, name: &str, span: Span, wanted: &str, is: &str) -> Option<T> {
        let short = wanted.split_once(" such as ").map_or(wanted, |(short, _)| short);
        let message = format!("`{name}` wants {short}, but this is {is}");
        let found = self.values.error(codes::WRONG_KIND_OF_VALUE, span, message);
        self.values.report(found.help(format!("write {wanted}")));
        None
    }

    /// Returns an amount of money in the plan's currency, per what `per` says (`/mo`); none after a report.
    pub(crate) fn money(&self, quantity: &Quantity, span: Span, per: &str) -> Option<Decimal> {
        let own = self.frame.currency;
        let from = quantity.currency.unwrap_or(own);
        let unit = format!("{from}{per}");
        let exact = quantity.decimal_in(&unit);
        let amount = exact.or_else(|| Decimal::try_from(quantity.in_unit(&unit)?).ok());
        // A budget may be a million times what one unit costs; a bill must still add up.
        let most = Decimal::from(MOST_PRICE) * Decimal::from(if per.is_empty() { 1_000_000 } else { 1 });
        let amount = amount.filter(|amount| amount.abs() <= most);
        let rated = if from == own { amount } else { amount.and_then(|amount| self.converted(from, amount)) };
        if rated.is_none() {
            let (code, message, help) = if from == own || amount.is_none() {
                (codes::TOO_LARGE, format!("`{quantity}` is beyond every amount of money"), String::new())
            } else {
                let message = format!("the plan counts in {own}, and no rate from {from} is known");
                (
                    codes::CURRENCIES,
                    message,
                    format!("write it in {own}, or give a dated rate with `use prices`"),
                )
            };
            let found = self.values.error(code, span, message);
            self.values.report(if help.is_empty() { found } else { found.help(help) });
        }
        rated
    }

    fn converted(&self, from: Currency, amount: Decimal) -> Option<Decimal> {
        self.catalog.converted(amount, from, self.frame.currency, self.frame.as_of)
    }
}
