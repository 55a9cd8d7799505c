//! Blueprints with any bill: lines as random as wanted, totals that follow from them.

use crate::blueprint::{Blueprint, CostKind, CostLine};
use crate::testing::blueprint::chat_blueprint;
use rust_decimal::Decimal;

/// One line of a bill, as a generator makes it.
#[derive(Debug, Clone)]
pub struct Row {
    /// What it is.
    pub item: String,
    /// Opex, capex or residual, by threes.
    pub kind: u8,
    /// The period, within those of the plan.
    pub period: u32,
    /// In ten-thousandths.
    pub quantity: i64,
    /// In millionths.
    pub unit_price: i64,
}

/// Returns a blueprint with these lines, and the totals that follow from them; payments by month are still those of before.
pub fn with_lines(rows: &[Row]) -> Blueprint {
    let mut blueprint = chat_blueprint();
    let model = blueprint.cost.lines[0].clone();
    let periods = blueprint.periods.len() as u32;
    let line = |row: &Row| {
        let kind = [CostKind::Opex, CostKind::Capex, CostKind::Residual][usize::from(row.kind % 3)];
        let (quantity, unit_price) = (Decimal::new(row.quantity, 4), Decimal::new(row.unit_price, 6));
        let billed = blueprint.cost.currency.round(quantity * unit_price);
        CostLine {
            item: row.item.clone(),
            kind,
            period: if kind == CostKind::Residual { periods - 1 } else { row.period % periods },
            quantity,
            unit_price,
            billed_cost: billed,
            effective_cost: billed,
            list_cost: None,
            ..model.clone()
        }
    };
    let lines: Vec<CostLine> = rows.iter().map(line).collect();
    let sum = |kind: CostKind| -> Decimal {
        lines.iter().filter(|line| line.kind == kind).map(|line| line.billed_cost).sum()
    };
    let cost = &mut blueprint.cost;
    (cost.capex, cost.opex) = (sum(CostKind::Capex), sum(CostKind::Opex));
    cost.total = lines.iter().map(|line| line.billed_cost).sum();
    cost.per_month = cost.currency.round(cost.total / Decimal::from(36));
    cost.lines = lines;
    blueprint
}

/// Returns a bill of many lines.
pub fn many(count: usize) -> Vec<Row> {
    let row = |index: usize| Row {
        item: format!("{} × machine {index}, on demand", index + 1),
        kind: u8::from(index.is_multiple_of(7)),
        period: index as u32,
        quantity: 7_300_000 + index as i64 * 977,
        unit_price: 55_040_000 + index as i64 * 331,
    };
    (0..count).map(row).collect()
}
