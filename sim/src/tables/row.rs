//! One row of a table by the names of its columns, and why it can be refused.

use super::closed_loop::{Loop, Memo, Trace};
use crate::perf::Reason;
use crate::serving::ConfigError;
use csv::{ByteRecord, StringRecord};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a row has no prediction.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RowError {
    /// More or fewer cells than the header has.
    #[error("has {cells} cells where the header has {columns}")]
    Ragged {
        /// Cells of the row.
        cells: usize,
        /// Columns.
        columns: usize,
    },
    /// A cell that has to be filled is empty.
    #[error("{column} is empty")]
    Empty {
        /// Which.
        column: &'static str,
    },
    /// A cell is no number, or not one that makes sense there.
    #[error("{column} is `{text}`, which is no {wanted}")]
    NotANumber {
        /// Which.
        column: &'static str,
        /// What stands there.
        text: String,
        /// What should.
        wanted: &'static str,
    },
    /// A cell is no text.
    #[error("the cell in column {column} is no UTF-8")]
    NotText {
        /// Its place, from 1 on.
        column: usize,
    },
    /// A name that the catalog does not know.
    #[error("the catalog knows no {what} `{name}`")]
    Unknown {
        /// Model, accelerator, engine, precision.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The configuration is not possible.
    #[error(transparent)]
    Impossible(#[from] Reason),
    /// It is possible, but this program cannot price it.
    #[error("{0}")]
    NotPriced(String),
}

/// Returns the text of a row.
///
/// # Errors
/// [`RowError::NotText`].
pub(crate) fn text(record: &ByteRecord) -> Result<StringRecord, RowError> {
    StringRecord::from_byte_record(record.clone())
        .map_err(|error| RowError::NotText { column: error.utf8_error().field() + 1 })
}

/// The columns of a table.
#[derive(Debug, Clone)]
pub struct Columns {
    places: BTreeMap<String, usize>,
    len: usize,
}

impl Columns {
    /// Returns the columns of a header.
    pub fn new(header: &StringRecord) -> Self {
        let places = header.iter().enumerate().map(|(place, name)| (name.trim().to_owned(), place)).collect();
        Self { places, len: header.len() }
    }

    /// Says whether there is a column of that name.
    pub fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.len
    }
}

/// A row.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    columns: &'a Columns,
    record: &'a StringRecord,
    memo: Option<&'a Memo>,
}

/// Beyond this a count in a table is a mistake, and memory or time would be taken for it.
const MOST: f64 = 16_777_216.0;

impl<'a> Row<'a> {
    /// Returns a row of a table.
    pub fn new(columns: &'a Columns, record: &'a StringRecord) -> Self {
        Self { columns, record, memo: None }
    }

    /// The same with a place where what is costly is kept between prices.
    pub fn remembered(self, memo: &'a Memo) -> Self {
        Self { memo: Some(memo), ..self }
    }

    /// Returns a closed loop that ran.
    pub(super) fn trace(&self, wanted: Loop) -> Result<Arc<Trace>, ConfigError> {
        match self.memo {
            Some(memo) => memo.trace(wanted),
            None => Trace::of(wanted).map(Arc::new),
        }
    }

    /// Says whether it has as many cells as the header.
    pub(super) fn check_length(&self) -> Result<(), RowError> {
        let (cells, columns) = (self.record.len(), self.columns.len());
        if cells == columns { Ok(()) } else { Err(RowError::Ragged { cells, columns }) }
    }

    /// Returns the text of a cell, `None` where it is empty or there is no such column.
    pub fn text(&self, column: &str) -> Option<&'a str> {
        let place = *self.columns.places.get(column)?;
        self.record.get(place).map(str::trim).filter(|text| !text.is_empty())
    }

    /// Returns the text of a cell that has to be filled.
    ///
    /// # Errors
    /// [`RowError::Empty`].
    pub fn filled(&self, column: &'static str) -> Result<&'a str, RowError> {
        self.text(column).ok_or(RowError::Empty { column })
    }

    /// Returns a positive number, `None` where the cell is empty.
    ///
    /// # Errors
    /// [`RowError::NotANumber`].
    pub fn number(&self, column: &'static str) -> Result<Option<f64>, RowError> {
        let Some(text) = self.text(column) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(value) if value > 0.0 && value.is_finite() => Ok(Some(value)),
            _ => Err(RowError::NotANumber { column, text: text.to_owned(), wanted: "positive number" }),
        }
    }

    /// Returns a whole number of at least 1, `None` where the cell is empty.
    ///
    /// # Errors
    /// [`RowError::NotANumber`].
    pub fn count(&self, column: &'static str) -> Result<Option<u32>, RowError> {
        match self.number(column) {
            Ok(None) => Ok(None),
            Ok(Some(value)) if value.fract() == 0.0 && value <= MOST => Ok(Some(value as u32)),
            _ => {
                let text = self.text(column).unwrap_or_default().to_owned();
                Err(RowError::NotANumber { column, text, wanted: "whole number from 1 to 16,777,216" })
            }
        }
    }

    /// Returns a whole number of at least 1 that has to be there.
    ///
    /// # Errors
    /// [`RowError::Empty`] or [`RowError::NotANumber`].
    pub fn needed(&self, column: &'static str) -> Result<u32, RowError> {
        self.count(column)?.ok_or(RowError::Empty { column })
    }
}
