//! Rows of measured serving latencies: which are sense, what configuration they measured, and how far predictions were off.

use super::{median, tpot, ttft};
use crate::perf::{Device, PreparedStep, StepShape};
use crate::tables::layout::Configuration;
use crate::tables::row::{self, Columns};
use crate::tables::{Kind, Names, Row, RowError, ask};
use capstan_types::catalog::{Calibration, CalibrationPoint};
use capstan_types::degrees::Degrees;
use capstan_types::hardware::Precision;
use capstan_types::origin::{Grade, Provenance};
use std::collections::BTreeMap;
use std::io::Read;

/// Columns that hold what was measured, in milliseconds.
pub const MEASURED: [&str; 2] = ["ttft_ms", "tpot_ms"];

/// A measurement this many times its prediction, or that fraction, is of something else.
const SAME: f64 = 8.0;

/// A row of the file and why it is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its line.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// How far predictions were off, as medians of |predicted / measured − 1|.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Checked {
    /// Measurements.
    pub rows: usize,
    /// Before.
    pub before: f64,
    /// After, each row predicted from the others of its configuration; `None` with fewer than three.
    pub after: Option<f64>,
}

/// What came of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    /// One per configuration, in the order of the file.
    pub calibrations: Vec<Calibration>,
    /// Times per output token of each configuration.
    pub tpot: Vec<Checked>,
    /// Times to first token of each configuration.
    pub ttft: Vec<Checked>,
    /// Rows that are not used.
    pub refused: Vec<Shown>,
    /// Rows of the file.
    pub rows: usize,
}

type Key = (String, String, String, String, Precision, Degrees);

/// Reads a table of measured serving latencies. `given` stands in for columns that the table does not have.
///
/// # Errors
/// Where the text is no CSV, or lacks a column that nothing stands in for.
pub fn serving(
    table: impl Read,
    given: &[(&str, String)],
    names: &Names<'_>,
    provenance: &Provenance,
) -> Result<Calibrated, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(table);
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    let has = |name: &str| header.iter().any(|known| known == name);
    let missing: Vec<&str> = Kind::ServingLatency
        .columns()
        .iter()
        .copied()
        .filter(|name| !has(name) && !given.iter().any(|(given, _)| given == name))
        .collect();
    if !missing.is_empty() {
        return Err(format!("the column {} is missing", missing.join(", ")));
    }
    if !MEASURED.iter().any(|name| has(name)) {
        return Err("there is neither a column ttft_ms nor tpot_ms".to_owned());
    }
    let (mut groups, mut order, mut refused, mut rows) = (BTreeMap::new(), Vec::new(), Vec::new(), 0);
    for record in reader.byte_records() {
        let record = record.map_err(|error| error.to_string())?;
        rows += 1;
        let line = record.position().map_or(0, csv::Position::line);
        let record = match row::text(&record) {
            Ok(record) => record,
            Err(error) => {
                refused.push(Shown { line, reason: error.to_string() });
                continue;
            }
        };
        let mut cells: Vec<(&str, String)> = Vec::new();
        for (name, cell) in header.iter().zip(&record) {
            cells.push((name, cell.to_owned()));
        }
        cells.extend(given.iter().filter(|(name, _)| !has(name)).cloned());
        let whole = record.len() == header.len();
        match measure(&cells, names).map_err(|error| error.to_string()).and_then(Measurement::sane) {
            _ if !whole => refused.push(Shown {
                line,
                reason: format!("has {} cells where the header has {}", record.len(), header.len()),
            }),
            Ok(one) => {
                if !groups.contains_key(&one.key) {
                    order.push(one.key.clone());
                }
                groups.entry(one.key).or_insert_with(Vec::new).push(one.point);
            }
            Err(reason) => refused.push(Shown { line, reason }),
        }
    }
    Ok(sum_up(&order, groups, refused, rows, provenance))
}

fn sum_up(
    order: &[Key],
    mut groups: BTreeMap<Key, Vec<CalibrationPoint>>,
    refused: Vec<Shown>,
    rows: usize,
    provenance: &Provenance,
) -> Calibrated {
    let mut all = Calibrated { calibrations: Vec::new(), tpot: Vec::new(), ttft: Vec::new(), refused, rows };
    for key in order {
        let points = groups.remove(key).unwrap_or_default();
        let (model, accelerator, engine, engine_version, precision, degrees) = key.clone();
        let provenance = Provenance { grade: Grade::Measured, ..provenance.clone() };
        let calibration = Calibration {
            model,
            accelerator,
            engine,
            engine_version,
            precision,
            degrees,
            points,
            provenance,
        };
        let by = |ratio: fn(&CalibrationPoint) -> Option<f64>, factor: FactorAt| {
            checked(&calibration, ratio, factor)
        };
        all.tpot.push(by(|point| point.tpot_ratio, tpot));
        all.ttft.push(by(|point| point.ttft_ratio, ttft));
        all.calibrations.push(calibration);
    }
    all
}

