//! Predictions beside published measurements: every row of a table of measurements, priced.
//!
//! A table is CSV text whose columns are those of one [`Kind`]. Rows come out as they came in, in the same order, with
//! the predicted columns added. Rows are read in groups and priced in parallel, so a table of any length fits in memory.
//! No measured column is ever read: the same bytes come out when they are empty.
//!
//! A row that cannot be priced keeps its place and says why in `rejection`. Only a table whose header lacks a column
//! is refused as a whole.

mod ask;
mod closed_loop;
mod flat_out;
mod interval;
pub mod kv_sizes;
mod launch;
pub(crate) mod layout;
mod mlperf_inference;
mod names;
mod quantity;
pub(crate) mod row;
mod serving_latency;
mod serving_throughput;
mod table;
mod training;
mod training_memory;

pub use ask::{Priced as PricedRow, ask, latency_intervals};
pub use interval::Interval;
pub use layout::stored as stored_weights;
pub use names::Names;
pub use quantity::{Identity, Quantity};
pub use row::{Row, RowError};
pub use table::Table;
pub use training::{Trains, job as training_job, math as training_math};

use capstan_types::catalog::Catalog;
use csv::ByteRecord;
use rayon::prelude::*;
use row::Columns;
use std::io::{Read, Write};

/// What a table holds, and with it which columns it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Time to first token and per output token at a fixed concurrency.
    ServingLatency,
    /// Best output rate at an unlimited request rate.
    ServingThroughput,
    /// Offline throughput and tail latencies of MLPerf Inference.
    MlperfInference,
    /// Throughput of pre-training and fine-tuning with every parallel degree.
    TrainingThroughput,
    /// Step times of MLPerf Training.
    MlperfTraining,
    /// Training runs that papers describe.
    TrainingPapers,
    /// Memory of early transformers without fused attention.
    TrainingMemory,
    /// What engines print at start-up: tokens of cache, concurrency, or that they do not start.
    KvSizes,
}

/// Why a table is refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The header lacks columns.
    #[error("a table of kind {kind} needs the column{} {}, which the header lacks", if missing.len() == 1 { "" } else { "s" }, missing.join(", "))]
    MissingColumns {
        /// Word of the kind.
        kind: &'static str,
        /// What is missing.
        missing: Vec<String>,
    },
    /// The text is no CSV, or reading or writing failed.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// Writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What a row is predicted to have measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The added cells but the last.
    pub cells: Vec<String>,
    /// What makes its intervals wider than usual.
    pub because: Vec<String>,
}

/// How many rows came out, and how many without a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Priced {
    /// Rows.
    pub rows: u64,
    /// Rows that say why they have no prediction.
    pub rejected: u64,
}

