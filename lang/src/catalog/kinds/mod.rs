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

use capstan_types::origin::{Grade, Origin, Provenance};
use jiff::civil::Date;

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

/// A provenance that is still to be read.
fn nowhere() -> Provenance {
    Provenance { source: String::new(), as_of: Date::ZERO, grade: Grade::Recalled }
}
