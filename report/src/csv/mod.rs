//! Blueprint → tables that other programs read: line items, cash flow, and FOCUS rows to which real bills can be joined.
//!
//! UTF-8, a dot as the decimal sign, ISO dates, one row of headings. Text that a spreadsheet would take for a formula gets
//! an apostrophe in front (OWASP, CSV injection); numbers are never touched.

mod focus;

use capstan_types::blueprint::{Blueprint, CostKind, CostLine};
use capstan_types::finance::Finance;
use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;

/// Returns the files of a folder of tables.
pub fn csv_files(blueprint: &Blueprint, finance: &Finance) -> Vec<(String, Vec<u8>)> {
    vec![
        ("line_items.csv".to_owned(), line_items(blueprint)),
        ("cash_flow.csv".to_owned(), cash_flow(finance)),
        ("focus.csv".to_owned(), focus::focus(blueprint, finance)),
    ]
}

/// A table on its way to bytes.
pub(crate) struct Sheet {
    writer: csv::Writer<Vec<u8>>,
}

impl Sheet {
    fn new(headings: &[&str]) -> Self {
        let mut sheet = Self { writer: csv::WriterBuilder::new().from_writer(Vec::new()) };
        sheet.row(headings.iter().map(|heading| (*heading).to_owned()));
        sheet
    }

    /// Adds a row. Writing to memory cannot fail, and all rows have as many cells as there are headings.
    fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let _ = self.writer.write_record(cells);
    }

    fn bytes(self) -> Vec<u8> {
        self.writer.into_inner().unwrap_or_default()
    }
}

/// Returns text that no spreadsheet takes for a formula.
pub(crate) fn text(text: &str) -> String {
    let begins = text.trim_start_matches([' ', '\u{a0}']).chars().next();
    if begins.is_some_and(|c| "=+-@\t\r\n|%".contains(c)) { format!("'{text}") } else { text.to_owned() }
}

/// Returns an amount at the minor unit of its currency.
pub(crate) fn amount(blueprint: &Blueprint, money: Decimal) -> String {
    let currency = blueprint.cost.currency;
    format!("{:.1$}", currency.round(money), currency.minor_digits() as usize)
}

/// Returns the first day of a month of the horizon.
pub(crate) fn day(start: Date, month: u32) -> Date {
    start.checked_add(i64::from(month).months()).unwrap_or(start)
}

/// Returns the word of a kind of cost.
pub(crate) fn kind_word(kind: CostKind) -> &'static str {
    match kind {
        CostKind::Capex => "capex",
        CostKind::Opex => "opex",
        CostKind::Residual => "residual",
        CostKind::Owed => "owed",
    }
}

/// Returns how a line is bought; nothing where it is no machine.
pub(crate) fn option_words(line: &CostLine) -> String {
    line.option.map_or_else(String::new, capstan_types::offering::PurchaseOption::words)
}

const LINE_ITEMS: [&str; 17] = [
    "line",
    "site",
    "item",
    "machine",
    "bought",
    "kind",
    "first_month",
    "months",
    "quantity",
    "unit",
    "unit_price",
    "billed_cost",
    "effective_cost",
    "list_cost",
    "currency",
    "origin",
    "source",
];

fn line_items(blueprint: &Blueprint) -> Vec<u8> {
    let start = blueprint.inputs.spec.frame.start;
    let mut sheet = Sheet::new(&LINE_ITEMS);
    for (index, line) in blueprint.cost.lines.iter().enumerate() {
        let period = &blueprint.periods[line.period as usize];
        sheet.row([
            (index + 1).to_string(),
            text(&line.site),
            text(&line.item),
            text(line.shape.as_deref().unwrap_or_default()),
            option_words(line),
            kind_word(line.kind).to_owned(),
            day(start, period.first_month).to_string(),
            period.months.to_string(),
            line.quantity.normalize().to_string(),
            text(&line.unit),
            line.unit_price.normalize().to_string(),
            amount(blueprint, line.billed_cost),
            amount(blueprint, line.effective_cost),
            line.list_cost.map_or_else(String::new, |cost| amount(blueprint, cost)),
            blueprint.cost.currency.code().to_owned(),
            line.origin.word().to_owned(),
            text(&line.source),
        ]);
    }
    sheet.bytes()
}

fn cash_flow(finance: &Finance) -> Vec<u8> {
    let kinds: Vec<&str> = finance.cash.iter().map(|flow| flow.category.words()).collect();
    let headings: Vec<&str> = ["month", "currency"]
        .into_iter()
        .chain(kinds)
        .chain(["net", "cumulative", "discount_factor"])
        .collect();
    let digits = finance.currency.minor_digits() as usize;
    let show = |money: Decimal| format!("{money:.digits$}");
    let mut sheet = Sheet::new(&headings);
    let mut cumulative = Decimal::ZERO;
    for (month, factor) in finance.factors.iter().enumerate() {
        let paid: Vec<Decimal> = finance.cash.iter().map(|flow| flow.by_month[month]).collect();
        let net: Decimal = paid.iter().copied().sum();
        cumulative += net;
        let head = [day(finance.start, month as u32).to_string(), finance.currency.code().to_owned()];
        let tail = [show(net), show(cumulative), factor.normalize().to_string()];
        sheet.row(head.into_iter().chain(paid.into_iter().map(show)).chain(tail));
    }
    sheet.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_taken_for_a_formula() {
        for wrong in ["=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(A1)", "\t=1", " =1", "%x", "\n=1"] {
            assert!(text(wrong).starts_with('\''), "{wrong:?}");
        }
        assert_eq!(text("own.h100, owned"), "own.h100, owned");
    }
}
