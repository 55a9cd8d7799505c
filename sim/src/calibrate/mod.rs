//! What do a user's own measurements say of predictions? Rows beside their predictions become corrections, and those become
//! factors at any load.
//!
//! The logarithm of measured / predicted is taken for a smooth random function of (log₂ requests in flight, log₂ prompt,
//! log₂ output) around an unknown offset, and is interpolated by kriging (Cressie, *Statistics for Spatial Data*, 1993,
//! section 3.2): near a measurement its error counts, far from all of them what they have in common. Held out of the
//! published serving measurements (`tests/calibration.rs`), the median error falls from 5.6 % to 5.3, 4.4 and 2.6 % (time
//! per output token) and from 18.6 % to 14.7, 12.1 and 8.2 % (time to first token) with 1, 3 and 10 points; a median with
//! a slope in log₂ concurrency reaches 6.1, 5.3, 4.4 and 15.7, 14.3, 12.8 %.
//!
//! It knows no other configuration: one point of another makes predictions worse.

mod gemm;
mod reduce;
mod serving;
mod training;

pub use gemm::{Product, gemm};
pub use reduce::all_reduce;
pub use serving::{Calibrated, Checked, MEASURED, Shown, serving};
pub use training::{TRAINING_MEASURED, Trained, TrainedJob, training};

use capstan_types::catalog::{Calibration, CalibrationPoint};

/// How far predictions err before anything is measured, in logarithms, and on which scale that changes.
#[derive(Debug, Clone, Copy)]
struct Prior {
    /// Standard deviation of what all points of a configuration have in common.
    offset: f64,
    /// Standard deviation of what differs from load to load.
    local: f64,
    /// Standard deviation of a repetition (data of repeated runs: 0.5 to 3.3 % and 2.4 to 7.2 %).
    noise: f64,
}

/// Chosen on the published measurements, among settings a factor of two apart, where neighbours differ by 0.1 points.
const TPOT: Prior = Prior { offset: 0.15, local: 0.3, noise: 0.05 };
const TTFT: Prior = Prior { offset: 0.3, local: 0.6, noise: 0.1 };

/// Octaves over which errors of two loads lose what they share.
const OCTAVES: f64 = 3.0;

/// A larger error is no error of the model; it would pull all others with it.
const FARTHEST: f64 = 1.0;

/// Half-widths of 90 % in standard deviations of the kriging, after 1, 3 and 10 points: errors have heavier tails than a
/// normal distribution where little is known. From the same held-out rows, each configuration with equal weight.
const TPOT_WIDTHS: [f64; 3] = [1.35, 0.8, 0.55];
const TTFT_WIDTHS: [f64; 3] = [1.35, 1.0, 0.75];

/// Half-width of 90 % in standard deviations of a normal distribution.
const NINETY: f64 = 1.645;

/// A correction: the factor on a prediction, and the factor to both ends of 90 % around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factor {
    /// On the prediction.
    pub value: f64,
    /// To the ends of the interval.
    pub width: f64,
    /// To the ends of 90 % of what was measured around the fit; `width` is never less.
    pub spread: f64,
}

/// A curve of the catalog, refitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Refitted<T> {
    /// The new row.
    pub row: T,
    /// Median error of what was used before.
    pub before: f64,
    /// And after; the same measurements, since two numbers at most are refitted.
    pub after: f64,
    /// Places in the list of measurements of those not used, and why.
    pub refused: Vec<(usize, String)>,
}

/// A load: requests in flight, prompt tokens, output tokens.
pub type At = (f64, f64, f64);

/// Returns the correction of times per output token at a load, where any was measured.
pub fn tpot(calibration: &Calibration, at: At) -> Option<Factor> {
    interpolate(&calibration.points, |point| point.tpot_ratio, at, TPOT, TPOT_WIDTHS)
}

/// Returns the correction of times to first token at a load, where any was measured.
pub fn ttft(calibration: &Calibration, at: At) -> Option<Factor> {
    interpolate(&calibration.points, |point| point.ttft_ratio, at, TTFT, TTFT_WIDTHS)
}

fn place((concurrency, input, output): At) -> [f64; 3] {
    [concurrency, input, output].map(|count| libm::log2(count.max(1.0)))
}

