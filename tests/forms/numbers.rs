//! Totals are parsed back from every form and are equal.

use crate::fixture::{Row, many, with_lines};
use crate::workbook::sheets;
use capstan_report::{Style, csv_files, document, html, json, markdown, terminal, xlsx};
use capstan_types::blueprint::Blueprint;
use capstan_types::finance::Finance;
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::io::Read;

fn number(text: &str) -> Decimal {
    let plain = text.trim().replace([',', '*'], "");
    plain.parse().unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before:?}")).1;
    rest.split_once(after).unwrap_or_else(|| panic!("no {after:?}")).0
}

/// Returns the sum of a column of a table of comma-separated values.
fn summed(bytes: &[u8], column: &str) -> Decimal {
    let mut reader = csv::Reader::from_reader(bytes);
    let at = reader.headers().unwrap().iter().position(|name| name == column).expect("a column");
    reader.records().map(|row| number(&row.unwrap()[at])).sum()
}

/// Returns the results that formulas of a sheet carry, by cell.
fn cell(workbook: &[u8], sheet: usize, cell: &str) -> f64 {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(workbook)).unwrap();
    let mut text = String::new();
    archive.by_name(&format!("xl/worksheets/sheet{sheet}.xml")).unwrap().read_to_string(&mut text).unwrap();
    between(between(&text, &format!("<c r=\"{cell}\""), "</c>"), "<v>", "</v>").parse().unwrap()
}

/// Returns the total as each form tells it.
fn totals(blueprint: &Blueprint, finance: &Finance) -> Vec<(&'static str, Decimal)> {
    let tables = csv_files(blueprint, finance);
    let told = markdown(&document(blueprint));
    let page = html(blueprint, finance, &|_| None).unwrap();
    let value: serde_json::Value = serde_json::from_str(&json(blueprint)).unwrap();
    let workbook = xlsx(blueprint, finance).unwrap();
    let bill = told.split("## Cost by item").nth(1).expect("the bill");
    let bill = bill.lines().find(|line| line.starts_with("| **total**")).expect("a total");
    let sheet =
        |sheet: usize, name: &str| Decimal::try_from(cell(&workbook, sheet, name)).unwrap().round_dp(2);
    vec![
        ("line items", summed(&tables[0].1, "billed_cost")),
        ("cash flow", summed(&tables[1].1, "net")),
        ("FOCUS, billed", summed(&tables[2].1, "BilledCost")),
        ("FOCUS, effective", summed(&tables[2].1, "EffectiveCost")),
        ("Markdown", number(bill.trim_end_matches([' ', '|']).rsplit('|').next().unwrap())),
        ("HTML, cards", number(between(between(&page, "<dt>total</dt><dd", "</dd>"), ">", " USD"))),
        ("HTML, lines", number(of_lines(&page))),
        ("JSON", Decimal::try_from(value["summary"]["total"].as_f64().unwrap()).unwrap().round_dp(2)),
        ("XLSX, summary", sheet(1, "B8")),
    ]
}

/// Returns the sum below all lines of the bill.
fn of_lines(page: &str) -> &str {
    let lines = page.split("<details>").nth(1).expect("all lines");
    let foot = between(lines, "<tfoot>", "</tfoot>");
    let cells: Vec<&str> = foot.split("<td class=\"").skip(1).collect();
    between(cells[7], ">", "</td>")
}

fn row() -> impl Strategy<Value = Row> {
    let names = prop::sample::select(vec![
        "10 × own.h100_sxm_8, owned",
        "=cmd|' /C calc'!A0",
        "a,b\"c\"\nd",
        "<script>alert(1)</script>",
        "\u{202e}gnp.exe",
        "energy of own.h100_sxm_8 at hz1",
        "机器",
    ]);
    (names, 0_u8..3, 0_u32..6, 0_i64..90_000_000_000, -2_000_000_000_i64..2_000_000_000).prop_map(
        |(item, kind, period, quantity, unit_price)| Row {
            item: item.to_owned(),
            kind,
            period,
            quantity,
            unit_price,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_form_tells_the_same_total(rows in prop::collection::vec(row(), 1..40)) {
        let (blueprint, finance) = with_lines(&rows);
        for (form, total) in totals(&blueprint, &finance) {
            prop_assert_eq!(total, blueprint.cost.total, "{}", form);
        }
    }
}

#[test]
fn no_form_lets_a_name_act() {
    let rows = [Row {
        item: "=HYPERLINK(\"http://x\")<script>alert(1)</script>".to_owned(),
        kind: 1,
        period: 0,
        quantity: 10_000,
        unit_price: 1_000_000,
    }];
    let (blueprint, finance) = with_lines(&rows);
    for (name, bytes) in csv_files(&blueprint, &finance) {
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        for row in reader.records() {
            let row = row.unwrap();
            assert!(row.iter().all(|cell| !cell.starts_with(['=', '@', '+'])), "{name}: {row:?}");
        }
    }
    let page = html(&blueprint, &finance, &|_| None).unwrap();
    assert_eq!(page.matches("<script>").count(), 1, "the page's own");
    for (sheet, text) in sheets(&xlsx(&blueprint, &finance).unwrap()) {
        assert!(!text.contains("HYPERLINK") && !text.contains("<hyperlink"), "{sheet} does something");
    }
}

#[test]
fn the_same_blueprint_gives_the_same_bytes_in_every_form() {
    let (blueprint, finance) = with_lines(&many(50));
    let all = || {
        (
            csv_files(&blueprint, &finance),
            html(&blueprint, &finance, &|_| None).unwrap(),
            xlsx(&blueprint, &finance).unwrap(),
            json(&blueprint),
            markdown(&document(&blueprint)),
            terminal(&document(&blueprint), 80, Style { colour: false, unicode: true }),
        )
    };
    assert!(all() == all());
}

#[test]
fn names_of_ten_thousand_characters_are_shown_in_every_form() {
    let mut rows = many(3);
    rows[0].item = "長".repeat(40_000);
    let (blueprint, finance) = with_lines(&rows);
    assert!(totals(&blueprint, &finance).iter().all(|(_, total)| *total == blueprint.cost.total));
}
