//! How far are predictions from measurements? Errors by stratum, beside a constant baseline.
//!
//! An error is |predicted / measured − 1|. The baseline says what one gets without any model: the median that the
//! neighbours measured, rows of other cells under the same conditions. Order counts pairs of rows between which a planner
//! chooses (other accelerators or another split), whose measurements differ by more than repeats do.

use super::observations::{Observations, Point};
use crate::tables::{Quantity, Table};
use serde::Serialize;
use std::collections::BTreeMap;

/// Errors of one quantity over one stratum.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// What is predicted, the name of the measured column.
    pub quantity: &'static str,
    /// `all`, or what its rows have in common.
    pub stratum: String,
    /// Cells.
    pub cells: usize,
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
    /// Pairs between which a planner chooses, and the share of them in the right order.
    pub ordered: Option<(usize, f64)>,
}

/// One row of one quantity, scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored<'a> {
    point: &'a Point,
    cell: &'a str,
    strata: &'a [String],
    /// Rows that share it are put in order.
    group: Option<String>,
    /// What was chosen within the group.
    choice: String,
    predicted: Option<f64>,
    baseline: Option<f64>,
}

/// Returns the errors of `predicted`, one per point, over all rows and by stratum.
pub fn score(table: &Table, observations: &Observations, predicted: &[Option<f64>]) -> Vec<Score> {
    let mut scores = Vec::new();
    for (place, quantity) in table.kind().quantities().iter().enumerate() {
        let rows = scored(table, observations, predicted, place);
        scores.extend(of_stratum(quantity, "all", &rows.iter().collect::<Vec<_>>()));
        let mut groups: BTreeMap<&str, Vec<&Scored<'_>>> = BTreeMap::new();
        for row in &rows {
            for stratum in row.strata {
                groups.entry(stratum).or_default().push(row);
            }
        }
        scores.extend(groups.into_iter().filter_map(|(stratum, rows)| of_stratum(quantity, stratum, &rows)));
    }
    scores
}

fn key(table: &Table, row: usize, columns: &[&str]) -> String {
    let texts: Vec<&str> = columns.iter().map(|column| table.text(row, column).unwrap_or("")).collect();
    texts.join("\u{1f}")
}

fn scored<'a>(
    table: &Table,
    observations: &'a Observations,
    predicted: &[Option<f64>],
    place: usize,
) -> Vec<Scored<'a>> {
    let quantity = &table.kind().quantities()[place];
    let mut neighbours: BTreeMap<String, Vec<(&str, f64)>> = BTreeMap::new();
    let points = observations.points.iter().zip(predicted).filter(|(point, _)| point.quantity == place);
    for (point, _) in points.clone().filter(|_| !quantity.neighbours.is_empty()) {
        let near = neighbours.entry(key(table, point.row, quantity.neighbours)).or_default();
        near.push((&observations.identities[point.row].cell, point.measured));
    }
    let scored = |(point, predicted): (&'a Point, &Option<f64>)| {
        let identity = &observations.identities[point.row];
        let near = neighbours.get(&key(table, point.row, quantity.neighbours)).into_iter().flatten();
        let others = near.filter(|(cell, _)| *cell != identity.cell).map(|(_, value)| *value);
        let others: Vec<f64> = others.collect();
        Scored {
            point,
            cell: &identity.cell,
            strata: &identity.strata,
            group: (!quantity.ranked.is_empty()).then(|| key(table, point.row, quantity.ranked)),
            choice: key(table, point.row, quantity.choices),
            predicted: *predicted,
            baseline: (!others.is_empty()).then(|| quantile(others, 0.5)),
        }
    };
    points.map(scored).collect()
}

impl Scored<'_> {
    /// Says whether the measurement lies in the interval, which moves with the prediction.
    fn covered(&self) -> Option<bool> {
        let ((low, high), predicted, own) = (self.point.interval?, self.predicted?, self.point.predicted?);
        let moved = predicted / own;
        Some((low * moved..=high * moved).contains(&self.point.measured))
    }
}

