//! A user's own measurements of a configuration, as `capstan calibrate` writes them.

use capstan_types::catalog::{Calibration, CalibrationPoint, Catalog};
use capstan_types::degrees::Degrees;
use capstan_types::hardware::Precision;
use capstan_types::origin::Provenance;

use super::super::cell::{Cell, Read};
use super::super::row::{Field, Row, may, need, record};
use super::nowhere;

/// Farther from a prediction no measurement of the same thing lies.
const FARTHEST: f64 = 100.0;

fn ratio(cell: Cell<'_>) -> Read<f64> {
    match cell.number()? {
        ratio if (1.0 / FARTHEST..=FARTHEST).contains(&ratio) => Ok(ratio),
        other => cell.wrong(
            format!("{other} is no ratio of a measurement to its prediction"),
            "write measured / predicted, such as `1.08`",
        ),
    }
}

/// Reads tensor-parallel ranks times stages: `2x1`; and, of mixtures of experts, times groups with their own sequences times
/// groups with their own experts: `1x1x8x8`.
fn ranks(cell: Cell<'_>) -> Read<Degrees> {
    let text = cell.text()?;
    match Degrees::of_product(text) {
        Some(degrees) => Ok(degrees),
        None => cell.wrong(
            format!("`{text}` is no split"),
            "write tensor ranks x pipeline stages: `\"2x1\"`, or, of a mixture of experts, these x groups with their own \
             sequences x groups with their own experts: `\"1x1x8x8\"`",
        ),
    }
}

/// The fields of a point.
const POINT: &[Field<CalibrationPoint>] = &[
    need("concurrency", |row, cell| cell.some().map(|count| row.concurrency = count)),
    need("input", |row, cell| cell.some().map(|tokens| row.input_tokens = tokens)),
    need("output", |row, cell| cell.some().map(|tokens| row.output_tokens = tokens)),
    may("tpot", |row, cell| ratio(cell).map(|ratio| row.tpot_ratio = Some(ratio))),
    may("ttft", |row, cell| ratio(cell).map(|ratio| row.ttft_ratio = Some(ratio))),
];

fn points(cell: Cell<'_>) -> Read<Vec<CalibrationPoint>> {
    let blank = CalibrationPoint {
        concurrency: 1,
        input_tokens: 1,
        output_tokens: 1,
        tpot_ratio: None,
        ttft_ratio: None,
    };
    cell.items()?.into_iter().map(|item| record(item, None, blank, POINT)).collect()
}

impl Row for Calibration {
    const KIND: &'static str = "calibration";
    const KEYS: &'static [&'static str] =
        &["model", "accelerator", "engine", "version", "precision", "ranks"];
    const FIELDS: &'static [Field<Self>] = &[
        need("model", |row, cell| cell.text().map(|id| row.model = id.to_owned())),
        need("accelerator", |row, cell| cell.text().map(|id| row.accelerator = id.to_owned())),
        need("engine", |row, cell| cell.text().map(|id| row.engine = id.to_owned())),
        need("version", |row, cell| cell.text().map(|version| row.engine_version = version.to_owned())),
        need("precision", |row, cell| cell.precision().map(|precision| row.precision = precision)),
        need("ranks", |row, cell| ranks(cell).map(|degrees| row.degrees = degrees)),
        need("points", |row, cell| points(cell).map(|points| row.points = points)),
    ];

    fn blank() -> Self {
        Calibration {
            model: String::new(),
            accelerator: String::new(),
            engine: String::new(),
            engine_version: String::new(),
            precision: Precision::Bf16,
            degrees: Degrees::plain(1, 1),
            points: Vec::new(),
            provenance: nowhere(),
        }
    }

    fn key(&self) -> String {
        let Calibration { model, accelerator, engine, engine_version, precision, degrees, .. } = self;
        format!("{model} {accelerator} {engine} {engine_version} {} {}", precision.word(), degrees.product())
    }

    fn refers_to(&self) -> Option<(&'static str, &str)> {
        Some(("accelerator", &self.accelerator))
    }

    fn provenance(&mut self) -> &mut Provenance {
        &mut self.provenance
    }

    fn judge(&self) -> Result<(), String> {
        match self.points.len() {
            0 => Err("a calibration rests on one measurement at least".to_owned()),
            1..=1000 => Ok(()),
            many => Err(format!("{many} measurements of one configuration are more than anything is won by")),
        }
    }

    fn list(catalog: &mut Catalog) -> &mut Vec<Self> {
        &mut catalog.calibrations
    }
}
