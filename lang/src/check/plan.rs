//! `plan`: in which currency, over which time, and what is made small?

use capstan_types::catalog::Catalog;
use capstan_types::place::{Place, Span};
use capstan_types::quantity::{Currency, Dimension, HOUR_S, MONTH_H, Quantity};
use capstan_types::spec::{Beside, Frame, Objective};
use capstan_types::units::HOURS_PER_MONTH;
use jiff::ToSpan;
use jiff::civil::Date;

use super::checker::Checker;
use super::fields::Fields;
use super::read::Stated;
use super::table::{Bounds, FACT, FieldRow, FieldType, Table};
use crate::ast::Block;
use crate::codes;
use crate::diagnostic::Diagnostic;

/// One per second that makes 100 % in a planning year.
const WHOLE_PER_YEAR: f64 = 1.0 / (12 * MONTH_H * HOUR_S) as f64;

/// Years in which a plan may lie.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2200;

/// Share by which whole months may differ from the days of a horizon before it is said.
const ROUGH: f64 = 0.03;

/// Longest horizon in months: beyond thirty years no price means anything.
const MOST_MONTHS: u32 = 360;

/// The planning date where neither the plan nor a price has one; such a plan is refused.
const NO_DATE: Date = Date::constant(2026, 1, 1);

/// The kind of block.
pub static PLAN: Table = Table::named("plan", "The frame: money, time and what is made small.", FIELDS);

static FIELDS: &[FieldRow] = &[
    FieldRow::new("currency", FieldType::Currency, FACT)
        .default("USD")
        .means("Currency of every amount in the answer.")
        .shown("= USD", "= EUR"),
    FieldRow::new("horizon", FieldType::Horizon, FACT)
        .default("one year from the planning date")
        .means("First and last day that are planned, both included; a duration begins on the planning date.")
        .shown("= 2027-01-01 .. 2029-12-31", "= 2 y"),
    FieldRow::new("discount", FieldType::Quantity(Dimension::PER_TIME), FACT)
        .bounds(Bounds::Within(0.0, WHOLE_PER_YEAR))
        .default("0")
        .means("Effective discount rate, applied at the ends of months.")
        .shown("= 9 %/y", "= 5 %/y"),
    FieldRow::new("minimize", FieldType::Word(&["net_present_cost", "cost_per_month"]), FACT)
        .default("`net_present_cost`")
        .means("What the plan makes small: all cost over the horizon, discounted, or undiscounted per month.")
        .shown("= net_present_cost", "= cost_per_month"),
    FieldRow::new("seed", FieldType::Count(Dimension::NONE), FACT)
        .bounds(Bounds::Within(0.0, 9_007_199_254_740_991.0))
        .default("1")
        .means("Seed of every random stream.")
        .shown("= 1", "= 7"),
    FieldRow::new("as_of", FieldType::Date, FACT)
        .default("the newest date of a price, not after the first day of the horizon")
        .means("The planning date: what is *now*.")
        .shown("= 2026-09-01", "= 2026-10-01"),
    FieldRow::new("time_zone", FieldType::Text, FACT)
        .default("the one that the sites state, else UTC")
        .means(
            "Clock of every hour in the answer, and of times of day of workloads whose sites state no other.",
        )
        .shown("= \"Europe/Berlin\"", "= \"Asia/Tokyo\""),
    FieldRow::new("staff", FieldType::Quantity(Dimension::MONEY_RATE), FACT)
        .bounds(Bounds::NotNegative)
        .default("unknown, counted as unpriced")
        .means("Cost of the people who run it.")
        .shown("= 45 kUSD/mo", "= 60 kUSD/mo"),
    FieldRow::new("licences", FieldType::Quantity(Dimension::MONEY_RATE), FACT)
        .bounds(Bounds::NotNegative)
        .default("unknown, counted as unpriced")
        .means("Cost of licences of software.")
        .shown("= 12 kUSD/mo", "= 20 kUSD/mo"),
    FieldRow::new("support", FieldType::Quantity(Dimension::MONEY_RATE), FACT)
        .bounds(Bounds::NotNegative)
        .default("unknown, counted as unpriced")
        .means("Cost of support contracts, beside the maintenance of what is bought.")
        .shown("= 8 kUSD/mo", "= 10 kUSD/mo"),
];

