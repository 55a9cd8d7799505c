//! `budget`: how much may it cost, and what else must hold?

use capstan_types::quantity::Dimension;
use capstan_types::spec::Budget;

use super::checker::Checker;
use super::fields::Contents;
use super::table::{AT_MOST, Bounds, FieldRow, FieldType, Table};
use crate::ast::Block;

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
    FieldRow::not_yet("spot", "Largest share of spot capacity; see `buy` of a workload."),
    FieldRow::not_yet("period", "The days for which it holds; it holds over the horizon."),
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
    Some(Budget { name: name?, capex, opex_per_month, total, rules })
}
