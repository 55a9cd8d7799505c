//! Regions, terms of owning and exchange rates.

use capstan_types::catalog::{Catalog, Region};
use capstan_types::money::{Currency, ExchangeRate};
use capstan_types::offering::Ownership;
use capstan_types::origin::Provenance;
use capstan_types::quantity::Dimension;
use capstan_types::units::HOURS_PER_YEAR;
use rust_decimal::Decimal;

use super::super::cell::{Cell, Read};
use super::super::row::{Field, Row, may, need};
use super::nowhere;

/// Seconds of a planning year.
const YEAR_S: f64 = HOURS_PER_YEAR * 3600.0;

fn currency(cell: Cell<'_>) -> Read<Currency> {
    let code = cell.text()?;
    match Currency::from_code(code) {
        Some(currency) => Ok(currency),
        None => cell.wrong(format!("`{code}` is no currency"), "write its ISO 4217 code, such as `USD`"),
    }
}

/// Reads a rate exactly as it is written.
fn rate(cell: Cell<'_>) -> Read<Decimal> {
    let written = match cell.value.as_str() {
        Some(text) => text.to_owned(),
        None => format!("{}", cell.number()?),
    };
    match Decimal::from_str_exact(&written) {
        Ok(rate) if rate > Decimal::ZERO => Ok(rate),
        _ => {
            cell.wrong(format!("`{written}` is no rate"), "write units of `in` for one unit of `of`: `0.92`")
        }
    }
}

impl Row for Region {
    const KIND: &'static str = "region";
    const KEYS: &'static [&'static str] = &["provider", "id"];
    const FIELDS: &'static [Field<Self>] = &[
        need("provider", |row, cell| cell.text().map(|provider| row.provider = provider.to_owned())),
        need("id", |row, cell| cell.text().map(|id| row.id = id.to_owned())),
        may("zones", |row, cell| cell.some().map(|n| row.zones = Some(n))),
    ];

    fn blank() -> Self {
        Region { provider: String::new(), id: String::new(), zones: None, provenance: nowhere() }
    }

    fn key(&self) -> String {
        format!("{} {}", self.provider, self.id)
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.regions
    }
}

impl Row for Ownership {
    const KIND: &'static str = "ownership";
    const KEYS: &'static [&'static str] = &["id"];
    const FIELDS: &'static [Field<Self>] = &[
        need("id", |row, cell| cell.text().map(|id| row.id = id.to_owned())),
        need("life", |row, cell| {
            let months =
                cell.quantity(Dimension::TIME)?.calendar_months().and_then(|n| u32::try_from(n).ok());
            match months.filter(|months| *months > 0) {
                Some(months) => {
                    row.life_months = months;
                    Ok(())
                }
                None => cell.wrong("a life is a whole number of months or years", "for example `\"48 mo\"`"),
            }
        }),
        need("residual", |row, cell| cell.share().map(|share| row.residual = share)),
        need("maintenance", |row, cell| {
            cell.amount(Dimension::PER_TIME).map(|per_second| row.maintenance_per_year = per_second * YEAR_S)
        }),
        need("network_share", |row, cell| cell.share().map(|share| row.network_share = share)),
    ];

    fn blank() -> Self {
        Ownership {
            id: String::new(),
            life_months: 0,
            residual: 0.0,
            maintenance_per_year: 0.0,
            network_share: 0.0,
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        self.id.clone()
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.ownership
    }
}

impl Row for ExchangeRate {
    const KIND: &'static str = "rate";
    const KEYS: &'static [&'static str] = &["of", "in"];
    const IS_DATED: bool = true;
    // `from` names a source in every row, so that the currencies have names of their own.
    const FIELDS: &'static [Field<Self>] = &[
        need("of", |row, cell| currency(cell).map(|currency| row.from = currency)),
        need("in", |row, cell| currency(cell).map(|currency| row.to = currency)),
        need("rate", |row, cell| rate(cell).map(|rate| row.rate = rate)),
    ];

    fn blank() -> Self {
        ExchangeRate { from: Currency::USD, to: Currency::USD, rate: Decimal::ONE, provenance: nowhere() }
    }

    fn key(&self) -> String {
        format!("{} {} {}", self.from.code(), self.to.code(), self.provenance.as_of)
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.rates
    }
}
