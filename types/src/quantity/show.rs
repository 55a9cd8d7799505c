//! How is a quantity written for people?
//!
//! A quantity that stands in a file is shown as it was written; a computed one gets the prefix that
//! leaves one to three digits before the point, and three significant digits.

use std::fmt;

use super::dimension::{Base, Dimension};
use super::unit::{HOUR_S, MONTH_H};
use super::{Currency, Quantity};

/// Significant digits of a computed quantity.
const DIGITS: usize = 3;

/// Shows a quantity as written (`900 GB/s`), or a computed one for people.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decimal {
            Some(decimal) if self.unit.is_empty() => write!(f, "{decimal}"),
            Some(decimal) if self.unit == "%" => write!(f, "{decimal}%"),
            Some(decimal) => write!(f, "{decimal} {}", self.unit),
            None => f.write_str(&human(self.value, self.dimension, self.currency)),
        }
    }
}

/// Writes a value in base units for people: `1.2 MW`, `900 GB/s`, `15 Ttok`, `0.6 USD/Mtok`.
pub fn human(value: f64, dimension: Dimension, currency: Option<Currency>) -> String {
    if let Some(scales) = special(dimension) {
        return on_scales(value, scales);
    }
    let money = currency.map_or_else(|| "money".to_owned(), |currency| currency.code().to_owned());
    if dimension == Dimension::MONEY_RATE {
        return money_rate(value, &money);
    }
    let shown = Parts::of(dimension, &money);
    let value = value * shown.factor;
    if shown.prefixed {
        // Money is read in thousands only where it is much: 9,500 USD but 12 kUSD.
        let least = if dimension.power(Base::Money) > 0 { 10_000.0 } else { 1_000.0 };
        for (prefix, scale) in [("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)] {
            if value.abs() >= scale && value.abs() >= least {
                return format!("{} {prefix}{}", rounded(value / scale), shown.text);
            }
        }
    }
    if shown.text.is_empty() { rounded(value) } else { format!("{} {}", rounded(value), shown.text) }
}

/// Writes a value in plain base units: `15e12 bytes`, `40 watts`.
pub fn in_base_units(value: f64, dimension: Dimension, currency: Option<Currency>) -> String {
    let number = engineering(value);
    if dimension.is_none() {
        return number;
    }
    if dimension == Dimension::POWER {
        return format!("{number} watts");
    }
    let mut above = Vec::new();
    let mut below = Vec::new();
    for base in Base::ALL {
        let power = dimension.power(base);
        let (one, many) = base.unit_words();
        let code = currency.map(|currency| currency.code().to_owned());
        let word = match (base, code) {
            (Base::Money, Some(code)) => code,
            _ if power > 0 && value != 1.0 => many.to_owned(),
            _ => one.to_owned(),
        };
        let word = if power.unsigned_abs() > 1 { format!("{word}^{}", power.unsigned_abs()) } else { word };
        match power {
            0 => {}
            1.. => above.push(word),
            _ => below.push(format!(" per {word}")),
        }
    }
    format!("{number} {}{}", above.join(" "), below.concat()).replace("  ", " ")
}

/// Dimensions with scales of their own, largest first; the last row is used for whatever is smaller.
fn special(dimension: Dimension) -> Option<&'static [(f64, f64, &'static str)]> {
    const S_PER_H: f64 = HOUR_S as f64;
    // (from this value on, in this many base units, called this)
    const TIME: &[(f64, f64, &str)] = &[
        (3.0 * 24.0 * S_PER_H, 24.0 * S_PER_H, "d"),
        (2.0 * S_PER_H, S_PER_H, "h"),
        (120.0, 60.0, "min"),
        (1.0, 1.0, "s"),
        (1e-3, 1e-3, "ms"),
        (1e-6, 1e-6, "us"),
        (0.0, 1e-9, "ns"),
    ];
    const ENERGY: &[(f64, f64, &str)] = &[
        (S_PER_H * 1e9, S_PER_H * 1e9, "GWh"),
        (S_PER_H * 1e6, S_PER_H * 1e6, "MWh"),
        (S_PER_H * 1e3, S_PER_H * 1e3, "kWh"),
        (S_PER_H, S_PER_H, "Wh"),
        (0.0, 1.0, "J"),
    ];
    const POWER: &[(f64, f64, &str)] =
        &[(1e9, 1e9, "GW"), (1e6, 1e6, "MW"), (1e3, 1e3, "kW"), (0.0, 1.0, "W")];
    match dimension {
        Dimension::TIME => Some(TIME),
        Dimension::ENERGY => Some(ENERGY),
        Dimension::POWER => Some(POWER),
        Dimension::PER_TIME => Some(&[(0.0, 0.01 / (MONTH_H as f64 * S_PER_H), "%/mo")]),
        _ => None,
    }
}

