//! What does a unit stand for?
//!
//! One table of atoms, their prefixes, and how atoms join with `/` and `*`. Factors are kept as a
//! numerator and a denominator, both exact in 64-bit floating point, so that `0.08 USD/kWh` picks up
//! one rounding and not three.

use rust_decimal::Decimal;

use super::Currency;
use super::dimension::{Base, Dimension};

/// Seconds in an hour.
pub const HOUR_S: u64 = 3_600;
/// Hours in a planning month; LANGUAGE.md, Quantities 5 and 9. A year is twelve of them, 8,760 h.
pub const MONTH_H: u64 = 730;

/// Which prefixes an atom takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefixes {
    None,
    /// k, M, G, T, P.
    Metric,
    /// Also Ki, Mi, Gi, Ti, Pi.
    Binary,
}

/// One row of the table of units.
struct Row {
    symbol: &'static str,
    dimension: Dimension,
    numerator: u64,
    denominator: u64,
    prefixes: Prefixes,
}

const fn row(symbol: &'static str, dimension: Dimension, numerator: u64, denominator: u64) -> Row {
    Row { symbol, dimension, numerator, denominator, prefixes: Prefixes::None }
}

const fn metric(symbol: &'static str, dimension: Dimension, numerator: u64, denominator: u64) -> Row {
    Row { symbol, dimension, numerator, denominator, prefixes: Prefixes::Metric }
}

/// The units, without the currencies. Durations follow LANGUAGE.md, Quantities 5 and 9.
const ROWS: [Row; 27] = [
    row("%", Dimension::NONE, 1, 100),
    row("ns", Dimension::TIME, 1, 1_000_000_000),
    row("us", Dimension::TIME, 1, 1_000_000),
    row("ms", Dimension::TIME, 1, 1_000),
    row("s", Dimension::TIME, 1, 1),
    row("min", Dimension::TIME, 60, 1),
    row("h", Dimension::TIME, HOUR_S, 1),
    row("d", Dimension::TIME, 24 * HOUR_S, 1),
    row("mo", Dimension::TIME, MONTH_H * HOUR_S, 1),
    row("y", Dimension::TIME, 12 * MONTH_H * HOUR_S, 1),
    Row { symbol: "B", dimension: Dimension::DATA, numerator: 1, denominator: 1, prefixes: Prefixes::Binary },
    metric("bit", Dimension::DATA, 1, 8),
    metric("J", Dimension::ENERGY, 1, 1),
    metric("W", Dimension::POWER, 1, 1),
    metric("Wh", Dimension::ENERGY, HOUR_S, 1),
    metric("tok", Dimension::TOKENS, 1, 1),
    metric("param", Dimension::PARAMETERS, 1, 1),
    metric("FLOP", Dimension::FLOPS, 1, 1),
    metric("req", Dimension::REQUESTS, 1, 1),
    row("GPU", Dimension::ACCELERATORS, 1, 1),
    row("node", Dimension::NODES, 1, 1),
    row("U", Dimension::RACK_UNITS, 1, 1),
    row("meter", Dimension::LENGTH, 1, 1),
    row("K", Dimension::TEMPERATURE, 1, 1),
    metric("IO", Dimension::of(Base::Io), 1, 1),
    metric("IOPS", Dimension::IO_RATE, 1, 1),
    row("user", Dimension::USERS, 1, 1),
];

/// Prefixes and what they multiply by. There is no milli; `ms` is a unit of its own.
const METRIC: [(&str, u64); 5] = [
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
];
const BINARY: [(&str, u64); 5] =
    [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1 << 40), ("Pi", 1 << 50)];

/// What one unit of text amounts to in base units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    pub dimension: Dimension,
    pub currency: Option<Currency>,
    pub numerator: f64,
    pub denominator: f64,
}

impl Unit {
    /// The unit of a bare number.
    pub(super) const ONE: Unit =
        Unit { dimension: Dimension::NONE, currency: None, numerator: 1.0, denominator: 1.0 };

    pub(super) fn times(self, other: Unit) -> Option<Unit> {
        Some(Unit {
            dimension: self.dimension.checked_times(other.dimension)?,
            currency: self.currency.or(other.currency),
            numerator: self.numerator * other.numerator,
            denominator: self.denominator * other.denominator,
        })
    }