/// What is planned: two days, or a length from the planning date.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Horizon {
    Days(Date, Date),
    Months(i32),
}

/// Returns the frame of a plan that says nothing.
pub(crate) fn fallback(catalog: &Catalog) -> Frame {
    let as_of = newest_price(catalog, None).unwrap_or(NO_DATE);
    let end = last_day(as_of, 12);
    Frame {
        currency: Currency::USD,
        start: as_of,
        end,
        months: months(as_of, end),
        discount_per_year: 0.0,
        minimize: Objective::NetPresentCost,
        seed: 1,
        as_of,
        time_zone: Frame::UTC.to_owned(),
        beside: Beside::default(),
    }
}

/// Reads the frame into the checker and returns the name of the plan.
pub(crate) fn check(checker: &mut Checker<'_>, blocks: &[&Block]) -> String {
    let Some((block, others)) = blocks.split_first() else {
        let found =
            checker.values.error(codes::MISSING_BLOCK, Span::default(), "the file has no `plan` block");
        checker.values.report(found.help("begin with `plan NAME { currency = USD }`"));
        return String::new();
    };
    for other in others {
        let message = "a file has one `plan` block";
        let found = checker.values.error(codes::MISSING_BLOCK, other.kind.span, message);
        checker
            .values
            .report(found.also(checker.place(block.kind.span), "the first one").help("join the two"));
    }
    let name = checker.name_of(block, &PLAN).unwrap_or_default();
    let fields = checker.contents(&PLAN, block).fields;
    let place = fields.place.clone();
    if let Some(Stated::Currency(currency)) = fields.get("currency").map(|given| &given.value) {
        checker.frame.currency = *currency;
    } else if !fields.has("currency") {
        checker.assume(&place, "amounts are in USD");
    }
    checker.frame.as_of = as_of(checker, &fields, &place);
    prices_to_come(checker, &fields);
    rates_to_come(checker, &fields);
    let (start, end) = days(checker, &fields, &place);
    checker.frame.start = start;
    checker.frame.end = end;
    checker.frame.months = months(start, end);
    checker.frame.discount_per_year = match fields.quantity("discount") {
        Some(rate) => per_year(rate),
        None => assumed(
            checker,
            &fields,
            &place,
            "discount",
            0.0,
            "money keeps its value: the discount rate is 0",
        ),
    };
    checker.frame.minimize = match fields.word("minimize") {
        Some("cost_per_month") => Objective::CostPerMonth,
        Some(_) => Objective::NetPresentCost,
        None => {
            let objective = Objective::NetPresentCost;
            assumed(checker, &fields, &place, "minimize", objective, "the net present cost is made small")
        }
    };
    checker.frame.seed = match fields.count("seed") {
        Some(seed) => seed,
        None => assumed(checker, &fields, &place, "seed", 1, "the seed of random streams is 1"),
    };
    if let Some(zone) = checker.time_zone(&fields) {
        checker.frame.time_zone = zone;
        checker.clock_is_stated = true;
    }
    let monthly = |name: &str| fields.money(checker, name, "/mo");
    let beside = Beside {
        staff_per_month: monthly("staff"),
        licences_per_month: monthly("licences"),
        support_per_month: monthly("support"),
    };
    checker.frame.beside = beside;
    name
}

/// Returns a default, and records it unless the field was stated wrongly.
pub(crate) fn assumed<T>(
    checker: &Checker<'_>,
    fields: &Fields,
    place: &Place,
    name: &str,
    value: T,
    text: &str,
) -> T {
    if !fields.has(name) {
        checker.assume(place, text);
    }
    value
}

