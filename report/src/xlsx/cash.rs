//! Cash flow by month and kind, the saving against all on demand, and the summary that rests on both.

use super::items::{Items, column};
use super::layout::{Book, Page, float, letters, range};
use crate::csv::day;
use capstan_types::blueprint::CostKind;
use capstan_types::finance::Category;
use rust_decimal::Decimal;
use rust_xlsxwriter::{Chart, ChartType, Worksheet, XlsxError};

/// The sheet, and where its sums are.
pub(super) struct Cash {
    pub sheet: Worksheet,
    /// Rows of months.
    pub months: u32,
    /// Kinds with the cell of their sum, from which the sensitivity goes out.
    pub totals: Vec<(Category, String, Decimal)>,
    net: u16,
}

impl Book<'_> {
    /// Writes the cash flow: its first month is in row 2, as a spreadsheet counts.
    pub(super) fn cash(&self, items: &Items) -> Result<Cash, XlsxError> {
        let kinds: Vec<Category> = self.finance.cash.iter().map(|flow| flow.category).collect();
        let net = 2 + kinds.len() as u16;
        let mut columns = vec![("Month", 11.0), ("Index", 7.0)];
        columns.extend(kinds.iter().map(|kind| (kind.words(), 16.0)));
        columns.extend([("Net", 17.0), ("Cumulative", 17.0), ("Factor", 12.0), ("Discounted", 17.0)]);
        columns.extend([
            ("All on demand", 17.0),
            ("Saved", 17.0),
            ("Saved in sum", 17.0),
            ("Below zero", 9.0),
        ]);
        let mut page = self.page("CashFlow", 0, &columns)?;
        let months = self.finance.factors.len() as u32;
        let mut cumulative = Decimal::ZERO;
        let mut saved = Decimal::ZERO;
        for month in 0..months {
            let row = month + 1;
            page.date(row, 0, day(self.finance.start, month))?;
            page.number(row, 1, f64::from(month), &self.look.number)?;
            for (column, flow) in (2_u16..).zip(&self.finance.cash) {
                let paid = flow.by_month[month as usize];
                let formula = paid_in_month(items, column, row + 1, self.look.digits);
                page.formula(row, column, &formula, paid.to_string(), &self.look.money)?;
            }
            self.net_of_month(&mut page, month, net, &mut cumulative, &mut saved)?;
        }
        let last = months + 1;
        let mut totals = Vec::new();
        for (column, flow) in (2_u16..).zip(&self.finance.cash) {
            let (name, sum) = (letters(column), flow.by_month.iter().copied().sum::<Decimal>());
            page.formula(
                last,
                column,
                &format!("=SUM({name}2:{name}{last})"),
                sum.to_string(),
                &self.look.total,
            )?;
            totals.push((flow.category, format!("CashFlow!${name}${}", last + 1), sum));
        }
        let name = letters(net);
        let total = self.blueprint.cost.total.to_string();
        page.formula(last, net, &format!("=SUM({name}2:{name}{last})"), total, &self.look.total)?;
        page.sheet.write_string_with_format(last, 0, "Total", &self.look.total)?;
        // A plan that does not exist pays nothing, and a chart needs a series.
        if !self.finance.cash.is_empty() {
            page.sheet.insert_chart(last + 2, 0, &self.chart_of_cash(months))?;
        }
        let sheet = page.done(last + 24, net + 8)?;
        Ok(Cash { sheet, months, totals, net })
    }

    fn net_of_month(
        &self,
        page: &mut Page<'_>,
        month: u32,
        net: u16,
        cumulative: &mut Decimal,
        saved: &mut Decimal,
    ) -> Result<(), XlsxError> {
        let (row, number) = (month + 1, month + 2);
        let at = |column: u16| format!("{}{number}", letters(column));
        let above = |column: u16| format!("{}{}", letters(column), number - 1);
        let (money, digits) = (&self.look.money, self.look.digits);
        let paid: Decimal = self.finance.cash.iter().map(|flow| flow.by_month[month as usize]).sum();
        *cumulative += paid;
        let sum = if net > 2 { format!("=SUM(C{number}:{})", at(net - 1)) } else { "=0".to_owned() };
        page.formula(row, net, &sum, paid.to_string(), money)?;
        let running =
            if month == 0 { format!("={}", at(net)) } else { format!("={}+{}", above(net + 1), at(net)) };
        page.formula(row, net + 1, &running, cumulative.to_string(), money)?;
        let factor = self.finance.factors[month as usize];
        let discount = format!("=ROUND((1+DiscountRate)^(-(B{number}+1)/12),9)");
        page.formula(row, net + 2, &discount, factor.to_string(), &self.look.price)?;
        let present = format!("={}*{}", at(net), at(net + 2));
        page.formula(row, net + 3, &present, (paid * factor).to_string(), money)?;
        let other = self.finance.alternatives.get(1).and_then(|one| one.by_month.as_ref());
        let Some(theirs) = other.map(|months| months[month as usize]) else { return Ok(()) };
        page.number(row, net + 4, float(theirs), &self.look.input)?;
        page.formula(
            row,
            net + 5,
            &format!("=ROUND({}-{},{digits})", at(net + 4), at(net)),
            (theirs - paid).to_string(),
            money,
        )?;
        *saved += theirs - paid;
        let running = if month == 0 {
            format!("={}", at(net + 5))
        } else {
            format!("={}+{}", above(net + 6), at(net + 5))
        };
        page.formula(row, net + 6, &running, saved.to_string(), money)?;
        let below = if *saved < Decimal::ZERO { month.to_string() } else { "-1".to_owned() };
        // A saving that only rounding puts below zero is none.
        let edge = format!("=IF(ROUND({},{digits})<0,B{number},-1)", at(net + 6));
        page.formula(row, net + 7, &edge, below, &self.look.number)
    }

    fn chart_of_cash(&self, months: u32) -> Chart {
        let mut chart = Chart::new(ChartType::ColumnStacked);
        for column in 2..2 + self.finance.cash.len() as u16 {
            chart
                .add_series()
                .set_name(("CashFlow", 0, column))
                .set_categories(("CashFlow", 1, 0, months, 0))
                .set_values(("CashFlow", 1, column, months, column));
        }
        chart.title().set_name("Payments by month");
        chart.set_width(960).set_height(380).set_alt_text("Payments by month and kind, stacked");
        chart
    }

    /// Writes the summary: what is decided, rates that may be changed, totals, return.
    pub(super) fn summary(&self, items: &Items, cash: &Cash) -> Result<Worksheet, XlsxError> {
        let mut page = self.page("Summary", 2, &[("", 42.0), ("", 24.0), ("", 60.0)])?;
        let frame = &self.blueprint.inputs.spec.frame;
        page.sheet.write_string_with_format(
            0,
            0,
            super::layout::short(&self.blueprint.inputs.spec.name),
            &self.look.title,
        )?;
        page.text(1, 0, &crate::build::verdict(self.blueprint))?;
        page.text(3, 0, "Currency")?;
        page.text(3, 1, self.blueprint.cost.currency.code())?;
        page.text(4, 0, "Discount rate per year")?;
        page.number(4, 1, frame.discount_per_year, &self.look.rate)?;
        page.text(4, 2, "yellow cells may be changed; everything else follows")?;
        page.text(5, 0, "Contingency")?;
        page.number(5, 1, 0.0, &self.look.rate)?;
        let row = self.totals(&mut page, items, cash, 7)?;
        let row = self.returns(&mut page, cash, row + 1)?;
        let row = self.open_points(&mut page, row + 1)?;
        page.done(row, 3)
    }

    fn totals(
        &self,
        page: &mut Page<'_>,
        items: &Items,
        cash: &Cash,
        mut row: u32,
    ) -> Result<u32, XlsxError> {
        let cost = &self.blueprint.cost;
        let extended = range("BOM", column::EXTENDED, items.first, items.last);
        let kinds = range("BOM", column::KIND, items.first, items.last);
        let of_kind = |kind: &str| format!("=SUMIFS({extended},{kinds},\"{kind}\")");
        let (residual, owed) = (cost.sum_of(CostKind::Residual), cost.sum_of(CostKind::Owed));
        let digits = self.look.digits;
        let (net, factor) = (cash.net, cash.net + 2);
        let last = cash.months + 1;
        let present = format!(
            "=ROUND(SUMPRODUCT({},{}),{digits})",
            range("CashFlow", net, 2, last),
            range("CashFlow", factor, 2, last)
        );
        let rows = [
            ("Total over the horizon", format!("=ROUND(SUM({extended}),{digits})"), cost.total),
            ("  purchases (capex)", of_kind("capex"), cost.capex),
            ("  running cost (opex)", of_kind("opex"), cost.opex),
            ("  value left at the end", of_kind("residual"), residual),
            (
                "Per month",
                format!("=ROUND(B8/{},{digits})", self.blueprint.inputs.spec.frame.months),
                cost.per_month,
            ),
            ("Net present cost", present, cost.net_present),
            ("Total with contingency", format!("=ROUND(B8*(1+Contingency),{digits})"), cost.total),
        ];
        let bound = ("  still bound after the horizon", of_kind("owed"), owed);
        let bound = (!owed.is_zero()).then_some(bound);
        for (name, formula, result) in rows.into_iter().chain(bound) {
            page.text(row, 0, name)?;
            page.formula(row, 1, &formula, result.to_string(), &self.look.total)?;
            row += 1;
        }
        Ok(row)
    }

    fn returns(&self, page: &mut Page<'_>, cash: &Cash, mut row: u32) -> Result<u32, XlsxError> {
        let Some(earns) = &self.finance.earns else {
            page.text(row, 0, "Return against all on demand")?;
            page.text(row, 1, "unknown: something has no price by the hour")?;
            return Ok(row + 1);
        };
        let (last, digits) = (cash.months + 1, self.look.digits);
        let saved = range("CashFlow", cash.net + 5, 2, last);
        let factor = range("CashFlow", cash.net + 2, 2, last);
        let below = range("CashFlow", cash.net + 7, 2, last);
        let none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        page.text(row, 0, "Saved against all on demand, discounted")?;
        page.formula(
            row,
            1,
            &format!("=ROUND(SUMPRODUCT({saved},{factor}),{digits})"),
            earns.net_present.to_string(),
            &self.look.total,
        )?;
        row += 1;
        page.text(row, 0, "Internal rate of return per year")?;
        let rate = none(earns.irr_per_year.map(|rate| rate.to_string()));
        page.formula(
            row,
            1,
            &format!("=IFERROR((1+IRR({saved},0.05))^12-1,\"none\")"),
            rate,
            &self.look.percent,
        )?;
        row += 1;
        page.text(row, 0, "Payback, months")?;
        let months = none(earns.payback_months.map(|months| months.to_string()));
        // Where the sum is never below zero, what is saved is saved at once; where nothing is saved, never.
        let at_once = format!("IF(ROUND(SUM({saved}),{digits})>0,0,\"none\")");
        let formula = format!(
            "=IF(MAX({below})<0,{at_once},IF(MAX({below})={},\"none\",MAX({below})+2))",
            cash.months.saturating_sub(1)
        );
        page.formula(row, 1, &formula, months, &self.look.number)?;
        Ok(row + 1)
    }

    fn open_points(&self, page: &mut Page<'_>, mut row: u32) -> Result<u32, XlsxError> {
        let blueprint = self.blueprint;
        page.text(row, 0, "Not in these sums, or passed over without a price")?;
        page.number(
            row,
            1,
            (blueprint.cost.not_included.len() + blueprint.unpriced.len()) as f64,
            &self.look.number,
        )?;
        for item in &blueprint.cost.not_included {
            page.text(row, 2, item)?;
            row += 1;
        }
        for one in &blueprint.unpriced {
            page.text(
                row,
                2,
                &format!("{} at {}, {}: nobody knows the price", one.shape, one.site, one.option.words()),
            )?;
            row += 1;
        }
        row += 1;
        for (name, value) in
            [("Prices as of", self.price_date()), ("Assumptions", blueprint.assumptions.len().to_string())]
        {
            page.text(row, 0, name)?;
            page.text(row, 1, &value)?;
            row += 1;
        }
        Ok(row)
    }
}

/// Returns the formula of what is paid for a kind in a month: even payments that run, and last or single ones.
fn paid_in_month(items: &Items, column: u16, number: u32, digits: u32) -> String {
    let of = |column: u16| range("BOM", column, items.first, items.last);
    let kind = format!("${}$1", letters(column));
    format!(
        "=ROUND(SUMIFS({},{},{kind},{},\"<=\"&$B{number},{},\">\"&$B{number})+SUMIFS({},{},{kind},{},$B{number}),{digits})",
        of(column::EACH),
        of(column::CATEGORY),
        of(column::FIRST),
        of(column::LAST),
        of(column::REST),
        of(column::CATEGORY),
        of(column::PAID),
    )
}
