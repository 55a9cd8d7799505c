//! Curves of matrix multiplications and grouped experts, fitted to kernel tables.
//!
//! A table is CSV text with the columns of data/kernels. Each (chip, precision) is fitted alone, from the same start, by
//! the median-like cost √(1 + (r/s)²) of the logarithms, so that a few odd kernels do not bend a curve. A number on its
//! bound is a curve, not physics. Chips without a table get a copy of the nearest.

use super::score::quantile;
use super::simplex::lowest;
use crate::perf::coefficients::EXPERT_SKEW;
use crate::perf::device::{Device, ExpertCurve, GemmCurve};
use crate::perf::operators::Grouped;
use crate::perf::roofline;
use crate::tables::TableError;
use capstan_types::catalog::Catalog;
use capstan_types::hardware::Precision;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io::Read;

/// A fitted curve, its numbers in the order of the catalog's fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Catalog name of the chip.
    pub accelerator: String,
    /// Precision of the weights.
    pub precision: Precision,
    /// Numbers.
    pub values: Vec<f64>,
    /// Median error over the rows, `None` for a copy.
    pub error: Option<f64>,
}

/// Names of chips in kernel tables, and the chips that get a copy: same generation and memory, no table.
const CHIPS: &[(&str, &str, &[&str])] = &[
    ("A100-SXM", "a100_sxm_80gb", &["a100_sxm_40gb", "a100_pcie_40gb", "a100_pcie_80gb"]),
    ("H100-SXM", "h100_sxm", &["h100_pcie", "h100_nvl", "gh200_96gb"]),
    ("H200-SXM", "h200_sxm", &[]),
    ("B200-SXM", "b200_sxm", &["b300_sxm", "gb200", "gb300"]),
    ("L40S", "l40s", &[]),
];

/// Words of precisions in kernel tables.
const DTYPES: &[(&str, Precision)] = &[
    ("bfloat16", Precision::Bf16),
    ("fp8", Precision::Fp8),
    ("fp8_block", Precision::Fp8Block),
    ("nvfp4", Precision::Nvfp4),
];

/// Start and bounds of t0, compute, memory, p, half_m, half_nk of a matrix multiplication.
const GEMM: [(f64, f64, f64); 6] = [
    (5.0, 1.0, 20.0),
    (0.6, 0.2, 1.0),
    (0.8, 0.2, 1.0),
    (2.0, 1.0, 4.0),
    (1.0, 0.1, 64.0),
    (0.1, 0.001, 2.0),
];

/// The same of t0, time per expert, compute, memory, p, tile, activation, skew of grouped experts.
const EXPERT: [(f64, f64, f64); 8] = [
    (28.0, 5.0, 60.0),
    (0.1, 0.01, 1.0),
    (0.6, 0.2, 1.0),
    (1.0, 0.4, 1.22),
    (3.0, 1.0, 8.4),
    (64.0, 0.05, 148.0),
    (0.3, 0.1, 1.0),
    (0.22, 0.05, 0.5),
];

/// Errors above this share count in a straight line, below it squared.
const SOFT: f64 = 0.1;

type Rows = BTreeMap<(String, Precision), Vec<Vec<f64>>>;

/// Reads the rows of the chips that are fitted: the named columns as numbers.
fn rows(
    table: impl Read,
    dtype: &str,
    columns: &[&str],
    kept: impl Fn(&BTreeMap<String, String>) -> bool,
) -> Result<Rows, TableError> {
    let mut found = Rows::new();
    for record in csv::Reader::from_reader(table).deserialize() {
        let record: BTreeMap<String, String> = record?;
        let text = |column: &str| record.get(column).map_or("", String::as_str);
        let chip = CHIPS.iter().find(|(name, ..)| *name == text("gpu"));
        let precision = DTYPES.iter().find(|(name, _)| *name == text(dtype));
        let numbers: Option<Vec<f64>> = columns.iter().map(|column| text(column).parse().ok()).collect();
        if let (Some((_, id, _)), Some((_, precision)), Some(numbers)) = (chip, precision, numbers)
            && kept(&record)
        {
            found.entry(((*id).to_owned(), *precision)).or_default().push(numbers);
        }
    }
    Ok(found)
}

/// Finds the numbers within bounds at which `time` of a row comes nearest to its last column, and the median error.
fn fitted(
    rows: &[Vec<f64>],
    bounds: &[(f64, f64, f64)],
    time: impl Fn(&[f64], &[f64]) -> f64,
) -> (Vec<f64>, f64) {
    let inside = |point: &[f64]| -> Vec<f64> {
        point.iter().zip(bounds).map(|(log, (_, low, high))| libm::exp(*log).clamp(*low, *high)).collect()
    };
    let ratio = |values: &[f64], row: &Vec<f64>| libm::log(time(values, row) / row[row.len() - 1]);
    let cost = |point: &[f64]| {
        let values = inside(point);
        // A step beyond a bound costs a little, so that the simplex comes back.
        let beyond: f64 = point.iter().zip(&values).map(|(log, value)| (log - libm::log(*value)).abs()).sum();
        let soft = |r: f64| (1.0 + (r / SOFT) * (r / SOFT)).sqrt() - 1.0;
        rows.iter().map(|row| soft(ratio(&values, row))).sum::<f64>() / rows.len() as f64 + 0.01 * beyond
    };
    let start: Vec<f64> = bounds.iter().map(|(start, ..)| libm::log(*start)).collect();
    let reach = vec![0.4; bounds.len()];
    // A second run from where the first ended, with a fresh simplex, leaves corners in which the first got stuck.
    let once = lowest(&start, &reach, cost);
    let values = inside(&lowest(&once, &reach, cost));
    let errors = rows.iter().map(|row| (libm::exp(ratio(&values, row)) - 1.0).abs()).collect();
    (values, quantile(errors, 0.5))
}

