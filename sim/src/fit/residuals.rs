//! How wide is 90 %? Quantiles of what measurements are over predictions that were fitted without them.
//!
//! Every cell has the same weight, so that a cell of 176 rows says no more than one of 12. A stratum has its own
//! quantiles where it has at least [`ENOUGH`] cells; smaller ones are listed so that a prediction knows what was seen.
//! What extrapolates is held against what leaving out the whole accelerator, precision, model or engine left.

use super::knobs::Knob;
use super::leave_out::{Left, without};
use super::observations::Observations;
use crate::tables::Kind;
use capstan_types::catalog::Catalog;
use std::collections::{BTreeMap, BTreeSet};

/// Cells that a stratum needs for quantiles of its own.
pub const ENOUGH: usize = 5;

/// One line of residuals.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiles {
    /// The measured column.
    pub quantity: &'static str,
    /// `all`, `engine=…` and the like, or `new accelerator` and the like.
    pub stratum: String,
    /// 5 % of measurements, cells weighted equally, are below this multiple of their prediction.
    pub low: f64,
    /// 5 % are above this one.
    pub high: f64,
    /// Cells.
    pub cells: usize,
    /// Rows.
    pub rows: usize,
}

/// A residual and its cell.
pub(super) type Residual<'a> = (&'a str, f64);

/// Returns the quantiles of every quantity of a table, by stratum.
pub fn residuals(
    kind: Kind,
    observations: &Observations,
    catalog: &Catalog,
    knobs: &[Knob],
) -> Vec<Quantiles> {
    let mut lines = Vec::new();
    for left in Left::ALL {
        let predicted = without(kind, left, observations, catalog, knobs);
        for (place, quantity) in kind.quantities().iter().enumerate().filter(|(_, q)| q.interval.is_some()) {
            let mut strata: BTreeMap<String, Vec<Residual<'_>>> = BTreeMap::new();
            for (point, predicted) in observations.points.iter().zip(&predicted) {
                let Some(predicted) = predicted.filter(|_| point.quantity == place) else { continue };
                let ratio = libm::log(point.measured / predicted);
                let cell = Left::Cell.part(observations, point.row);
                for stratum in strata_of(left, observations, point.row) {
                    strata.entry(stratum).or_default().push((cell, ratio));
                }
            }
            lines.extend(strata.into_iter().map(|(stratum, rows)| line(quantity.measured, stratum, &rows)));
        }
    }
    lines
}

/// Returns the strata to which the residual of a row counts.
fn strata_of(left: Left, observations: &Observations, row: usize) -> Vec<String> {
    if left != Left::Cell {
        return vec![format!("new {}", left.word())];
    }
    let mut strata = vec!["all".to_owned()];
    for part in [Left::Engine, Left::Accelerator, Left::Precision, Left::Model] {
        let name = part.part(observations, row);
        if !name.is_empty() {
            strata.push(format!("{}={name}", part.word()));
        }
    }
    if observations.identities[row].strata.iter().any(|stratum| stratum == "attention-DP") {
        strata.push("attention-DP".to_owned());
    }
    strata
        .extend(observations.identities[row].mixture.map(|yes| if yes { "MoE" } else { "dense" }.to_owned()));
    strata
}

pub(super) fn line(quantity: &'static str, stratum: String, rows: &[Residual<'_>]) -> Quantiles {
    let cells: BTreeSet<&str> = rows.iter().map(|(cell, _)| *cell).collect();
    let at = |share| libm::exp(weighted_quantile(rows, share));
    Quantiles { quantity, stratum, low: at(0.05), high: at(0.95), cells: cells.len(), rows: rows.len() }
}

/// Returns the value below which a share of the weight lies, every cell with the weight 1.
fn weighted_quantile(rows: &[Residual<'_>], share: f64) -> f64 {
    let mut sizes: BTreeMap<&str, f64> = BTreeMap::new();
    for (cell, _) in rows {
        *sizes.entry(cell).or_insert(0.0) += 1.0;
    }
    let mut sorted: Vec<(f64, f64)> = rows.iter().map(|(cell, value)| (*value, 1.0 / sizes[cell])).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wanted = share * sizes.len() as f64;
    let mut below = 0.0;
    for (value, weight) in &sorted {
        below += weight;
        if below >= wanted {
            return *value;
        }
    }
    sorted.last().map_or(0.0, |(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_cell_says_no_more_than_a_small_one() {
        let mut rows: Vec<Residual<'_>> = (0..100).map(|_| ("large", 0.0)).collect();
        rows.extend([("small", 1.0), ("small", 1.0)]);
        assert_eq!(weighted_quantile(&rows, 0.4), 0.0);
        assert_eq!(weighted_quantile(&rows, 0.6), 1.0);
    }
}
