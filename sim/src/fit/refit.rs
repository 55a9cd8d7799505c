//! Fitting everything that is not a kernel curve: factors of steps, then those of maximum throughput, then those of
//! benchmarks, then those of training; and the residuals that each leaves.

use super::knobs::{Knob, knobs, training_knobs};
use super::leave_out::{cells, towards};
use super::observations::Observations;
use super::residuals::{Quantiles, residuals};
use super::text::short;
use super::training;
use crate::perf::training::known::TABLE;
use crate::tables::{Kind, Table};
use capstan_types::catalog::Catalog;

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Refit {
    /// Numbers, their values, and how many cells say something about them.
    pub factors: Vec<(Knob, f64, u32)>,
    /// Residuals by table.
    pub residuals: Vec<(&'static str, Vec<Quantiles>)>,
}

/// Steps towards the optimum; the third moves no number by more than a thousandth.
const ROUNDS: usize = 3;

/// Fits the factors of `catalog` to tables, in the order in which one needs the other, and leaves them in it.
pub fn refit(tables: &[Table], catalog: &mut Catalog) -> Refit {
    let mut found = Refit::default();
    catalog.coefficients.clear();
    catalog.residuals.clear();
    let training = [false, true].into_iter().flat_map(training_knobs);
    for knob in Kind::ALL.into_iter().flat_map(knobs).chain(training) {
        knob.set(catalog, knob.prior);
    }
    for table in tables.iter().filter(|table| !knobs(table.kind()).is_empty()) {
        let knobs = knobs(table.kind());
        for _ in 0..ROUNDS {
            let mut observations = Observations::of(table, catalog);
            observations.differentiate(table, catalog, &knobs);
            let steps = towards(table.kind(), &observations, catalog, &knobs);
            for (knob, step) in knobs.iter().zip(steps) {
                let value = knob.value(catalog) * libm::exp(step);
                // As it will be written, so that reading the files gives the same predictions.
                knob.set(catalog, short(value).parse().unwrap_or(value));
            }
        }
        let mut observations = Observations::of(table, catalog);
        observations.differentiate(table, catalog, &knobs);
        let counts = cells(&observations, &knobs);
        found
            .factors
            .extend(knobs.iter().zip(counts).map(|(knob, cells)| (*knob, knob.value(catalog), cells)));
        let lines = residuals(table.kind(), &observations, catalog, &knobs);
        found.residuals.push((table.kind().word(), lines));
    }
    let (factors, lines) = training::refit(tables, catalog);
    found.factors.extend(factors);
    found.residuals.push((TABLE, lines));
    found
}