/// Returns the fits with their copies, in order of names.
fn with_copies(fits: Vec<Curve>) -> Vec<Curve> {
    let mut all = fits.clone();
    for fit in &fits {
        let copies = CHIPS.iter().find(|(_, id, _)| *id == fit.accelerator).map_or(&[][..], |chip| chip.2);
        let copy = |id: &&str| Curve { accelerator: (*id).to_owned(), error: None, ..fit.clone() };
        all.extend(copies.iter().map(copy));
    }
    all.sort_by(|a, b| (&a.accelerator, a.precision).cmp(&(&b.accelerator, b.precision)));
    all
}

/// Fits every matrix-multiplication curve of a kernel table.
///
/// # Errors
/// [`TableError`] where the text is no CSV.
pub fn gemm(table: impl Read, catalog: &Catalog) -> Result<Vec<Curve>, TableError> {
    let rows = rows(table, "gemm_dtype", &["m", "n", "k", "latency_us"], |_| true)?;
    let fits = rows.par_iter().filter_map(|((id, precision), rows)| {
        let device = Device::resolve(catalog, catalog.accelerator(id)?).ok()?;
        let known = *device.gemm(*precision).ok()?;
        let time = |values: &[f64], row: &[f64]| {
            let &[t0_us, compute, memory, p, half_m, half_nk_m] = values else { return f64::NAN };
            let curve = GemmCurve { t0_us, compute, memory, p, half_m, half_nk_m, ..known };
            roofline::gemm_alone(&curve, device.bandwidth, row[0], row[1], row[2])
        };
        let (values, error) = fitted(rows, &GEMM, time);
        Some(Curve { accelerator: id.clone(), precision: *precision, values, error: Some(error) })
    });
    Ok(with_copies(fits.collect()))
}

/// Fits the curves of grouped experts of a kernel table.
///
/// # Errors
/// [`TableError`] where the text is no CSV.
pub fn experts(table: impl Read, catalog: &Catalog) -> Result<Vec<Curve>, TableError> {
    const COLUMNS: [&str; 8] = [
        "num_tokens",
        "hidden_size",
        "inter_size",
        "topk",
        "num_experts",
        "moe_tp_size",
        "moe_ep_size",
        "latency_us",
    ];
    let usual = format!("power_law_{EXPERT_SKEW}");
    let kept = |record: &BTreeMap<String, String>| record.get("distribution") == Some(&usual);
    let rows = rows(table, "moe_dtype", &COLUMNS, kept)?;
    let fits = rows.par_iter().filter_map(|((id, precision), rows)| {
        let device = Device::resolve(catalog, catalog.accelerator(id)?).ok()?;
        let known = *device.experts(*precision).ok()?;
        let time = |values: &[f64], row: &[f64]| {
            let &[t0_us, per_expert_us, compute, memory, p, tile, activation, skew] = values else {
                return f64::NAN;
            };
            let curve =
                ExpertCurve { t0_us, per_expert_us, compute, memory, p, tile, activation, skew, ..known };
            let grouped = Grouped {
                hidden: row[1],
                width: row[2] / row[5],
                matrices: 3.0,
                routed: row[4],
                active: row[3],
                ranks: row[6],
                precision: *precision,
                count: 1.0,
            };
            roofline::experts(&curve, device.bandwidth, &grouped, row[0], row[6], 1.0)
        };
        let (values, error) = fitted(rows, &EXPERT, time);
        Some(Curve { accelerator: id.clone(), precision: *precision, values, error: Some(error) })
    });
    Ok(with_copies(fits.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing;

    #[test]
    fn a_curve_is_found_again_from_times_that_it_made() {
        let catalog = testing::catalog();
        let device = Device::resolve(&catalog, catalog.accelerator("h100_sxm").unwrap()).unwrap();
        let known = *device.gemm(Precision::Fp8).unwrap();
        let mut table = "gpu,gemm_dtype,m,n,k,latency_us\n".to_owned();
        for m in [1, 16, 64, 256, 1024, 4096, 16_384] {
            for (n, k) in [(1024, 1024), (4096, 1024), (8192, 8192), (28_672, 8192), (2048, 16_384)] {
                let (rows, n_, k_) = (f64::from(m), f64::from(n), f64::from(k));
                let time = roofline::gemm_alone(&known, device.bandwidth, rows, n_, k_);
                table += &format!("H100-SXM,fp8,{m},{n},{k},{time}\n");
            }
        }
        let fits = gemm(table.as_bytes(), &catalog).unwrap();
        let own = fits.iter().find(|fit| fit.accelerator == "h100_sxm").unwrap();
        assert!(own.error.unwrap() < 0.01, "{own:?}");
        assert!((own.values[0] / known.t0_us - 1.0).abs() < 0.1, "{own:?}");
        // The cards without a table have the same curve.
        assert_eq!(fits.len(), 4);
        assert!(fits.iter().all(|fit| fit.values == own.values));
    }
}
