//! How sheets look and where cells are: formats, widths, headings that stay, what is printed.

use capstan_types::blueprint::Blueprint;
use capstan_types::finance::Finance;
use capstan_types::money::Currency;
use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use rust_xlsxwriter::{ExcelDateTime, Format, FormatAlign, FormatBorder, Formula, Worksheet, XlsxError};

/// Most characters of a cell: Excel's limit is 32,767.
const CELL: usize = 32_000;

/// Formats, made once.
pub(super) struct Look {
    /// Headings of columns.
    pub heading: Format,
    /// Titles of sheets.
    pub title: Format,
    /// Amounts.
    pub money: Format,
    /// Amounts that sum others.
    pub total: Format,
    /// Unrounded prices.
    pub price: Format,
    /// What a reader may change: prices, discounts, rates.
    pub input: Format,
    /// Rates that a reader may change.
    pub rate: Format,
    /// Rates.
    pub percent: Format,
    /// Counts and hours.
    pub number: Format,
    /// Dates.
    pub date: Format,
    /// Prose that is broken into lines.
    pub prose: Format,
    /// Digits of the currency's minor unit.
    pub digits: u32,
}

impl Look {
    pub(super) fn new(currency: Currency) -> Self {
        let digits = currency.minor_digits();
        let places = if digits == 0 { String::new() } else { format!(".{}", "0".repeat(digits as usize)) };
        let money = format!("#,##0{places};[Red]-#,##0{places}");
        let price = "#,##0.00#######;[Red]-#,##0.00#######";
        let plain = || Format::new().set_font_name("Calibri").set_font_size(10.0);
        let open = || plain().set_background_color("#FFF8DC").set_font_color("#1F3F7F");
        Self {
            heading: plain()
                .set_bold()
                .set_background_color("#DDE6F0")
                .set_border_bottom(FormatBorder::Thin)
                .set_align(FormatAlign::Top)
                .set_text_wrap(),
            title: plain().set_bold().set_font_size(14.0),
            total: plain().set_bold().set_num_format(&money).set_border_top(FormatBorder::Thin),
            money: plain().set_num_format(&money),
            price: plain().set_num_format(price),
            input: open().set_num_format(price),
            rate: open().set_num_format("0.00%"),
            percent: plain().set_num_format("0.0%"),
            number: plain().set_num_format("#,##0.####"),
            date: plain().set_num_format("yyyy-mm-dd"),
            prose: plain().set_text_wrap().set_align(FormatAlign::Top),
            digits,
        }
    }
}

/// What the sheets are made from.
pub(super) struct Book<'a> {
    pub blueprint: &'a Blueprint,
    pub finance: &'a Finance,
    pub look: Look,
}

/// Returns text that a cell can hold.
pub(super) fn short(text: &str) -> String {
    let clean = text.chars().map(|c| if c == '\n' { c } else { crate::shown(c) });
    clean.take(CELL).collect()
}

/// Returns an amount as the number that a cell holds.
pub(super) fn float(amount: Decimal) -> f64 {
    amount.to_f64().unwrap_or(0.0)
}

/// Returns the letters of a column, from 0.
pub(super) fn letters(column: u16) -> String {
    let last = char::from(b'A' + (column % 26) as u8);
    if column < 26 { last.to_string() } else { format!("{}{last}", letters(column / 26 - 1)) }
}

/// Returns a column of rows as a formula names it, rows from 1.
pub(super) fn range(sheet: &str, column: u16, first: u32, last: u32) -> String {
    let name = letters(column);
    format!("{sheet}!${name}${first}:${name}${last}")
}

/// A sheet while it is written.
pub(super) struct Page<'a> {
    pub sheet: Worksheet,
    pub look: &'a Look,
}

impl<'a> Book<'a> {
    /// Begins a sheet: its name, its columns with their widths from row `top` (from 0) on, what stays while scrolling, and
    /// how it prints.
    pub(super) fn page(&self, name: &str, top: u32, columns: &[(&str, f64)]) -> Result<Page<'_>, XlsxError> {
        let mut sheet = Worksheet::new();
        sheet.set_name(name)?;
        for (index, (heading, width)) in (0_u16..).zip(columns) {
            sheet.write_string_with_format(top, index, *heading, &self.look.heading)?;
            sheet.set_column_width(index, *width)?;
        }
        sheet.set_freeze_panes(top + 1, 0)?;
        sheet.set_landscape().set_paper_size(9).set_print_fit_to_pages(1, 0);
        sheet.set_repeat_rows(top, top)?;
        let plan = self.blueprint.inputs.files.iter().find(|file| file.role == "plan");
        let digest: String = plan.map_or(String::new(), |file| file.sha256.chars().take(16).collect());
        let name: String =
            short(&self.blueprint.inputs.spec.name).replace('&', "&&").chars().take(60).collect();
        sheet.set_header(format!("&L{name}&R&A"));
        sheet.set_footer(format!("&Lplan {digest}&CPrices as of {}&RPage &P of &N", self.price_date()));
        Ok(Page { sheet, look: &self.look })
    }

    /// Returns the date of the oldest price that counts, or that there is none.
    pub(super) fn price_date(&self) -> String {
        let purchases = self.blueprint.pools.iter().flat_map(|pool| &pool.purchases);
        let oldest = purchases.filter_map(|purchase| purchase.price.as_ref()).map(|row| row.as_of).min();
        oldest.map_or_else(|| "no price".to_owned(), |date| date.to_string())
    }
}

impl Page<'_> {
    /// Writes text.
    pub(super) fn text(&mut self, row: u32, column: u16, text: &str) -> Result<(), XlsxError> {
        self.sheet.write_string_with_format(row, column, short(text), &self.look.prose)?;
        Ok(())
    }

    /// Writes a number.
    pub(super) fn number(
        &mut self,
        row: u32,
        column: u16,
        number: f64,
        format: &Format,
    ) -> Result<(), XlsxError> {
        self.sheet.write_number_with_format(row, column, number, format)?;
        Ok(())
    }

    /// Writes a formula with the result that we know.
    pub(super) fn formula(
        &mut self,
        row: u32,
        column: u16,
        formula: &str,
        result: impl Into<String>,
        format: &Format,
    ) -> Result<(), XlsxError> {
        let formula = Formula::new(formula).set_result(result);
        self.sheet.write_formula_with_format(row, column, formula, format)?;
        Ok(())
    }

    /// Writes a date.
    pub(super) fn date(&mut self, row: u32, column: u16, date: Date) -> Result<(), XlsxError> {
        let day = ExcelDateTime::from_ymd(
            date.year().unsigned_abs().max(1900),
            date.month() as u8,
            date.day() as u8,
        )?;
        self.sheet.write_with_format(row, column, &day, &self.look.date)?;
        Ok(())
    }

    /// Ends a sheet of so many rows and columns.
    pub(super) fn done(mut self, rows: u32, columns: u16) -> Result<Worksheet, XlsxError> {
        self.sheet.set_print_area(0, 0, rows.max(1), columns.max(1) - 1)?;
        Ok(self.sheet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_the_letters_of_a_spreadsheet() {
        assert_eq!(
            (letters(0), letters(25), letters(26), letters(52)),
            ("A".into(), "Z".into(), "AA".into(), "BA".into())
        );
        assert_eq!(range("BOM", 1, 2, 9), "BOM!$B$2:$B$9");
    }
}
