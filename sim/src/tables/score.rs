//! How far are predictions from measurements? Errors of a priced table by stratum, beside a constant baseline.
//!
//! An error is |predicted / measured − 1|. The baseline says what one gets without any model: the median that the
//! neighbours measured, rows of other cells under the same conditions. A cell is one (model, accelerator, engine,
//! precision). The coefficients are not refitted without the cell, so this is no cross-validation.

use super::{Kind, TableError};
use std::collections::BTreeMap;
use std::io::Read;

/// Errors of one quantity over one stratum.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// What is predicted, the name of the measured column.
    pub quantity: &'static str,
    /// `all`, or column and value.
    pub stratum: String,
    /// Rows that have a measurement.
    pub measured: usize,
    /// Of those, rows that have a prediction.
    pub priced: usize,
    /// Median error.
    pub median: f64,
    /// 90th percentile of the error.
    pub p90: f64,
    /// Median of predicted / measured, less 1.
    pub bias: f64,
    /// Share of measurements inside the 90 % interval, where there is one.
    pub covered: Option<f64>,
    /// Median error of the baseline over the rows that have neighbours, where any has.
    pub baseline: Option<f64>,
}

/// A predicted quantity of a kind.
struct Quantity {
    measured: &'static str,
    predicted: &'static str,
    interval: Option<(&'static str, &'static str)>,
    /// Columns that neighbours share; empty: no baseline.
    neighbours: &'static [&'static str],
}

const CELL: [&str; 6] = ["model", "accelerator", "gpu", "engine", "precision", "benchmark"];

fn quantities(kind: Kind) -> Vec<Quantity> {
    let loads = &["accelerator", "engine", "gpus", "input_tokens", "output_tokens", "concurrency"];
    let quantity =
        |measured, predicted, interval, neighbours| Quantity { measured, predicted, interval, neighbours };
    match kind {
        Kind::ServingLatency => vec![
            quantity("ttft_ms", "predicted_ttft_ms", Some(("ttft_low_ms", "ttft_high_ms")), loads),
            quantity("tpot_ms", "predicted_tpot_ms", Some(("tpot_low_ms", "tpot_high_ms")), loads),
        ],
        Kind::ServingThroughput => vec![quantity(
            "output_tokens_per_s",
            "predicted_output_tokens_per_s",
            Some(("low", "high")),
            &["accelerator", "gpus", "input_tokens", "output_tokens"],
        )],
        Kind::MlperfInference => vec![
            quantity("result", "predicted_tokens_s", None, &["scenario", "accelerator", "n_accel"]),
            quantity("ttft_p99_ms", "predicted_ttft_p99_ms", None, &[]),
            quantity("tpot_p99_ms", "predicted_tpot_p99_ms", None, &[]),
        ],
        Kind::TrainingThroughput => vec![
            quantity("tokens_s_gpu", "predicted_tokens_s_gpu", None, &[]),
            quantity("step_time_s", "predicted_step_time_s", Some(("step_low_s", "step_high_s")), &[]),
            quantity("tflops_gpu", "predicted_tflops_gpu", None, &["gpu", "precision", "task"]),
        ],
        Kind::MlperfTraining => {
            vec![quantity("step_time_s", "predicted_step_time_s", Some(("step_low_s", "step_high_s")), &[])]
        }
        Kind::TrainingPapers => vec![
            quantity("tflops_gpu", "predicted_tflops_gpu", None, &["system", "precision"]),
            quantity("step_s", "predicted_step_time_s", Some(("step_low_s", "step_high_s")), &[]),
        ],
        Kind::KvSizes => vec![
            quantity("reported_kv_tokens", "predicted_kv_tokens", None, &[]),
            quantity("reported_max_concurrency", "predicted_max_concurrency", None, &[]),
        ],
        Kind::TrainingMemory => vec![
            quantity("params_opt_gib", "predicted_params_opt_gib", None, &[]),
            quantity("act_gib_none", "predicted_act_gib_none", None, &[]),
            quantity("act_gib_seqsel", "predicted_act_gib_seqsel", None, &[]),
        ],
    }
}

fn strata(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::ServingLatency => &["engine", "accelerator", "precision", "model"],
        Kind::ServingThroughput => &["engine_version", "accelerator", "precision", "model", "kv_starved"],
        Kind::TrainingThroughput => &["gpu", "precision", "task", "model_base"],
        Kind::MlperfInference => &["scenario", "model", "accel_family", "weight_dtype"],
        Kind::MlperfTraining => &["benchmark", "accel_family"],
        Kind::KvSizes => &["engine"],
        Kind::TrainingPapers | Kind::TrainingMemory => &["source"],
    }
}

type Cells = BTreeMap<String, String>;

/// One row of one quantity.
struct Pair<'a> {
    row: &'a Cells,
    measured: f64,
    predicted: Option<f64>,
    inside: Option<bool>,
    baseline: Option<f64>,
}

