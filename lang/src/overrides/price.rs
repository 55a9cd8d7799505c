//! Which prices of the catalog does a change touch?
//!
//! `aws.p5_48xlarge.price *= 0.9` scales every known price of a machine, in all regions and under all
//! options; an unknown price stays unknown. Everything else in a catalog is changed by a catalog file.

use capstan_types::catalog::{Catalog, Named, find};
use capstan_types::place::FileId;
use capstan_types::quantity::{Dimension, Quantity};
use rust_decimal::Decimal;

use super::{Change, Refused, Target};
use crate::ast::{Entry, File, Set, SetOp};
use crate::catalog::price::is_price;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::evaluate::{Evaluator, Value};

/// Returns what a path into a catalog leads to; the outer none where it begins with nothing of a catalog.
pub(super) fn target(
    catalog: &Catalog,
    file: &File,
    set: &Set,
    place_in: &FileId,
) -> Option<Result<Target, Refused>> {
    let names: Vec<&str> = set.path.segments().map(|name| name.text.as_str()).collect();
    let alias = file.entries.iter().any(|entry| match entry {
        Entry::Use(used) => used.alias.as_ref().is_some_and(|alias| alias.text == names[0]),
        _ => false,
    });
    let known = |name: &str| find(&catalog.shapes, name).map(|shape| shape.id.clone());
    if let Some((&"price", shape)) = names.split_last() {
        let plain = known(&shape.join("."));
        let behind = if alias { known(&shape.get(1..).unwrap_or_default().join(".")) } else { None };
        if let Some(shape) = plain.or(behind) {
            return Some(Ok(Target::Price(shape)));
        }
    }
    let begins = |id: &str| id == names[0] || id.split_once('.').is_some_and(|(first, _)| first == names[0]);
    let row = alias
        || catalog.shapes.iter().any(|row| begins(row.id()))
        || catalog.accelerators.iter().any(|row| begins(row.id()))
        || catalog.models.iter().any(|row| begins(row.id()))
        || catalog.traffic.iter().any(|row| begins(row.id()))
        || catalog.engines.iter().any(|row| begins(row.id()));
    row.then(|| {
        let message = format!(
            "`{}` is not the price of a machine; other facts of a catalog cannot be set yet",
            set.path.dotted()
        );
        let place = set.path.span.in_file(place_in);
        let help = "set `MACHINE.price`, or change the fact in a catalog file: `use catalog \"own.toml\"`";
        Err(Box::new(Diagnostic::error(codes::NOT_PLANNED, place, message).help(help)))
    })
}

/// Changes the prices of a machine.
pub(super) fn change(
    catalog: &mut Catalog,
    shape: &str,
    change: &Change,
    file: &FileId,
    values: &Evaluator<'_>,
) -> Result<(), Refused> {
    let place = change.set.value.span.in_file(file);
    let refused = |code, message: &str| Err(Box::new(Diagnostic::error(code, place.clone(), message)));
    let Some(Value::Quantity(quantity)) = values.evaluate(&change.set.value) else {
        return refused(codes::WRONG_KIND_OF_VALUE, "a price is changed by a number");
    };
    if quantity.value < 0.0 {
        return refused(codes::OUT_OF_RANGE, "a price is never below zero");
    }
    if change.set.op == SetOp::Times {
        if quantity.value == 0.0 {
            return refused(codes::OUT_OF_RANGE, "a price of zero is no price: nothing is sold for nothing");
        }
        if !quantity.dimension.is_none() {
            return refused(codes::WRONG_DIMENSION, "a price is multiplied by a bare number");
        }
        return match scale(catalog, shape, &quantity) {
            Some(()) => Ok(()),
            None => refused(codes::NO_RESULT, "the price is beyond every price that is paid"),
        };
    }
    set_purchase(catalog, shape, &quantity, change.set.op).or_else(|(code, message)| refused(code, &message))
}

fn scale(catalog: &mut Catalog, shape: &str, factor: &Quantity) -> Option<()> {
    let factor = match factor.decimal_in("") {
        Some(exact) => exact,
        None => Decimal::try_from(factor.value).ok()?,
    };
    for offering in catalog.offerings.iter_mut().filter(|row| row.shape == shape) {
        if let Some(price) = offering.price {
            let scaled = price.checked_mul(factor).filter(|scaled| is_price(*scaled))?;
            offering.price = Some(scaled);
        }
    }
    Some(())
}

/// Sets or raises the price of a machine that is bought. Hourly prices differ by region and option, so one
/// amount cannot stand for them.
fn set_purchase(
    catalog: &mut Catalog,
    shape: &str,
    amount: &Quantity,
    op: SetOp,
) -> Result<(), (crate::Code, String)> {
    if amount.dimension != Dimension::MONEY {
        let message = "the prices of a machine per hour differ by region and option; scale them with `*=`";
        let code = if amount.dimension == Dimension::MONEY_RATE {
            codes::NOT_PLANNED
        } else {
            codes::WRONG_DIMENSION
        };
        return Err((code, message.to_owned()));
    }
    let bought = |option| option == capstan_types::offering::PurchaseOption::Owned;
    let mut changed = false;
    for offering in catalog.offerings.iter_mut().filter(|row| row.shape == shape && bought(row.option)) {
        let Some(amount) = amount.decimal_in(offering.currency.code()) else {
            let message = format!("the price is in {}, so the change is as well", offering.currency);
            return Err((codes::CURRENCIES, message));
        };
        offering.price = match (op, offering.price) {
            (SetOp::Plus, Some(price)) => price.checked_add(amount),
            (SetOp::Plus, None) => None,
            _ => Some(amount),
        };
        changed = true;
    }
    let message = || format!("`{shape}` is not bought but paid by the hour; scale its prices with `*=`");
    if changed { Ok(()) } else { Err((codes::NOT_PLANNED, message())) }
}
