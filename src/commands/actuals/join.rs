//! Rows of FOCUS → sums by month and service, and what two of them differ by. Pure; a bill may be as long as it wants.

use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// What rows cost.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sum {
    billed: Decimal,
    /// Hours, where every row says so.
    hours: Option<Decimal>,
}

impl Default for Sum {
    fn default() -> Self {
        Sum { billed: Decimal::ZERO, hours: Some(Decimal::ZERO) }
    }
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.billed += other.billed;
        self.hours = self.hours.zip(other.hours).map(|(sum, hours)| sum + hours);
    }
}

/// Columns in which the rows of a service may have prices of their own.
const FINE: [&str; 3] = ["SkuId", "RegionId", "PricingCategory"];

/// What a row says in [`FINE`]; nothing where there is no such column.
type Cell = [String; FINE.len()];

/// What a service costs in a month.
#[derive(Debug, Clone, Default, PartialEq)]
struct Service {
    /// What is used and bought.
    used: BTreeMap<Cell, Sum>,
    beside: Beside,
}

/// What is charged that is neither used nor bought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Beside {
    /// Taxes.
    pub tax: Decimal,
    /// Credits.
    pub credit: Decimal,
    /// Adjustments of earlier charges.
    pub adjustment: Decimal,
}

impl Beside {
    /// Returns the sum that a row of this `ChargeCategory` belongs to; none where it is used or bought.
    fn of(&mut self, category: &str) -> Option<&mut Decimal> {
        match category.trim().to_ascii_lowercase().as_str() {
            "tax" => Some(&mut self.tax),
            "credit" => Some(&mut self.credit),
            "adjustment" => Some(&mut self.adjustment),
            _ => None,
        }
    }

    /// Returns all of it.
    pub fn sum(self) -> Decimal {
        self.tax + self.credit + self.adjustment
    }

    fn less(self, other: Self) -> Self {
        Beside {
            tax: self.tax - other.tax,
            credit: self.credit - other.credit,
            adjustment: self.adjustment - other.adjustment,
        }
    }
}

/// Services by month (`2026-10`) and key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows(BTreeMap<(String, String), Service>);

/// Words for hours of a machine, in forecasts and in exports of clouds.
const HOURS: [&str; 6] = ["node-h", "contract-h", "hrs", "hour", "hours", "h"];

impl Rows {
    /// Reads rows and sums them; the currency of every row must be the one of the plan.
    pub fn read(from: impl Read, by: &str, currency: &str) -> Result<Self, String> {
        let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(from);
        let headings = reader.headers().map_err(|error| error.to_string())?.clone();
        let column =
            |name: &str| headings.iter().position(|heading| heading.trim_start_matches('\u{feff}') == name);
        let needed = |name: &str| column(name).ok_or_else(|| format!("there is no column `{name}`"));
        let (key, cost, money) = (needed(by)?, needed("BilledCost")?, needed("BillingCurrency")?);
        let month = column("BillingPeriodStart").or_else(|| column("ChargePeriodStart"));
        let month = month.ok_or("there is no column `BillingPeriodStart`")?;
        let (quantity, unit) = (column("PricingQuantity"), column("PricingUnit"));
        let (fine, category) = (FINE.map(column), column("ChargeCategory"));
        let mut rows: BTreeMap<(String, String), Service> = BTreeMap::new();
        for (index, row) in reader.records().enumerate() {
            let line = index + 2;
            let row = row.map_err(|error| error.to_string())?;
            if &row[money] != currency {
                return Err(format!("line {line} is in {}, the plan is in {currency}", &row[money]));
            }
            let billed =
                decimal(&row[cost]).ok_or_else(|| format!("line {line}: `{}` is no amount", &row[cost]))?;
            let month: String = row[month].chars().take(7).collect();
            let first: Result<jiff::civil::Date, _> = format!("{month}-01").parse();
            if first.is_err() {
                return Err(format!("line {line}: `{month}` is no month"));
            }
            let hours = || -> Option<Decimal> {
                let unit = row.get(unit?)?.to_ascii_lowercase();
                HOURS.contains(&unit.as_str()).then(|| decimal(row.get(quantity?)?)).flatten()
            };
            let text = |at: usize| row[at].trim_start_matches('\'').to_owned();
            let service = rows.entry((month, text(key))).or_default();
            match category.and_then(|at| service.beside.of(&row[at])) {
                Some(sum) => *sum += billed,
                None => {
                    let cell = fine.map(|at| at.map(&text).unwrap_or_default());
                    // Rows without an amount (what is used of a reservation) are no evidence against hours.
                    let hours = if billed.is_zero() { Some(Decimal::ZERO) } else { hours() };
                    service.used.entry(cell).or_default().add(Sum { billed, hours });
                }
            }
        }
        Ok(Rows(rows))
    }
}

