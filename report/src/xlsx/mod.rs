//! Blueprint → a workbook with live formulas, so that finance can change a price, a discount or a rate and see totals, net
//! present cost, return and payback move.
//!
//! Every formula carries the result that we computed, so that a reader that computes nothing shows the same numbers; the
//! tests have LibreOffice compute them again. Names and other text are written as text, which no program runs. Dates inside
//! the file are those of the plan.

mod cash;
mod items;
mod layout;
mod tables;

use capstan_types::blueprint::Blueprint;
use capstan_types::finance::Finance;
use layout::{Book, Look};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, XlsxError};

/// Why there is no workbook: the library refuses, which no input is known to cause.
#[derive(Debug)]
pub struct NoWorkbook(XlsxError);

impl std::fmt::Display for NoWorkbook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the workbook cannot be made: {}", self.0)
    }
}

impl std::error::Error for NoWorkbook {}

impl From<XlsxError> for NoWorkbook {
    fn from(error: XlsxError) -> Self {
        Self(error)
    }
}

/// Returns the workbook of a blueprint.
///
/// # Errors
/// See [`NoWorkbook`].
pub fn xlsx(blueprint: &Blueprint, finance: &Finance) -> Result<Vec<u8>, NoWorkbook> {
    let mut workbook = Workbook::new();
    let frame = &blueprint.inputs.spec.frame;
    let day = frame.as_of;
    let made =
        ExcelDateTime::from_ymd(day.year().unsigned_abs().max(1900), day.month() as u8, day.day() as u8)?;
    let title = layout::short(&blueprint.inputs.spec.name);
    workbook.set_properties(&DocProperties::new().set_title(title).set_creation_datetime(&made));
    let book = Book { blueprint, finance, look: Look::new(blueprint.cost.currency) };
    let items = book.items()?;
    let cash = book.cash(&items)?;
    let sheets = [
        book.summary(&items, &cash)?,
        items.sheet,
        cash.sheet,
        book.comparison(cash.months)?,
        book.sensitivity(&cash.totals)?,
        book.depreciation()?,
        book.capacity()?,
        book.assumptions()?,
        book.approvals()?,
    ];
    for sheet in sheets {
        workbook.push_worksheet(sheet);
    }
    workbook.define_name("DiscountRate", "=Summary!$B$5")?;
    workbook.define_name("Contingency", "=Summary!$B$6")?;
    Ok(workbook.save_to_buffer()?)
}
