use proptest::prelude::*;

use super::*;

#[track_caller]
fn value(text: &str) -> f64 {
    parse_quantity(text).unwrap_or_else(|error| panic!("{text}: {error}")).value
}

#[track_caller]
fn mistake(text: &str) -> (Mistake, String) {
    let error = parse_quantity(text).expect_err(text);
    (error.mistake, error.help.unwrap_or_default())
}

#[test]
fn amounts_come_out_in_base_units() {
    assert_eq!(value("900 GB/s"), 9e11);
    assert_eq!(value("900GB/s"), 9e11);
    assert_eq!(value("141 GiB"), 141.0 * 1_073_741_824.0);
    assert_eq!(value("400 Gbit/s"), 5e10);
    assert_eq!(value("38%"), 0.38);
    assert_eq!(value("1.2 MW"), 1.2e6);
    assert_eq!(value("8_192 tok"), 8192.0);
    assert_eq!(value("500 ms"), 0.5);
    assert_eq!(value("1 mo"), 730.0 * 3600.0);
    assert_eq!(value("1 y"), 8760.0 * 3600.0);
    assert_eq!(value("0.08 USD/kWh"), 0.08 / 3.6e6);
    assert_eq!(value("  40  "), 40.0);
    assert_eq!(value("10 kUSD*h"), 3.6e7);
}

#[test]
fn dimensions_and_currencies_are_kept() {
    let price = parse_quantity("$2.50/GPU/h").expect("a price");
    assert_eq!(price.dimension, Dimension::MONEY_RATE.per(Dimension::ACCELERATORS));
    assert_eq!((price.currency, price.unit.as_str()), (Some(Currency::USD), "USD/GPU/h"));
    assert_eq!(parse_quantity("5 USD/USD").expect("a ratio").currency, None);
    assert_eq!(parse_quantity("700 W").expect("power").dimension, Dimension::POWER);
    let yen = parse_quantity_with("¥1_500_000", Some(Currency::JPY)).expect("yen");
    assert_eq!((yen.value, yen.currency), (1.5e6, Some(Currency::JPY)));
}

#[test]
fn mistakes_are_named_with_a_way_out() {
    assert_eq!(mistake("70B").0, Mistake::Billions);
    assert!(mistake("70B").1.contains("`70 Gparam`"));
    assert_eq!(value("70 B"), 70.0);
    assert_eq!(mistake("5 m").0, Mistake::LoneM);
    assert_eq!(mistake("400 Gb/s"), (Mistake::Bits, "bits are spelled out: `Gbit`".to_owned()));
    assert_eq!(mistake("400 Gbps"), (Mistake::Bits, "bits are spelled out: `Gbit/s`".to_owned()));
    assert_eq!(mistake("¥5").0, Mistake::CurrencySign);
    assert_eq!(mistake("$5 EUR").0, Mistake::CurrencySign);
    assert_eq!(mistake("$5 GPU"), (Mistake::CurrencySign, "write `$5/GPU`".to_owned()));
    assert_eq!(mistake("5 USD/EUR").0, Mistake::CurrencySign);
    assert_eq!(mistake("1__0").0, Mistake::Number);
    assert_eq!(mistake("1_").0, Mistake::Number);
    assert_eq!(mistake("").0, Mistake::Number);
    assert_eq!(mistake("power").0, Mistake::Number);
    assert_eq!(mistake(".5"), (Mistake::Number, "write `0.5`".to_owned()));
    assert_eq!(mistake("5 kW or more").0, Mistake::Trailing);
    assert_eq!(mistake("5 / s").0, Mistake::Trailing);
    assert_eq!(mistake(&"9".repeat(400)).0, Mistake::TooLarge);
    assert_eq!(mistake("1 s*s*s*s*s*s*s*s*s").0, Mistake::UnknownUnit);
}

#[test]
fn a_near_miss_gets_a_suggestion_even_when_short() {
    for (wrong, right) in [
        ("5 gb", "GB"),
        ("5 kw", "kW"),
        ("5 KB", "kB"),
        ("5 Mtoks", "Mtok"),
        ("5 tokens", "tok"),
        ("5 hours", "h"),
        ("5 GPUs", "GPU"),
        ("5 usd", "USD"),
        ("5 kusd", "kUSD"),
        ("5 TFLOPS", "TFLOP/s"),
        ("5 GBps", "GB/s"),
        ("5 µs", "us"),
        ("5 sek", "s"),
    ] {
        let (kind, help) = mistake(wrong);
        assert_eq!(kind, Mistake::UnknownUnit, "{wrong}");
        if wrong != "5 sek" {
            assert!(help.contains(&format!("`{right}`")), "{wrong}: {help}");
        }
    }
}

#[test]
fn the_extent_ends_where_the_grammar_says() {
    fn ends(text: &str) -> &str {
        let parts = extent(text).expect(text);
        &text[..parts.number.end.max(parts.unit.end)]
    }
    assert_eq!(ends("40 req/s in 25"), "40 req/s");
    assert_eq!(ends("1..2"), "1");
    assert_eq!(ends("5 in [a]"), "5");
    assert_eq!(ends("2*x"), "2");
    assert_eq!(ends("40/s"), "40");
    assert_eq!(ends("3 h / 2 h"), "3 h");
    assert_eq!(ends("3 h\n"), "3 h");
    assert_eq!(ends("3\nh"), "3");
    assert_eq!(ends("$2.50/GPU/h, x"), "$2.50/GPU/h");
    assert_eq!(ends("30% * x"), "30%");
    assert_eq!(extent("$ 5"), None);
    assert_eq!(extent("x"), None);
}

