//! The frame of a plan: money, time, what is made small, and what is paid whatever is planned.

use crate::money::Currency;
use crate::units::HOURS_PER_MONTH;
use jiff::civil::Date;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the planner makes small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// All cost over the horizon, discounted at month ends.
    NetPresentCost,
    /// Undiscounted cost over the horizon per month.
    CostPerMonth,
}

/// The frame of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// Currency of every amount in the answer.
    pub currency: Currency,
    /// First day.
    #[schemars(with = "String")]
    pub start: Date,
    /// Last day, included.
    #[schemars(with = "String")]
    pub end: Date,
    /// Planning months of 730 h in the horizon.
    pub months: u32,
    /// Effective discount rate per year.
    pub discount_per_year: f64,
    /// What is made small.
    pub minimize: Objective,
    /// Seed of every random stream.
    pub seed: u64,
    /// The planning date.
    #[schemars(with = "String")]
    pub as_of: Date,
    /// Clock of every hour of the plan: a name of the IANA time zone database.
    #[serde(default = "utc", skip_serializing_if = "is_utc")]
    pub time_zone: String,
    /// What is paid beside what is planned.
    #[serde(default, skip_serializing_if = "Beside::is_unknown")]
    pub beside: Beside,
}

/// Share of a month that a day may reach into it and still be the end of the one before: months have 28 to 31 days, and
/// all are counted as 730 h.
const SAME_MONTH: f64 = 0.07;

/// Returns the months of 730 h from a day to a later one, to the nearest; none where it is not later.
pub fn months_between(from: Date, to: Date) -> u32 {
    let days = to.since(from).map_or(0, |span| span.get_days());
    (f64::from(days) * 24.0 / HOURS_PER_MONTH).round().max(0.0) as u32
}

fn utc() -> String {
    Frame::UTC.to_owned()
}

fn is_utc(zone: &str) -> bool {
    zone == Frame::UTC
}

impl Frame {
    /// The clock of a plan that states none.
    pub const UTC: &str = "UTC";

    /// Returns the month of the horizon in which `date` begins, rounded to the nearest month boundary.
    ///
    /// Months are 730 h each, everywhere, so a date is at most half a month from its boundary.
    pub fn month_of(&self, date: Date) -> u32 {
        months_between(self.start, date).min(self.months)
    }

    /// Returns the end of the month that `date` is in.
    pub fn month_with(&self, date: Date) -> u32 {
        let days = date.since(self.start).map_or(0, |span| span.get_days()) + 1;
        let months = (f64::from(days) * 24.0 / HOURS_PER_MONTH - SAME_MONTH).ceil().max(0.0) as u32;
        months.min(self.months)
    }

    /// Returns the month boundary at the end of `date`.
    pub fn month_after(&self, date: Date) -> u32 {
        date.tomorrow().map_or(self.months, |next| self.month_of(next))
    }
}

/// What is paid each month beside machines, networks and storage, in the plan's currency.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Beside {
    /// The people who run it.
    #[schemars(with = "Option<f64>")]
    pub staff_per_month: Option<Decimal>,
    /// Licences of software.
    #[schemars(with = "Option<f64>")]
    pub licences_per_month: Option<Decimal>,
    /// Support contracts, beside the maintenance of what is bought.
    #[schemars(with = "Option<f64>")]
    pub support_per_month: Option<Decimal>,
}

impl Beside {
    /// Returns each with the name of its field in `plan`.
    pub fn each(&self) -> [(&'static str, Option<Decimal>); 3] {
        [
            ("staff", self.staff_per_month),
            ("licences", self.licences_per_month),
            ("support", self.support_per_month),
        ]
    }

    fn is_unknown(&self) -> bool {
        self.each().iter().all(|(_, amount)| amount.is_none())
    }
}
