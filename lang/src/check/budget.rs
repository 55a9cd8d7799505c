//! `budget`: how much may it cost, and what else must hold?

use capstan_types::quantity::Dimension;
use capstan_types::spec::Budget;
use jiff::civil::Date;

use super::checker::Checker;
use super::fields::{Contents, Fields};
use super::plan::Horizon;
use super::read::Stated;
use super::table::{AT_MOST, Bounds, FACT, FieldRow, FieldType, Table};
use crate::ast::Block;
use crate::codes;

/// The kind of block.
pub static BUDGET: Table = Table {
    rules: true,
    ..Table::named("budget", "Money, and rules (`require`, `prefer`, `warn`) over the finished plan.", FIELDS)
};

static FIELDS: &[FieldRow] = &[
    FieldRow::new("capex", FieldType::Quantity(Dimension::MONEY), AT_MOST)
        .bounds(Bounds::NotNegative)
        .default("no limit")
        .means("Most money paid for purchases over the horizon, whatever they may be sold for at its end.")
        .shown("<= 12 MUSD", "<= 9 MUSD"),
    FieldRow::new("opex", FieldType::Quantity(Dimension::MONEY_RATE), AT_MOST)
        .bounds(Bounds::NotNegative)
        .default("no limit")
        .means("Most running cost; it binds in every month.")
        .shown("<= 250 kUSD/mo", "<= 100 kUSD/mo"),
    FieldRow::new("total", FieldType::Quantity(Dimension::MONEY), AT_MOST)
        .bounds(Bounds::NotNegative)
        .default("no limit")
        .means("Most cost over the horizon, undiscounted: purchases and running cost, less the value that is assumed to be left at its end, which the report shows apart.")
        .shown("<= 20 MUSD", "<= 10 MUSD"),
    FieldRow::new("spot", FieldType::Share, AT_MOST)
        .bounds(Bounds::Within(0.0, 1.0))
        .default("no limit")
        .means("Largest share of spot machines among the node-hours that are bought over the horizon, all workloads together; a share of one workload stands in its `buy`.")
        .shown("<= 30%", "<= 20%"),
    FieldRow::new("period", FieldType::Horizon, FACT)
        .default("the horizon")
        .means("First and last day for which `capex` and `opex` hold, both included, rounded to months of 730 h.")
        .shown("= 2027-01-01 .. 2027-12-31", "= 2027-07-01 .. 2028-06-30"),
];

/// Reads the budgets.
pub(crate) fn check(checker: &Checker<'_>, blocks: &[&Block]) -> Vec<Budget> {
    blocks.iter().filter_map(|block| budget(checker, block)).collect()
}

fn budget(checker: &Checker<'_>, block: &Block) -> Option<Budget> {
    let name = checker.name_of(block, &BUDGET);
    let Contents { fields, clauses, .. } = checker.contents(&BUDGET, block);
    let rules = checker.rules(&clauses);
    let limit = |name: &str, per: &str| fields.limit(name, fields.money(checker, name, per));
    let (capex, opex_per_month, total) = (limit("capex", ""), limit("opex", "/mo"), limit("total", ""));
    let spot = fields.limit("spot", fields.number("spot"));
    let days = days(checker, &fields);
    let whole = [(total.is_some(), "`total`"), (spot.is_some(), "`spot`"), (!rules.is_empty(), "a rule")];
    if let Some((_, what)) = whole.iter().find(|(stated, _)| days.is_some() && *stated) {
        let message = format!("{what} speaks of the whole horizon, `period` of a part of it");
        let found = checker.values.error(codes::CONTRADICTION, fields.place_of("period").span(), message);
        checker.values.report(found.help("put what holds over the horizon into a budget of its own"));
    }
    Some(Budget { name: name?, days, capex, opex_per_month, total, spot, rules })
}

/// Returns the days for which a budget holds, where it says so.
fn days(checker: &Checker<'_>, fields: &Fields) -> Option<(Date, Date)> {
    let frame = &checker.frame;
    let horizon = format!("the horizon is {} .. {}", frame.start, frame.end);
    let span = fields.place_of("period").span();
    let refused = |code, message: String, help: String| {
        checker.values.report(checker.values.error(code, span, message).help(help));
    };
    let Stated::Horizon(stated) = &fields.get("period")?.value else { return None };
    let Horizon::Days(first, last) = *stated else {
        let message = "the days of a budget are two dates".to_owned();
        refused(codes::WRONG_KIND_OF_VALUE, message, "write `2027-01-01 .. 2027-12-31`".to_owned());
        return None;
    };
    if last < first {
        let message = format!("the budget ends on {last}, before it begins on {first}");
        refused(codes::OUTSIDE_HORIZON, message, format!("write `period = {last} .. {first}`"));
        return None;
    }
    if first < frame.start || last > frame.end {
        refused(codes::OUTSIDE_HORIZON, format!("{first} .. {last} reaches beyond the horizon"), horizon);
        return None;
    }
    if frame.month_of(first) >= frame.month_after(last) {
        let message = format!("{first} .. {last} is less than half a month");
        refused(codes::OUT_OF_RANGE, message, "plans count in months: give it a month at least".to_owned());
        return None;
    }
    Some((first, last))
}