/// Returns the errors of a table that [`price`](super::price) wrote, over all rows and by stratum.
///
/// # Errors
/// [`TableError`] where the text is no CSV.
pub fn score(kind: Kind, priced: impl Read) -> Result<Vec<Score>, TableError> {
    let mut reader = csv::Reader::from_reader(priced);
    let rows: Vec<Cells> = reader.deserialize().collect::<Result<_, _>>()?;
    let mut scores = Vec::new();
    for quantity in quantities(kind) {
        let pairs = pairs(&rows, &quantity);
        scores.extend(of_stratum(&quantity, "all".to_owned(), pairs.iter()));
        for column in strata(kind) {
            let mut groups: BTreeMap<&str, Vec<&Pair<'_>>> = BTreeMap::new();
            for pair in &pairs {
                groups.entry(pair.row.get(*column).map_or("", String::as_str)).or_default().push(pair);
            }
            for (value, group) in groups {
                scores.extend(of_stratum(&quantity, format!("{column} {value}"), group.into_iter()));
            }
        }
    }
    Ok(scores)
}

fn number(row: &Cells, column: &str) -> Option<f64> {
    row.get(column)?.parse().ok().filter(|value: &f64| *value > 0.0)
}

fn key(row: &Cells, columns: &[&str]) -> String {
    columns
        .iter()
        .map(|column| row.get(*column).map_or("", String::as_str))
        .collect::<Vec<_>>()
        .join("\u{1f}")
}

fn pairs<'a>(rows: &'a [Cells], quantity: &Quantity) -> Vec<Pair<'a>> {
    let mut neighbours: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    let measured = |row: &Cells| number(row, quantity.measured);
    if !quantity.neighbours.is_empty() {
        for row in rows {
            if let Some(value) = measured(row) {
                let near = neighbours.entry(key(row, quantity.neighbours)).or_default();
                near.push((key(row, &CELL), value));
            }
        }
    }
    let pair = |row: &'a Cells| {
        let measured = measured(row)?;
        let inside = quantity
            .interval
            .and_then(|(low, high)| Some((number(row, low)?..=number(row, high)?).contains(&measured)));
        let own = key(row, &CELL);
        let near = neighbours.get(&key(row, quantity.neighbours)).into_iter().flatten();
        let others: Vec<f64> = near.filter(|(cell, _)| *cell != own).map(|(_, value)| *value).collect();
        let baseline = (!others.is_empty()).then(|| quantile(others, 0.5));
        Some(Pair { row, measured, predicted: number(row, quantity.predicted), inside, baseline })
    };
    rows.iter().filter_map(pair).collect()
}

fn of_stratum<'a>(
    quantity: &Quantity,
    stratum: String,
    pairs: impl Iterator<Item = &'a Pair<'a>>,
) -> Option<Score> {
    let pairs: Vec<&Pair<'_>> = pairs.collect();
    let ratios: Vec<f64> = pairs.iter().filter_map(|pair| Some(pair.predicted? / pair.measured)).collect();
    if ratios.is_empty() {
        return None;
    }
    let errors: Vec<f64> = ratios.iter().map(|ratio| (ratio - 1.0).abs()).collect();
    let inside: Vec<bool> = pairs.iter().filter_map(|pair| pair.inside).collect();
    let base: Vec<f64> =
        pairs.iter().filter_map(|pair| Some((pair.baseline? / pair.measured - 1.0).abs())).collect();
    let share =
        |inside: &[bool]| inside.iter().filter(|inside| **inside).count() as f64 / inside.len() as f64;
    Some(Score {
        quantity: quantity.measured,
        stratum,
        measured: pairs.len(),
        priced: ratios.len(),
        median: quantile(errors.clone(), 0.5),
        p90: quantile(errors, 0.9),
        bias: quantile(ratios, 0.5) - 1.0,
        covered: (!inside.is_empty()).then(|| share(&inside)),
        baseline: (!base.is_empty()).then(|| quantile(base, 0.5)),
    })
}

/// Returns a quantile of at least one value, between neighbours in a straight line.
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = share * (values.len() - 1) as f64;
    let low = place.floor() as usize;
    let high = (low + 1).min(values.len() - 1);
    values[low] + (values[high] - values[low]) * (place - low as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "model,accelerator,gpus,input_tokens,output_tokens,precision,output_tokens_per_s,\
        predicted_output_tokens_per_s,low,high\n\
        a,x,1,10,10,FP8,100,110,90,120\n\
        a,x,1,10,10,FP8,200,100,50,150\n\
        b,x,1,10,10,FP8,150,,,\n";

    #[test]
    fn errors_coverage_and_baseline_are_those_of_the_rows() {
        let scores = score(Kind::ServingThroughput, TABLE.as_bytes()).unwrap();
        let all = &scores[0];
        assert_eq!((all.stratum.as_str(), all.measured, all.priced), ("all", 3, 2));
        assert!((all.median - 0.3).abs() < 1e-12 && (all.p90 - 0.46).abs() < 1e-12, "{all:?}");
        assert!((all.bias + 0.2).abs() < 1e-12);
        assert_eq!(all.covered, Some(0.5));
        // Neighbours of `a` measured 150, those of `b` 150 in the middle: errors 0.5, 0.25 and 0.
        assert!((all.baseline.unwrap() - 0.25).abs() < 1e-12);
    }
}
