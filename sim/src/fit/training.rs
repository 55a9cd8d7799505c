//! Factors of training, fitted to three tables at once: what papers, a framework and a benchmark printed.
//!
//! Dense models and adapters first; then the factors of mixtures with all others held. In one fit the mixtures, two
//! fifths of the rows, would drag dense factors away. A cell is a (model, accelerator), adapters apart, whatever the
//! table. Residuals are of the time of a step.

use super::knobs::{Knob, training_knobs};
use super::leave_out::{Left, cells, towards, without};
use super::observations::{Observations, Point};
use super::residuals::{Quantiles, Residual, line};
use super::text::short;
use crate::perf::training::known::{Family, QUANTITY};
use crate::tables::{Identity, Kind, Table};
use capstan_types::catalog::Catalog;
use std::collections::BTreeMap;

/// The tables.
pub const KINDS: [Kind; 3] = [Kind::TrainingThroughput, Kind::MlperfTraining, Kind::TrainingPapers];

/// The kind by whose quantities joined rows are read: the first is the time of a step.
const JOINED: Kind = Kind::TrainingThroughput;
/// Steps towards the optimum.
const ROUNDS: usize = 4;
/// What is left out where there are such parts.
pub const LEFT: [Left; 4] = [Left::Cell, Left::Model, Left::Accelerator, Left::Precision];

/// Rows of all tables of one stage of the fit, as times of a step.
struct Joined {
    observations: Observations,
    /// Table and row of each point.
    places: Vec<(Kind, usize)>,
}

/// Returns which family a row is of.
fn family(identity: &Identity) -> Family {
    let adapters = |stratum: &String| stratum == "task LoRA" || stratum.ends_with("_lora");
    match identity.mixture {
        Some(true) => Family::Mixture,
        _ if identity.strata.iter().any(adapters) => Family::Adapters,
        _ => Family::Dense,
    }
}

/// Returns what a row is beyond its table: cells are those of all tables.
fn identified(kind: Kind, mut identity: Identity) -> Identity {
    let family = family(&identity);
    if kind == Kind::TrainingPapers && identity.model.starts_with("GPT") {
        // Models of the papers differ in size, by which they are not told apart: one cell per paper.
        identity.model = "gpt3_175b".to_owned();
    } else {
        identity.cell = format!("{} {} {}", identity.model, identity.accelerator, family.word());
    }
    identity.precision = crate::tables::training_math(kind, &identity.precision, family).to_owned();
    identity
}

/// Returns a rate as the time that it stands for.
fn as_time(kind: Kind, point: Point) -> Option<Point> {
    let measured = kind.quantities()[point.quantity].measured;
    if measured.starts_with("step") {
        return Some(Point { quantity: 0, ..point });
    }
    // Papers print rates where they print no time; the framework prints both.
    (kind == Kind::TrainingPapers && measured == "tflops_gpu").then(|| Point {
        quantity: 0,
        measured: 1.0 / point.measured,
        predicted: point.predicted.map(|predicted| 1.0 / predicted),
        interval: None,
        gradient: point.gradient.iter().map(|slope| -slope).collect(),
        ..point
    })
}

impl Joined {
    fn of(tables: &[Table], catalog: &Catalog, knobs: &[Knob], mixtures: bool) -> Self {
        let mut joined = Self {
            observations: Observations {
                identities: Vec::new(),
                points: Vec::new(),
                rejections: BTreeMap::new(),
            },
            places: Vec::new(),
        };
        for table in tables.iter().filter(|table| KINDS.contains(&table.kind())) {
            let mut observations = Observations::of(table, catalog);
            observations.differentiate(table, catalog, knobs);
            let identity = |row: usize| identified(table.kind(), observations.identities[row].clone());
            for point in observations.points.clone() {
                let identity = identity(point.row);
                if (family(&identity) == Family::Mixture) != mixtures {
                    continue;
                }
                let place = (table.kind(), point.row);
                if let Some(point) = as_time(table.kind(), point) {
                    let row = joined.observations.identities.len();
                    joined.observations.identities.push(identity);
                    joined.observations.points.push(Point { row, ..point });
                    joined.places.push(place);
                }
            }
        }
        joined
    }
}