impl Prior {
    /// Returns the standard deviation of what was `measured` around the fit through it, near measurements counting most:
    /// measurements that contradict each other say how little any one of them says.
    fn spread(&self, rows: Vec<Vec<f64>>, known: &[([f64; 3], f64)], measured: &[f64], at: [f64; 3]) -> f64 {
        let duals = solve(rows, known.iter().map(|(_, log)| *log).collect());
        let fit = |place: [f64; 3]| -> f64 {
            duals.iter().zip(known).map(|(dual, (other, _))| dual * self.covariance(place, *other)).sum()
        };
        let (mut squares, mut weights) = (0.0, 0.0);
        for ((place, _), log) in known.iter().zip(measured) {
            let (weight, off) = (self.covariance(*place, at), log - fit(*place));
            squares += weight * off * off;
            weights += weight;
        }
        (squares / weights).sqrt()
    }

    fn covariance(&self, a: [f64; 3], b: [f64; 3]) -> f64 {
        let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        self.offset * self.offset + self.local * self.local * libm::exp(-square.sqrt() / OCTAVES)
    }
}

fn interpolate(
    points: &[CalibrationPoint],
    ratio: impl Fn(&CalibrationPoint) -> Option<f64>,
    at: At,
    prior: Prior,
    widths: [f64; 3],
) -> Option<Factor> {
    let of = |point: &CalibrationPoint| {
        let load = (point.concurrency, point.input_tokens, point.output_tokens);
        let place = place((f64::from(load.0), f64::from(load.1), f64::from(load.2)));
        let log = libm::log(ratio(point)?);
        Some(((place, log.clamp(-FARTHEST, FARTHEST)), log))
    };
    let (known, measured): (Vec<([f64; 3], f64)>, Vec<f64>) = points.iter().filter_map(of).unzip();
    if known.is_empty() {
        return None;
    }
    let at = place(at);
    let noise = prior.noise * prior.noise;
    let row = |i: usize| {
        let cell = |j: usize| prior.covariance(known[i].0, known[j].0) + if i == j { noise } else { 0.0 };
        (0..known.len()).map(cell).collect::<Vec<f64>>()
    };
    let near: Vec<f64> = known.iter().map(|(place, _)| prior.covariance(*place, at)).collect();
    let rows: Vec<Vec<f64>> = (0..known.len()).map(row).collect();
    let weights = solve(rows.clone(), near.clone());
    let value: f64 = weights.iter().zip(&known).map(|(weight, (_, log))| weight * log).sum();
    let around = prior.spread(rows, &known, &measured, at);
    let explained: f64 = weights.iter().zip(&near).map(|(weight, near)| weight * near).sum();
    let variance = (prior.covariance(at, at) + noise - explained).max(noise);
    let spread = NINETY * around;
    let width = (between(widths, known.len()) * variance.sqrt()).max(spread);
    Some(Factor { value: libm::exp(value), width: libm::exp(width), spread: libm::exp(spread) })
}

/// Returns the number of standard deviations after `n` points, straight in log n between 1, 3 and 10.
fn between([one, three, ten]: [f64; 3], n: usize) -> f64 {
    let at = libm::log(n as f64);
    let (three_at, ten_at) = (libm::log(3.0), libm::log(10.0));
    if at <= three_at {
        one + (three - one) * at / three_at
    } else {
        three + (ten - three) * ((at - three_at) / (ten_at - three_at)).min(1.0)
    }
}

/// Solves a symmetric positive definite system; the noise on its diagonal keeps it far from singular.
fn solve(mut rows: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for i in 0..n {
        let pivot = rows[i].clone();
        for j in i + 1..n {
            let factor = rows[j][i] / pivot[i];
            rows[j].iter_mut().zip(&pivot).skip(i).for_each(|(cell, above)| *cell -= factor * above);
            right[j] -= factor * right[i];
        }
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|column| rows[i][column] * right[column]).sum();
        right[i] = (right[i] - known) / rows[i][i];
    }
    right
}

