//! Predictions beside measurements, table by table: as the catalog has them, and by factors that never saw the part in
//! question.

use super::knobs::knobs;
use super::leave_out::{Left, without};
use super::observations::Observations;
use super::score::{BestDegree, Score, best_degree, score};
use super::training;
use crate::tables::{Kind, Table};
use capstan_types::catalog::Catalog;
use serde::Serialize;
use std::collections::BTreeMap;

/// One table, validated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Validated {
    /// What it holds.
    pub table: &'static str,
    /// Rows.
    pub rows: usize,
    /// Why rows have no prediction, and how many.
    pub rejections: BTreeMap<String, usize>,
    /// Errors as the catalog predicts, over all rows and by stratum.
    pub in_sample: Vec<Score>,
    /// Errors without the part that is predicted, over all rows, by what is left out; without the cell also by stratum.
    /// None where nothing was fitted to the table.
    pub left_out: Vec<(&'static str, Vec<Score>)>,
    /// The choice of a tensor-parallel degree, with the cell left out.
    pub best_degree: Option<BestDegree>,
}

/// Returns how far predictions by `catalog` are from the measurements of a table, one of several: factors of training rest
/// on all of theirs.
pub fn validate(tables: &[Table], place: usize, catalog: &Catalog) -> Validated {
    let table = &tables[place];
    let (kind, knobs) = (table.kind(), knobs(table.kind()));
    let mut observations = Observations::of(table, catalog);
    let predicted: Vec<_> = observations.points.iter().map(|point| point.predicted).collect();
    let in_sample = score(table, &observations, &predicted);
    let mut left_out = Vec::new();
    let mut degrees = best_degree(table, &observations, &predicted);
    if !knobs.is_empty() {
        observations.differentiate(table, catalog, &knobs);
        for left in Left::ALL {
            let parts = (0..table.len()).map(|row| left.part(&observations, row));
            if parts.collect::<std::collections::BTreeSet<_>>().len() < 2 {
                continue;
            }
            let predicted = without(kind, left, &observations, catalog, &knobs);
            let mut scores = score(table, &observations, &predicted);
            if left == Left::Cell {
                degrees = best_degree(table, &observations, &predicted);
            } else {
                scores.retain(|score| score.stratum == "all");
            }
            left_out.push((left.word(), scores));
        }
    }
    if training::KINDS.contains(&kind) {
        left_out = without_training(tables, table, catalog, &observations);
    }
    let throughput = kind == Kind::ServingThroughput;
    Validated {
        table: kind.word(),
        rows: table.len(),
        rejections: observations.rejections,
        in_sample,
        left_out,
        best_degree: degrees.filter(|_| throughput),
    }
}

/// Returns the errors on a table of training by factors without the part that is predicted.
fn without_training(
    tables: &[Table],
    table: &Table,
    catalog: &Catalog,
    observations: &Observations,
) -> Vec<(&'static str, Vec<Score>)> {
    let kind = table.kind();
    let scores = |left: Left| {
        let shifts = training::shifts(tables, catalog, left);
        let moved = observations.points.iter().map(|point| {
            let shift = shifts.get(&(kind.word(), point.row)).copied().unwrap_or(1.0);
            // Rates fall as times grow.
            let time = kind.quantities()[point.quantity].measured.starts_with("step");
            point.predicted.map(|predicted| if time { predicted * shift } else { predicted / shift })
        });
        let mut scores = score(table, observations, &moved.collect::<Vec<_>>());
        if left != Left::Cell {
            scores.retain(|score| score.stratum == "all");
        }
        (left.word(), scores)
    };
    training::LEFT.into_iter().map(scores).collect()
}