/// Fits the factors of training and leaves them in `catalog`; returns them with the cells that say something about each,
/// and the residuals.
pub fn refit(tables: &[Table], catalog: &mut Catalog) -> (Vec<(Knob, f64, u32)>, Vec<Quantiles>) {
    let (mut factors, mut residuals) = (Vec::new(), Vec::new());
    for mixtures in [false, true] {
        let knobs = training_knobs(mixtures);
        for _ in 0..ROUNDS {
            let joined = Joined::of(tables, catalog, &knobs, mixtures);
            let steps = towards(JOINED, &joined.observations, catalog, &knobs);
            for (knob, step) in knobs.iter().zip(steps) {
                let value = knob.value(catalog) * libm::exp(step);
                knob.set(catalog, short(value).parse().unwrap_or(value));
            }
        }
        let joined = Joined::of(tables, catalog, &knobs, mixtures);
        let counts = cells(&joined.observations, &knobs);
        factors.extend(knobs.iter().zip(counts).map(|(knob, cells)| (*knob, knob.value(catalog), cells)));
        residuals.extend(quantiles(&joined.observations, catalog, &knobs));
    }
    (factors, residuals)
}

/// Returns how much longer each row's step is predicted by factors that never saw the part it belongs to.
pub fn shifts(tables: &[Table], catalog: &Catalog, left: Left) -> BTreeMap<(&'static str, usize), f64> {
    let mut shifts = BTreeMap::new();
    for mixtures in [false, true] {
        let knobs = training_knobs(mixtures);
        let joined = Joined::of(tables, catalog, &knobs, mixtures);
        let moved = without(JOINED, left, &joined.observations, catalog, &knobs);
        for ((point, moved), (kind, row)) in joined.observations.points.iter().zip(moved).zip(&joined.places)
        {
            if let (Some(moved), Some(own)) = (moved, point.predicted) {
                shifts.insert((kind.word(), *row), moved / own);
            }
        }
    }
    shifts
}

/// Returns the quantiles of residuals by stratum: each family has its own.
fn quantiles(observations: &Observations, catalog: &Catalog, knobs: &[Knob]) -> Vec<Quantiles> {
    let mut lines = Vec::new();
    for left in LEFT {
        let predicted = without(JOINED, left, observations, catalog, knobs);
        let mut strata: BTreeMap<String, Vec<Residual<'_>>> = BTreeMap::new();
        for (point, predicted) in observations.points.iter().zip(&predicted) {
            let model = catalog.model(&observations.identities[point.row].model);
            // Gated linear attention has a width of its own.
            let plain = model.is_none_or(|model| model.linear.is_none());
            let Some(predicted) = predicted.filter(|_| plain) else { continue };
            let residual = (Left::Cell.part(observations, point.row), libm::log(point.measured / predicted));
            for stratum in strata_of(left, &observations.identities[point.row]) {
                strata.entry(stratum).or_default().push(residual);
            }
        }
        lines.extend(strata.into_iter().map(|(stratum, rows)| line(QUANTITY, stratum, &rows)));
    }
    lines
}

fn strata_of(left: Left, identity: &Identity) -> Vec<String> {
    let family = family(identity).word();
    if left != Left::Cell {
        return vec![format!("{family} new {}", left.word())];
    }
    let seen = [
        ("accelerator", &identity.accelerator),
        ("precision", &identity.precision),
        ("model", &identity.model),
    ];
    let seen = seen.into_iter().filter(|(_, name)| !name.is_empty());
    let seen = seen.map(|(part, name)| format!("{family} {part}={name}"));
    std::iter::once(family.to_owned()).chain(seen).collect()
}