fn of_stratum(quantity: &Quantity, stratum: &str, rows: &[&Scored<'_>]) -> Option<Score> {
    let ratios: Vec<f64> = rows.iter().filter_map(|row| Some(row.predicted? / row.point.measured)).collect();
    if ratios.is_empty() {
        return None;
    }
    let errors: Vec<f64> = ratios.iter().map(|ratio| (ratio - 1.0).abs()).collect();
    let inside: Vec<bool> = rows.iter().filter_map(|row| row.covered()).collect();
    let base = rows.iter().filter_map(|row| Some((row.baseline? / row.point.measured - 1.0).abs()));
    let base: Vec<f64> = base.collect();
    let mut cells: Vec<&str> = rows.iter().map(|row| row.cell).collect();
    cells.sort_unstable();
    cells.dedup();
    let share = inside.iter().filter(|inside| **inside).count() as f64 / inside.len().max(1) as f64;
    Some(Score {
        quantity: quantity.measured,
        stratum: stratum.to_owned(),
        cells: cells.len(),
        measured: rows.len(),
        priced: ratios.len(),
        median: quantile(errors.clone(), 0.5),
        p90: quantile(errors, 0.9),
        bias: quantile(ratios, 0.5) - 1.0,
        covered: (!inside.is_empty()).then_some(share),
        baseline: (!base.is_empty()).then(|| quantile(base, 0.5)),
        ordered: ordered(quantity, rows),
    })
}

/// Returns how many pairs a planner chooses between, and the share in the right order.
fn ordered(quantity: &Quantity, rows: &[&Scored<'_>]) -> Option<(usize, f64)> {
    let mut groups: BTreeMap<&str, Vec<(f64, f64, &str)>> = BTreeMap::new();
    for row in rows {
        if let (Some(group), Some(predicted)) = (&row.group, row.predicted) {
            groups.entry(group).or_default().push((row.point.measured, predicted, &row.choice));
        }
    }
    let (mut pairs, mut right) = (0, 0);
    for group in groups.values() {
        for (place, one) in group.iter().enumerate() {
            for other in &group[..place] {
                if one.2 != other.2 && (one.0 / other.0).max(other.0 / one.0) > 1.0 + quantity.noise {
                    pairs += 1;
                    right += usize::from((one.0 > other.0) == (one.1 > other.1));
                }
            }
        }
    }
    (pairs > 0).then(|| (pairs, right as f64 / pairs as f64))
}

/// Returns a quantile of at least one value, between neighbours in a straight line.
pub fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = share * (values.len() - 1) as f64;
    let low = place.floor() as usize;
    let high = (low + 1).min(values.len() - 1);
    values[low] + (values[high] - values[low]) * (place - low as f64)
}

/// How often the tensor-parallel degree that is predicted to be best is nearly so.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BestDegree {
    /// Groups of rows that differ in the degree alone.
    pub groups: usize,
    /// Share of them in which the chosen degree measured at least 95 % of the best rate per accelerator.
    pub near: f64,
}

/// Returns how good the choice of a degree is, where a table has rates at several.
pub fn best_degree(
    table: &Table,
    observations: &Observations,
    predicted: &[Option<f64>],
) -> Option<BestDegree> {
    const SAME: [&str; 7] =
        ["model", "accelerator", "precision", "engine_version", "input_tokens", "output_tokens", "pp"];
    let mut groups: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (point, predicted) in observations.points.iter().zip(predicted) {
        let cards = table.number(point.row, "gpus");
        if let (Some(predicted), Some(cards), None) = (predicted, cards, table.text(point.row, "batch")) {
            let group = groups.entry(key(table, point.row, &SAME)).or_default();
            group.push((point.measured / cards, predicted / cards));
        }
    }
    groups.retain(|_, group| group.len() > 1);
    let near = |group: &&Vec<(f64, f64)>| {
        let chosen = group.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0.0, |row| row.0);
        chosen >= 0.95 * group.iter().fold(0.0, |best: f64, row| best.max(row.0))
    };
    let share = groups.values().filter(near).count() as f64 / groups.len().max(1) as f64;
    (!groups.is_empty()).then_some(BestDegree { groups: groups.len(), near: share })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Kind;
    use capstan_types::testing;

    const TABLE: &str = "model,accelerator,engine,gpus,tp,input_tokens,output_tokens,precision,output_tokens_per_s\n\
        a,x,trtllm,1,1,10,10,FP8,100\n\
        a,x,trtllm,2,2,10,10,FP8,200\n\
        b,x,trtllm,1,1,10,10,FP8,150\n";

    #[test]
    fn errors_coverage_baseline_and_order_are_those_of_the_rows() {
        let table = Table::read(Kind::ServingThroughput, TABLE.as_bytes()).unwrap();
        let mut observations = Observations::of(&table, &testing::catalog());
        for (point, (low, high)) in observations.points.iter_mut().zip([(90.0, 120.0), (50.0, 150.0)]) {
            (point.predicted, point.interval) = (Some(110.0), Some((low, high)));
        }
        let scores = score(&table, &observations, &[Some(110.0), Some(100.0), None]);
        let all = &scores[0];
        assert_eq!((all.stratum.as_str(), all.cells, all.measured, all.priced), ("all", 2, 3, 2));
        assert!((all.median - 0.3).abs() < 1e-12 && (all.p90 - 0.46).abs() < 1e-12, "{all:?}");
        assert!((all.bias + 0.2).abs() < 1e-12);
        assert_eq!(all.covered, Some(0.5));
        // On one card, `a` has 150 as its neighbour and `b` has 100: errors 1/2 and 1/3; on two cards `a` has none.
        assert!((all.baseline.unwrap() - 5.0 / 12.0).abs() < 1e-12, "{all:?}");
        // The faster of the two rows of `a` is predicted to be the slower.
        assert_eq!(all.ordered, Some((1, 0.0)));
    }
}