type FactorAt = fn(&Calibration, super::At) -> Option<super::Factor>;

/// Leaves each point out and predicts it from the others.
fn checked(
    calibration: &Calibration,
    ratio: fn(&CalibrationPoint) -> Option<f64>,
    factor: FactorAt,
) -> Checked {
    let measured: Vec<(usize, f64)> = calibration
        .points
        .iter()
        .enumerate()
        .filter_map(|(index, point)| Some((index, ratio(point)?)))
        .collect();
    let error = |ratio: f64| (1.0 / ratio - 1.0).abs();
    let before = median(measured.iter().map(|(_, ratio)| error(*ratio)).collect()).unwrap_or(0.0);
    let left_out = |&(index, ratio): &(usize, f64)| {
        let mut others = calibration.clone();
        let point = others.points.remove(index);
        let at = (point.concurrency, point.input_tokens, point.output_tokens);
        let factor = factor(&others, (f64::from(at.0), f64::from(at.1), f64::from(at.2)))?;
        Some(error(ratio / factor.value))
    };
    let after =
        (measured.len() >= 3).then(|| measured.iter().filter_map(left_out).collect()).and_then(median);
    Checked { rows: measured.len(), before, after }
}

/// One row: what it measured, beside its prediction and the least that physics allows, in milliseconds.
struct Measurement {
    key: Key,
    point: CalibrationPoint,
    tpot: Option<Side>,
    ttft: Option<Side>,
}

#[derive(Clone, Copy)]
struct Side {
    column: &'static str,
    measured: f64,
    predicted: f64,
    least: f64,
}

fn measure(cells: &[(&str, String)], names: &Names<'_>) -> Result<Measurement, RowError> {
    let columns = Columns::new(&cells.iter().map(|(name, _)| *name).collect());
    let record = cells.iter().map(|(_, cell)| cell.as_str()).collect();
    let row = Row::new(&columns, &record);
    let (measured_ttft, measured_tpot) = (row.number("ttft_ms")?, row.number("tpot_ms")?);
    if measured_ttft.is_none() && measured_tpot.is_none() {
        return Err(RowError::NotPriced("ttft_ms and tpot_ms are both empty".to_owned()));
    }
    let configuration = Configuration::of(&row, names)?;
    let Configuration { model, accelerator, engine, split, weights } = configuration;
    let pipeline = row.count("pp")?.unwrap_or(1);
    let degrees = split.degrees(pipeline).ok_or_else(|| {
        RowError::NotPriced(
            "its ranks do not deal out sequences and experts evenly: no plan runs that".to_owned(),
        )
    })?;
    let priced = ask(Kind::ServingLatency, cells, names)?;
    let setup = configuration.setup(&row, pipeline)?;
    let device = Device::resolve(names.catalog, accelerator)?;
    let step = PreparedStep::stored(&device, &setup, weights)?;
    let (input, output) = (row.needed("input_tokens")?, row.needed("output_tokens")?);
    // The shortest that anybody can see: one sequence alone, the shortest prompt of a spread of lengths.
    let alone = StepShape::decode(1.0, 0.8 * f64::from(input));
    let prompt = StepShape::default().with_chunk(0.8 * f64::from(input), 0.0, true);
    let side = |column, measured: Option<f64>, predicted: &str, least_ns: f64| {
        let predicted = priced.number(predicted).filter(|predicted| *predicted > 0.0);
        Some(Side { column, measured: measured?, predicted: predicted?, least: least_ns / 1e6 })
    };
    let tpot = side("tpot_ms", measured_tpot, "predicted_tpot_ms", step.floor_ns(&alone));
    let ttft = side("ttft_ms", measured_ttft, "predicted_ttft_ms", step.floor_ns(&prompt));
    let version = row.text("engine_version").unwrap_or(&engine.version).to_owned();
    let ratio = |side: Option<Side>| side.map(|side| side.measured / side.predicted);
    let ids = (model.id.clone(), accelerator.id.clone(), engine.id.clone());
    Ok(Measurement {
        key: (ids.0, ids.1, ids.2, version, weights.experts, degrees),
        point: CalibrationPoint {
            concurrency: row.needed("concurrency")?,
            input_tokens: input,
            output_tokens: output,
            tpot_ratio: ratio(tpot),
            ttft_ratio: ratio(ttft),
        },
        tpot,
        ttft,
    })
}

