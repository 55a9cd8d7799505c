//! What is known before a plan is read, and where was it read?
//!
//! TOML texts in, one [`Catalog`] and diagnostics out; a pure function, so that the built-in catalogs, the
//! files of `use catalog` and those of `use prices` are read by the same code. A row that is wrong is left
//! out and reported. Not known here: where the texts come from, and what a plan makes of the rows.
//!
//! A file has any of these tables:
//! ```toml
//! [sources.list]                      # shared by the rows that say `from = "list"`
//! source = "price list of the vendor"
//! as_of = "2026-06-18"
//! grade = "list"                      # facts: data_sheet, measured, disputed, recalled; prices: quoted, list, estimate
//!
//! [[accelerator]]                     # also shape, fabric, region, ownership, model, traffic, engine, rate,
//! id = "h100_sxm"                     # gemm, attention, experts, collective, coefficient, residual, market_price, calibration
//! power = "600 W"                     # a row that is there already is changed field by field
//! source = "measured in our hall"
//! as_of = "2026-10-01"
//!
//! [[offering]]
//! shape = "aws.p5_48xlarge"
//! from = "list"
//! prices = [
//!     { region = "us-east-1", on_demand = "55.04 USD/h", spot = "unknown", reserved_3y = "20.69505 USD/h" },
//! ]
//! ```
//! The price of what is owned is `owned = "310000 USD"`; `savings_plan_3y` and `block_14d` are prices of further contracts. Unknown is written `"unknown"`, or nothing at all.

mod cell;
pub mod coverage;
mod document;
mod kinds;
mod offerings;
pub(crate) mod price;
mod reader;
mod row;

pub(crate) use offerings::MOST_BLOCK_DAYS;

use capstan_types::catalog::{
    AttentionEfficiency, Calibration, Catalog, Coefficient, CollectiveEfficiency, Engine, ExpertEfficiency,
    GemmEfficiency, Region, Residual,
};
use capstan_types::hardware::{Accelerator, Fabric, NodeShape};
use capstan_types::market::MarketPrice;
use capstan_types::model::Model;
use capstan_types::money::ExchangeRate;
use capstan_types::offering::Ownership;
use capstan_types::storage::StorageSystem;
use capstan_types::traffic::Traffic;

use crate::diagnostic::{Diagnostic, sort};
use document::Document;
use reader::Reader;

/// Reads catalogs into one. Rows that are wrong are left out and reported; neither the order of the files nor
/// that of their rows changes the result.
pub fn load(files: &[(&str, &str)]) -> (Catalog, Vec<Diagnostic>) {
    load_over(&Catalog::default(), files)
}

/// Reads catalogs over one that is there: a row with the identifier of a known one changes the fields that it
/// names, and a price replaces that of the same shape, region and option.
pub fn load_over(base: &Catalog, files: &[(&str, &str)]) -> (Catalog, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let documents: Vec<Document<'_>> =
        files.iter().filter_map(|(name, text)| Document::read(name, text, &mut diagnostics)).collect();
    let mut reader = Reader::new(base.clone(), &documents, diagnostics);
    reader.check_tables();
    reader.rows::<Accelerator>();
    reader.rows::<NodeShape>();
    reader.rows::<Fabric>();
    reader.rows::<StorageSystem>();
    reader.rows::<Region>();
    reader.rows::<Ownership>();
    reader.rows::<Model>();
    reader.rows::<Traffic>();
    reader.rows::<Engine>();
    reader.rows::<ExchangeRate>();
    reader.rows::<GemmEfficiency>();
    reader.rows::<AttentionEfficiency>();
    reader.rows::<MarketPrice>();
    reader.rows::<ExpertEfficiency>();
    reader.rows::<CollectiveEfficiency>();
    reader.rows::<Coefficient>();
    reader.rows::<Residual>();
    reader.rows::<Calibration>();
    offerings::read(&mut reader);
    let (catalog, mut diagnostics) = reader.finish();
    sort(&mut diagnostics);
    (catalog, diagnostics)
}
