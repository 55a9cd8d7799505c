//! What a fit to measurements left: numbers of the step-time model, and how far measurements lie from its predictions.

use capstan_types::catalog::{Catalog, Coefficient, Residual};
use capstan_types::origin::{Origin, Provenance};

use super::super::cell::{Cell, Read};
use super::super::row::{Field, Row, identifier, need};
use super::{ORIGINS, nowhere};

/// Reads a factor, which is never zero.
fn factor(cell: Cell<'_>) -> Read<f64> {
    match cell.number()? {
        number if number > 0.0 => Ok(number),
        _ => cell.wrong("a number above zero belongs here", "leave the row out to keep what is assumed"),
    }
}

impl Row for Coefficient {
    const KIND: &'static str = "coefficient";
    const KEYS: &'static [&'static str] = &["name"];
    const FIELDS: &'static [Field<Self>] = &[
        need("name", |row, cell| identifier(cell).map(|name| row.name = name)),
        need("value", |row, cell| factor(cell).map(|value| row.value = value)),
        need("cells", |row, cell| cell.count().map(|cells| row.cells = cells)),
        need("origin", |row, cell| cell.choice(&ORIGINS).map(|origin| row.origin = origin)),
    ];

    fn blank() -> Self {
        Coefficient {
            name: String::new(),
            value: 1.0,
            cells: 0,
            origin: Origin::Assumed,
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        self.name.clone()
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.coefficients
    }
}

impl Row for Residual {
    const KIND: &'static str = "residual";
    const KEYS: &'static [&'static str] = &["table", "quantity", "stratum"];
    const FIELDS: &'static [Field<Self>] = &[
        need("table", |row, cell| identifier(cell).map(|table| row.table = table)),
        need("quantity", |row, cell| identifier(cell).map(|quantity| row.quantity = quantity)),
        need("stratum", |row, cell| cell.text().map(|stratum| row.stratum = stratum.to_owned())),
        need("low", |row, cell| factor(cell).map(|low| row.low = low)),
        need("high", |row, cell| factor(cell).map(|high| row.high = high)),
        need("cells", |row, cell| cell.count().map(|cells| row.cells = cells)),
        need("rows", |row, cell| cell.count().map(|rows| row.rows = rows)),
    ];

    fn blank() -> Self {
        Residual {
            table: String::new(),
            quantity: String::new(),
            stratum: String::new(),
            low: 1.0,
            high: 1.0,
            cells: 0,
            rows: 0,
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        format!("{} {} {}", self.table, self.quantity, self.stratum)
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn judge(&self) -> Result<(), String> {
        if self.low <= self.high { Ok(()) } else { Err("`low` is above `high`".to_owned()) }
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.residuals
    }
}
