//! What do the words of the command line say? Loads, prices, and the form of the answer.

use capstan_types::outlook::HourPrice;
use capstan_types::quantity::parse_quantity;
use rust_decimal::Decimal;
use std::str::FromStr;

/// What `--output` says: tokens, or a form and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Output tokens of a request.
    Tokens(u32),
    /// A form, and its file; standard output where none is named.
    Written(Kind, Option<String>),
}

/// A form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// For people, in columns.
    Human,
    /// For people, in a review.
    Markdown,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
    /// A picture.
    Svg,
}

/// Returns the forms of an answer and where they go; for people on standard output where none is asked for.
pub(super) fn forms(asked: &[Form]) -> Vec<(Kind, Option<String>)> {
    let written = |form: &Form| match form {
        Form::Written(kind, file) => Some((*kind, file.clone())),
        Form::Tokens(_) => None,
    };
    let forms: Vec<_> = asked.iter().filter_map(written).collect();
    if forms.is_empty() { vec![(Kind::Human, None)] } else { forms }
}

/// Most output tokens.
const MOST_TOKENS: u32 = 16_777_216;

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let tokens = text.parse().ok().filter(|tokens| (1..=MOST_TOKENS).contains(tokens));
            return tokens
                .map(Form::Tokens)
                .ok_or_else(|| format!("`{text}` is no number of tokens from 1 on"));
        }
        let (word, file) = text.split_once(':').map_or((text, None), |(word, file)| (word, Some(file)));
        let kind = match word {
            "human" | "terminal" => Kind::Human,
            "markdown" => Kind::Markdown,
            "json" => Kind::Json,
            "csv" => Kind::Csv,
            "svg" => Kind::Svg,
            _ => {
                return Err(format!(
                    "`{word}` is none of human, markdown, json, csv, svg, and no number of tokens"
                ));
            }
        };
        match file {
            Some("") => Err("a file name is missing after `:`".to_owned()),
            Some("-") | None => Ok(Form::Written(kind, None)),
            Some(file) => Ok(Form::Written(kind, Some(file.to_owned()))),
        }
    }
}

/// Reads a range of requests in flight.
pub(super) fn sweep(text: &str) -> Result<(u32, u32), String> {
    let bad = || format!("`{text}` is no range such as 1..256");
    let (from, to) = text.split_once("..").ok_or_else(bad)?;
    let number = |text: &str| text.trim().parse::<u32>().ok().filter(|count| (1..=65_536).contains(count));
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => Ok((from, to)),
        (Some(_), Some(_)) => Err("the first number is the smaller one".to_owned()),
        _ => Err(bad()),
    }
}

/// Reads requests per second: `2/s`, `2 req/s`, `120/min`.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let bare = text.trim().split_once('/').filter(|(number, _)| !number.contains(char::is_alphabetic));
    let spelled =
        bare.map_or_else(|| text.to_owned(), |(number, unit)| format!("{} req/{unit}", number.trim()));
    let quantity = parse_quantity(&spelled).map_err(|error| error.to_string())?;
    match quantity.in_unit("req/s") {
        Some(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        Some(_) => Err("a rate is above zero".to_owned()),
        None => Err("requests per time are written 2/s or 120/min".to_owned()),
    }
}

/// Reads the price of an accelerator: `2.50 USD/h`, `$2.50/GPU/h`.
pub(super) fn price(text: &str) -> Result<HourPrice, String> {
    let quantity = parse_quantity(text).map_err(|error| error.to_string())?;
    let wanted = || "the price of an accelerator is written \"2.50 USD/h\"".to_owned();
    let currency = quantity.currency.ok_or_else(wanted)?;
    let units = [format!("{}/GPU/h", currency.code()), format!("{}/h", currency.code())];
    let amount = units.iter().find_map(|unit| quantity.decimal_in(unit)).ok_or_else(wanted)?;
    if amount <= Decimal::ZERO {
        return Err("a price is above zero; what costs nothing needs no price".to_owned());
    }
    Ok(HourPrice {
        per_accelerator_hour: amount,
        currency,
        machine: None,
        provider: None,
        region: None,
        option: None,
        grade: None,
        source: "given by --price".to_owned(),
        as_of: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_tokens_and_a_word_a_form() {
        assert_eq!("256".parse(), Ok(Form::Tokens(256)));
        assert_eq!("svg:a:b.svg".parse(), Ok(Form::Written(Kind::Svg, Some("a:b.svg".to_owned()))));
        assert_eq!("json".parse(), Ok(Form::Written(Kind::Json, None)));
        for bad in ["0", "12x", "pdf", "json:", ""] {
            assert!(bad.parse::<Form>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_and_ranges_are_read_as_people_write_them() {
        for (text, per_second) in [("2/s", 2.0), ("2 req/s", 2.0), ("120/min", 2.0), ("0.5 /s", 0.5)] {
            assert!((rate(text).unwrap() - per_second).abs() < 1e-12, "{text}");
        }
        for bad in ["2", "0/s", "2 tok/s", "-1/s", "s"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
        assert_eq!(sweep("1..256"), Ok((1, 256)));
        for bad in ["256..1", "0..4", "1-4", "..", "1..70000"] {
            assert!(sweep(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_price_is_per_accelerator_and_hour() {
        for text in ["2.50 USD/h", "$2.50/GPU/h", "2.5 USD/GPU/h"] {
            assert_eq!(price(text).unwrap().per_accelerator_hour, Decimal::new(25, 1), "{text}");
        }
        for bad in ["2.5", "2.5 USD", "0 USD/h", "3 W"] {
            assert!(price(bad).is_err(), "{bad}");
        }
    }
}
