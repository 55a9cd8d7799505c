//! How numbers are written for people: separators, prefixes and units. It does not know width or colour.

use crate::money::Currency;
use crate::units::{Bytes, Seconds, Watts};
use rust_decimal::Decimal;

/// Returns digits with a comma between thousands; whatever follows the first non-digit is kept.
fn with_commas(digits: &str) -> String {
    let (sign, rest) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let whole = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let mut text = String::from(sign);
    for (index, digit) in rest[..whole].chars().enumerate() {
        if index > 0 && (whole - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text.push_str(&rest[whole..]);
    text
}

/// Returns a whole number with separators: `1,647,360`.
pub fn count(number: u64) -> String {
    with_commas(&number.to_string())
}

/// Returns how many, with the noun as one says it: `1 item`, `3 items`.
pub fn counted(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(number as u64), if number == 1 { "" } else { "s" })
}

/// Returns an amount at the minor unit of its currency, without the currency: `5,769,404.35`.
pub fn amount(money: Decimal, currency: Currency) -> String {
    let digits = currency.minor_digits() as usize;
    with_commas(&format!("{:.digits$}", currency.round(money)))
}

/// Returns an amount with its currency: `5,769,404.35 USD`.
pub fn money(money: Decimal, currency: Currency) -> String {
    format!("{} {}", amount(money, currency), currency.code())
}

/// Returns an amount with its sign, for differences: `+312,450.18 USD`.
pub fn signed_money(difference: Decimal, currency: Currency) -> String {
    let sign = if difference > Decimal::ZERO { "+" } else { "" };
    format!("{sign}{}", money(difference, currency))
}

/// Returns an unrounded price: at least the digits of the minor unit, at most six.
pub fn price(rate: Decimal, currency: Currency) -> String {
    let rate = rate.round_dp(6).normalize();
    let digits = (rate.scale()).max(currency.minor_digits()) as usize;
    with_commas(&format!("{rate:.digits$}"))
}

/// Returns a number with three significant digits and without an exponent: `0.0411`, `36.2`, `1,234`.
pub fn short(number: f64) -> String {
    if !number.is_finite() {
        return "unknown".to_owned();
    }
    let size = number.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    let (mut digits, mut edge) = (2_usize, 10.0);
    while size >= edge && digits > 0 {
        digits -= 1;
        edge *= 10.0;
    }
    let mut edge = 1.0;
    while size < edge && digits < 9 {
        digits += 1;
        edge /= 10.0;
    }
    with_commas(&format!("{number:.digits$}"))
}

/// Returns a large number with a prefix: `4.16 T`.
pub fn large(number: f64) -> String {
    let steps = [(1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e4, " k")];
    match steps.into_iter().find(|(step, _)| number.abs() >= *step) {
        Some((1e4, prefix)) => format!("{}{prefix}", short(number / 1e3)),
        Some((step, prefix)) => format!("{}{prefix}", short(number / step)),
        None => short(number),
    }
}

/// Returns a share as a percentage: `9.4 %`.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value.abs() >= 99.5 && value.abs() < 100.0 { format!("{value:.2} %") } else { format!("{value:.1} %") }
}

/// Returns a span of time in the unit that fits: `412 ms`, `22.3 s`, `30.0 min`, `3,260 h`.
pub fn span(time: Seconds) -> String {
    let seconds = time.get();
    let (value, unit) = match seconds.abs() {
        size if size < 1e-3 => (seconds * 1e6, "µs"),
        size if size < 1.0 => (seconds * 1e3, "ms"),
        size if size < 120.0 => (seconds, "s"),
        size if size < 7200.0 => (seconds / 60.0, "min"),
        _ => (seconds / 3600.0, "h"),
    };
    format!("{} {unit}", short(value))
}

/// Returns data in decimal units: `35.3 GB`.
pub fn data(bytes: Bytes) -> String {
    let (value, unit) = match bytes.get().abs() {
        size if size >= 1e12 => (bytes.get() / 1e12, "TB"),
        size if size >= 1e9 => (bytes.get() / 1e9, "GB"),
        _ => (bytes.get() / 1e6, "MB"),
    };
    format!("{} {unit}", short(value))
}

/// Returns power in kilowatts or megawatts: `332 kW`.
pub fn power(power: Watts) -> String {
    if power.get().abs() >= 1e6 {
        format!("{} MW", short(power.get() / 1e6))
    } else {
        format!("{} kW", short(power.kw()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated_and_signs_kept() {
        assert_eq!(count(1_647_360), "1,647,360");
        assert_eq!(count(999), "999");
        assert_eq!(money(Decimal::new(-145_820_005, 3), Currency::USD), "-145,820.01 USD");
        assert_eq!(money(Decimal::new(1_234_567, 0), Currency::JPY), "1,234,567 JPY");
        assert_eq!(signed_money(Decimal::new(5, 0), Currency::EUR), "+5.00 EUR");
    }

    #[test]
    fn a_price_keeps_its_digits() {
        assert_eq!(price(Decimal::new(2_069_505, 5), Currency::USD), "20.69505");
        assert_eq!(price(Decimal::new(550, 1), Currency::USD), "55.00");
    }

    #[test]
    fn three_digits_are_enough() {
        assert_eq!(short(0.041_12), "0.0411");
        assert_eq!(short(36.24), "36.2");
        assert_eq!(short(1234.4), "1,234");
        assert_eq!(short(5.0), "5.00");
        assert_eq!(large(4.155e12), "4.16 T");
        assert_eq!(large(12_400.0), "12.4 k");
        assert_eq!(short(f64::NAN), "unknown");
    }

    #[test]
    fn time_takes_the_unit_that_fits() {
        assert_eq!(span(Seconds(0.4124)), "412 ms");
        assert_eq!(span(Seconds(1800.0)), "30.0 min");
        assert_eq!(span(Seconds(22.27)), "22.3 s");
    }
}
