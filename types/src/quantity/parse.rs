//! How is the text of a quantity read?
//!
//! One reader for plan files, catalog strings, tables and the command line, so that a quantity means
//! the same wherever it stands:
//! ```text
//! quantity = [ "$"|"€"|"£"|"¥" ] number [ unit ] ;  number = digits [ "." digits ] ;
//! unit     = atom { ("/"|"*") atom } ;              atom   = "%" | letter { letter | digit } ;
//! ```
//! `_` stands between digits, `.` only before a digit, blanks (not newlines) before the unit. `/` or
//! `*` continues a unit only with no blank on either side and a letter or `%` after it; after a
//! currency sign it may also begin one (`$2.50/GPU/h`). Reserved words are never units. This module
//! does not know which dimension a field wants.

use std::ops::Range;

use rust_decimal::Decimal;

use super::error::{Mistake, QuantityError};
use super::unit::{self, Unit};
use super::{Currency, Dimension, Quantity};

/// Words that are never a unit or a name.
pub const RESERVED: [&str; 8] = ["in", "or", "and", "not", "else", "as", "true", "false"];

/// More atoms than any sensible unit has; keeps exponents and factors small.
const MAX_ATOMS: usize = 8;

/// Where the parts of a quantity stand in a text that begins with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The digits, after the currency sign.
    pub number: Range<usize>,
    /// The unit, without blanks before it; empty where there is none.
    pub unit: Range<usize>,
}

/// Finds the quantity at the beginning of a text, without judging it. None where the text begins
/// with neither a digit nor a currency sign before a digit.
pub fn extent(text: &str) -> Option<Extent> {
    let bytes = text.as_bytes();
    let start = sign(text).map_or(0, |(sign, _)| sign.len_utf8());
    if !bytes.get(start)?.is_ascii_digit() {
        return None;
    }
    let digits = |from: usize| from + count(&bytes[from..], |b| b.is_ascii_digit() || b == b'_');
    let mut end = digits(start);
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1);
    }
    let number = start..end;
    let blanks = count(&bytes[end..], |b| b == b' ' || b == b'\t');
    let from = end + blanks;
    let mut unit_end = from;
    let first = word(&text[from..]);
    if start > 0 && blanks == 0 && continues(&text[end..]) {
        unit_end = end;
    } else if first == 0 || RESERVED.contains(&&text[from..from + first]) {
        return Some(Extent { number, unit: end..end });
    }
    unit_end += if unit_end == from { first } else { 0 };
    while continues(&text[unit_end..]) {
        unit_end += 1 + word(&text[unit_end + 1..]);
    }
    Some(Extent { number, unit: from..unit_end })
}

fn count(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|b| is(**b)).count()
}

/// Returns the currency sign at the beginning of a text; the yen sign has two meanings.
fn sign(text: &str) -> Option<(char, Option<Currency>)> {
    let first = text.chars().next()?;
    let currency = match first {
        '$' => Some(Currency::USD),
        '€' => Some(Currency::EUR),
        '£' => Some(Currency::GBP),
        '¥' => None,
        _ => return None,
    };
    Some((first, currency))
}

/// Returns the length of the atom at the beginning of a text. It is generous (`_` and letters of any
/// script), so that a mistake is named whole.
fn word(text: &str) -> usize {
    match text.chars().next() {
        Some('%') => 1,
        Some(first) if first.is_alphabetic() => {
            text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
        }
        _ => 0,
    }
}

/// Does `/` or `*` with an atom stand at the beginning of a text?
fn continues(text: &str) -> bool {
    text.starts_with(['/', '*']) && word(&text[1..]) > 0
}

/// Reads a quantity that fills the whole text, blanks around it aside.
pub fn parse_quantity(text: &str) -> Result<Quantity, QuantityError> {
    parse_quantity_with(text, None)
}

/// Reads a quantity where the plan's currency decides what `¥` means.
pub fn parse_quantity_with(text: &str, yen: Option<Currency>) -> Result<Quantity, QuantityError> {
    let lead = text.len() - text.trim_start().len();
    let body = text.trim();
    let shift = |mut error: QuantityError| {
        error.range = error.range.start + lead..error.range.end + lead;
        error
    };
    let Some(parts) = extent(body) else {
        return Err(shift(no_number(body)));
    };
    let end = parts.number.end.max(parts.unit.end);
    let quantity = read(body, &parts, yen).map_err(shift)?;
    if end < body.len() {
        let message = format!("`{}` stands after the quantity", &body[end..].trim());
        return Err(shift(QuantityError::new(Mistake::Trailing, end..body.len(), message)));
    }
    Ok(quantity)
}

fn no_number(body: &str) -> QuantityError {
    let error = QuantityError::new(Mistake::Number, 0..body.len(), "a quantity begins with a number");
    match body.strip_prefix('.') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            error.help(format!("write `0.{rest}`"))
        }
        _ => error.help("for example `40 kW`"),
    }
}