impl Measurement {
    /// Returns the measurement, or why it makes no sense.
    fn sane(self) -> Result<Self, String> {
        for side in [self.tpot, self.ttft].into_iter().flatten() {
            side.judge()?;
        }
        Ok(self)
    }
}

impl Side {
    fn judge(self) -> Result<(), String> {
        let Self { column, measured, predicted, least } = self;
        let ratio = measured / predicted;
        let near = |ratio: f64| (1.0 / SAME..=SAME).contains(&ratio);
        if near(ratio * 1e3) {
            return Err(format!(
                "{column} is {measured}, where {predicted:.3} ms are predicted: are these seconds?"
            ));
        }
        if near(ratio / 1e3) {
            return Err(format!(
                "{column} is {measured}, where {predicted:.3} ms are predicted: are these microseconds?"
            ));
        }
        if measured < least {
            return Err(format!(
                "{column} is {measured} ms, faster than physics: bytes and FLOPs alone take {least:.3} ms"
            ));
        }
        if !near(ratio) {
            return Err(format!(
                "{column} is {measured} ms, {ratio:.2} times the prediction: this is no such configuration"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing;

    const HEADER: &str = "model,accelerator,engine,engine_version,precision,tp,input_tokens,output_tokens,\
        concurrency,ttft_ms,tpot_ms\n";

    fn read(rows: &str) -> Calibrated {
        let catalog = testing::catalog();
        let provenance = catalog.models[0].provenance.clone();
        let table = format!("{HEADER}{rows}");
        serving(table.as_bytes(), &[], &Names::new(&catalog), &provenance).unwrap()
    }

    fn row(concurrency: u32, ttft: &str, tpot: &str) -> String {
        format!("llama-3.1-8b,h100,vllm,0.19.0,bf16,1,1024,256,{concurrency},{ttft},{tpot}\n")
    }

    #[test]
    fn nonsense_is_refused_by_row_with_its_reason_and_the_rest_is_used() {
        let rows = [
            row(16, "100", "9.5"),
            row(16, "0.1", "0.0095"),
            row(16, "100000", "9500"),
            row(1, "40", "2.1"),
            row(16, "", ""),
            row(16, "100", "-3"),
            row(16, "100", "90"),
            "llama-9,h100,vllm,0.19.0,bf16,1,1024,256,16,100,9.5\n".to_owned(),
            "llama-3.1-8b,h100\n".to_owned(),
        ]
        .concat();
        let read = read(&rows);
        assert_eq!((read.rows, read.calibrations.len()), (9, 1));
        assert_eq!(read.calibrations[0].points.len(), 1);
        let reasons: Vec<&str> = read.refused.iter().map(|refused| refused.reason.as_str()).collect();
        let expected = [
            "are these seconds?",
            "are these microseconds?",
            "faster than physics",
            "both empty",
            "no positive number",
            "times the prediction",
            "knows no model",
            "cells where the header has",
        ];
        for (reason, expected) in reasons.iter().zip(expected) {
            assert!(reason.contains(expected), "{reason}: {expected}");
        }
        assert_eq!(
            read.refused.iter().map(|refused| refused.line).collect::<Vec<_>>(),
            [3, 4, 5, 6, 7, 8, 9, 10]
        );
    }

    #[test]
    fn configurations_are_kept_apart_and_checked_by_leaving_out() {
        let rows: String = [4, 8, 16, 32].map(|load| row(load, "120", &format!("{}", 8 + load / 8))).concat();
        let read = read(&format!("{rows}llama-3.1-8b,h100,vllm,0.19.0,fp8,1,1024,256,4,60,6\n"));
        assert_eq!(read.calibrations.len(), 2, "{:?}", read.refused);
        assert_eq!(read.tpot[0].rows, 4);
        assert!(read.tpot[0].after.unwrap() < read.tpot[0].before, "{:?}", read.tpot);
        assert_eq!(read.tpot[1].after, None);
    }

    #[test]
    fn columns_that_are_missing_may_be_given() {
        let catalog = testing::catalog();
        let (names, provenance) = (Names::new(&catalog), catalog.models[0].provenance.clone());
        let table = "input_tokens,output_tokens,concurrency,tpot_ms\n1024,256,16,9.5\n";
        let given = [("model", "llama3_1_8b"), ("accelerator", "h100_sxm"), ("engine", "vllm"), ("tp", "1")];
        let given = given.map(|(name, value)| (name, value.to_owned()));
        let read = serving(table.as_bytes(), &given, &names, &provenance).unwrap();
        assert_eq!(read.calibrations[0].points[0].ttft_ratio, None);
        let refused = serving(table.as_bytes(), &given[..3], &names, &provenance).unwrap_err();
        assert!(refused.contains("tp"), "{refused}");
    }
}