/// Most that one row may say, in money or hours: a billion such rows still have a sum.
const MOST: Decimal = Decimal::from_parts(2_764_472_320, 232_830, 0, false, 0);

/// Reads a number; exports write small ones with an exponent.
fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let number: Option<Decimal> = text.parse().ok().or_else(|| Decimal::from_scientific(text).ok());
    number.filter(|number| number.abs() <= MOST)
}

/// A service in a month, planned and billed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Joined {
    /// The month.
    pub month: String,
    /// The service, or what else was summed by.
    pub key: String,
    /// What was planned.
    pub planned: Decimal,
    /// What was billed.
    pub billed: Decimal,
    /// What of the difference is due to other prices, of the rows that say their hours.
    pub by_price: Option<Decimal>,
    /// What of it is due to more or fewer hours.
    pub by_quantity: Option<Decimal>,
    /// What of it is due to taxes, credits and adjustments.
    pub beside: Beside,
    #[serde(skip)]
    used: Used,
}

/// What is used and bought.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Used {
    planned: Decimal,
    billed: Decimal,
    /// What of the difference no hours explain.
    unexplained: Decimal,
}

impl Joined {
    /// Returns what is to be said beside the numbers.
    pub fn says(&self) -> &'static str {
        match (self.planned.is_zero(), self.billed.is_zero()) {
            (true, false) => "not planned",
            (false, true) => "planned, not billed",
            _ if self.billed > self.planned => "more than planned",
            _ if self.billed < self.planned => "less than planned",
            _ => "as planned",
        }
    }
}

/// What the difference as a whole is due to: the parts sum to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Causes {
    /// Other prices than planned.
    pub by_price: Decimal,
    /// More or fewer hours than planned.
    pub by_quantity: Decimal,
    /// Billed, and in no forecast.
    pub not_planned: Decimal,
    /// Planned, and on no bill.
    pub not_billed: Decimal,
    /// Taxes other than planned.
    pub tax: Decimal,
    /// Credits other than planned.
    pub credit: Decimal,
    /// Adjustments of earlier charges.
    pub adjustment: Decimal,
    /// Of rows that do not say their hours.
    pub unexplained: Decimal,
}

impl Causes {
    /// Sums over all rows.
    pub fn of(joined: &[Joined]) -> Self {
        let mut causes = Self::default();
        for row in joined {
            let Used { planned, billed, unexplained } = row.used;
            match (planned.is_zero(), billed.is_zero()) {
                (true, _) => causes.not_planned += billed,
                (_, true) => causes.not_billed -= planned,
                _ => {
                    causes.by_price += row.by_price.unwrap_or_default();
                    causes.by_quantity += row.by_quantity.unwrap_or_default();
                    causes.unexplained += unexplained;
                }
            }
            causes.tax += row.beside.tax;
            causes.credit += row.beside.credit;
            causes.adjustment += row.beside.adjustment;
        }
        causes
    }

