//! What does one value of a catalog say, and what is wrong with it?
//!
//! A cell is a TOML value with its place. Reading one gives what the field wants or complaints; the cell
//! knows no kind of row.

use capstan_types::hardware::Precision;
use capstan_types::place::Span;
use capstan_types::quantity::{Dimension, Quantity, nearest, parse_quantity};
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::codes;
use crate::diagnostic::Code;

/// Something wrong at a place of the file that is being read.
#[derive(Debug, Clone)]
pub(super) struct Complaint {
    pub code: Code,
    pub span: Span,
    pub message: String,
    pub help: Option<String>,
}

/// What reading gives.
pub(super) type Read<T> = Result<T, Vec<Complaint>>;

/// Turns a range of the TOML parser into a place; texts beyond 4 GiB are refused before.
pub(super) fn span(range: Range<usize>) -> Span {
    let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span::new(byte(range.start), byte(range.end))
}

/// A value with its place.
#[derive(Clone, Copy)]
pub(super) struct Cell<'a> {
    pub value: &'a DeValue<'a>,
    pub span: Span,
}

impl<'a> Cell<'a> {
    /// Takes a value as the parser gives it.
    pub fn new(spanned: &'a Spanned<DeValue<'a>>) -> Self {
        Cell { value: spanned.get_ref(), span: span(spanned.span()) }
    }

    /// Begins a complaint about this value.
    pub fn wrong<T>(self, message: impl Into<String>, help: impl Into<String>) -> Read<T> {
        Err(vec![Complaint {
            code: codes::CATALOG_VALUE,
            span: self.span,
            message: message.into(),
            help: Some(help.into()),
        }])
    }

