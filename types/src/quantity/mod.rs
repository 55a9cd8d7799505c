//! What is a quantity, and how is one read, written and combined?
//!
//! A number with a unit, in base units (second, byte, joule, one unit of a currency, one token …)
//! and as it was written. [`parse_quantity`] is the only reader; plan files, catalogs, tables and
//! the command line share it. Not known here: what a field wants, exchange rates, calendars.

mod arithmetic;
mod currency;
mod dimension;
mod error;
mod nearest;
mod parse;
mod show;
mod unit;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use arithmetic::ArithmeticError;
pub use currency::Currency;
pub use dimension::{Base, Dimension};
pub use error::{Mistake, QuantityError};
pub use nearest::nearest;
pub use parse::{Extent, RESERVED, extent, parse_quantity, parse_quantity_with};
pub use show::{human, in_base_units};
pub use unit::{HOUR_S, MONTH_H, atoms};

/// An amount of something.
///
/// Invariant: `decimal` is the number as it stands before `unit`; where it is none the quantity was
/// computed (or has more digits than a decimal holds) and `unit` may be empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantity {
    /// The amount in base units.
    pub value: f64,
    /// The number exactly as written, before its unit: 250 in `250 kUSD/mo`.
    #[schemars(with = "Option<f64>")]
    pub decimal: Option<Decimal>,
    /// What it counts.
    pub dimension: Dimension,
    /// The currency, where the dimension has money in it.
    pub currency: Option<Currency>,
    /// The unit as written (`kUSD/mo`), with a currency sign spelled as its code; empty for a bare number.
    pub unit: String,
}

impl Quantity {
    /// Returns a computed quantity, which has no written form.
    pub fn computed(value: f64, dimension: Dimension, currency: Option<Currency>) -> Self {
        Quantity { value, decimal: None, dimension, currency, unit: String::new() }
    }

    /// Returns a bare number.
    pub fn bare(value: f64) -> Self {
        Quantity::computed(value, Dimension::NONE, None)
    }

    fn written(mut self, decimal: Option<Decimal>, unit: &str) -> Self {
        if decimal.is_some() {
            self.decimal = decimal;
            self.unit = unit.to_owned();
        }
        self
    }

    /// Returns another amount in the same unit, to nine significant digits, which is more than anybody knows.
    pub fn with_value(&self, value: f64) -> Self {
        let scale = parse::unit_of(&self.unit).ok().filter(|_| self.decimal.is_some());
        let rounded = scale.and_then(|unit| {
            let written = format!("{:.8e}", value * unit.denominator / unit.numerator);
            let decimal = Decimal::from_scientific(&written).ok()?;
            let number: f64 = written.parse().ok()?;
            Some(Quantity {
                value: number * unit.numerator / unit.denominator,
                decimal: Some(decimal.normalize()),
                ..self.clone()
            })
        });
        rounded.unwrap_or_else(|| Quantity::computed(value, self.dimension, self.currency))
    }

    /// Returns the number before the unit as it was written; in base units where it was computed.
    pub fn number(&self) -> f64 {
        let unit = parse::unit_of(&self.unit).ok().filter(|_| self.decimal.is_some());
        unit.map_or(self.value, |unit| self.value * unit.denominator / unit.numerator)
    }

    /// Returns the amount in `unit` (`USD/Mtok`), or none where dimension or currency differ.
    pub fn in_unit(&self, unit: &str) -> Option<f64> {
        let wanted = self.matching(unit)?;
        Some(self.value * wanted.denominator / wanted.numerator)
    }

    /// Returns the exact amount in `unit`, for money: 250,000 for `250 kUSD/mo` in `USD/mo`. None
    /// where dimension or currency differ or no exact amount exists.
    pub fn decimal_in(&self, unit: &str) -> Option<Decimal> {
        let (up, down) = self.matching(unit)?.exact()?;
        let (numerator, denominator) = parse::unit_of(&self.unit).ok()?.exact()?;
        let above = self.decimal?.checked_mul(numerator)?.checked_mul(down)?;
        above.checked_div(denominator.checked_mul(up)?)
    }

    fn matching(&self, unit: &str) -> Option<unit::Unit> {
        let wanted = parse::unit_of(unit).ok()?;
        let same_money = wanted.currency.is_none() || wanted.currency == self.currency;
        (wanted.dimension == self.dimension && same_money).then_some(wanted)
    }

    /// Returns the whole number of calendar months that `14 mo` or `3 y` stand for; none for other
    /// units and for parts of a month.
    pub fn calendar_months(&self) -> Option<i32> {
        let per_unit = match self.unit.as_str() {
            "mo" => 1,
            "y" => 12,
            _ => return None,
        };
        let months = self.decimal?.checked_mul(Decimal::from(per_unit))?.normalize();
        if months.scale() != 0 { None } else { i32::try_from(months.mantissa()).ok() }
    }

    /// Returns the fraction and its period in seconds for a fraction per time: 0.09 and one year for
    /// `9 %/y`, which is an effective rate, so the period matters. None for other dimensions.
    pub fn rate_and_period_s(&self) -> Option<(f64, f64)> {
        if self.dimension != Dimension::PER_TIME {
            return None;
        }
        let time = self.unit.rsplit_once('/').and_then(|(_, time)| parse::unit_of(time).ok());
        let time = time.filter(|unit| unit.dimension == Dimension::TIME);
        // A computed rate has no unit; planning periods are months.
        let period = time.map_or((MONTH_H * HOUR_S) as f64, |unit| unit.numerator / unit.denominator);
        Some((self.value * period, period))
    }

    /// Returns the same number and prefix with another thing counted, where that reads well:
    /// `15 Ttok` for `15 TB` where tokens are wanted, `40 kW` for a bare `40` where power is.
    pub fn rewritten_as(&self, wanted: Dimension, currency: Option<Currency>) -> Option<String> {
        let decimal = self.decimal?;
        let plain = wanted.customary_unit(currency)?;
        if self.dimension.is_none() {
            return Some(format!("{decimal} {plain}"));
        }
        let prefix = self.unit.strip_suffix('B').filter(|prefix| prefix.len() == 1)?;
        let counted = match wanted {
            Dimension::TOKENS => "tok",
            Dimension::PARAMETERS => "param",
            Dimension::FLOPS => "FLOP",
            _ => return None,
        };
        Some(format!("{decimal} {prefix}{counted}"))
    }
}

#[cfg(test)]
mod tests;