/// Warns of prices that are dated after the planning date.
fn prices_to_come(checker: &Checker<'_>, fields: &Fields) {
    let as_of = checker.frame.as_of;
    let later = checker.catalog.offerings.iter().filter(|row| row.price.is_some() && row.as_of > as_of);
    let Some(newest) = later.clone().max_by_key(|row| row.as_of) else { return };
    let place = fields.place_of("as_of").clone();
    let others = later.count() - 1;
    let message =
        format!("a price of `{}` is dated {}, after the planning date {as_of}", newest.shape, newest.as_of);
    let mut found = Diagnostic::warning(codes::PRICE_TO_COME, place, message);
    if others > 0 {
        found = found.because(format!("{others} other prices are dated after it as well"));
    }
    checker.values.report(found.help("mend the date of the price, or plan from a later date: `as_of = …`"));
}

/// Warns of currencies whose only rates are dated after the planning date.
fn rates_to_come(checker: &Checker<'_>, fields: &Fields) {
    let (own, as_of) = (checker.frame.currency, checker.frame.as_of);
    let mut others: Vec<_> = checker.catalog.rates.iter().flat_map(|rate| [rate.from, rate.to]).collect();
    others.sort_unstable();
    others.dedup();
    for other in others {
        let Some((rate, _)) = checker.catalog.rate(other, own, as_of) else { continue };
        let dated = rate.provenance.as_of;
        if dated > as_of {
            let message =
                format!("the rate of {other} in {own} is dated {dated}, after the planning date {as_of}");
            let found = Diagnostic::warning(codes::PRICE_TO_COME, fields.place_of("as_of").clone(), message);
            checker.values.report(
                found.help("give a rate of an earlier day too, or plan from a later date: `as_of = …`"),
            );
        }
    }
}

fn as_of(checker: &Checker<'_>, fields: &Fields, place: &Place) -> Date {
    if let Some(date) = fields.date("as_of") {
        if !YEARS.contains(&date.year()) {
            let message = format!("{date} is no day to plan on");
            let found = checker.values.error(codes::OUT_OF_RANGE, fields.place_of("as_of").span(), message);
            let help = format!("write a day of the years {} to {}", YEARS.start(), YEARS.end());
            checker.values.report(found.help(help));
        }
        return date;
    }
    // Nobody plans today for a time that has begun before a price was known.
    let begins = match fields.get("horizon").map(|given| &given.value) {
        Some(Stated::Horizon(Horizon::Days(first, _))) => Some(*first),
        _ => None,
    };
    match newest_price(checker.catalog, begins) {
        Some(date) => {
            let text = format!("the planning date is {date}, that of the newest price");
            assumed(checker, fields, place, "as_of", date, &text)
        }
        None => {
            let message = "no price has a date, so the planning date is not known";
            let found = checker.values.error(codes::MISSING_FIELD, place.span(), message);
            checker.values.report(found.help("state it: `as_of = 2026-09-01`"));
            NO_DATE
        }
    }
}

/// Returns the date of the newest price, of those not after `begins` where there is one.
fn newest_price(catalog: &Catalog, begins: Option<Date>) -> Option<Date> {
    let dates = || catalog.offerings.iter().filter(|row| row.price.is_some()).map(|row| row.as_of);
    let in_time = begins.and_then(|begins| dates().filter(|date| *date <= begins).max());
    in_time.or_else(|| dates().max())
}