fn on_scales(value: f64, scales: &[(f64, f64, &str)]) -> String {
    let zero = if value == 0.0 { scales.iter().find(|(_, size, _)| *size == 1.0) } else { None };
    let fitting = scales.iter().find(|(from, _, _)| value.abs() >= *from);
    match zero.or(fitting).or(scales.last()) {
        Some((_, size, unit)) => format!("{} {unit}", rounded(value / size)),
        None => rounded(value),
    }
}

/// Money per time: by the hour up to 100, as machines are priced, else by the month, as bills come.
fn money_rate(per_second: f64, money: &str) -> String {
    let per_hour = per_second * HOUR_S as f64;
    if per_hour.abs() < 100.0 {
        return format!("{} {money}/h", rounded(per_hour));
    }
    let per_month = per_hour * MONTH_H as f64;
    for (prefix, scale) in [("G", 1e9), ("M", 1e6), ("k", 1e3)] {
        if per_month.abs() >= scale && per_month.abs() >= 10_000.0 {
            return format!("{} {prefix}{money}/mo", rounded(per_month / scale));
        }
    }
    format!("{} {money}/mo", rounded(per_month))
}

/// The unit of a general dimension, and what one base unit of it counts there.
struct Parts {
    text: String,
    factor: f64,
    prefixed: bool,
}

impl Parts {
    fn of(dimension: Dimension, money: &str) -> Parts {
        let priced = dimension.power(Base::Money) > 0;
        let mut above: Vec<String> = Vec::new();
        let mut below: Vec<String> = Vec::new();
        let mut factor = 1.0;
        let mut prefixed = false;
        // Time comes last, as it is spoken: USD per GPU per hour.
        for base in Base::ALL.into_iter().cycle().skip(1).take(Base::ALL.len()) {
            let power = dimension.power(base);
            let (symbol, size) = symbol(base, money, power, priced);
            for _ in 0..power.unsigned_abs() {
                if power > 0 {
                    prefixed |= above.is_empty() && takes_prefix(base);
                    above.push(symbol.to_owned());
                } else {
                    factor *= size;
                    below.push(format!("/{symbol}"));
                }
            }
        }
        Parts { text: above.join("*") + &below.concat(), factor, prefixed }
    }
}

fn takes_prefix(base: Base) -> bool {
    matches!(
        base,
        Base::Data | Base::Energy | Base::Money | Base::Token | Base::Parameter | Base::Flop | Base::Io
    )
}

/// Returns the symbol of a base and its size in base units; in a price, what is paid for is counted
/// in the amounts that are customary (a million tokens, a kilowatt-hour).
fn symbol(base: Base, money: &str, power: i8, priced: bool) -> (&str, f64) {
    let price_of = priced && power < 0;
    match base {
        Base::Time if price_of => ("h", HOUR_S as f64),
        Base::Time => ("s", 1.0),
        Base::Data if price_of => ("GB", 1e9),
        Base::Data => ("B", 1.0),
        Base::Energy if price_of => ("kWh", HOUR_S as f64 * 1e3),
        Base::Energy => ("J", 1.0),
        Base::Money => (money, 1.0),
        Base::Token if price_of => ("Mtok", 1e6),
        Base::Token => ("tok", 1.0),
        Base::Request => ("req", 1.0),
        Base::Accelerator => ("GPU", 1.0),
        Base::Node => ("node", 1.0),
        Base::Parameter => ("param", 1.0),
        Base::Flop => ("FLOP", 1.0),
        Base::RackUnit => ("U", 1.0),
        Base::Length => ("meter", 1.0),
        Base::Temperature => ("K", 1.0),
        Base::Io => ("IO", 1.0),
        Base::User => ("user", 1.0),
    }
}

