//! Each mistake that a catalog can have gets its code, its place and a way out; and user catalogs change rows.

use capstan_lang::catalog::{load, load_over};
use capstan_lang::{Code, Diagnostic, codes};
use capstan_types::catalog::Catalog;
use capstan_types::money::Currency;
use capstan_types::offering::PurchaseOption;
use capstan_types::origin::Grade;
use rust_decimal::Decimal;

const CHIP: &str = r#"
[sources.sheet]
source = "data sheet"
as_of = "2026-06-01"
grade = "data_sheet"

[[accelerator]]
id = "h100_sxm"
names = ["NVIDIA H100"]
vendor = "NVIDIA"
memory = "80 GB"
memory_bandwidth = "3.35 TB/s"
peaks = { bf16 = "989 TFLOP/s" }
scale_up = { kind = "switched", bandwidth = "450 GB/s", domain = 8 }
power = "700 W"
from = "sheet"

[[region]]
provider = "aws"
id = "us-east-1"
from = "sheet"

[[shape]]
id = "aws.p5_48xlarge"
names = ["p5.48xlarge"]
provider = "aws"
accelerator = "h100_sxm"
accelerators = 8
from = "sheet"
"#;

fn base() -> Catalog {
    let (catalog, diagnostics) = load(&[("base.toml", CHIP)]);
    assert_eq!(diagnostics, []);
    catalog
}

/// Reads one more file over the base.
fn over(text: &str) -> (Catalog, Vec<Diagnostic>) {
    load_over(&base(), &[("own.toml", text)])
}

/// Asserts that a text has exactly one mistake: code, the text at its place, and a word of its message or help.
fn mistake(text: &str, code: Code, at: &str, says: &str) {
    let (catalog, found) = over(text);
    let [one] = &found[..] else { panic!("{found:#?}") };
    assert_eq!(one.code, code, "{one:#?}");
    assert_eq!(one.place.file.as_str(), "own.toml");
    assert_eq!(&text[one.place.span().range()], at, "{one:#?}");
    let help = one.help.as_deref().expect("every mistake has a way out");
    assert!(one.message.contains(says) || help.contains(says), "{one:#?}");
    assert_eq!(catalog, base(), "a wrong row changes nothing");
}

const DATED: &str = "source = \"x\"\nas_of = 2026-01-01\n";

fn chip(fields: &str) -> String {
    format!("[[accelerator]]\nid = \"h100_sxm\"\n{fields}\n{DATED}")
}

fn price(entry: &str) -> String {
    format!(
        "[[offering]]\nshape = \"aws.p5_48xlarge\"\ngrade = \"list\"\nprices = [{{ region = \"us-east-1\", {entry} }}]\n{DATED}"
    )
}

#[test]
fn text_that_is_not_toml() {
    mistake("[[accelerator]]\nid = \"h100_sxm\nx = 1", codes::CATALOG_NOT_TOML, "", "TOML");
}

#[test]
fn tables_and_fields_that_no_catalog_has() {
    mistake("[[acelerator]]\n", codes::CATALOG_FIELD, "acelerator", "did you mean `accelerator`?");
    mistake(&chip("powr = \"600 W\""), codes::CATALOG_FIELD, "powr", "did you mean `power`?");
    mistake(&price("on_demnd = \"1 USD/h\""), codes::CATALOG_FIELD, "on_demnd", "did you mean `on_demand`?");
    mistake(&price("reserved_0y = \"1 USD/h\""), codes::CATALOG_FIELD, "reserved_0y", "reserved_1y");
    let strange = "[sources.a]\nsource = \"x\"\nasof = \"2026-01-01\"";
    mistake(strange, codes::CATALOG_FIELD, "asof", "did you mean `as_of`?");
}