fn days(checker: &Checker<'_>, fields: &Fields, place: &Place) -> (Date, Date) {
    let as_of = checker.frame.as_of;
    let given = fields.get("horizon");
    let (start, end) = match given.map(|given| &given.value) {
        Some(Stated::Horizon(Horizon::Days(start, end))) => (*start, *end),
        Some(Stated::Horizon(Horizon::Months(months))) => (as_of, last_day(as_of, *months)),
        _ => {
            let days = (as_of, last_day(as_of, 12));
            let text = format!("the horizon is one year from the planning date: {} .. {}", days.0, days.1);
            return assumed(checker, fields, place, "horizon", days, &text);
        }
    };
    let span = fields.place_of("horizon").span();
    if end < start {
        let message = format!("the horizon ends on {end}, before it begins on {start}");
        let found = checker.values.error(codes::OUTSIDE_HORIZON, span, message);
        checker.values.report(found.help(format!("write `horizon = {end} .. {start}`")));
        return (end, start);
    }
    if end < as_of {
        let message = format!("the horizon ends on {end}, before the planning date {as_of}");
        let found = checker.values.error(codes::OUTSIDE_HORIZON, span, message);
        checker
            .values
            .report(found.help("plan for a time to come, or state an earlier planning date: `as_of = …`"));
        return (start, end);
    }
    if start < as_of {
        let text =
            format!("the horizon began on {start}, before the planning date {as_of}: all of it is planned");
        checker.assume(fields.place_of("horizon"), &text);
    }
    let hours = f64::from(start.until(end).map_or(0, |span| span.get_days()) + 1) * 24.0;
    let planned = f64::from(months(start, end)) * HOURS_PER_MONTH;
    if (hours / planned - 1.0).abs() > ROUGH {
        let text = format!(
            "the horizon of {:.0} days is planned as {:.0} h, whole months of 730 h",
            hours / 24.0,
            planned
        );
        checker.assume(fields.place_of("horizon"), &text);
    }
    if months(start, end) > MOST_MONTHS || !YEARS.contains(&end.year()) {
        let message = "the horizon is longer than 30 years, or ends beyond every calendar of ours";
        let found = checker.values.error(codes::OUT_OF_RANGE, span, message);
        checker.values.report(found.help("plan for a shorter time"));
        return (start, last_day(start, 12));
    }
    (start, end)
}

/// Returns the last day of a number of calendar months that begin on `first`; `first` itself where the
/// calendar ends before.
fn last_day(first: Date, months: i32) -> Date {
    let span = 0.months().try_months(i64::from(months));
    let next = span.ok().and_then(|span| first.checked_add(span).ok());
    next.and_then(|next| next.yesterday().ok()).unwrap_or(first)
}

/// Returns the planning months of 730 h from the first to the last day, at least one.
fn months(start: Date, end: Date) -> u32 {
    let days = start.until(end).map_or(0, |span| span.get_days()) + 1;
    ((f64::from(days) * 24.0 / HOURS_PER_MONTH).round() as u32).max(1)
}

/// Returns the effective rate per year of a rate over any period: (1 + r)^(year / period) − 1.
fn per_year(rate: &Quantity) -> f64 {
    over(rate, (12 * MONTH_H * HOUR_S) as f64)
}

/// Returns the effective rate over `period_s` seconds of a rate that is effective over its own period.
pub(crate) fn over(rate: &Quantity, period_s: f64) -> f64 {
    let Some((rate, own_s)) = rate.rate_and_period_s() else { return 0.0 };
    if own_s == period_s { rate } else { libm::pow(1.0 + rate, period_s / own_s) - 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn planning_months_are_730_hours() {
        assert_eq!(months(date(2027, 1, 1), date(2029, 12, 31)), 36);
        assert_eq!(months(date(2027, 1, 1), date(2027, 12, 31)), 12);
        assert_eq!(months(date(2027, 1, 1), date(2027, 1, 1)), 1);
        assert_eq!(last_day(date(2026, 8, 22), 12), date(2027, 8, 21));
        assert_eq!(last_day(date(9999, 12, 1), 12), date(9999, 12, 1));
    }

    #[test]
    fn rates_are_effective() {
        let rate = capstan_types::quantity::parse_quantity("1 %/mo").expect("a rate");
        // (1.01)^12 − 1, to the last digits of a double.
        assert!((per_year(&rate) - 0.126_825_030_131_969_72).abs() < 1e-12);
    }
}