/// Rows that are read before any is written: enough to keep cores busy, few enough for any memory.
const GROUP: usize = 1024;

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 8] = [
        Self::ServingLatency,
        Self::ServingThroughput,
        Self::MlperfInference,
        Self::TrainingThroughput,
        Self::MlperfTraining,
        Self::TrainingPapers,
        Self::TrainingMemory,
        Self::KvSizes,
    ];

    /// Returns the word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::ServingLatency => "serving_latency",
            Self::ServingThroughput => "serving_throughput",
            Self::MlperfInference => "mlperf_inference",
            Self::TrainingThroughput => "training_throughput",
            Self::MlperfTraining => "mlperf_training",
            Self::TrainingPapers => "training_papers",
            Self::TrainingMemory => "training_memory",
            Self::KvSizes => "kv_sizes",
        }
    }

    /// Returns the kind of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Returns the columns that a prediction reads.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::ServingLatency => serving_latency::COLUMNS,
            Self::ServingThroughput => serving_throughput::COLUMNS,
            Self::MlperfInference => mlperf_inference::COLUMNS,
            Self::TrainingThroughput => training::THROUGHPUT_COLUMNS,
            Self::MlperfTraining => training::MLPERF_COLUMNS,
            Self::TrainingPapers => training::PAPERS_COLUMNS,
            Self::TrainingMemory => training_memory::COLUMNS,
            Self::KvSizes => kv_sizes::COLUMNS,
        }
    }

    /// Returns the columns that are added, `rejection` the last.
    pub fn added(self) -> &'static [&'static str] {
        match self {
            Self::ServingLatency => serving_latency::ADDED,
            Self::ServingThroughput => serving_throughput::ADDED,
            Self::MlperfInference => mlperf_inference::ADDED,
            Self::TrainingThroughput | Self::MlperfTraining | Self::TrainingPapers => training::ADDED,
            Self::TrainingMemory => training_memory::ADDED,
            Self::KvSizes => kv_sizes::ADDED,
        }
    }

    /// Returns the columns of a header that has all that a prediction reads.
    fn check(self, header: &csv::StringRecord) -> Result<Columns, TableError> {
        let columns = Columns::new(header);
        let missing = self.columns().iter().filter(|name| !columns.has(name));
        let missing: Vec<String> = missing.map(|name| (*name).to_owned()).collect();
        if missing.is_empty() {
            Ok(columns)
        } else {
            Err(TableError::MissingColumns { kind: self.word(), missing })
        }
    }

    /// Prices one row.
    fn price(self, row: &Row<'_>, names: &Names<'_>) -> Result<Answer, RowError> {
        let plain = |cells| Answer { cells, because: Vec::new() };
        match self {
            Self::ServingLatency => serving_latency::price(row, names).map(|priced| priced.answer()),
            Self::ServingThroughput => serving_throughput::price(row, names).map(|priced| priced.answer()),
            Self::MlperfInference => mlperf_inference::price(row, names).map(plain),
            Self::TrainingThroughput => training::throughput(row, names).map(|priced| priced.answer()),
            Self::MlperfTraining => training::mlperf(row, names).map(|priced| priced.answer()),
            Self::TrainingPapers => training::papers(row, names).map(|priced| priced.answer()),
            Self::TrainingMemory => training_memory::price(row).map(plain),
            Self::KvSizes => kv_sizes::price(row, names).map(|priced| plain(priced.cells())),
        }
    }
}

/// Prices every row of `table` with the facts of `catalog` and writes it to `out`.
///
/// # Errors
/// [`TableError`] where the header lacks a column, the text is no CSV, or `table` or `out` fails.
pub fn price(kind: Kind, table: impl Read, catalog: &Catalog, out: impl Write) -> Result<Priced, TableError> {
    write_priced(kind, table, catalog, out, false)
}

/// The same with a last column `wide_because`: what makes the intervals of a row wider than usual.
///
/// # Errors
/// As [`price`].
pub fn price_with_causes(
    kind: Kind,
    table: impl Read,
    catalog: &Catalog,
    out: impl Write,
) -> Result<Priced, TableError> {
    write_priced(kind, table, catalog, out, true)
}

fn write_priced(
    kind: Kind,
    table: impl Read,
    catalog: &Catalog,
    out: impl Write,
    causes: bool,
) -> Result<Priced, TableError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(table);
    let mut writer = csv::Writer::from_writer(out);
    let header = reader.headers()?.clone();
    let columns = kind.check(&header)?;
    let last = causes.then_some("wide_because");
    writer.write_record(header.iter().chain(kind.added().iter().copied()).chain(last))?;
    let names = Names::new(catalog);
    let mut priced = Priced::default();
    let mut records = reader.byte_records();
    loop {
        let group = records.by_ref().take(GROUP).collect::<Result<Vec<_>, _>>()?;
        if group.is_empty() {
            break;
        }
        let answers: Vec<_> = group.par_iter().map(|record| answer(kind, &columns, record, &names)).collect();
        for (record, (answer, rejected)) in group.iter().zip(&answers) {
            let own = (0..columns.len()).map(|place| record.get(place).unwrap_or_default());
            let because = causes.then(|| answer.because.join("; "));
            writer.write_record(own.chain(answer.cells.iter().chain(&because).map(String::as_bytes)))?;
            priced.rows += 1;
            priced.rejected += u64::from(*rejected);
        }
    }
    writer.flush()?;
    Ok(priced)
}

/// Returns the added cells of a row, and whether it is rejected.
fn answer(kind: Kind, columns: &Columns, record: &ByteRecord, names: &Names<'_>) -> (Answer, bool) {
    let result = row::text(record).and_then(|record| {
        let row = Row::new(columns, &record);
        row.check_length().and_then(|()| kind.price(&row, names))
    });
    match result {
        Ok(mut answer) => {
            answer.cells.push(String::new());
            (answer, false)
        }
        Err(reason) => {
            let mut cells = vec![String::new(); kind.added().len() - 1];
            cells.push(reason.to_string());
            (Answer { cells, because: Vec::new() }, true)
        }
    }
}
