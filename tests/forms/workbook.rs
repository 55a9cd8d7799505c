//! What a workbook is made of, without a program that opens it: formulas, charts, names, what stays in view, what prints.

use crate::fixture::{Row, with_lines};
use capstan_planner::finance::finance;
use capstan_report::xlsx;
use capstan_types::testing::blueprint::chat_blueprint;
use std::collections::BTreeMap;
use std::io::{Cursor, Read};

/// Returns every file of a workbook that is XML, by its path.
fn parts(workbook: &[u8]) -> BTreeMap<String, String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(workbook)).expect("an archive");
    let mut parts = BTreeMap::new();
    for at in 0..archive.len() {
        let mut file = archive.by_index(at).expect("a file");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("text");
        parts.insert(file.name().to_owned(), text);
    }
    parts
}

/// Returns the XML of every sheet, by its path.
pub fn sheets(workbook: &[u8]) -> BTreeMap<String, String> {
    let mut parts = parts(workbook);
    parts.retain(|path, _| path.starts_with("xl/worksheets/sheet"));
    parts
}

/// Returns the formulas of a sheet.
fn formulas(sheet: &str) -> Vec<&str> {
    sheet.split("<f>").skip(1).filter_map(|rest| rest.split("</f>").next()).collect()
}

#[test]
fn what_finance_may_change_moves_what_follows_from_it() {
    let blueprint = chat_blueprint();
    let sheets = sheets(&xlsx(&blueprint, &finance(&blueprint)).unwrap());
    let [summary, bill, cash] =
        [1, 2, 3].map(|at| formulas(&sheets[&format!("xl/worksheets/sheet{at}.xml")]));
    let one = |of: &[&str], words: &[&str]| {
        let found = of.iter().any(|formula| words.iter().all(|word| formula.contains(word)));
        assert!(found, "no formula with {words:?} in {of:?}");
    };
    // List price and discount make the net price, that and the quantity the extended one.
    one(&bill, &["K2*(1-L2)"]);
    one(&bill, &["ROUND(I2*M2,2)"]);
    one(&cash, &["SUMIFS(BOM!"]);
    one(&cash, &["DiscountRate"]);
    one(&summary, &["SUMPRODUCT(CashFlow!"]);
    one(&summary, &["IRR(CashFlow!"]);
    one(&summary, &["MAX(CashFlow!"]);
    one(&summary, &["Contingency"]);
    let lines = blueprint.cost.lines.len();
    assert!(bill.len() > 3 * lines, "{} formulas for {lines} lines", bill.len());
}

#[test]
fn every_sheet_keeps_its_headings_in_view_and_says_what_prints() {
    let blueprint = chat_blueprint();
    let parts = parts(&xlsx(&blueprint, &finance(&blueprint)).unwrap());
    let sheets: Vec<&String> = parts
        .iter()
        .filter(|(path, _)| path.starts_with("xl/worksheets/sheet"))
        .map(|(_, text)| text)
        .collect();
    assert_eq!(sheets.len(), 9);
    for sheet in &sheets {
        assert!(sheet.contains("state=\"frozen\"") && sheet.contains("fitToPage=\"1\""), "{sheet}");
        assert!(sheet.contains("Page &amp;P of &amp;N"), "{sheet}");
    }
    let book = &parts["xl/workbook.xml"];
    let named = |name: &str| book.matches(&format!("<definedName name=\"{name}\"")).count();
    let all = ["DiscountRate", "Contingency", "_xlnm.Print_Area", "_xlnm.Print_Titles"].map(named);
    assert_eq!(all, [1, 1, sheets.len(), sheets.len()], "{book}");
    let charts: Vec<&String> =
        parts.iter().filter(|(path, _)| path.starts_with("xl/charts/chart")).map(|(_, text)| text).collect();
    assert_eq!(charts.len(), 3, "payments, alternatives, what prices do");
    assert!(charts.iter().all(|chart| chart.contains("<c:f>")), "every chart is drawn from cells");
}

#[test]
fn a_name_that_looks_like_a_formula_is_text() {
    let evil = ["=cmd|' /C calc'!A0", "+7+8", "-72+83", "@SUM(7)", "\t=78", "{=87}"];
    let row = |item: &&str| Row { item: (*item).to_owned(), kind: 0, period: 0, quantity: 1, unit_price: 1 };
    let rows: Vec<Row> = evil.iter().map(row).collect();
    let (mut blueprint, _) = with_lines(&rows);
    blueprint.inputs.spec.name = evil[0].to_owned();
    let workbook = xlsx(&blueprint, &finance(&blueprint)).unwrap();
    for (path, sheet) in sheets(&workbook) {
        for formula in formulas(&sheet) {
            let its = evil.iter().any(|name| formula.contains(name.trim_start_matches(['=', '\t'])));
            assert!(!its, "{path}: {formula}");
        }
    }
    let text = &parts(&workbook)["xl/sharedStrings.xml"];
    assert!(text.contains("=cmd|") && text.contains("@SUM(7)"), "they stand there as text");
}
