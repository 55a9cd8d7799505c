//! Rows of FOCUS → sums by month and service, and what two of them differ by. Pure; a bill may be as long as it wants.

use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Read;

/// What a service costs in a month.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sum {
    billed: Decimal,
    /// Hours, where every row says so.
    hours: Option<Decimal>,
}

/// Sums by month (`2026-10`) and key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows(BTreeMap<(String, String), Sum>);

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
        let mut rows = BTreeMap::new();
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
            let name = row[key].trim_start_matches('\'').to_owned();
            let sum = rows
                .entry((month, name))
                .or_insert(Sum { billed: Decimal::ZERO, hours: Some(Decimal::ZERO) });
            sum.billed += billed;
            // Rows without an amount (what is used of a reservation) are no evidence against hours.
            if !billed.is_zero() {
                sum.hours = sum.hours.zip(hours()).map(|(sum, hours)| sum + hours);
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
    /// What of the difference is due to another price, where both say their hours.
    pub by_price: Option<Decimal>,
    /// What of it is due to more or fewer hours.
    pub by_quantity: Option<Decimal>,
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
    /// Of rows that do not say their hours.
    pub unexplained: Decimal,
}

impl Causes {
    /// Sums over all rows.
    pub fn of(joined: &[Joined]) -> Self {
        let mut causes = Self::default();
        for row in joined {
            let difference = row.billed - row.planned;
            match (row.planned.is_zero(), row.billed.is_zero(), row.by_price.zip(row.by_quantity)) {
                (true, ..) => causes.not_planned += difference,
                (_, true, _) => causes.not_billed += difference,
                (.., Some((price, quantity))) => {
                    causes.by_price += price;
                    causes.by_quantity += quantity;
                }
                (.., None) => causes.unexplained += difference,
            }
        }
        causes
    }

    /// Returns each with its words.
    pub fn told(&self) -> [(&'static str, Decimal); 5] {
        [
            ("other prices than planned", self.by_price),
            ("more or fewer hours than planned", self.by_quantity),
            ("billed, not planned", self.not_planned),
            ("planned, not billed", self.not_billed),
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
    let side = |rows: &Rows, key: &(String, String)| rows.0.get(key).copied().unwrap_or_default();
    keys.into_iter().map(|key| one(key, side(planned, key), side(billed, key))).collect()
}

fn one(key: &(String, String), planned: Sum, billed: Sum) -> Joined {
    // The price on the hours that were billed, the hours at the price that was planned: the two sum to the difference.
    let shares = planned.hours.zip(billed.hours).and_then(|(before, after)| {
        let price = planned.billed.checked_div(before)?;
        let by_quantity = (after - before).checked_mul(price)?.round_dp(2);
        Some((billed.billed - planned.billed - by_quantity, by_quantity))
    });
    Joined {
        month: key.0.clone(),
        key: key.1.clone(),
        planned: planned.billed,
        billed: billed.billed,
        by_price: shares.map(|(price, _)| price),
        by_quantity: shares.map(|(_, quantity)| quantity),
    }
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

    #[test]
    fn the_causes_sum_to_the_difference() {
        let planned = rows(
            "2026-10-01,p5,1000,USD,100,node-h\n2026-10-01,p4,50,USD,5,node-h\n2026-10-01,s3,70,USD,,\n",
        );
        let billed =
            rows("2026-10-01,p5,1320,USD,120,Hrs\n2026-10-01,egress,15,USD,,\n2026-10-01,s3,90,USD,,\n");
        let joined = join(&planned, &billed);
        let causes = Causes::of(&joined);
        assert_eq!(causes.told().map(|(_, money)| money), [120, 200, 15, -50, 20].map(Decimal::from));
        let difference: Decimal = joined.iter().map(|row| row.billed - row.planned).sum();
        assert_eq!(causes.told().map(|(_, money)| money).iter().sum::<Decimal>(), difference);
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