    /// Returns each with its words.
    pub fn told(&self) -> [(&'static str, Decimal); 8] {
        [
            ("other prices than planned", self.by_price),
            ("more or fewer hours than planned", self.by_quantity),
            ("billed, not planned", self.not_planned),
            ("planned, not billed", self.not_billed),
            ("taxes", self.tax),
            ("credits", self.credit),
            ("adjustments", self.adjustment),
            ("unexplained: rows that do not say their hours", self.unexplained),
        ]
    }
}

/// Joins the months that the bill speaks of.
pub fn join(planned: &Rows, billed: &Rows) -> Vec<Joined> {
    let months: Vec<&String> = billed.0.keys().map(|(month, _)| month).collect();
    let speaks_of = |key: &&(String, String)| months.contains(&&key.0);
    let mut keys: Vec<&(String, String)> =
        planned.0.keys().filter(speaks_of).chain(billed.0.keys()).collect();
    keys.sort();
    keys.dedup();
    let shared = shared(planned, billed);
    let none = Service::default();
    let side = |rows: &'_ Rows, key: &(String, String)| rows.0.get(key).unwrap_or(&none).clone();
    keys.into_iter().map(|key| one(key, (side(planned, key), side(billed, key)), shared)).collect()
}

/// Returns in which of [`FINE`] both sides say the same of some row: ids of two systems join nothing.
fn shared(planned: &Rows, billed: &Rows) -> [bool; FINE.len()] {
    let said = |rows: &Rows, at: usize| -> BTreeSet<String> {
        let cells = rows.0.values().flat_map(|service| service.used.keys());
        cells.map(|cell| cell[at].clone()).filter(|text| !text.is_empty()).collect()
    };
    std::array::from_fn(|at| !said(planned, at).is_disjoint(&said(billed, at)))
}

/// Returns the sums by what both sides can tell apart.
fn by_shared(service: &Service, shared: [bool; FINE.len()]) -> BTreeMap<Cell, Sum> {
    let mut sums: BTreeMap<Cell, Sum> = BTreeMap::new();
    for (cell, sum) in &service.used {
        let kept = std::array::from_fn(|at| if shared[at] { cell[at].clone() } else { String::new() });
        sums.entry(kept).or_default().add(*sum);
    }
    sums
}

fn one(key: &(String, String), (planned, billed): (Service, Service), shared: [bool; FINE.len()]) -> Joined {
    let beside = billed.beside.less(planned.beside);
    let (before, after) = (by_shared(&planned, shared), by_shared(&billed, shared));
    let total = |sums: &BTreeMap<Cell, Sum>| sums.values().map(|sum| sum.billed).sum::<Decimal>();
    let (used, spent) = (total(&before), total(&after));
    // What one side alone has is another price or another quantity of the rest.
    let (mut rest_before, mut rest_after) = (Sum::default(), Sum::default());
    let mut pairs = Vec::new();
    for (cell, sum) in &before {
        match after.get(cell) {
            Some(other) => pairs.push((*sum, *other)),
            None => rest_before.add(*sum),
        }
    }
    after.iter().filter(|(cell, _)| !before.contains_key(*cell)).for_each(|(_, sum)| rest_after.add(*sum));
    pairs.push((rest_before, rest_after));
    let pairs = pairs.into_iter().filter(|pair| *pair != Default::default());
    let explained = pairs.filter_map(split).reduce(|a, b| (a.0 + b.0, a.1 + b.1));
    // What is on one side alone is told as that.
    let explained = explained.filter(|_| !used.is_zero() && !spent.is_zero());
    let explained_sum = explained.map_or(Decimal::ZERO, |(price, quantity)| price + quantity);
    Joined {
        month: key.0.clone(),
        key: key.1.clone(),
        planned: used + planned.beside.sum(),
        billed: spent + billed.beside.sum(),
        by_price: explained.map(|(price, _)| price),
        by_quantity: explained.map(|(_, quantity)| quantity),
        beside,
        used: Used { planned: used, billed: spent, unexplained: spent - used - explained_sum },
    }
}

/// Returns the price on the hours that were billed, and the hours at the price that was planned: the two sum to the
/// difference. What one side has no hours of is a matter of hours alone; none where hours are unknown.
fn split((planned, billed): (Sum, Sum)) -> Option<(Decimal, Decimal)> {
    let (before, after) = planned.hours.zip(billed.hours)?;
    let difference = billed.billed - planned.billed;
    if planned == Sum::default() || billed == Sum::default() {
        return Some((Decimal::ZERO, difference));
    }
    let price = planned.billed.checked_div(before)?;
    let by_quantity = (after - before).checked_mul(price)?.round_dp(2);
    Some((difference - by_quantity, by_quantity))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "BillingPeriodStart,ServiceName,BilledCost,BillingCurrency,PricingQuantity,PricingUnit\n";

    fn rows(text: &str) -> Rows {
        Rows::read(format!("{HEAD}{text}").as_bytes(), "ServiceName", "USD").expect("rows")
    }

    #[test]
    fn price_and_quantity_sum_to_the_difference() {
        let planned = rows("2026-10-01T00:00:00Z,p5,1000,USD,100,node-h\n");
        let billed = rows("2026-10-01T00:00:00Z,p5,660,USD,60,Hrs\n2026-10-01T00:00:00Z,p5,660,USD,60,Hrs\n");
        let joined = join(&planned, &billed);
        assert_eq!(joined.len(), 1);
        assert_eq!((joined[0].by_price, joined[0].by_quantity), (Some(120.into()), Some(200.into())));
        assert_eq!(joined[0].says(), "more than planned");
    }

    #[test]
    fn what_was_not_planned_and_what_was_never_billed_are_told() {
        let planned = rows("2026-10-01,p5,1000,USD,,\n2026-11-01,p5,1000,USD,,\n");
        let billed = rows("2026-10-01,egress,1.5e1,USD,,\n");
        let says: Vec<_> = join(&planned, &billed).iter().map(|row| (row.key.clone(), row.says())).collect();
        assert_eq!(says, [("egress".to_owned(), "not planned"), ("p5".to_owned(), "planned, not billed")]);
    }

    /// Returns the causes in the order in which they are told, having seen that they sum to the difference.
    fn causes(planned: &Rows, billed: &Rows) -> Vec<Decimal> {
        let joined = join(planned, billed);
        let causes: Vec<Decimal> = Causes::of(&joined).told().into_iter().map(|(_, money)| money).collect();
        let difference: Decimal = joined.iter().map(|row| row.billed - row.planned).sum();
        assert_eq!(causes.iter().sum::<Decimal>(), difference);
        causes
    }

    #[test]
    fn the_causes_sum_to_the_difference() {
        let planned = rows(
            "2026-10-01,p5,1000,USD,100,node-h\n2026-10-01,p4,50,USD,5,node-h\n2026-10-01,s3,70,USD,,\n",
        );
        let billed =
            rows("2026-10-01,p5,1320,USD,120,Hrs\n2026-10-01,egress,15,USD,,\n2026-10-01,s3,90,USD,,\n");
        assert_eq!(causes(&planned, &billed), [120, 200, 15, -50, 0, 0, 0, 20].map(Decimal::from));
    }

    fn fine(text: &str) -> Rows {
        let head = format!("{},RegionId,SkuId,ChargeCategory\n", HEAD.trim_end());
        Rows::read(format!("{head}{text}").as_bytes(), "ServiceName", "USD").expect("rows")
    }

    const TWO_PRICES: &str = "2026-10-01,p5,100,USD,100,h,a,x,Usage\n2026-10-01,p5,300,USD,100,h,b,x,Usage\n";

    #[test]
    fn rows_of_two_prices_are_split_each_by_its_own() {
        let billed = fine(
            "2026-10-01,p5,200,USD,200,h,a,x,Usage\n2026-10-01,p5,300,USD,100,h,b,x,Usage\n\
             2026-10-01,p5,40,USD,10,h,c,x,Usage\n",
        );
        assert_eq!(causes(&fine(TWO_PRICES), &billed), [0, 140, 0, 0, 0, 0, 0, 0].map(Decimal::from));
    }

    #[test]
    fn ids_of_two_systems_do_not_keep_prices_apart() {
        let billed =
            fine("2026-10-01,p5,150,USD,100,Hrs,a,1Z,Usage\n2026-10-01,p5,300,USD,100,Hrs,b,2Z,Usage\n");
        assert_eq!(causes(&fine(TWO_PRICES), &billed), [50, 0, 0, 0, 0, 0, 0, 0].map(Decimal::from));
        let elsewhere = fine("2026-10-01,p5,150,USD,100,Hrs,us-1,1Z,Usage\n");
        assert_eq!(causes(&fine(TWO_PRICES), &elsewhere), [-50, -200, 0, 0, 0, 0, 0, 0].map(Decimal::from));
    }

    #[test]
    fn taxes_credits_and_adjustments_are_causes_of_their_own() {
        let billed = fine(
            "2026-10-01,p5,110,USD,100,h,a,x,Usage\n2026-10-01,p5,300,USD,100,h,b,x,Usage\n\
             2026-10-01,p5,-50,USD,,,a,x,Credit\n2026-10-01,p5,19,USD,,,a,x,Tax\n\
             2026-10-01,vat,7,USD,,,,,tax\n2026-10-01,p5,-3,USD,,,a,x,Adjustment\n",
        );
        assert_eq!(causes(&fine(TWO_PRICES), &billed), [10, 0, 0, 0, 26, -50, -3, 0].map(Decimal::from));
        let joined = join(&fine(TWO_PRICES), &billed);
        assert_eq!((joined[0].by_price, joined[0].by_quantity), (Some(10.into()), Some(0.into())));
    }

    #[test]
    fn another_currency_and_a_missing_column_are_refused() {
        let read = |text: &str| Rows::read(text.as_bytes(), "ServiceName", "USD").expect_err("refused");
        assert!(read(&format!("{HEAD}2026-10-01,p5,1,EUR,,\n")).contains("line 2 is in EUR"));
        assert!(read("BillingPeriodStart,ServiceName\n").contains("`BilledCost`"));
        assert!(read(&format!("{HEAD}2026-10-01,p5,much,USD,,\n")).contains("`much` is no amount"));
        assert!(read(&format!("{HEAD}soon,p5,1,USD,,\n")).contains("is no month"));
    }
}