    pub(super) fn inverse(self) -> Unit {
        Unit {
            dimension: self.dimension.inverse(),
            currency: self.currency,
            numerator: self.denominator,
            denominator: self.numerator,
        }
    }

    /// Returns numerator and denominator as exact decimals, where they fit.
    pub(super) fn exact(self) -> Option<(Decimal, Decimal)> {
        Some((whole(self.numerator)?, whole(self.denominator)?))
    }
}

/// Turns a whole number in floating point into a decimal, where it surely is that number.
fn whole(value: f64) -> Option<Decimal> {
    // 2^53: up to here every whole number is exact in 64-bit floating point.
    let exact = value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0;
    exact.then(|| Decimal::from(value as i64))
}

/// Returns what one atom (`kWh`, `Mtok`, `USD`, `%`) stands for.
pub(super) fn atom(symbol: &str) -> Option<Unit> {
    if let Some(found) = ROWS.iter().find(|row| row.symbol == symbol) {
        return Some(from_row(found, 1));
    }
    if let Some(currency) = Currency::from_code(symbol) {
        return Some(from_currency(currency, 1));
    }
    let prefixed = |prefixes: &[(&str, u64)], binary: bool| {
        prefixes.iter().find_map(|(prefix, factor)| {
            let rest = symbol.strip_prefix(prefix)?;
            let takes = |row: &&Row| match row.prefixes {
                Prefixes::None => false,
                Prefixes::Metric => !binary,
                Prefixes::Binary => true,
            };
            let row =
                ROWS.iter().filter(takes).find(|row| row.symbol == rest).map(|row| from_row(row, *factor));
            let money = || Currency::from_code(rest).map(|currency| from_currency(currency, *factor));
            if binary { row } else { row.or_else(money) }
        })
    };
    prefixed(&METRIC, false).or_else(|| prefixed(&BINARY, true))
}

fn from_row(row: &Row, factor: u64) -> Unit {
    Unit {
        dimension: row.dimension,
        currency: None,
        numerator: (row.numerator * factor) as f64,
        denominator: row.denominator as f64,
    }
}

fn from_currency(currency: Currency, factor: u64) -> Unit {
    Unit { dimension: Dimension::MONEY, currency: Some(currency), numerator: factor as f64, denominator: 1.0 }
}

/// Lists every way to write an atom except the rarer currencies, for suggestions.
pub fn atoms() -> impl Iterator<Item = String> {
    let prefixed = |row: &'static Row| {
        let metric = METRIC.iter().filter(|_| row.prefixes != Prefixes::None);
        let binary = BINARY.iter().filter(|_| row.prefixes == Prefixes::Binary);
        let with = metric.chain(binary).map(|(prefix, _)| format!("{prefix}{}", row.symbol));
        std::iter::once(row.symbol.to_owned()).chain(with)
    };
    let money = ["USD", "EUR", "GBP", "CNY", "JPY"].into_iter().flat_map(|code| {
        let with = METRIC.iter().take(3).map(move |(prefix, _)| format!("{prefix}{code}"));
        std::iter::once(code.to_owned()).chain(with)
    });
    ROWS.iter().flat_map(prefixed).chain(money)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(symbol: &str) -> Option<f64> {
        atom(symbol).map(|unit| unit.numerator / unit.denominator)
    }

    #[test]
    fn prefixes_are_decimal_and_binary_where_they_say_so() {
        assert_eq!(value("GB"), Some(1e9));
        assert_eq!(value("GiB"), Some(1_073_741_824.0));
        assert_eq!(value("Gbit"), Some(1.25e8));
        assert_eq!(value("kWh"), Some(3.6e6));
        assert_eq!(value("MUSD"), Some(1e6));
        assert_eq!(value("Mreq"), Some(1e6));
        assert_eq!(value("y"), Some(8760.0 * 3600.0));
        for unknown in ["m", "mW", "Gibit", "kGPU", "Ms", "Kireq", "KB", "Gb", "kmin", "KiUSD"] {
            assert_eq!(value(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn every_atom_is_written_in_one_way_only() {
        let mut all: Vec<String> = atoms().collect();
        let n = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), n);
        assert!(all.iter().all(|symbol| atom(symbol).is_some()));
    }
}