#[test]
fn rows_without_source_date_or_grade() {
    let new = "[[region]]\nprovider = \"aws\"\nid = \"us-west-2\"\n";
    mistake(
        &format!("{new}as_of = 2026-01-01\ngrade = \"measured\""),
        codes::CATALOG_SOURCE,
        "[[region]]",
        "source",
    );
    mistake(
        &format!("{new}source = \"x\"\ngrade = \"measured\""),
        codes::CATALOG_SOURCE,
        "[[region]]",
        "as_of",
    );
    mistake(&format!("{new}{DATED}"), codes::CATALOG_SOURCE, "[[region]]", "data_sheet");
    mistake(
        &format!("{new}source = \" \"\nas_of = 2026-01-01"),
        codes::CATALOG_SOURCE,
        "[[region]]",
        "source",
    );
    let ungraded = price("spot = \"1 USD/h\"").replace("grade = \"list\"\n", "");
    mistake(&ungraded, codes::CATALOG_SOURCE, "{ region = \"us-east-1\", spot = \"1 USD/h\" }", "quoted");
}

#[test]
fn new_rows_that_lack_a_fact() {
    let row =
        format!("[[shape]]\nid = \"own.a\"\nnames = []\naccelerators = 0\ngrade = \"recalled\"\n{DATED}");
    mistake(&row, codes::CATALOG_FACT_MISSING, "[[shape]]", "provider");
    mistake(&format!("[[shape]]\n{DATED}"), codes::CATALOG_FACT_MISSING, "[[shape]]", "id");
    mistake(
        &price("spot = \"1 USD/h\"").replace("region = \"us-east-1\", ", ""),
        codes::CATALOG_FACT_MISSING,
        "{ spot = \"1 USD/h\" }",
        "region",
    );
}

#[test]
fn an_offering_without_a_price_or_without_a_source_does_not_load() {
    let head = "[[offering]]\nshape = \"aws.p5_48xlarge\"\n";
    mistake(&format!("{head}{DATED}"), codes::CATALOG_FACT_MISSING, "[[offering]]", "prices");
    mistake(head, codes::CATALOG_FACT_MISSING, "[[offering]]", "prices");
    mistake(&format!("{head}prices = []\n{DATED}"), codes::CATALOG_VALUE, "[]", "without a price");
    let bare = "{ region = \"us-east-1\" }";
    let row = format!("{head}grade = \"list\"\nprices = [{bare}]\n{DATED}");
    mistake(&row, codes::CATALOG_FACT_MISSING, bare, "unknown");
    let priced = "{ region = \"us-east-1\", spot = \"1 USD/h\" }";
    let row = format!("{head}grade = \"list\"\nprices = [{priced}]\n");
    mistake(&row, codes::CATALOG_SOURCE, priced, "source");
    mistake(&format!("{row}source = \"x\"\n"), codes::CATALOG_SOURCE, priced, "as_of");
}

#[test]
fn a_date_that_nobody_can_know_yet() {
    let (known, found) = over(&price("spot = \"1 USD/h\""));
    assert_eq!(found, []);
    let text = price("spot = \"2 USD/h\"").replace("2026-01-01", "2062-01-01");
    let (catalog, found) = load_over(&known, &[("own.toml", &text)]);
    assert!(matches!(&found[..], [one] if one.code == codes::CATALOG_SOURCE && one.message.contains("2062")));
    assert_eq!(catalog, known);
    let text = price("spot = \"2 USD/h\"").replace("2026-01-01", "2027-01-01");
    assert_eq!(load_over(&known, &[("own.toml", &text)]).1, []);
}

#[test]
fn prices_of_single_goods() {
    let row = |fields: &str| {
        format!("[[market_price]]\nid = \"a\"\nnames = []\n{fields}\ngrade = \"recalled\"\n{DATED}")
    };
    let (catalog, found) = over(&row("good = \"colocation\"\nprice = \"200 USD/kW/mo\""));
    assert_eq!((found, catalog.market_prices[0].price), (Vec::new(), Some(Decimal::from(200))));
    let (catalog, _) = over(&row("good = \"drive\"\nprice = \"unknown\""));
    assert_eq!(catalog.market_prices[0].price, None);
    mistake(&row("good = \"drive\"\nprice = \"0 USD\""), codes::CATALOG_VALUE, "\"0 USD\"", "unknown");
    mistake(&row("good = \"disk\"\nprice = \"5 USD\""), codes::CATALOG_VALUE, "\"disk\"", "drive");
    mistake(&row("good = \"drive\""), codes::CATALOG_FACT_MISSING, "[[market_price]]", "price");
    let of = row("good = \"accelerator\"\nof = \"h100_smx\"\nprice = \"5 USD\"");
    mistake(&of, codes::CATALOG_NAME, "\"h100_smx\"", "did you mean `h100_sxm`?");
}