/// Returns the middle of some values; none of none.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(f64::midpoint(values[last / 2], values[last.div_ceil(2)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::degrees::Degrees;
    use capstan_types::testing;

    fn points(of: &[(u32, f64)]) -> Vec<CalibrationPoint> {
        let point = |&(concurrency, ratio): &(u32, f64)| CalibrationPoint {
            concurrency,
            input_tokens: 1024,
            output_tokens: 256,
            tpot_ratio: Some(ratio),
            ttft_ratio: None,
        };
        of.iter().map(point).collect()
    }

    fn at(points: &[CalibrationPoint], concurrency: f64) -> Factor {
        let at = (concurrency, 1024.0, 256.0);
        interpolate(points, |point| point.tpot_ratio, at, TPOT, TPOT_WIDTHS).unwrap()
    }

    #[test]
    fn near_a_measurement_it_counts_and_far_from_it_less() {
        let one = points(&[(16, 1.2)]);
        let (here, there) = (at(&one, 16.0), at(&one, 256.0));
        assert!((1.15..1.2).contains(&here.value), "{here:?}");
        assert!(1.0 < there.value && there.value < here.value, "{there:?}");
        assert!(here.width < there.width);
        assert_eq!(interpolate(&one, |point| point.ttft_ratio, (1.0, 1.0, 1.0), TTFT, TTFT_WIDTHS), None);
    }

    #[test]
    fn more_points_narrow_the_interval() {
        let few = points(&[(4, 1.1)]);
        let many = points(&[(1, 1.1), (4, 1.1), (16, 1.1), (64, 1.1), (256, 1.1)]);
        assert!(at(&many, 32.0).width < at(&few, 32.0).width);
        assert!((at(&many, 32.0).value / 1.1 - 1.0).abs() < 0.02);
    }

    #[test]
    fn measurements_that_contradict_each_other_widen_the_interval_to_hold_them() {
        for ratios in [[0.9, 4.0].as_slice(), &[0.9, 3.0, 7.0, 0.6]] {
            let told = points(&ratios.iter().map(|&ratio| (16, ratio)).collect::<Vec<_>>());
            let Factor { value, width, .. } = at(&told, 16.0);
            let inside = |ratio: &&f64| (value / width..=value * width).contains(*ratio);
            assert_eq!(ratios.iter().filter(inside).count(), ratios.len(), "{value} {width}: {ratios:?}");
        }
        // Of those far away less is held against what is measured here.
        let elsewhere = points(&[(1, 1.1), (1, 1.1), (1, 1.1), (4096, 0.5), (4096, 2.0)]);
        assert!(at(&elsewhere, 1.0).width < at(&elsewhere, 4096.0).width);
    }

    #[test]
    fn a_trend_over_load_is_followed() {
        let trend = points(&[(1, 1.0), (16, 1.2), (256, 1.44)]);
        assert!(at(&trend, 1.0).value < at(&trend, 32.0).value);
        assert!(at(&trend, 32.0).value < at(&trend, 256.0).value);
    }

    #[test]
    fn a_system_is_solved() {
        let solved = solve(vec![vec![4.0, 1.0], vec![1.0, 3.0]], vec![1.0, 2.0]);
        assert!((solved[0] - 1.0 / 11.0).abs() < 1e-12 && (solved[1] - 7.0 / 11.0).abs() < 1e-12);
    }

    #[test]
    fn own_measurements_of_the_version_come_first() {
        let mut catalog = testing::catalog();
        let row = |version: &str| Calibration {
            model: "m".to_owned(),
            accelerator: "a".to_owned(),
            engine: "e".to_owned(),
            engine_version: version.to_owned(),
            precision: capstan_types::hardware::Precision::Bf16,
            degrees: Degrees::plain(1, 1),
            points: points(&[(1, 1.0)]),
            provenance: catalog.models[0].provenance.clone(),
        };
        catalog.calibrations = vec![row("1"), row("2")];
        let found = |version| {
            let key = ("m", "a", "e", version);
            catalog.calibration(key, capstan_types::hardware::Precision::Bf16, Degrees::plain(1, 1)).unwrap()
        };
        assert_eq!((found("2").engine_version.as_str(), found("9").engine_version.as_str()), ("2", "1"));
    }
}
