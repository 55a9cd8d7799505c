//! Prices of single goods.

use capstan_types::catalog::Catalog;
use capstan_types::market::{Good, MarketPrice};
use capstan_types::money::Currency;
use capstan_types::origin::Provenance;
use capstan_types::quantity::{Dimension, Quantity};

use super::super::cell::{Cell, Read};
use super::super::row::{Field, Row, identifier, may, need};
use super::{above_zero, nowhere};

const GOODS: [(&str, Good); 7] = {
    let mut words = [("", Good::Server); 7];
    let mut i = 0;
    while i < words.len() {
        words[i] = (Good::ALL[i].word(), Good::ALL[i]);
        i += 1;
    }
    words
};

/// Money, money per hour, and money per power and month.
const PRICES: [(Dimension, &str); 3] = [
    (Dimension::MONEY, ""),
    (Dimension::MONEY_RATE, "/h"),
    (Dimension::MONEY_RATE.per(Dimension::POWER), "/kW/mo"),
];

fn price(row: &mut MarketPrice, cell: Cell<'_>) -> Read<()> {
    if cell.text()? == "unknown" {
        row.price = None;
        return Ok(());
    }
    let (quantity, per) = match PRICES.iter().find_map(|(dimension, per)| {
        cell.quantity(*dimension).ok().map(|quantity: Quantity| (quantity, *per))
    }) {
        Some(found) => found,
        None => return cell.quantity(Dimension::MONEY).map(drop),
    };
    let (amount, currency) = above_zero(cell, &quantity, per)?;
    row.price = Some(amount);
    row.currency = currency;
    Ok(())
}

impl Row for MarketPrice {
    const KIND: &'static str = "market_price";
    const KEYS: &'static [&'static str] = &["id"];
    const FIELDS: &'static [Field<Self>] = &[
        need("id", |row, cell| identifier(cell).map(|id| row.id = id)),
        need("names", |row, cell| cell.texts().map(|names| row.names = names)),
        need("good", |row, cell| cell.choice(&GOODS).map(|good| row.good = good)),
        may("of", |row, cell| cell.text().map(|id| row.of = Some(id.to_owned()))),
        may("region", |row, cell| cell.text().map(|region| row.region = region.to_owned())),
        need("price", price),
    ];

    fn blank() -> Self {
        MarketPrice {
            id: String::new(),
            names: Vec::new(),
            good: Good::Server,
            of: None,
            region: "all".to_owned(),
            price: None,
            currency: Currency::USD,
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        self.id.clone()
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn refers_to(&self) -> Option<(&'static str, &str)> {
        self.of.as_deref().map(|id| ("of", id))
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.market_prices
    }
}
