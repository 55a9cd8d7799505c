//! The kinds of rows, each one table of fields.

pub(super) mod calibration;
pub(super) mod efficiency;
pub(super) mod engine;
pub(super) mod fit;
pub(super) mod hardware;
pub(super) mod market;
pub(super) mod model;
pub(super) mod place;
pub(super) mod storage;
pub(super) mod traffic;

use capstan_types::money::Currency;
use capstan_types::origin::{Grade, Origin, Provenance};
use capstan_types::quantity::Quantity;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::cell::{Cell, Read};

/// Words of the grades of facts.
pub(super) const GRADES: [(&str, Grade); 4] = [
    ("data_sheet", Grade::DataSheet),
    ("measured", Grade::Measured),
    ("disputed", Grade::Disputed),
    ("recalled", Grade::Recalled),
];

/// Words of the origins that a fitted row may have.
const ORIGINS: [(&str, Origin); 4] = [
    ("measured", Origin::Measured),
    ("published", Origin::Published),
    ("analytic", Origin::Analytic),
    ("assumed", Origin::Assumed),
];

/// Returns what one good costs, in its own currency, per what `per` says (`/h`).
fn above_zero(cell: Cell<'_>, quantity: &Quantity, per: &str) -> Read<(Decimal, Currency)> {
    let Some(currency) = quantity.currency else {
        return cell.wrong("a price without a currency", "for example `\"30000 USD\"`");
    };
    match quantity.decimal_in(&format!("{currency}{per}")) {
        Some(amount) if amount.is_sign_positive() && !amount.is_zero() => Ok((amount.normalize(), currency)),
        Some(_) => cell.wrong("a price is above zero", "write \"unknown\" where it is not known"),
        None => cell.wrong("this price has more digits than can be kept", "write fewer digits"),
    }
}

/// A provenance that is still to be read.
fn nowhere() -> Provenance {
    Provenance { source: String::new(), as_of: Date::ZERO, grade: Grade::Recalled }
}