/// Reads the parts that [`extent`] found.
pub(super) fn read(text: &str, parts: &Extent, yen: Option<Currency>) -> Result<Quantity, QuantityError> {
    let (value, decimal) = number(text, parts)?;
    let spelled = &text[parts.unit.clone()];
    if spelled == "B" && parts.unit.start == parts.number.end {
        return Err(QuantityError::billions(&text[parts.number.clone()], 0..parts.unit.end));
    }
    let (unit, money) = match sign(text) {
        Some((sign, currency)) => signed_unit(text, parts, sign, currency.or(yen))?,
        None => (unit(text, parts.unit.clone(), Unit::ONE)?, String::new()),
    };
    let value = value * unit.numerator / unit.denominator;
    if !value.is_finite() {
        return Err(QuantityError::new(Mistake::TooLarge, 0..parts.unit.end, "the number is too large"));
    }
    Ok(Quantity {
        value,
        decimal,
        dimension: unit.dimension,
        currency: unit.currency.filter(|_| unit.dimension.power(super::Base::Money) != 0),
        unit: money + spelled,
    })
}

fn number(text: &str, parts: &Extent) -> Result<(f64, Option<Decimal>), QuantityError> {
    let written = &text[parts.number.clone()];
    let bad = |message: &str| QuantityError::new(Mistake::Number, parts.number.clone(), message);
    let plain: String;
    let digits = if written.contains('_') {
        let apart = ["__", "_.", "._"].iter().any(|pair| written.contains(pair)) || written.ends_with('_');
        if apart {
            return Err(bad("`_` stands only between two digits"));
        }
        plain = written.replace('_', "");
        &plain
    } else {
        written
    };
    let value: f64 = digits.parse().map_err(|_| bad("these digits are no number"))?;
    if !value.is_finite() {
        return Err(QuantityError::new(Mistake::TooLarge, parts.number.clone(), "the number is too large"));
    }
    Ok((value, Decimal::from_str_exact(digits).ok()))
}

/// The unit after a currency sign: nothing, or something per something.
fn signed_unit(
    text: &str,
    parts: &Extent,
    sign: char,
    currency: Option<Currency>,
) -> Result<(Unit, String), QuantityError> {
    let Some(currency) = currency else {
        let error = QuantityError::new(Mistake::CurrencySign, 0..sign.len_utf8(), "`¥` may be yuan or yen");
        return Err(
            error.help("say `currency = CNY` or `currency = JPY` in `plan`, or write the code: `500 JPY`")
        );
    };
    let start =
        Unit { dimension: Dimension::MONEY, currency: Some(currency), numerator: 1.0, denominator: 1.0 };
    let spelled = &text[parts.unit.clone()];
    if !(spelled.is_empty() || spelled.starts_with('/')) {
        let number = &text[parts.number.clone()];
        let message = format!("`{sign}` already names the currency, and `{spelled}` follows");
        let error = QuantityError::new(Mistake::CurrencySign, parts.unit.clone(), message);
        let prefixed = unit::atom(spelled).is_some_and(|unit| unit.dimension == Dimension::MONEY);
        let better =
            if prefixed { format!("{number} {spelled}") } else { format!("{sign}{number}/{spelled}") };
        return Err(error.help(format!("write `{better}`")));
    }
    Ok((unit(text, parts.unit.clone(), start)?, currency.code().to_owned()))
}

/// Reads a unit; `start` is what stands before a leading `/`.
fn unit(text: &str, range: Range<usize>, start: Unit) -> Result<Unit, QuantityError> {
    let mut total = start;
    let mut at = range.start;
    let mut n_atoms = 0;
    while at < range.end {
        let operator = text[at..].chars().next().filter(|c| matches!(c, '/' | '*'));
        at += usize::from(operator.is_some());
        let end = at + word(&text[at..]);
        let Some(atom) = unit::atom(&text[at..end]) else {
            return Err(QuantityError::unknown_unit(&text[at..end], at..end, n_atoms > 0));
        };
        n_atoms += 1;
        if let (Some(one), Some(other)) = (total.currency, atom.currency)
            && one != other
        {
            let message = format!("{one} and {other} in one quantity");
            let error = QuantityError::new(Mistake::CurrencySign, at..end, message);
            return Err(error.help("exchange rates stand in the price file, with their date"));
        }
        let factor = if operator == Some('/') { atom.inverse() } else { atom };
        let joined = total.times(factor).filter(|_| n_atoms <= MAX_ATOMS);
        total = joined.ok_or_else(|| {
            QuantityError::new(
                Mistake::UnknownUnit,
                range.clone(),
                format!("a unit has at most {MAX_ATOMS} parts"),
            )
        })?;
        at = end;
    }
    Ok(total)
}

/// Reads the text of a unit alone (`USD/kWh`).
pub(super) fn unit_of(text: &str) -> Result<Unit, QuantityError> {
    unit(text, 0..text.len(), Unit::ONE)
}