/// Rounds to three significant digits; whole numbers below a million stay whole.
fn rounded(value: f64) -> String {
    if value.abs() >= 1e9 || (value != 0.0 && value.abs() < 1e-4) {
        return engineering(value);
    }
    let whole = value.round();
    if value.abs() >= 100.0 {
        return format!("{whole}");
    }
    let mut decimals = DIGITS - 1;
    let mut size = value.abs();
    while size >= 10.0 && decimals > 0 {
        size /= 10.0;
        decimals -= 1;
    }
    while size < 1.0 && size > 0.0 && decimals < 8 {
        size *= 10.0;
        decimals += 1;
    }
    trimmed(format!("{value:.decimals$}"))
}

fn trimmed(text: String) -> String {
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Writes a number with an exponent that is a multiple of three: `15e12`; plain where it is short.
fn engineering(value: f64) -> String {
    if value == 0.0 || (1e-3..1e6).contains(&value.abs()) {
        return trimmed(format!("{value:.6}"));
    }
    let scientific = format!("{value:e}");
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let exponent = exponent.div_euclid(3) * 3;
    let scale: f64 = format!("1e{exponent}").parse().unwrap_or(1.0);
    format!("{}e{exponent}", trimmed(format!("{:.3}", value / scale)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_quantities_read_naturally() {
        let usd = Some(Currency::USD);
        assert_eq!(human(1.2e6, Dimension::POWER, None), "1.2 MW");
        assert_eq!(human(9e11, Dimension::DATA_RATE, None), "900 GB/s");
        assert_eq!(human(15e12, Dimension::DATA, None), "15 TB");
        assert_eq!(human(15e12, Dimension::TOKENS, None), "15 Ttok");
        assert_eq!(human(0.97, Dimension::TIME, None), "970 ms");
        assert_eq!(human(0.0, Dimension::TIME, None), "0 s");
        assert_eq!(human(40.0, Dimension::REQUEST_RATE, None), "40 req/s");
        assert_eq!(human(12e6, Dimension::MONEY, usd), "12 MUSD");
        assert_eq!(human(9500.0, Dimension::MONEY, usd), "9500 USD");
        assert_eq!(human(0.6e-6, Dimension::MONEY.per(Dimension::TOKENS), usd), "0.6 USD/Mtok");
        assert_eq!(human(0.08 / 3.6e6, Dimension::ENERGY_PRICE, usd), "0.08 USD/kWh");
        assert_eq!(
            human(2.5 / 3600.0, Dimension::MONEY_RATE.per(Dimension::ACCELERATORS), usd),
            "2.5 USD/GPU/h"
        );
        assert_eq!(human(250e3 / 730.0 / 3600.0, Dimension::MONEY_RATE, usd), "250 kUSD/mo");
        assert_eq!(human(0.06 / 730.0 / 3600.0, Dimension::PER_TIME, None), "6 %/mo");
        assert_eq!(human(1.25, Dimension::NONE, None), "1.25");
    }

    #[test]
    fn base_units_are_spelled_out() {
        assert_eq!(in_base_units(15e12, Dimension::DATA, None), "15e12 bytes");
        assert_eq!(in_base_units(1.2e6, Dimension::POWER, None), "1.2e6 watts");
        assert_eq!(in_base_units(9e11, Dimension::DATA_RATE, None), "900e9 bytes per second");
        assert_eq!(in_base_units(40.0, Dimension::NONE, None), "40");
        assert_eq!(in_base_units(1.0, Dimension::TIME, None), "1 second");
    }
}
