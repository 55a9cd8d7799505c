//! Measurements beside predictions, with what each number of the catalog would change.

use super::knobs::Knob;
use crate::tables::{Identity, Names, Table};
use capstan_types::catalog::Catalog;
use std::collections::BTreeMap;

/// One measurement beside its prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Row of the table.
    pub row: usize,
    /// Place among the quantities of its kind.
    pub quantity: usize,
    /// What was measured.
    pub measured: f64,
    /// What is predicted; `None` where the row has no prediction.
    pub predicted: Option<f64>,
    /// Ends of the 90 % interval, where there is one.
    pub interval: Option<(f64, f64)>,
    /// Derivatives of log(predicted) by the logarithm of each number; empty until asked for.
    pub gradient: Vec<f64>,
}

impl Point {
    /// Returns log(measured / predicted).
    pub fn residual(&self) -> Option<f64> {
        self.predicted.map(|predicted| libm::log(self.measured / predicted))
    }
}

/// A table of measurements, predicted.
#[derive(Debug, Clone)]
pub struct Observations {
    /// What each row is.
    pub identities: Vec<Identity>,
    /// Measurements, in order of quantities and rows.
    pub points: Vec<Point>,
    /// Why rows have no prediction, and how many.
    pub rejections: BTreeMap<String, usize>,
}

/// How far each number is moved to see what it changes: simulated means are not smooth, so not too little.
const STEP: f64 = 0.05;

type Cells = Vec<Option<Vec<String>>>;

impl Observations {
    /// Predicts every row with the facts of `catalog`.
    pub fn of(table: &Table, catalog: &Catalog) -> Self {
        let names = Names::new(catalog);
        let identities = table.identities(&names);
        let mut rejections = BTreeMap::new();
        let cells: Cells = table
            .price(catalog, |_| true)
            .into_iter()
            .map(|priced| match priced? {
                Ok(answer) => Some(answer.cells),
                Err(reason) => {
                    *rejections.entry(without_numbers(&reason.to_string())).or_insert(0) += 1;
                    None
                }
            })
            .collect();
        let quantities = table.kind().quantities();
        let mut points = Vec::new();
        for (place, quantity) in quantities.iter().enumerate() {
            let at = |row: usize, column: &str| number(cells[row].as_ref()?, table.place(column)?);
            // What a scenario does not ask for is not missing.
            let asked = |row: &usize| {
                let place = table.place(quantity.predicted);
                let text = cells[*row].as_ref().zip(place).and_then(|(cells, place)| cells.get(place));
                text.is_none_or(|text| !text.is_empty())
            };
            points.extend((0..table.len()).filter(asked).filter_map(|row| {
                let interval =
                    quantity.interval.and_then(|(low, high)| Some((at(row, low)?, at(row, high)?)));
                Some(Point {
                    row,
                    quantity: place,
                    measured: table.number(row, quantity.measured)?,
                    predicted: at(row, quantity.predicted),
                    interval,
                    gradient: Vec::new(),
                })
            }));
        }
        Self { identities, points, rejections }
    }

    /// Finds what each of `knobs` changes at `catalog`.
    pub fn differentiate(&mut self, table: &Table, catalog: &Catalog, knobs: &[Knob]) {
        for point in &mut self.points {
            point.gradient = vec![0.0; knobs.len()];
        }
        let quantities = table.kind().quantities();
        let places: Vec<_> = quantities.iter().map(|quantity| table.place(quantity.predicted)).collect();
        for (number_of_knob, knob) in knobs.iter().enumerate() {
            let mut moved = catalog.clone();
            knob.set(&mut moved, knob.value(catalog) * libm::exp(STEP));
            let priced = table.price(&moved, |row| knob.matters(&self.identities[row]));
            for point in &mut self.points {
                let answer = priced[point.row].as_ref().and_then(|answer| answer.as_ref().ok());
                let after = answer.and_then(|answer| number(&answer.cells, places[point.quantity]?));
                if let (Some(before), Some(after)) = (point.predicted, after) {
                    point.gradient[number_of_knob] = libm::log(after / before) / STEP;
                }
            }
        }
    }
}

fn number(cells: &[String], place: usize) -> Option<f64> {
    cells.get(place)?.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0)
}

/// Returns a reason with its numbers as `#`, so that equal ones are counted together.
fn without_numbers(reason: &str) -> String {
    let mut words = String::new();
    let mut in_number = false;
    for letter in reason.chars() {
        let digit = letter.is_ascii_digit() || (in_number && (letter == '.' || letter == ','));
        if digit && !in_number {
            words.push('#');
        }
        if !digit {
            words.push(letter);
        }
        in_number = digit;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_with_other_numbers_are_one() {
        assert_eq!(without_numbers("needs 223.7 GiB where 126.3 are free"), "needs # GiB where # are free");
        assert_eq!(without_numbers("128 heads"), without_numbers("96 heads"));
    }
}
