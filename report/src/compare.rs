//! Diff → document and JSON: the first line says the verdict and the money, then what changes and why.

use crate::document::{Block, Cell, Document, Table, Tone};
use crate::json::pretty;
use capstan_types::blueprint::{CostKind, Status};
use capstan_types::diff::{Amounts, Cause, Diff, Value};
use capstan_types::figure;
use capstan_types::money::Currency;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Format of the diff that programs read.
pub const DIFF_FORMAT: u32 = 1;

/// The diff that programs read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DiffReport {
    /// Format of this document.
    pub format: u32,
    /// Whether nothing differs.
    pub empty: bool,
    /// What differs.
    #[serde(flatten)]
    pub diff: Diff,
}

/// Returns a diff as JSON.
pub fn diff_json(diff: &Diff) -> String {
    pretty(&DiffReport { format: DIFF_FORMAT, empty: diff.is_empty(), diff: diff.clone() })
}

/// Returns a diff as a document.
pub fn diff_document(diff: &Diff) -> Document {
    let mut document = Document { title: title(diff), blocks: Vec::new() };
    if diff.is_empty() {
        document.blocks.push(Block::Paragraph("The two blueprints buy, run and cost the same.".into()));
        return document;
    }
    document.section("What it costs", cost(diff));
    document.section("What changes", [changes(diff)]);
    document.section("Which inputs differ", [causes(diff)]);
    document
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Feasible => "holds",
        Status::Violated => "does NOT hold",
        Status::Infeasible => "NO plan exists",
    }
}

fn title(diff: &Diff) -> Cell {
    if diff.is_empty() {
        return Cell::toned(format!("{}: no difference", diff.head.plan), Tone::Good);
    }
    let total = &diff.cost.total;
    let money = if diff.base.currency != diff.head.currency {
        format!(
            "from {} to {}",
            figure::money(total.before, diff.base.currency),
            figure::money(total.after, diff.head.currency)
        )
    } else if total.change().is_zero() {
        "same cost".to_owned()
    } else {
        format!(
            "{}{} over the horizon",
            figure::signed_money(total.change(), diff.head.currency),
            share(total)
        )
    };
    let tone = match diff.head.status {
        Status::Feasible => Tone::Strong,
        Status::Violated | Status::Infeasible => Tone::Bad,
    };
    Cell::toned(format!("{}: {}, {money}", diff.head.plan, status(diff.head.status)), tone)
}

/// Returns the change as a share of what it was: ` (+5.4 %)`.
fn share(amounts: &Amounts) -> String {
    let share = amounts.change().checked_div(amounts.before.abs()).and_then(|share| share.to_f64());
    share.map_or_else(String::new, |share| {
        let sign = if share > 0.0 { "+" } else { "" };
        format!(" ({sign}{})", figure::percent(share))
    })
}

fn change(amounts: &Amounts, currency: Currency) -> Cell {
    let change = amounts.change();
    let sign = if change > Decimal::ZERO { "+" } else { "" };
    let tone = if change > Decimal::ZERO { Tone::Warn } else { Tone::Good };
    Cell::toned(
        format!("{sign}{}", figure::amount(change, currency)),
        if change.is_zero() { Tone::Faint } else { tone },
    )
}

fn cost(diff: &Diff) -> Vec<Block> {
    let (before, after) = (diff.base.currency, diff.head.currency);
    let titles = [format!(">Before, {}", before.code()), format!(">After, {}", after.code())];
    let row = |name: Cell, amounts: &Amounts| {
        let change = if before == after { change(amounts, after) } else { "–".into() };
        vec![
            name,
            figure::amount(amounts.before, before).into(),
            figure::amount(amounts.after, after).into(),
            change,
        ]
    };
    let mut totals = Table::new(&["", &titles[0], &titles[1], ">Change"]);
    let cost = &diff.cost;
    totals.rows.push(row(Cell::toned("over the horizon", Tone::Strong), &cost.total));
    totals.rows.push(row("per month".into(), &cost.per_month));
    totals.rows.push(row("net present".into(), &cost.net_present));
    totals.rows.push(row("capex".into(), &cost.capex));
    totals.rows.push(row("opex".into(), &cost.opex));
    let mut groups = Table::new(&["Item", &titles[0], &titles[1], ">Change"]);
    for group in &cost.groups {
        let kind = match group.kind {
            CostKind::Capex => " (capex)",
            CostKind::Opex => "",
            CostKind::Residual => " (residual)",
        };
        let option = group.option.map_or_else(String::new, |option| format!(", {}", option.words()));
        groups
            .rows
            .push(row(format!("{}: {}{option}{kind}", group.site, group.item).into(), &group.billed_cost));
    }
    vec![Block::Table(totals), Block::Table(groups)]
}

fn value(value: Option<&Value>) -> Cell {
    match value {
        None => Cell::toned("–", Tone::Faint),
        Some(Value::Count(count)) => figure::count(*count).into(),
        Some(Value::Words(words)) => words.as_str().into(),
    }
}

fn changes(diff: &Diff) -> Block {
    let mut table = Table::new(&["", "What", "Before", "After"]);
    for change in &diff.changes {
        let sign = match (&change.before, &change.after) {
            (None, _) => Cell::toned("+", Tone::Good),
            (_, None) => Cell::toned("-", Tone::Bad),
            _ => Cell::toned("~", Tone::Warn),
        };
        let what = format!("{}: {}", change.kind.words(), change.address);
        table.rows.push(vec![sign, what.into(), value(change.before.as_ref()), value(change.after.as_ref())]);
    }
    Block::Table(table)
}

fn causes(diff: &Diff) -> Block {
    let mut table = Table::new(&["Input", "What", "Before", "After"]);
    let text = |text: &Option<String>| {
        text.as_ref().map_or_else(|| Cell::toned("–", Tone::Faint), |t| t.as_str().into())
    };
    let digest =
        |text: &Option<String>| text.as_ref().map(|digest| digest.chars().take(12).collect::<String>());
    for cause in &diff.causes {
        table.rows.push(match cause {
            Cause::File { role, path, before, after } => {
                vec![role.as_str().into(), path.as_str().into(), text(&digest(before)), text(&digest(after))]
            }
            Cause::Override { path, before, after } => {
                vec!["override".into(), path.as_str().into(), text(before), text(after)]
            }
            Cause::Plan { path, before, after } => {
                vec!["plan".into(), path.as_str().into(), text(before), text(after)]
            }
            Cause::Catalog { path, before, after } => {
                vec!["catalog".into(), path.as_str().into(), text(before), text(after)]
            }
            Cause::Price { offering, before, after, currency } => {
                let show = |price: &Option<Decimal>| {
                    price.map_or_else(
                        || Cell::toned("unknown", Tone::Warn),
                        |price| format!("{} {}", figure::price(price, *currency), currency.code()).into(),
                    )
                };
                vec!["price".into(), offering.as_str().into(), show(before), show(after)]
            }
        });
    }
    Block::Table(table)
}
