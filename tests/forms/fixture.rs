//! Blueprints with any bill, with what finance reads from them.

use capstan_planner::finance::finance;
use capstan_types::blueprint::Blueprint;
use capstan_types::finance::Finance;
use capstan_types::testing::bill;
pub use capstan_types::testing::bill::{Row, many};
use rust_decimal::Decimal;

/// Returns a blueprint with these lines, whose totals and payments follow from them, and what finance reads from it.
pub fn with_lines(rows: &[Row]) -> (Blueprint, Finance) {
    let mut blueprint = bill::with_lines(rows);
    let first = finance(&blueprint);
    blueprint.cost.by_month =
        (0..36).map(|month| first.cash.iter().map(|flow| flow.by_month[month]).sum()).collect();
    let by_month = blueprint.cost.by_month.iter();
    let present: Decimal = by_month.zip(&first.factors).map(|(paid, factor)| *paid * *factor).sum();
    blueprint.cost.net_present = blueprint.cost.currency.round(present);
    let finance = finance(&blueprint);
    (blueprint, finance)
}
