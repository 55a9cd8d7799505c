//! How much do own measurements help? Points are held out of the published serving measurements, configuration by
//! configuration.
//!
//! Needs CAPSTAN_DATA. The bars are the aims: TPOT within 6 % and TTFT within 15 % with one point of the same configuration,
//! 4 % and 10 % with ten. To see the numbers: `cargo test -p capstan --test calibration -- --nocapture`.

mod common;

use capstan_sim::calibrate::{Factor, serving, tpot, ttft};
use capstan_sim::tables::Names;
use capstan_types::catalog::{Calibration, CalibrationPoint};
use capstan_types::testing::data;
use common::catalog;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Returns the published measurements by configuration, one of each load: repetitions of a held-out point would tell it.
fn configurations(folder: &Path) -> Vec<Calibration> {
    let catalog = catalog();
    let table = fs::read(folder.join("truth/serving_latency.csv")).unwrap();
    let provenance = catalog.models[0].provenance.clone();
    let read = serving(table.as_slice(), &[], &Names::new(&catalog), &provenance).unwrap();
    let reasons = read.refused.iter().fold(BTreeMap::new(), |mut counts, refused| {
        let words: String = refused.reason.chars().filter(|c| !c.is_ascii_digit()).collect();
        *counts.entry(words).or_insert(0) += 1;
        counts
    });
    println!("{} rows, {} refused: {reasons:?}", read.rows, read.refused.len());
    let mut found = read.calibrations;
    for calibration in &mut found {
        let load = |point: &CalibrationPoint| (point.concurrency, point.input_tokens, point.output_tokens);
        calibration.points.sort_by_key(load);
        calibration.points.dedup_by_key(|point| load(point));
    }
    found
}

/// Returns `count` places of `of`, another choice for each turn.
fn chosen(of: usize, count: usize, turn: usize) -> Vec<usize> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(turn as u64 + 1);
    let mut places: Vec<usize> = (0..of).collect();
    for index in 0..count {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        places.swap(index, index + (state >> 33) as usize % (of - index));
    }
    places.truncate(count);
    places
}

/// Turns per configuration.
const TURNS: usize = 8;

/// Medians of the error before and after, and the share of measurements inside the interval, each configuration alike.
struct Held {
    before: f64,
    after: f64,
    covered: f64,
}

fn hold_out(
    configurations: &[Calibration],
    points: usize,
    ratio: fn(&CalibrationPoint) -> Option<f64>,
    factor: fn(&Calibration, (f64, f64, f64)) -> Option<Factor>,
) -> Held {
    let (mut before, mut after, mut covered) = (Vec::new(), Vec::new(), Vec::new());
    for all in configurations {
        if all.points.len() <= points {
            continue;
        }
        let (mut inside, mut seen) = (0.0, 0.0);
        for turn in 0..TURNS {
            let kept = chosen(all.points.len(), points, turn);
            let known =
                Calibration { points: kept.iter().map(|&place| all.points[place]).collect(), ..all.clone() };
            for (_, point) in all.points.iter().enumerate().filter(|(place, _)| !kept.contains(place)) {
                let at = (point.concurrency, point.input_tokens, point.output_tokens);
                let at = (f64::from(at.0), f64::from(at.1), f64::from(at.2));
                let (Some(measured), Some(factor)) = (ratio(point), factor(&known, at)) else { continue };
                let left = measured / factor.value;
                before.push((1.0 / measured - 1.0).abs());
                after.push((1.0 / left - 1.0).abs());
                seen += 1.0;
                inside += if (1.0 / factor.width..=factor.width).contains(&left) { 1.0 } else { 0.0 };
            }
        }
        covered.push(inside / f64::max(seen, 1.0));
    }
    let mean = covered.iter().sum::<f64>() / covered.len() as f64;
    Held { before: median(before), after: median(after), covered: mean }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn own_points_bring_predictions_within_the_aims() {
    let Some(folder) = data() else { return };
    let configurations = configurations(&folder);
    assert!(configurations.len() > 60, "{} configurations", configurations.len());
    for (points, tpot_aim, ttft_aim) in [(1, 0.06, 0.15), (3, 0.05, 0.13), (10, 0.04, 0.10)] {
        let steps = hold_out(&configurations, points, |point| point.tpot_ratio, tpot);
        let first = hold_out(&configurations, points, |point| point.ttft_ratio, ttft);
        for (name, held, aim) in [("TPOT", &steps, tpot_aim), ("TTFT", &first, ttft_aim)] {
            println!(
                "{points} points, {name}: {:.1} % -> {:.1} %, {:.1} % inside",
                held.before * 100.0,
                held.after * 100.0,
                held.covered * 100.0
            );
            assert!(held.after <= aim, "{points} points, {name}: {:.3}", held.after);
            assert!(held.after < held.before, "{points} points make {name} worse");
            assert!(
                (0.85..=0.97).contains(&held.covered),
                "{points} points, {name}: {:.3} inside",
                held.covered
            );
        }
    }
}