#[test]
fn two_rows_of_one_name() {
    let twice = format!("{}{}", chip("power = \"600 W\""), chip("power = \"650 W\""));
    let (catalog, found) = over(&twice);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].code, codes::CATALOG_DUPLICATE);
    assert_eq!(found[0].secondary.len(), 1);
    assert_eq!(catalog.accelerators[0].power.map(|power| power.get()), Some(600.0));
    let (_, found) = load(&[("a.toml", CHIP), ("b.toml", CHIP)]);
    assert_eq!(found.len(), 3, "each row of the second file: {found:#?}");
    let clash = format!(
        "[[shape]]\nid = \"own.a\"\nnames = [\"p5.48xlarge\"]\nprovider = \"own\"\naccelerators = 0\ngrade = \"recalled\"\n{DATED}"
    );
    let (_, found) = over(&clash);
    assert!(
        matches!(&found[..], [one] if one.code == codes::CATALOG_DUPLICATE && one.message.contains("p5.48xlarge"))
    );
    let prices = price("spot = \"1 USD/h\"") + &price("spot = \"2 USD/h\"");
    assert_eq!(over(&prices).1.len(), 1);
}

#[test]
fn prices_that_cannot_be() {
    mistake(&price("spot = \"-5 USD/h\""), codes::CATALOG_PRICE, "\"-5 USD/h\"", "below zero");
    mistake(&price("spot = \"0 USD/h\""), codes::CATALOG_PRICE, "\"0 USD/h\"", "unknown");
    let (catalog, found) = over(&price("spot = \"0 USD/h\", source = \"granted\""));
    assert_eq!(found, []);
    assert_eq!(catalog.offerings[0].price, Some(Decimal::ZERO));
}

#[test]
fn values_of_the_wrong_kind() {
    mistake(&chip("memory = \"141 W\""), codes::CATALOG_VALUE, "\"141 W\"", "data");
    mistake(&chip("memory = 80"), codes::CATALOG_VALUE, "80", "unit");
    mistake(&chip("memory = \"80 Gb\""), codes::CATALOG_VALUE, "Gb", "Gbit");
    mistake(&chip("memory = \"0 GB\""), codes::CATALOG_VALUE, "\"0 GB\"", "leave the field out");
    mistake(&chip("names = \"one\""), codes::CATALOG_VALUE, "\"one\"", "list");
    mistake(&chip("peaks = { fp9 = \"1 TFLOP/s\" }"), codes::CATALOG_VALUE, "fp9", "fp8");
    mistake(
        &chip("achievable = { bf16 = \"990 TFLOP/s\" }"),
        codes::CATALOG_VALUE,
        "[[accelerator]]",
        "above the peak",
    );
    mistake(&chip("scale_up = { domain = 0 }"), codes::CATALOG_VALUE, "0", "at least one");
    mistake(&price("spot = 55.04"), codes::CATALOG_VALUE, "55.04", "55.04");
    mistake(&price("owned = \"5 USD/h\""), codes::CATALOG_VALUE, "\"5 USD/h\"", "money");
    mistake(&price("spot = \"1 USD/h\", reclaimed_per_month = 3"), codes::CATALOG_VALUE, "3", "whole");
    let day = chip("power = \"1 W\"").replace("2026-01-01", "\"2026-02-30\"");
    mistake(&day, codes::CATALOG_VALUE, "\"2026-02-30\"", "year, month and day");
    mistake("accelerator = 3", codes::CATALOG_VALUE, "3", "[[accelerator]]");
    let shape = "[[shape]]\nid = \"aws.p5_48xlarge\"\naccelerators = 0\n".to_owned() + DATED;
    mistake(&shape, codes::CATALOG_VALUE, "[[shape]]", "accelerators");
}