    /// Returns the text.
    pub fn text(self) -> Read<&'a str> {
        match self.value.as_str() {
            Some(text) => Ok(text),
            None => self.wrong(format!("text belongs here, not {}", self.kind()), "write it in quotes"),
        }
    }

    /// Returns a list of texts.
    pub fn texts(self) -> Read<Vec<String>> {
        let texts = self.items()?.into_iter().map(|cell| cell.text().map(str::to_owned));
        texts.collect()
    }

    /// Returns the elements of a list.
    pub fn items(self) -> Read<Vec<Cell<'a>>> {
        match self.value.as_array() {
            Some(array) => Ok(array.iter().map(Cell::new).collect()),
            None => self.wrong(format!("a list belongs here, not {}", self.kind()), "write `[…]`"),
        }
    }

    /// Returns the table.
    pub fn table(self) -> Read<&'a DeTable<'a>> {
        match self.value.as_table() {
            Some(table) => Ok(table),
            None => {
                self.wrong(format!("a table belongs here, not {}", self.kind()), "write `{ name = value }`")
            }
        }
    }

    /// Returns true or false.
    pub fn flag(self) -> Read<bool> {
        match self.value.as_bool() {
            Some(flag) => Ok(flag),
            None => self.wrong(
                format!("`true` or `false` belongs here, not {}", self.kind()),
                "write it without quotes",
            ),
        }
    }

    /// Returns a whole number.
    pub fn count(self) -> Read<u32> {
        let number = self.value.as_integer().and_then(|n| u32::from_str_radix(n.as_str(), n.radix()).ok());
        match number {
            Some(count) => Ok(count),
            None => self.wrong(
                format!("a count belongs here, not {}", self.kind()),
                "write a whole number, 0 or more",
            ),
        }
    }

    /// Returns a whole number above zero.
    pub fn some(self) -> Read<u32> {
        match self.count()? {
            0 => self.wrong("at least one belongs here, not 0", "leave the field out where it is not known"),
            count => Ok(count),
        }
    }

    /// Returns a plain number, at least zero; a share may be written as a percentage.
    pub fn number(self) -> Read<f64> {
        if self.value.is_str() {
            return self.amount(Dimension::NONE);
        }
        let text = self.digits().unwrap_or_default();
        match text.replace('_', "").parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
            _ => self.wrong(
                format!("a number of 0 or more belongs here, not {}", self.kind()),
                "for example `0.9`",
            ),
        }
    }

    /// Returns a number between 0 and 1.
    pub fn share(self) -> Read<f64> {
        match self.number()? {
            share if share <= 1.0 => Ok(share),
            other => self.wrong(
                format!("{other} is more than the whole"),
                "write a share, such as `0.9` or `\"90 %\"`",
            ),
        }
    }

    /// Returns the amount in base units of a quantity with this dimension.
    pub fn amount(self, wanted: Dimension) -> Read<f64> {
        Ok(self.quantity(wanted)?.value)
    }

    /// Returns the number that stands before `unit` when the amount is written in it, without a rounding on the way
    /// through base units: 9.6 for `9.6 us`.
    pub fn amount_in(self, unit: &str, wanted: Dimension) -> Read<f64> {
        let quantity = self.quantity(wanted)?;
        let exact = quantity.decimal_in(unit).and_then(|number| number.to_string().parse::<f64>().ok());
        match exact.or_else(|| quantity.in_unit(unit)) {
            Some(number) => Ok(number),
            None => self.wrong(format!("this does not convert to {unit}"), format!("write it in {unit}")),
        }
    }

    /// The same as [`Cell::amount`], and it is more than nothing.
    pub fn positive(self, wanted: Dimension) -> Read<f64> {
        match self.amount(wanted)? {
            amount if amount > 0.0 => Ok(amount),
            _ => self.wrong("nothing of it is no fact", "leave the field out where it is not known"),
        }
    }

    /// Returns a quantity with this dimension.
    pub fn quantity(self, wanted: Dimension) -> Read<Quantity> {
        let quantity = self.any_quantity(wanted)?;
        if quantity.dimension == wanted {
            return Ok(quantity);
        }
        let better = quantity.rewritten_as(wanted, quantity.currency);
        let help = better.map_or_else(
            || format!("a value of {wanted} belongs here"),
            |text| format!("write `\"{text}\"`"),
        );
        self.wrong(format!("this field is {wanted}, but the value is {}", quantity.dimension), help)
    }

    fn any_quantity(self, wanted: Dimension) -> Read<Quantity> {
        if let Some(text) = self.value.as_str() {
            return parse_quantity(text).map_err(|error| {
                let help = error.help.clone();
                let at = Span::new(self.span.start + 1, self.span.end);
                let inner = Span::new(at.start + error.range.start as u32, at.start + error.range.end as u32);
                // Escapes move the text; then the whole value is the place.
                let span = if (self.span.end - self.span.start) as usize == text.len() + 2 {
                    inner
                } else {
                    self.span
                };
                vec![Complaint { code: codes::CATALOG_VALUE, span, message: error.message, help }]
            });
        }
        let bare = self.digits().and_then(|digits| parse_quantity(digits).ok());
        let better = bare.and_then(|quantity| quantity.rewritten_as(wanted, None));
        let help = better.map_or_else(
            || "write a number with its unit in quotes".to_owned(),
            |text| format!("write `\"{text}\"`"),
        );
        self.wrong(format!("{wanted} needs a unit, and {} has none", self.kind()), help)
    }

    /// Returns the choice that a word means.
    pub fn choice<T: Copy>(self, choices: &[(&'static str, T)]) -> Read<T> {
        let word = self.text()?;
        if let Some((_, found)) = choices.iter().find(|(name, _)| *name == word) {
            return Ok(*found);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let help = nearest(word, names.iter().copied()).map(|name| format!("did you mean `{name}`?"));
        let help = help.unwrap_or_else(|| format!("one of {}", names.join(", ")));
        self.wrong(format!("`{word}` is not among the choices"), help)
    }

    /// Returns the precision that a word means.
    pub fn precision(self) -> Read<Precision> {
        self.choice(&Precision::ALL.map(|precision| (precision.word(), precision)))
    }

    /// Returns amounts by precision.
    pub fn by_precision(self, wanted: Dimension) -> Read<BTreeMap<Precision, f64>> {
        let mut amounts = BTreeMap::new();
        for (name, value) in self.table()? {
            let word = DeValue::String(name.get_ref().clone());
            let precision = Cell { value: &word, span: span(name.span()) }.precision()?;
            amounts.insert(precision, Cell::new(value).positive(wanted)?);
        }
        Ok(amounts)
    }

    /// Returns a day, written as text or as a TOML date.
    pub fn date(self) -> Read<Date> {
        let written = match self.value.as_datetime() {
            Some(date) => date.to_string(),
            None => self.text()?.to_owned(),
        };
        match written.parse::<Date>() {
            Ok(date) if written.len() == 10 => Ok(date),
            _ => self.wrong(format!("`{written}` is no day"), "write year, month and day: `2026-06-01`"),
        }
    }

    /// Returns the digits of a number as they are written.
    fn digits(self) -> Option<&'a str> {
        let integer = self.value.as_integer().filter(|n| n.radix() == 10).map(toml::de::DeInteger::as_str);
        integer.or_else(|| self.value.as_float().map(toml::de::DeFloat::as_str))
    }

    fn kind(self) -> String {
        match self.digits() {
            Some(digits) => format!("`{digits}`"),
            None => format!("a value of type {}", self.value.type_str()),
        }
    }
}
