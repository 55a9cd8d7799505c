//! Which value does a literal stand for?
//!
//! The lexer finds where literals end; here dates must exist, quantities must have a unit that is
//! known, and escapes become characters. A literal that is wrong is reported and stands in the tree as
//! [`ExprKind::Error`], so that its field is not missed as well.

use capstan_types::place::Span;
use capstan_types::quantity::{Mistake, Quantity, parse_quantity_with};
use jiff::civil;

use super::input::Context;
use crate::ast::{ExprKind, Text};
use crate::codes;
use crate::diagnostic::Code;

/// Reads `2027-01-01`.
pub(crate) fn date(context: &Context<'_>, span: Span) -> ExprKind {
    let text = context.slice(span);
    match text.parse::<civil::Date>() {
        Ok(date) => ExprKind::Date(date),
        Err(_) => {
            let message = format!("there is no day `{text}`");
            context.report(
                context.error(codes::BAD_DATE, span, message).help("a date is year-month-day: `2027-02-28`"),
            );
            ExprKind::Error
        }
    }
}

/// Reads `14:00`; `24:00`, the end of a day, is the midnight with which the next one begins.
pub(crate) fn time(context: &Context<'_>, span: Span) -> ExprKind {
    let text = context.slice(span);
    let part = |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<i8>().ok());
    let time = part(0..2).zip(part(3..5)).and_then(|parts| match parts {
        (24, 0) => Some(civil::Time::midnight()),
        (hour, minute) => civil::Time::new(hour, minute, 0, 0).ok(),
    });
    time.map_or_else(
        || {
            let message = format!("there is no time of day `{text}`");
            context.report(
                context.error(codes::BAD_TIME, span, message).help("times run from `00:00` to `24:00`"),
            );
            ExprKind::Error
        },
        ExprKind::Time,
    )
}

/// Reads `40 req/s`; none where it is wrong, after saying so.
pub(crate) fn quantity(context: &Context<'_>, span: Span) -> Option<Quantity> {
    let error = match parse_quantity_with(context.slice(span), context.yen) {
        Ok(quantity) => return Some(quantity),
        Err(error) => error,
    };
    let within = |at: usize| span.start + at as u32;
    let wrong = Span::new(within(error.range.start), within(error.range.end));
    let mut diagnostic = context.error(code(error.mistake), wrong, error.message);
    diagnostic.help = error.help;
    context.report(diagnostic);
    None
}

fn code(mistake: Mistake) -> Code {
    match mistake {
        Mistake::Number | Mistake::Trailing => codes::BAD_NUMBER,
        Mistake::TooLarge => codes::TOO_LARGE,
        Mistake::UnknownUnit => codes::UNKNOWN_UNIT,
        Mistake::Billions => codes::BILLIONS,
        Mistake::Bits => codes::BITS,
        Mistake::LoneM => codes::LONE_M,
        Mistake::CurrencySign => codes::CURRENCY_SIGN,
    }
}

/// Reads a string. Escapes that do not exist were reported by the lexer; they keep their letter.
pub(crate) fn text(context: &Context<'_>, span: Span) -> Text {
    let quoted = context.slice(span);
    let inner = quoted.strip_prefix('"').unwrap_or(quoted);
    if !inner.contains('\\') {
        return Text { value: inner.strip_suffix('"').unwrap_or(inner).to_owned(), span };
    }
    let mut value = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => value.extend(letters.next().map(|escaped| match escaped {
                'n' => '\n',
                't' => '\t',
                other => other,
            })),
            other => value.push(other),
        }
    }
    Text { value, span }
}
