//! Factors without a part of the measurements, and what they predict for that part.

use super::knobs::Knob;
use super::observations::{Observations, Point};
use super::solve::{self, Equation};
use crate::tables::{Kind, Quantity};
use capstan_types::catalog::Catalog;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What is left out as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// A (model, accelerator, engine, precision).
    Cell,
    /// A model.
    Model,
    /// An engine.
    Engine,
    /// An accelerator.
    Accelerator,
    /// A precision.
    Precision,
}

impl Left {
    /// Every one, in order.
    pub const ALL: [Self; 5] = [Self::Cell, Self::Model, Self::Engine, Self::Accelerator, Self::Precision];

    /// Returns the word of reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cell => "cell",
            Self::Model => "model",
            Self::Engine => "engine",
            Self::Accelerator => "accelerator",
            Self::Precision => "precision",
        }
    }

    /// Returns to which part a row belongs.
    pub fn part(self, observations: &Observations, row: usize) -> &str {
        let identity = &observations.identities[row];
        match self {
            Self::Cell => &identity.cell,
            Self::Model => &identity.model,
            Self::Engine => &identity.engine,
            Self::Accelerator => &identity.accelerator,
            Self::Precision => &identity.precision,
        }
    }
}

/// Returns what residuals of a quantity are expected to be as standard deviation of the logarithm: the error that the
/// structure of the model leaves, by the leave-one-cell-out medians of the first fit.
fn scale(quantity: &Quantity, mixture: bool) -> f64 {
    match quantity.measured {
        // Software of mixtures moves by as much between releases.
        "step_time_s" if mixture => 0.2,
        "ttft_ms" => 0.25,
        "tpot_ms" => 0.10,
        "output_tokens_per_s" | "result" => 0.15,
        // Tails near saturation say little about how fast a step is.
        "ttft_p99_ms" | "tpot_p99_ms" => 1.0,
        _ => 0.05,
    }
}

/// The equations of a table: each cell counts as the square root of its rows.
fn equations<'a>(kind: Kind, observations: &'a Observations) -> Vec<(&'a Point, Equation<'a>)> {
    let mut sizes: BTreeMap<(usize, &str), f64> = BTreeMap::new();
    for point in &observations.points {
        *sizes.entry((point.quantity, Left::Cell.part(observations, point.row))).or_insert(0.0) += 1.0;
    }
    let equation = |point: &'a Point| {
        let size = sizes[&(point.quantity, Left::Cell.part(observations, point.row))];
        let mixture = observations.identities[point.row].mixture == Some(true);
        let scale = scale(&kind.quantities()[point.quantity], mixture);
        let residual = point.residual()?;
        Some((point, Equation { residual, gradient: &point.gradient, scale, weight: 1.0 / size.sqrt() }))
    };
    observations.points.iter().filter_map(equation).collect()
}

fn priors(catalog: &Catalog, knobs: &[Knob]) -> Vec<(f64, f64)> {
    knobs.iter().map(|knob| (libm::log(knob.prior / knob.value(catalog)), knob.spread)).collect()
}

/// Returns the step of the logarithm of every number towards the optimum.
pub fn towards(kind: Kind, observations: &Observations, catalog: &Catalog, knobs: &[Knob]) -> Vec<f64> {
    let equations: Vec<_> = equations(kind, observations).into_iter().map(|(_, equation)| equation).collect();
    solve::step(&equations, &priors(catalog, knobs))
}

/// Returns how many cells say something about each number.
pub fn cells(observations: &Observations, knobs: &[Knob]) -> Vec<u32> {
    let of = |place: usize| {
        let moved = observations.points.iter().filter(|point| point.gradient[place].abs() > SAYS_SOMETHING);
        let cells: BTreeSet<&str> = moved.map(|point| Left::Cell.part(observations, point.row)).collect();
        cells.len() as u32
    };
    (0..knobs.len()).map(of).collect()
}

/// A prediction that moves by less than this share of a number's own move says nothing about it.
const SAYS_SOMETHING: f64 = 0.02;

/// Returns the prediction of every point by factors that were fitted without the part that its row belongs to.
///
/// `observations` are differentiated at `catalog`, which is near the optimum.
pub fn without(
    kind: Kind,
    left: Left,
    observations: &Observations,
    catalog: &Catalog,
    knobs: &[Knob],
) -> Vec<Option<f64>> {
    let parts: BTreeSet<&str> =
        (0..observations.identities.len()).map(|row| left.part(observations, row)).collect();
    let (all, priors) = (equations(kind, observations), priors(catalog, knobs));
    let parts: Vec<&str> = parts.into_iter().collect();
    let steps: Vec<Vec<f64>> = parts
        .par_iter()
        .map(|part| {
            let kept = all.iter().filter(|(point, _)| left.part(observations, point.row) != *part);
            solve::step(&kept.map(|(_, equation)| *equation).collect::<Vec<_>>(), &priors)
        })
        .collect();
    let steps: BTreeMap<&str, Vec<f64>> = parts.into_iter().zip(steps).collect();
    let moved = |point: &Point| {
        let step = &steps[left.part(observations, point.row)];
        let change: f64 = point.gradient.iter().zip(step).map(|(slope, step)| slope * step).sum();
        point.predicted.map(|predicted| predicted * libm::exp(change))
    };
    observations.points.iter().map(moved).collect()
}
