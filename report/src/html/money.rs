//! Parts of the page that speak of money and risk: what is to be decided, payments, alternatives, write-off, all lines.

use super::blocks::{block, escaped, hint, table};
use super::{Part, charts, orders};
use crate::build::signed;
use crate::document::Block;
use crate::picture::NoPicture;
use capstan_types::blueprint::Blueprint;
use capstan_types::figure::counted;
use capstan_types::finance::Finance;

/// Returns what is asked of the reader, and the numbers that decide.
pub(super) fn decision(blueprint: &Blueprint, finance: &Finance) -> Part {
    let cards: String = signed::key_figures(blueprint, finance)
        .iter()
        .map(|(name, value)| {
            let hint = hint(&value.hint);
            format!("<div><dt>{}</dt><dd{hint}>{}</dd></div>", escaped(name), escaped(&value.text))
        })
        .collect();
    let asked = escaped(&signed::decision(blueprint));
    let sums =
        hint("sums of the lines of the bill, each rounded; a month is that with the highest running cost");
    let body =
        format!("<p class=\"decision\"><span{sums}>{asked}</span></p>\n<dl class=\"cards\">{cards}</dl>\n");
    Part { heading: "What is to be decided".to_owned(), body }
}

/// Returns what may go wrong with the numbers, as far as the blueprint knows.
pub(super) fn risks(blueprint: &Blueprint) -> Option<Part> {
    let points = signed::risks(blueprint);
    let heading = "Risks".to_owned();
    (!points.is_empty()).then(|| Part { body: block(&Block::List(points), &heading), heading })
}

/// Returns how machines come to be there: owned, for a term, by the hour.
pub(super) fn mix(blueprint: &Blueprint) -> Result<Option<Part>, NoPicture> {
    let ways = signed::mix(blueprint);
    if ways.is_empty() {
        return Ok(None);
    }
    let heading = "Purchase mix".to_owned();
    let body = charts::mix(&ways)? + &table(&signed::mix_table(blueprint), &heading);
    Ok(Some(Part { heading, body }))
}

/// Returns the parts that follow the totals.
pub(super) fn parts(finance: &Finance) -> Result<Vec<Part>, NoPicture> {
    let mut parts = Vec::new();
    if !finance.cash.is_empty() {
        let body = charts::cash(finance)? + &table(&signed::by_year(finance), "Payments by year");
        parts.push(Part { heading: "Payments".to_owned(), body });
        let body = charts::alternatives(finance)?
            + &table(&signed::alternatives(finance), "Other ways to pay")
            + &table(&signed::break_even(finance), "Break-even use");
        parts.push(Part { heading: "Other ways to pay".to_owned(), body });
        if let Some(picture) = charts::tornado(finance)? {
            let body = picture + &table(&signed::moved_table(finance), "What prices do");
            parts.push(Part { heading: "What prices do".to_owned(), body });
        }
    }
    if !finance.written_off.is_empty() {
        let body = table(&signed::written_off(finance), "Write-off");
        parts.push(Part { heading: "Write-off".to_owned(), body });
    }
    Ok(parts)
}

/// Returns when each purchase must be ordered, and when it is in use.
pub(super) fn timeline(blueprint: &Blueprint) -> Result<Option<Part>, NoPicture> {
    let rows = signed::timeline(blueprint);
    if rows.rows.is_empty() {
        return Ok(None);
    }
    let heading = "When to order".to_owned();
    Ok(Some(Part { body: orders::orders(blueprint)? + &table(&rows, &heading), heading }))
}

/// Returns every line of the bill, folded away.
pub(super) fn lines(blueprint: &Blueprint) -> String {
    let count = counted(blueprint.cost.lines.len(), "line");
    let rows = table(&signed::bill(blueprint), "All lines of the bill");
    format!("<details><summary>All {count} of the bill</summary>\n{rows}</details>\n")
}
