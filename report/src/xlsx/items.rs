//! The bill of materials: one row per line of the bill, with a discount that a reader may fill in, and what the cash-flow
//! sheet needs of each line.

use super::layout::{Book, float, letters};
use crate::csv::{day, kind_word, option_words};
use capstan_types::blueprint::{CostKind, CostLine};
use capstan_types::finance::LineFlow;
use rust_decimal::Decimal;
use rust_xlsxwriter::{Worksheet, XlsxError};

/// Columns by their place, for formulas.
pub(super) mod column {
    pub const KIND: u16 = 5;
    pub const MONTHS: u16 = 7;
    pub const QUANTITY: u16 = 8;
    pub const LIST: u16 = 10;
    pub const DISCOUNT: u16 = 11;
    pub const NET: u16 = 12;
    pub const EXTENDED: u16 = 13;
    pub const CATEGORY: u16 = 18;
    pub const FIRST: u16 = 19;
    pub const LAST: u16 = 20;
    pub const PAID: u16 = 21;
    pub const EACH: u16 = 22;
    pub const REST: u16 = 23;
}

const COLUMNS: [(&str, f64); 24] = [
    ("Line", 6.0),
    ("Site", 12.0),
    ("Item", 44.0),
    ("Machine", 22.0),
    ("Bought", 13.0),
    ("Kind", 9.0),
    ("From", 11.0),
    ("Months", 8.0),
    ("Quantity", 12.0),
    ("Unit", 12.0),
    ("Unit price, list", 15.0),
    ("Discount", 10.0),
    ("Unit price, net", 15.0),
    ("Extended", 17.0),
    ("All on demand", 17.0),
    ("Effective", 17.0),
    ("Price is", 11.0),
    ("Source", 40.0),
    ("Paid for", 16.0),
    ("First month", 8.0),
    ("Last month", 8.0),
    ("Paid in", 8.0),
    ("Each month", 15.0),
    ("Last payment", 15.0),
];

/// The sheet, and the rows that its lines take, from 1.
pub(super) struct Items {
    pub sheet: Worksheet,
    pub first: u32,
    pub last: u32,
}

impl Book<'_> {
    /// Writes the bill of materials.
    pub(super) fn items(&self) -> Result<Items, XlsxError> {
        let mut page = self.page("BOM", 0, &COLUMNS)?;
        let lines = &self.blueprint.cost.lines;
        for (row, (line, flow)) in (1_u32..).zip(lines.iter().zip(&self.finance.lines)) {
            self.item(&mut page, row, line)?;
            self.payments(&mut page, row, line, flow)?;
        }
        let (first, last) = (2, (lines.len() as u32).max(1) + 1);
        let sum = format!("=SUM({0}{first}:{0}{last})", letters(column::EXTENDED));
        page.sheet.write_string_with_format(last, 2, "Total", &self.look.total)?;
        page.formula(last, column::EXTENDED, &sum, self.blueprint.cost.total.to_string(), &self.look.total)?;
        page.sheet.autofilter(0, 0, last - 1, COLUMNS.len() as u16 - 1)?;
        let sheet = page.done(last, column::CATEGORY)?;
        Ok(Items { sheet, first, last })
    }

    fn item(&self, page: &mut super::layout::Page<'_>, row: u32, line: &CostLine) -> Result<(), XlsxError> {
        let period = &self.blueprint.periods[line.period as usize];
        let number = row + 1;
        page.number(row, 0, f64::from(row), &self.look.number)?;
        page.text(row, 1, &line.site)?;
        page.text(row, 2, &line.item)?;
        page.text(row, 3, line.shape.as_deref().unwrap_or_default())?;
        page.text(row, 4, &option_words(line))?;
        page.text(row, column::KIND, kind_word(line.kind))?;
        page.date(row, 6, day(self.finance.start, period.first_month))?;
        page.number(row, column::MONTHS, f64::from(period.months), &self.look.number)?;
        page.number(row, column::QUANTITY, float(line.quantity), &self.look.number)?;
        page.text(row, 9, &line.unit)?;
        page.number(row, column::LIST, float(line.unit_price), &self.look.input)?;
        page.number(row, column::DISCOUNT, 0.0, &self.look.rate)?;
        let [list, discount, quantity, net] =
            [column::LIST, column::DISCOUNT, column::QUANTITY, column::NET].map(letters);
        let price = format!("={list}{number}*(1-{discount}{number})");
        page.formula(row, column::NET, &price, line.unit_price.to_string(), &self.look.price)?;
        let extended = format!("=ROUND({quantity}{number}*{net}{number},{})", self.look.digits);
        page.formula(row, column::EXTENDED, &extended, line.billed_cost.to_string(), &self.look.money)?;
        if let Some(list) = line.list_cost {
            page.number(row, 14, float(list), &self.look.money)?;
        }
        let sum = format!("={}{number}", letters(column::EXTENDED));
        page.formula(row, 15, &sum, line.billed_cost.to_string(), &self.look.money)?;
        page.text(row, 16, line.origin.word())?;
        page.text(row, 17, &line.source)
    }

    /// Writes when a line is paid: evenly, with what does not divide in the last month, as the bill has it.
    fn payments(
        &self,
        page: &mut super::layout::Page<'_>,
        row: u32,
        line: &CostLine,
        flow: &LineFlow,
    ) -> Result<(), XlsxError> {
        let period = &self.blueprint.periods[line.period as usize];
        let (number, digits) = (row + 1, self.look.digits);
        let last = period.first_month + period.months - 1;
        page.text(row, column::CATEGORY, flow.category.words())?;
        page.number(row, column::FIRST, f64::from(period.first_month), &self.look.number)?;
        page.number(row, column::LAST, f64::from(last), &self.look.number)?;
        let paid = if line.kind == CostKind::Capex { period.first_month } else { last };
        page.number(row, column::PAID, f64::from(paid), &self.look.number)?;
        let [extended, months, each] = [column::EXTENDED, column::MONTHS, column::EACH].map(letters);
        let (even, rest) = match line.kind {
            CostKind::Opex => (
                format!("=ROUND({extended}{number}/{months}{number},{digits})"),
                format!("={extended}{number}-{each}{number}*({months}{number}-1)"),
            ),
            CostKind::Capex | CostKind::Residual | CostKind::Owed => {
                ("=0".to_owned(), format!("={extended}{number}"))
            }
        };
        let spread =
            flow.billed.first().copied().filter(|_| line.kind == CostKind::Opex && flow.billed.len() > 1);
        let even_result = match line.kind {
            CostKind::Opex => spread.unwrap_or(line.billed_cost),
            CostKind::Capex | CostKind::Residual | CostKind::Owed => Decimal::ZERO,
        };
        let rest_result = match line.kind {
            CostKind::Opex => flow.billed.last().copied().unwrap_or_default(),
            CostKind::Capex | CostKind::Residual | CostKind::Owed => line.billed_cost,
        };
        page.formula(row, column::EACH, &even, even_result.to_string(), &self.look.money)?;
        page.formula(row, column::REST, &rest, rest_result.to_string(), &self.look.money)
    }
}
