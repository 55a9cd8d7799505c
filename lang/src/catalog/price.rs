//! How is a price of a machine written?
//!
//! As one amount, or as a table of what its parts cost, which adds up over the machine: a price of a part is
//! never taken for the price of the whole.

use capstan_types::hardware::NodeShape;
use capstan_types::money::Currency;
use capstan_types::offering::PurchaseOption;
use capstan_types::origin::PriceGrade;
use capstan_types::quantity::Dimension;
use rust_decimal::Decimal;

use super::cell::{Cell, Complaint, Read, span};
use super::document::Stamp;
use super::row::unknown;
use crate::codes;

/// One price as it is written.
pub(super) struct Price {
    /// `None` where it is unknown.
    pub amount: Option<Decimal>,
    /// `None` where the price is unknown and says no currency.
    pub currency: Option<Currency>,
}

/// What the price of a machine may be made of.
const PARTS: [&str; 4] = ["node", "per_vcpu", "per_memory", "per_accelerator"];

/// Bytes of a GiB, for which memory is priced.
const GIB: f64 = 1_073_741_824.0;

/// Reads a price: per hour, or once where owned; one amount, or the parts that it is made of.
pub(super) fn price(
    cell: Cell<'_>,
    option: PurchaseOption,
    shape: &NodeShape,
    stamp: &Stamp<PriceGrade>,
) -> Read<Price> {
    if cell.value.as_str().unwrap_or_default().trim() == "unknown" {
        return Ok(Price { amount: None, currency: None });
    }
    let (amount, currency) = if cell.value.is_table() {
        of_parts(cell, option, shape)?
    } else {
        let (dimension, per) = dimension(option);
        money(cell, dimension, per)?
    };
    if amount.is_zero() && !stamp.own_source {
        let help =
            "write \"unknown\" where it is not known; what is truly free needs `source` beside the price";
        return complain(cell, "a price of zero".to_owned(), help);
    }
    Ok(Price { amount: Some(amount.normalize()), currency: Some(currency) })
}

/// Reads what is paid once per node at the start of a term, in the currency of the term's hourly price.
pub(super) fn upfront(cell: Option<Cell<'_>>, hourly: &Price) -> Read<Option<Decimal>> {
    let Some(cell) = cell else { return Ok(None) };
    let (amount, currency) = money(cell, Dimension::MONEY, "")?;
    match hourly.currency {
        None => complain(
            cell,
            "an up-front payment for a term whose hourly price is unknown".to_owned(),
            "leave both out, or write both",
        ),
        Some(other) if other != currency => complain(
            cell,
            format!("an up-front payment in {currency} for a term priced in {other}"),
            "write both in one currency",
        ),
        Some(_) => Ok(Some(amount.normalize())),
    }
}

fn dimension(option: PurchaseOption) -> (Dimension, &'static str) {
    match option {
        PurchaseOption::Owned => (Dimension::MONEY, ""),
        _ => (Dimension::MONEY_RATE, "/h"),
    }
}

fn complain<T>(cell: Cell<'_>, message: String, help: &str) -> Read<T> {
    let help = Some(help.to_owned());
    Err(vec![Complaint { code: codes::CATALOG_PRICE, span: cell.span, message, help }])
}

/// Says whether an amount can be the price of anything: zero is (where it is meant), and what any bill can add up.
pub(crate) fn is_price(amount: Decimal) -> bool {
    const LEAST: Decimal = Decimal::from_parts(1, 0, 0, false, 9);
    amount.is_zero() || (LEAST <= amount && amount <= Decimal::from(MOST_PRICE))
}

/// Most that one unit of anything costs, in any currency.
pub(crate) const MOST_PRICE: i64 = 1_000_000_000_000;

/// Reads an amount of money in its own currency, per something.
fn money(cell: Cell<'_>, dimension: Dimension, per: &str) -> Read<(Decimal, Currency)> {
    let text = cell.value.as_str().unwrap_or_default().trim();
    if text.starts_with('-') {
        let message = format!("a price of {text} is below zero");
        return complain(cell, message, "write what is paid; discounts belong into the price");
    }
    let quantity = cell.quantity(dimension)?;
    let Some(currency) = quantity.currency else {
        return cell.wrong("a price without a currency", "for example `\"55.04 USD/h\"`");
    };
    match quantity.decimal_in(&format!("{currency}{per}")) {
        Some(amount) if !is_price(amount) => {
            let message = format!("a price of {text} is beyond every price that is paid");
            complain(cell, message, "write an amount between 1e-9 and 1e12, in any currency")
        }
        Some(amount) => Ok((amount, currency)),
        None => cell.wrong("this price has more digits than can be kept", "write fewer digits"),
    }
}

/// Adds up what the parts of a machine cost.
fn of_parts(cell: Cell<'_>, option: PurchaseOption, shape: &NodeShape) -> Read<(Decimal, Currency)> {
    let fields = cell.table()?;
    let (each, per) = dimension(option);
    let gib = shape.host_memory.map(|memory| memory.get() / GIB);
    let mut sum = (Decimal::ZERO, None);
    let mut complaints = Vec::new();
    for (name, value) in fields {
        let part = Cell::new(value);
        let (count, what) = match name.get_ref().as_ref() {
            "node" => (Some(1.0), "node"),
            "per_vcpu" => (shape.vcpus.map(f64::from), "number of processors"),
            "per_memory" => (gib, "memory"),
            "per_accelerator" => (Some(f64::from(shape.accelerators)), "number of accelerators"),
            other => {
                complaints.push(unknown(other, span(name.span()), PARTS.into_iter()));
                continue;
            }
        };
        let read = match what {
            "memory" => money(part, each.per(Dimension::DATA), &format!("/GiB{per}")),
            _ => money(part, each, per),
        };
        match (read, count.and_then(Decimal::from_f64_retain)) {
            (Err(wrong), _) => complaints.extend(wrong),
            (Ok(_), None) => {
                let message = format!("the {what} of `{}` is not known", shape.id);
                let help = Some("write it in its `[[shape]]`, or the price of the whole node".to_owned());
                complaints.push(Complaint { code: codes::CATALOG_PRICE, span: part.span, message, help });
            }
            (Ok((_, currency)), Some(_)) if sum.1.is_some_and(|other| other != currency) => {
                complaints.extend(
                    complain::<()>(part, "parts in two currencies".to_owned(), "price all of them in one")
                        .err()
                        .unwrap_or_default(),
                );
            }
            (Ok((amount, currency)), Some(count)) => {
                sum = (sum.0 + amount * count.round_dp(9), Some(currency));
            }
        }
    }
    match sum {
        _ if !complaints.is_empty() => Err(complaints),
        (amount, Some(currency)) => Ok((amount, currency)),
        (_, None) => complain(
            cell,
            "a price of no parts".to_owned(),
            "write `node`, `per_vcpu`, `per_memory` (per GiB) or `per_accelerator`",
        ),
    }
}