#[test]
fn money_converts_exactly() {
    let exact = |text: &str, unit: &str| {
        parse_quantity(text).expect(text).decimal_in(unit).map(|d| d.normalize().to_string())
    };
    assert_eq!(exact("250 kUSD/mo", "USD/mo"), Some("250000".to_owned()));
    assert_eq!(exact("2.50 USD/h", "USD/mo"), Some("1825".to_owned()));
    assert_eq!(exact("0.08 USD/kWh", "USD/MWh"), Some("80".to_owned()));
    assert_eq!(exact("0.60 USD/Mtok", "USD/Mtok"), Some("0.6".to_owned()));
    assert_eq!(exact("5 EUR", "USD"), None);
    assert_eq!(exact("5 GB", "USD"), None);
    assert_eq!(parse_quantity("2 h").expect("time").in_unit("min"), Some(120.0));
}

#[test]
fn calendar_durations_count_months() {
    let months = |text: &str| parse_quantity(text).expect(text).calendar_months();
    assert_eq!(months("3 y"), Some(36));
    assert_eq!(months("14 mo"), Some(14));
    assert_eq!(months("0.5 y"), Some(6));
    assert_eq!(months("0.5 mo"), None);
    assert_eq!(months("30 d"), None);
}

#[test]
fn a_rate_knows_its_period() {
    let (rate, period) = parse_quantity("9 %/y").expect("a rate").rate_and_period_s().expect("per time");
    assert!((rate - 0.09).abs() < 1e-15 && period == 8760.0 * 3600.0);
    assert_eq!(parse_quantity("9%").expect("a share").rate_and_period_s(), None);
}

#[test]
fn sums_need_one_dimension_and_one_currency() {
    let read = |text: &str| parse_quantity(text).expect(text);
    let sum = read("0.1 USD").plus(&read("0.2 USD")).expect("one currency");
    assert_eq!(sum.to_string(), "0.3 USD");
    assert!(matches!(read("1 GB").plus(&read("1 tok")), Err(ArithmeticError::Dimensions { .. })));
    assert!(matches!(read("1 USD").minus(&read("1 EUR")), Err(ArithmeticError::Currencies { .. })));
    assert!(matches!(read("1 USD").over(&read("0 tok")), Err(ArithmeticError::OutOfRange)));
    let energy = read("2 kW").times(&read("3 h")).expect("energy");
    assert_eq!(energy.to_string(), "6 kWh");
    assert_eq!(read("6 USD").over(&read("2 Mtok")).expect("a price").to_string(), "3 USD/Mtok");
    assert_eq!(read("1 h").plus(&read("30 min")).expect("time").to_string(), "90 min");
}

#[test]
fn what_was_meant_is_offered_with_the_same_number() {
    let offered = |text: &str, wanted| parse_quantity(text).expect(text).rewritten_as(wanted, None);
    assert_eq!(offered("15 TB", Dimension::TOKENS), Some("15 Ttok".to_owned()));
    assert_eq!(offered("40", Dimension::POWER), Some("40 kW".to_owned()));
    assert_eq!(offered("5 h", Dimension::POWER), None);
}

proptest! {
    #[test]
    fn reading_never_panics(text in "\\PC{0,24}") {
        let _ = parse_quantity(&text);
    }

    #[test]
    fn reading_text_made_of_units_never_panics(text in "[$¥€]?[0-9_.]{1,6}[ ]?[kMGTPi]{0,2}(B|bit|W|tok|USD|%|s|m|h)?([/*](h|s|GPU|m|kWh)){0,9}") {
        if let Ok(quantity) = parse_quantity(&text) {
            prop_assert!(quantity.value.is_finite());
            let shown = quantity.to_string();
            if quantity.decimal.is_some() {
                let again = parse_quantity(&shown).expect("what is shown reads back");
                prop_assert_eq!(again.value, quantity.value);
                prop_assert_eq!(again.dimension, quantity.dimension);
            }
        }
    }

    #[test]
    fn showing_a_computed_value_never_panics(value in proptest::num::f64::NORMAL) {
        for dimension in [Dimension::TIME, Dimension::DATA, Dimension::MONEY_RATE, Dimension::NONE] {
            prop_assert!(!human(value, dimension, Some(Currency::USD)).is_empty());
            prop_assert!(!in_base_units(value, dimension, Some(Currency::USD)).is_empty());
        }
    }
}

#[test]
fn another_amount_keeps_the_unit_and_its_period() {
    let growth = parse_quantity("6 %/mo")
        .expect("a rate")
        .with_value(parse_quantity("7.5 %/mo").expect("a rate").value);
    assert_eq!((growth.to_string().as_str(), growth.number()), ("7.5 %/mo", 7.5));
    assert!(growth.rate_and_period_s().is_some_and(|(rate, _)| (rate - 0.075).abs() < 1e-9));
    let money = parse_quantity("250 kUSD/mo").expect("money").with_value(123_456.789 / 2_628_000.0);
    assert_eq!(money.decimal_in("USD/mo"), Some(Decimal::new(123_456_789, 3)));
}
