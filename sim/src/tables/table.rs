//! A whole table of measurements in memory, for what needs its rows again and again: scores and fits.

use super::closed_loop::Memo;
use super::row::{Columns, Row};
use super::{Answer, Identity, Kind, Names, RowError, TableError};
use capstan_types::catalog::Catalog;
use csv::StringRecord;
use rayon::prelude::*;
use std::io::Read;

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    kind: Kind,
    columns: Columns,
    records: Vec<StringRecord>,
    memos: Vec<Memo>,
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// [`TableError`] where the header lacks a column or the text is no CSV.
    pub fn read(kind: Kind, text: impl Read) -> Result<Self, TableError> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text);
        let columns = kind.check(reader.headers()?)?;
        let records = reader.records().collect::<Result<Vec<_>, _>>()?;
        let memos = vec![Memo::default(); records.len()];
        Ok(Self { kind, columns, records, memos })
    }

    /// Returns what it holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns how many rows it has.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Says whether it has none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the text of a cell, `None` where it is empty.
    pub fn text(&self, row: usize, column: &str) -> Option<&str> {
        Row::new(&self.columns, self.records.get(row)?).text(column)
    }

    /// Returns a cell as a positive number.
    pub fn number(&self, row: usize, column: &str) -> Option<f64> {
        self.text(row, column)?.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0)
    }

    /// Returns what every row is.
    pub fn identities(&self, names: &Names<'_>) -> Vec<Identity> {
        let of = |record| Identity::of(self.kind, &Row::new(&self.columns, record), names);
        self.records.iter().map(of).collect()
    }

    /// Prices the rows for which `wanted` holds with the facts of `catalog`: the added cells but the last.
    pub fn price(
        &self,
        catalog: &Catalog,
        wanted: impl Fn(usize) -> bool + Sync,
    ) -> Vec<Option<Result<Answer, RowError>>> {
        let names = Names::new(catalog);
        let priced = self.records.par_iter().zip(&self.memos).enumerate();
        let price = |record, memo| {
            let row = Row::new(&self.columns, record).remembered(memo);
            row.check_length().and_then(|()| self.kind.price(&row, &names))
        };
        priced.map(|(place, (record, memo))| wanted(place).then(|| price(record, memo))).collect()
    }

    /// Returns the place of an added column among the priced cells.
    pub fn place(&self, added: &str) -> Option<usize> {
        self.kind.added().iter().position(|name| *name == added)
    }
}