#[test]
fn names_that_refer_to_nothing() {
    let shape = "[[shape]]\nid = \"aws.p5_48xlarge\"\naccelerator = \"h100_smx\"\n".to_owned() + DATED;
    mistake(&shape, codes::CATALOG_NAME, "\"h100_smx\"", "did you mean `h100_sxm`?");
    let group = price("spot = \"1 USD/h\"");
    mistake(
        &group.replace("p5_48xlarge", "p5_48xlage"),
        codes::CATALOG_NAME,
        "\"aws.p5_48xlage\"",
        "aws.p5_48xlarge",
    );
    mistake(&group.replace("us-east-1", "us-esat-1"), codes::CATALOG_NAME, "\"us-esat-1\"", "us-east-1");
    mistake(&chip("from = \"nowhere\""), codes::CATALOG_NAME, "\"nowhere\"", "sources.nowhere");
}

#[test]
fn traffic_must_be_a_distribution() {
    let row = |prompt: &str| {
        format!(
            "[[traffic]]\nid = \"t\"\nnames = []\nprompt = {{ {prompt} }}\noutput = {{ quantiles = [[0, 1], [1, 9]] }}\n\
             burstiness = 1\ngrade = \"measured\"\n{DATED}"
        )
    };
    mistake(&row("quantiles = [[0, 5], [0.5, 4], [1, 9]]"), codes::CATALOG_VALUE, "[0.5, 4]", "rise");
    mistake(
        &row("quantiles = [[0.1, 5], [1, 9]]"),
        codes::CATALOG_VALUE,
        "[[0.1, 5], [1, 9]]",
        "from 0 to 1",
    );
    let mean = "quantiles = [[0, 1], [1, 9]], mean = \"50 tok\"";
    mistake(&row(mean), codes::CATALOG_VALUE, &format!("{{ {mean} }}"), "mean");
    let (catalog, found) = over(&row("quantiles = [[0, 1], [1, 9]]"));
    assert_eq!(found, []);
    assert_eq!(catalog.traffic[0].prompt.mean, 5.0);
}

#[test]
fn a_user_changes_what_he_names_and_nothing_else() {
    let (catalog, found) =
        over(&chip("power = \"600 W\"\npeaks = { fp8 = \"1979 TFLOP/s\" }\nscale_up = { domain = 4 }"));
    assert_eq!(found, []);
    let (before, after) = (&base().accelerators[0], &catalog.accelerators[0]);
    assert_eq!(after.power.map(|power| power.get()), Some(600.0));
    assert_eq!((after.peaks.len(), after.scale_up.domain), (2, 4));
    assert_eq!(after.scale_up.bandwidth, before.scale_up.bandwidth);
    assert_eq!((after.memory, &after.names), (before.memory, &before.names));
    assert_eq!((after.provenance.source.as_str(), after.provenance.grade), ("x", Grade::DataSheet));
}

#[test]
fn a_price_replaces_that_of_its_shape_region_and_option() {
    let (first, found) =
        over(&price("on_demand = \"55.04 USD/h\", spot = \"10 USD/h\", reclaimed_per_month = \"10 %\""));
    assert_eq!(found, []);
    let text = price("spot = \"8.5 USD/h\", reserved_6mo = \"14600 USD/mo\", reserved_1y = \"unknown\"");
    let (catalog, found) = load_over(&first, &[("prices.toml", &text)]);
    assert_eq!(found, []);
    let of = |option| catalog.offerings.iter().find(|offering| offering.option == option).expect("there");
    assert_eq!(of(PurchaseOption::OnDemand).price, Some(Decimal::new(5504, 2)));
    assert_eq!(of(PurchaseOption::Spot).price, Some(Decimal::new(85, 1)));
    assert_eq!(of(PurchaseOption::Spot).reclaimed_per_month, Some(0.1));
    assert_eq!(
        of(PurchaseOption::Reserved { term_months: 6 }).price,
        Some(Decimal::from(20)),
        "a month has 730 h"
    );
    assert_eq!(of(PurchaseOption::Reserved { term_months: 12 }).price, None);
    assert_eq!(of(PurchaseOption::OnDemand).provider, "aws");
}

