//! The other sheets: alternatives, sensitivity, write-off, capacity, assumptions, approvals.

use super::layout::{Book, float, letters, range};
use crate::csv::day;
use capstan_types::finance::Category;
use rust_decimal::Decimal;
use rust_xlsxwriter::{Chart, ChartType, Worksheet, XlsxError};

/// How far a price moves in the sensitivity until a reader says otherwise.
///
/// Origin: Assumed; list prices of GPU nodes moved by 20 to 45 % within a year (reference on prices, 4.1 and 4.2).
const SWING: f64 = 0.2;

/// Years of write-off that are shown, by declining balance.
const YEARS: u32 = 6;

impl Book<'_> {
    /// Writes what the same work would cost otherwise, month by month.
    pub(super) fn comparison(&self, months: u32) -> Result<Worksheet, XlsxError> {
        let others = &self.finance.alternatives;
        let mut columns = vec![("", 22.0)];
        columns.extend(others.iter().map(|one| (one.name.as_str(), 20.0)));
        let mut page = self.page("TCO", 0, &columns)?;
        let (first, last) = (6, months + 5);
        let digits = self.look.digits;
        for (row, name) in [(1, "Total"), (2, "Net present"), (3, "Rests on")] {
            page.text(row, 0, name)?;
        }
        for (column, one) in (1_u16..).zip(others) {
            page.text(3, column, &one.basis.join("\n"))?;
            let (Some(by_month), Some(total), Some(present)) = (&one.by_month, one.total, one.net_present)
            else {
                page.text(1, column, "unknown")?;
                page.text(2, column, "unknown")?;
                continue;
            };
            let name = letters(column);
            let this = column == 1;
            for (row, paid) in (first - 1..).zip(by_month) {
                let net = letters(2 + self.finance.cash.len() as u16);
                if this {
                    let cell = format!("=CashFlow!{net}{}", row - 3);
                    page.formula(row, column, &cell, paid.to_string(), &self.look.money)?;
                } else {
                    page.number(row, column, float(*paid), &self.look.input)?;
                }
            }
            let sum = format!("=ROUND(SUM({name}{first}:{name}{last}),{digits})");
            page.formula(1, column, &sum, total.to_string(), &self.look.total)?;
            let factors = range("CashFlow", 4 + self.finance.cash.len() as u16, 2, months + 1);
            let formula = format!("=ROUND(SUMPRODUCT({name}{first}:{name}{last},{factors}),{digits})");
            page.formula(2, column, &formula, present.to_string(), &self.look.total)?;
        }
        for month in 0..months {
            page.date(first - 1 + month, 0, day(self.finance.start, month))?;
        }
        let columns = others.len() as u16;
        let mut chart = Chart::new(ChartType::Column);
        chart
            .add_series()
            .set_name("Total")
            .set_categories(("TCO", 0, 1, 0, columns))
            .set_values(("TCO", 1, 1, 1, columns));
        chart.title().set_name("Total over the horizon");
        chart.legend().set_hidden();
        chart.set_width(760).set_height(340).set_alt_text("Total of each alternative");
        page.sheet.insert_chart(last + 1, 0, &chart)?;
        page.done(last + 20, columns + 1)
    }

    /// Writes what a change of each kind of price does to the total, both ways.
    pub(super) fn sensitivity(&self, totals: &[(Category, String, Decimal)]) -> Result<Worksheet, XlsxError> {
        let columns = [
            ("Price of", 24.0),
            ("Low", 10.0),
            ("High", 10.0),
            ("Base", 18.0),
            ("Change at low", 18.0),
            ("Change at high", 18.0),
        ];
        let mut page = self.page("Sensitivity", 0, &columns)?;
        let mut sorted: Vec<_> = totals.iter().filter(|(kind, ..)| *kind != Category::Residual).collect();
        sorted.sort_by_key(|(kind, _, sum)| (std::cmp::Reverse(sum.abs()), *kind));
        let digits = self.look.digits;
        for (row, (kind, cell, sum)) in (1_u32..).zip(&sorted) {
            let number = row + 1;
            page.text(row, 0, kind.words())?;
            page.number(row, 1, -SWING, &self.look.rate)?;
            page.number(row, 2, SWING, &self.look.rate)?;
            page.formula(row, 3, &format!("={cell}"), sum.to_string(), &self.look.money)?;
            for (column, side, swing) in [(4_u16, "B", -SWING), (5, "C", SWING)] {
                let change = format!("=ROUND(D{number}*{side}{number},{digits})");
                let result =
                    self.blueprint.cost.currency.round(*sum * Decimal::try_from(swing).unwrap_or_default());
                page.formula(row, column, &change, result.to_string(), &self.look.money)?;
            }
        }
        let rows = sorted.len() as u32;
        if rows > 0 {
            let mut chart = Chart::new(ChartType::BarStacked);
            for column in [4, 5] {
                chart
                    .add_series()
                    .set_name(("Sensitivity", 0, column))
                    .set_categories(("Sensitivity", 1, 0, rows, 0))
                    .set_values(("Sensitivity", 1, column, rows, column));
            }
            chart.title().set_name("What a change of each price does to the total");
            chart.set_width(760).set_height(340).set_alt_text("Tornado of prices");
            page.sheet.insert_chart(rows + 2, 0, &chart)?;
        }
        page.done(rows + 22, 6)
    }

    /// Writes how purchases are written off: in a straight line, and by twice the declining balance.
    pub(super) fn depreciation(&self) -> Result<Worksheet, XlsxError> {
        let mut columns = vec![
            ("Item", 40.0),
            ("Site", 12.0),
            ("Cost", 17.0),
            ("In service", 11.0),
            ("Life, months", 9.0),
            ("Left after it", 10.0),
            ("Charge per month", 17.0),
            ("Value at the end", 17.0),
        ];
        let names: Vec<String> = (1..=YEARS).map(|year| format!("Declining, year {year}")).collect();
        columns.extend(names.iter().map(|name| (name.as_str(), 16.0)));
        let mut page = self.page("Depreciation", 0, &columns)?;
        let (digits, months) = (self.look.digits, self.blueprint.inputs.spec.frame.months);
        for (row, one) in (1_u32..).zip(&self.finance.written_off) {
            let number = row + 1;
            page.text(row, 0, &one.item)?;
            page.text(row, 1, &one.site)?;
            page.number(row, 2, float(one.cost), &self.look.input)?;
            page.date(row, 3, day(self.finance.start, one.from_month))?;
            page.number(row, 4, f64::from(one.life_months), &self.look.input)?;
            page.number(row, 5, one.residual, &self.look.rate)?;
            let charge = format!("=ROUND(C{number}*(1-F{number})/E{number},{digits})");
            page.formula(row, 6, &charge, one.per_month.to_string(), &self.look.money)?;
            let age = months.saturating_sub(one.from_month);
            let value =
                format!("=ROUND(C{number}-C{number}*(1-F{number})*MIN({age},E{number})/E{number},{digits})");
            page.formula(row, 7, &value, one.book_value.to_string(), &self.look.money)?;
            for year in 0..YEARS {
                let (from, to) =
                    (format!("MIN({},E{number})", year * 12), format!("MIN({},E{number})", (year + 1) * 12));
                let formula = format!(
                    "=ROUND(VDB(C{number},C{number}*F{number},E{number},{from},{to},2,TRUE),{digits})"
                );
                let result = declining(one, year);
                page.formula(row, 8 + year as u16, &formula, format!("{result}"), &self.look.money)?;
            }
        }
        page.done(self.finance.written_off.len() as u32, columns.len() as u16)
    }

    /// Writes what is needed and what there is, by pool and period, and the power of sites.
    pub(super) fn capacity(&self) -> Result<Worksheet, XlsxError> {
        let columns = [
            ("Site", 14.0),
            ("Machine", 26.0),
            ("From", 11.0),
            ("Months", 8.0),
            ("Most needed", 12.0),
            ("There or bought", 14.0),
            ("Headroom", 11.0),
        ];
        let mut page = self.page("Capacity", 0, &columns)?;
        let mut row = 1;
        for pool in &self.blueprint.pools {
            for (index, period) in self.blueprint.periods.iter().enumerate() {
                let needed =
                    pool.needed.get(index).and_then(|hours| hours.iter().copied().max()).unwrap_or(0);
                let there = pool.nodes(index);
                page.text(row, 0, &pool.site)?;
                page.text(row, 1, &pool.shape)?;
                page.date(row, 2, day(self.finance.start, period.first_month))?;
                page.number(row, 3, f64::from(period.months), &self.look.number)?;
                page.number(row, 4, f64::from(needed), &self.look.number)?;
                page.number(row, 5, f64::from(there), &self.look.number)?;
                let headroom = f64::from(there) - f64::from(needed);
                let formula = format!("=F{0}-E{0}", row + 1);
                page.formula(row, 6, &formula, headroom.to_string(), &self.look.number)?;
                row += 1;
            }
        }
        page.done(row, columns.len() as u16)
    }

    /// Writes every default, every price with its date, and every input with its digest.
    pub(super) fn assumptions(&self) -> Result<Worksheet, XlsxError> {
        let columns =
            [("No", 6.0), ("What", 90.0), ("Value", 22.0), ("Is", 12.0), ("Source", 50.0), ("As of", 12.0)];
        let mut page = self.page("Assumptions", 0, &columns)?;
        let mut row = 1;
        for one in &self.blueprint.assumptions {
            page.number(row, 0, f64::from(row), &self.look.number)?;
            page.text(row, 1, &one.text)?;
            page.text(row, 3, one.origin.word())?;
            row += 1;
        }
        for pool in &self.blueprint.pools {
            for purchase in &pool.purchases {
                let Some(price) = &purchase.price else { continue };
                page.number(row, 0, f64::from(row), &self.look.number)?;
                page.text(
                    row,
                    1,
                    &format!("price of {} at {}, {}", pool.shape, pool.site, purchase.option.words()),
                )?;
                page.number(row, 2, float(price.price), &self.look.price)?;
                page.text(row, 3, crate::build::grade_word(price.grade))?;
                page.text(row, 4, &price.source)?;
                page.date(row, 5, price.as_of)?;
                row += 1;
            }
        }
        for file in &self.blueprint.inputs.files {
            page.number(row, 0, f64::from(row), &self.look.number)?;
            page.text(row, 1, &format!("{} {}", file.role, file.path))?;
            page.text(row, 4, &format!("sha256 {}", file.sha256))?;
            row += 1;
        }
        page.done(row, columns.len() as u16)
    }

    /// Writes an empty table for those who sign.
    pub(super) fn approvals(&self) -> Result<Worksheet, XlsxError> {
        let columns = [
            ("Role", 26.0),
            ("Up to", 18.0),
            ("Name", 28.0),
            ("Date", 14.0),
            ("Signature", 30.0),
            ("Comment", 50.0),
        ];
        let mut page = self.page("Approvals", 0, &columns)?;
        for (row, role) in (1_u32..).zip(crate::SIGNERS) {
            page.text(row, 0, role)?;
        }
        page.done(6, columns.len() as u16)
    }
}

/// Returns the charge of a year by twice the declining balance in months, never below what is to be left: Excel's VDB
/// without the switch to a straight line.
fn declining(one: &capstan_types::finance::WrittenOff, year: u32) -> f64 {
    let (cost, life) = (float(one.cost), f64::from(one.life_months.max(1)));
    let floor = cost * one.residual;
    let (mut value, mut charged) = (cost, 0.0);
    for month in 0..((year + 1) * 12).min(one.life_months) {
        let charge = (value * 2.0 / life).min((value - floor).max(0.0));
        value -= charge;
        if month >= year * 12 {
            charged += charge;
        }
    }
    charged
}