#[test]
fn rates_are_kept_as_written() {
    let (catalog, found) = over(&format!(
        "[[rate]]\nof = \"EUR\"\nin = \"USD\"\nrate = \"1.0873\"\ngrade = \"measured\"\n{DATED}"
    ));
    assert_eq!(found, []);
    assert_eq!(catalog.rates[0].rate, Decimal::new(10_873, 4));
    mistake(
        &format!("[[rate]]\nof = \"EUR\"\nin = \"USD\"\nrate = 0\ngrade = \"measured\"\n{DATED}"),
        codes::CATALOG_VALUE,
        "0",
        "units of `in` for one unit of `of`",
    );
}

#[test]
fn a_pair_of_currencies_has_rates_of_several_dates() {
    let rate = |of: &str, to: &str, rate: &str, as_of: &str| {
        format!(
            "[[rate]]\nof = \"{of}\"\nin = \"{to}\"\nrate = {rate}\ngrade = \"measured\"\nsource = \"ECB\"\nas_of = \"{as_of}\"\n"
        )
    };
    let older = rate("USD", "EUR", "0.92", "2026-06-01");
    let text = rate("USD", "EUR", "0.70", "2026-10-01") + &older + &rate("EUR", "USD", "1.25", "2026-08-01");
    let (catalog, found) = over(&text);
    assert_eq!(found, []);
    let at = |day: &str| {
        let day = day.parse().expect("a day");
        catalog.converted(Decimal::ONE_HUNDRED, Currency::USD, Currency::EUR, day).expect("a rate")
    };
    assert_eq!(at("2026-07-01"), Decimal::from(92));
    assert_eq!(at("2026-09-01"), Decimal::from(80), "the newest, though it is of EUR in USD");
    assert_eq!(at("2026-12-01"), Decimal::from(70));
    assert_eq!(at("2026-01-01"), Decimal::from(92), "the first to come");
    let [twice] = &over(&(older.clone() + &older)).1[..] else { panic!("one of the two is too many") };
    assert_eq!(twice.code, codes::CATALOG_DUPLICATE);
    assert!(twice.message.contains("USD EUR 2026-06-01"), "{twice:?}");
    let newer = load_over(&catalog, &[("more.toml", &rate("USD", "EUR", "0.91", "2026-06-01"))]).0;
    assert_eq!(newer.rates.len(), 3, "a rate of the same day replaces the one that is known");
}

#[test]
fn all_mistakes_of_a_file_are_reported_in_order() {
    let text = format!("{}{}", chip("powr = 1\nmemory = \"3 W\""), price("spot = \"-1 USD/h\", owned = 3"));
    let found = over(&text).1;
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found.is_sorted_by_key(|one| one.place.start));
}

#[test]
fn nothing_in_a_text_makes_the_reader_fall_over() {
    let nested = format!("a = {}{}", "[".repeat(5000), "]".repeat(5000));
    for text in [
        "",
        "\u{0}",
        "[[offering]]",
        "[[offering]]\nshape = \"\"\nprices = 3",
        "sources = 1\n[x]",
        nested.as_str(),
    ] {
        let (catalog, _) = over(text);
        assert_eq!(catalog, base());
    }
    let long = " ".repeat((16 << 20) + 1);
    assert_eq!(over(&long).1[0].code, codes::CATALOG_NOT_TOML);
    for cut in 0..CHIP.len() {
        if CHIP.is_char_boundary(cut) {
            let _ = load(&[("cut.toml", &CHIP[..cut])]);
        }
    }
}
